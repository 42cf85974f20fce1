"""fastlog.nn and fastlog.tf beside torch and TensorFlow, or what was recorded of them."""

import json
import warnings

import doors
import numpy as np
import pytest

import fastlog
from fastlog import tf
from fastlog.nn import functional

RECORDED = json.loads(doors.RECORDS.read_text())
OURS = doors.names_of("fastlog")
# Peers compute sums of float32 in float32, and lose digits where terms cancel.
CLOSE = {"rtol": 5e-6, "atol": 2e-6}


def cases(part):
    return [(library, expression) for library, parts in doors.LIBRARIES.items() for expression in parts[part]]


def expect(got, expected):
    if isinstance(expected, str) or isinstance(got, str):
        assert got == expected
    else:
        assert np.shape(got) == np.shape(expected)
        np.testing.assert_allclose(got, expected, **CLOSE)


@pytest.mark.parametrize(("library", "expression"), cases(0))
def test_same(library, expression):
    expect(doors.evaluate(expression, OURS), RECORDED[library][expression])


@pytest.mark.parametrize(("library", "expression"), cases(1))
def test_errors(library, expression):
    assert isinstance(RECORDED[library][expression], str), "the peer raises nothing"
    expected = doors.LIBRARIES[library][1][expression]
    with pytest.raises(expected):
        eval(expression, dict(OURS))


@pytest.mark.parametrize(("library", "expression"), cases(2))
def test_decided_differences(library, expression):
    expected = doors.LIBRARIES[library][2][expression]
    if isinstance(expected, str):
        expected = doors.evaluate(expected, OURS)
    got = doors.evaluate(expression, OURS)
    np.testing.assert_allclose(got, expected, rtol=5e-6)
    peer = RECORDED[library][expression]
    assert isinstance(peer, str) or not np.allclose(peer, expected, rtol=1e-6, atol=0), "the peer agrees"


@pytest.mark.parametrize("library", doors.LIBRARIES)
def test_records_are_what_the_peer_gives(library):
    if not doors.installed(library):
        pytest.skip(f"{library} is not installed; its recorded values are used")
    names = doors.names_of(library)
    for part in range(3):
        for expression in doors.LIBRARIES[library][part]:
            expect(doors.evaluate(expression, names), RECORDED[library][expression])


@pytest.mark.parametrize("expression", doors.DERIVATIVES)
def test_derivatives_are_autograds(expression):
    recorded = RECORDED["derivatives"][expression]
    names = {**doors.ARRAYS, "bce": fastlog.binary_cross_entropy_with_logits, "ce": fastlog.cross_entropy,
             "focal": fastlog.focal_loss}  # fmt: skip
    _, gradient, hessian = eval(doors.DERIVATIVES[expression].format(", return_hess=True"), names)
    np.testing.assert_allclose(gradient, recorded["gradient"], rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(hessian, recorded["hessian"], rtol=1e-12, atol=1e-15)
    if doors.installed("torch"):
        now = doors.autograd(expression)
        np.testing.assert_allclose(now["gradient"], recorded["gradient"], rtol=1e-12, atol=1e-16)
        np.testing.assert_allclose(now["hessian"], recorded["hessian"], rtol=1e-12, atol=1e-15)


def test_dtypes_follow_the_logits():
    for expression in doors.TORCH + doors.TENSORFLOW:
        if "softplus" in expression or "dtype" in expression or expression.startswith("repr"):
            continue
        dtype = np.float64 if "64" in expression else np.float32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert np.asarray(eval(expression, dict(OURS))).dtype == dtype, expression


def of_pandas(a):
    import pandas

    return pandas.Series(a)


def of_nullable(a):
    return of_pandas(a).convert_dtypes()


def of_frame(a):
    return of_pandas(a).to_frame()


def of_xarray(a):
    import xarray

    return xarray.DataArray(a)


def of_dask(a):
    import dask.array

    return dask.array.from_array(a, chunks=2)


@pytest.mark.parametrize("of", [list, np.ma.asarray, of_pandas, of_nullable, of_frame, of_xarray, of_dask])
@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "i8"])
def test_integers_are_real_numbers_before_arithmetic(dtype, of):
    x = np.array([0, 1, 1, 0] if dtype == "?" else [0, 1, 100, 127], dtype)
    for f in (
        lambda a: functional.softmin(a, 0),
        lambda a: functional.softplus(a, 2),
        lambda a: functional.softplus(a, -2),
        lambda a: tf.nn.silu(a, 2),
        lambda a: tf.nn.silu(a, -2),
    ):
        got = f(of(x))
        assert np.asarray(got).dtype == np.float64
        np.testing.assert_allclose(np.asarray(got).ravel(), f(x.astype(float)), rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("of", [np.ma.asarray, of_pandas, of_frame, of_xarray, of_dask])
def test_beta_keeps_dtypes_and_kinds(of, dtype):
    x = np.array([1000.0, -1000, 0, 0.5], dtype)
    for f in (functional.softplus, tf.nn.silu):
        for beta in (2, 1e300):
            got, expected = f(of(x), beta=beta), f(x, beta=beta)
            assert type(got) is type(of(x))
            assert expected.dtype == dtype
            assert np.asarray(got).dtype == dtype
            np.testing.assert_array_equal(np.asarray(got).ravel(), expected)


def test_what_holds_no_numbers_is_refused():
    for f in (lambda a: functional.softmin(a, 0), lambda a: functional.softplus(a, 2), lambda a: tf.nn.silu(a, 2)):
        for wrong in (["a", "b"], np.array([None, 1]), np.array(["2000"], "M8[Y]")):
            with pytest.raises(TypeError, match="cannot compute with dtype"):
                f(wrong)
        with pytest.raises(TypeError, match="different lengths"):
            f([[1], [1, 2]])


def test_divergence_of_shapes_that_broadcast():
    """The mean over the batch divides by the length of the input's first axis, as it was given."""
    x, p = doors.ARRAYS["x64"], doors.ARRAYS["p64"]
    for rows, target in ((x[:1], p), (x, p[:1]), (x[0], p)):
        total = functional.kl_div(rows, target, reduction="sum")
        got = functional.kl_div(rows, target, reduction="batchmean")
        np.testing.assert_allclose(got, total / len(rows), rtol=1e-14)
    assert functional.kl_div(of_dask(x), p[0], reduction="batchmean").compute() == pytest.approx(
        functional.kl_div(x, p[0], reduction="batchmean")
    )
    assert functional.kl_div(x[:1], np.empty((0, 5)), reduction="batchmean") == 0
    with pytest.raises(ValueError, match="labels are not broadcast"):
        functional.kl_div(of_frame(x[0]), p[0], reduction="sum")
