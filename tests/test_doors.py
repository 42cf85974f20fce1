"""fastlog.special beside scipy.special; fastlog.nn and fastlog.tf beside torch and TensorFlow, or records of them."""

import itertools
import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.special
from helpers import doors

import fastlog
from fastlog import special, tf
from fastlog._core import with_loops_of
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


@pytest.mark.slow
@pytest.mark.parametrize("library", doors.LIBRARIES)
def test_records_are_what_the_peer_gives(library):
    if not doors.installed(library):
        pytest.skip(f"{library} is not installed; the values that {RECORDED['versions'][library]} gave are used")
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
    return pytest.importorskip("pandas").Series(a)


def of_nullable(a):
    return of_pandas(a).convert_dtypes()


def of_frame(a):
    return of_pandas(a).to_frame()


def of_xarray(a):
    return pytest.importorskip("xarray").DataArray(a)


def of_dask(a):
    return pytest.importorskip("dask.array").from_array(a, chunks=2)


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


def test_beta_raises_no_underflow():
    tiny = [0.0, 5e-324, -60, -10, -20, 1, -800]
    for f in (functional.softplus, tf.nn.silu):
        for dtype in "efd":
            x = np.array(tiny, dtype)
            for beta in (2.0, -2.0, 1e-3, 1e4, 1e300):
                expected = f(x, beta=beta)
                with np.errstate(all="raise"):
                    np.testing.assert_array_equal(f(x, beta=beta), expected)


@pytest.mark.parametrize("shapes", [((3, 1), (3, 3)), ((3,), (2, 3)), ((2, 3), (3,)), ((1, 3), (2, 1)), ((3,), (3,))])
@pytest.mark.parametrize("of", [np.asanyarray, of_dask])
def test_masks_are_not_lost_where_shapes_differ(shapes, of):
    def masked(shape):
        return np.ma.array(np.full(shape, 0.5), mask=np.arange(np.prod(shape)).reshape(shape) == 1)

    q, p = (np.full(shape, 0.5) for shape in shapes)
    for one, other in ((of(masked(q.shape)), p), (of(q), of(masked(p.shape))), (of(q), masked(p.shape))):
        with pytest.raises(TypeError, match="masked"):
            np.asarray(functional.kl_div(one, other, reduction="sum"))
    whole = functional.kl_div(of(q), np.ma.array(p), reduction="sum")
    np.testing.assert_allclose(np.asarray(whole), (q + p).size * 0.5 * (np.log(0.5) - 0.5), rtol=1e-14)
    labels = np.ma.array(np.ones((1, 3)), mask=[[False, True, False]])
    with pytest.raises(TypeError, match="masked"):
        tf.nn.softmax_cross_entropy_with_logits(of(labels), np.ones((3, 3)))


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


# ---- scipy.special ----

OTHERS = ["log_softmax", "logsumexp", "softmax", "softplus"]
UFUNCS = ["entr", "expit", "log_expit", "logit", "rel_entr", "xlog1py", "xlogy"]


def outcome(f, *args, **options):
    with np.errstate(all="ignore"):
        try:
            return f(*args, **options)
        except (TypeError, ValueError, np.exceptions.AxisError) as error:
            return error


def test_axes_and_shapes_that_torch_and_tensorflow_take():
    x = np.array([[0.1, -1.2]])
    np.testing.assert_array_equal(functional.logsumexp(x, [], keepdim=True), fastlog.logsumexp(x, keepdims=True))
    assert np.isnan(functional.kl_div(np.zeros((0, 1, 2)), np.zeros((2, 0, 1, 2)), reduction="batchmean"))
    for axis in (np.array([-1]), np.array(1), [0, 1]):
        wanted = fastlog.logsumexp(x, tuple(np.ravel(axis).tolist()))
        np.testing.assert_array_equal(tf.math.reduce_logsumexp(x, axis=axis), wanted)
    for labels, logits in (((3,), (2, 3)), ((1, 3), (5, 1, 3)), ((5, 1, 3), (1, 3))):
        y = tf.nn.softmax_cross_entropy_with_logits(np.full(labels, 1 / 3), np.zeros(logits))
        np.testing.assert_allclose(y, np.full(np.broadcast_shapes(labels, logits)[:-1], np.log(3)))
    with pytest.raises(ValueError, match=r"shapes .*\(2,4\) \(3,\)"):
        tf.nn.softmax_cross_entropy_with_logits(np.full(3, 1 / 3), np.zeros((2, 4)))


def test_every_name_of_scipy_is_there():
    names = {}
    exec("from fastlog.special import *", names)
    assert set(names) - {"__builtins__"} == {*scipy.special.__all__, *UFUNCS, *OTHERS}
    assert set(dir(special)) == {*UFUNCS, *OTHERS}
    assert names["gammaln"] is scipy.special.gammaln
    assert names["log_softmax"] is fastlog.log_softmax


def test_without_scipy_it_holds_what_fastlog_has():
    code = """
import sys
sys.modules["scipy"] = None
from fastlog import special
from fastlog.special import *
print(expit(0.0), logsumexp(0.0, keepdims=True).shape, softplus(-800.0), special.expit is fastlog.expit
      if (fastlog := sys.modules["fastlog"]) else None)
for call in (lambda: special.gammaln, lambda: softplus(b"")):
    try:
        call()
    except (AttributeError, TypeError) as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second, third = done.stdout.splitlines()[-3:]
    assert first == "0.5 (1,) 0.0 True"
    assert second.startswith(
        "AttributeError fastlog.special has no 'gammaln'; with scipy installed it comes from there"
    )
    assert third.startswith("TypeError softplus: computed for")


@pytest.mark.parametrize("name", UFUNCS)
def test_ufuncs_of_scipys_are_ufuncs_here(name):
    ours, own = getattr(special, name), getattr(fastlog, name)
    assert isinstance(ours, np.ufunc)
    assert (ours.__name__, ours.__doc__, ours.nin) == (name, own.__doc__, own.nin)
    assert pickle.loads(pickle.dumps(ours)) is ours
    rng = np.random.default_rng(0)
    for dtype in ("f2", "f4", "f8", ">f4", "i8", "?", "u1"):
        args = [rng.random(50).astype(dtype) for _ in range(own.nin)]
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(ours(*args), own(*args))
            assert ours(*args).dtype == own(*args).dtype
    assert ours(*[np.float32(0.5), np.float16(0.5)][: own.nin]).dtype == np.float32
    out = np.zeros(3)
    assert ours(*[np.full(3, 0.3), np.full(3, 0.6)][: own.nin], out=out, where=[True, False, True]) is out
    assert out[1] == 0 != out[0]
    x = np.full((2, 3), 0.5)
    assert ours(*[x] * own.nin, dtype="f4").dtype == np.float32
    with pytest.raises(TypeError, match=f"{name}: computed for"):
        ours(*["a"] * own.nin)


def test_only_functions_of_as_many_arguments_share_loops():
    with pytest.raises(ValueError, match="differ in their arguments"):
        with_loops_of(fastlog.softplus, fastlog.logaddexp)


ARGUMENTS = {
    "longdouble": np.array([-3, 0.1, 0.3, 5000], "g"),
    "longdouble, swapped": np.array([0.1, 0.3], np.dtype("g").newbyteorder()),
    "complex64": np.array([0.3 + 1j, -2j], "F"),
    "complex128": np.array([[0.3 + 1j, -2j]]),
    "clongdouble": np.array([0.3], "G"),
    "a complex number": 0.3 + 1j,
    "bfloat16": np.array([0.1, 0.3]),
    "object": np.array([0.1, 0.3], object),
    "a large int": 10**30,
    "str": "a",
    "None": None,
    "timedelta": np.ones(2, "m8[s]"),
}


@pytest.mark.parametrize("name", [*UFUNCS, "softplus"])
@pytest.mark.parametrize("kind", ARGUMENTS)
def test_dtypes_that_fastlog_lacks_are_scipys(name, kind):
    x = ARGUMENTS[kind]
    if kind == "bfloat16":
        x = x.astype(pytest.importorskip("ml_dtypes").bfloat16)
    ours, theirs = getattr(special, name), getattr(scipy.special, name, None)
    if theirs is None:
        pytest.skip("this scipy has no such function")
    binary = name in ("rel_entr", "xlog1py", "xlogy")
    for others in ((x,), (0.5,), (np.float32([0.5]),), (1,)) if binary else ((),):
        for args in ((x, *others), (*others, x)) if binary else ((x,),):
            for options in ({}, {"dtype": "g"}, {"dtype": "D"}):
                got, expected = outcome(ours, *args, **options), outcome(theirs, *args, **options)
                assert isinstance(got, Exception) == isinstance(expected, Exception), (got, expected)
                if isinstance(expected, Exception):
                    assert type(got) is type(expected)
                elif kind in ("bfloat16", "a large int"):  # which SciPy takes for float64
                    np.testing.assert_allclose(got, expected, rtol=1e-6)
                else:
                    assert np.asarray(got).dtype == np.asarray(expected).dtype
                    assert type(got) is type(expected)
                    np.testing.assert_array_equal(got, expected)


def test_fastlogs_own_ufuncs_stay_without_them():
    for name in UFUNCS:
        f = getattr(fastlog, name)
        for x in (np.longdouble(0.5), 0.5j):
            with pytest.raises(TypeError, match="computed for"):
                f(*[x] * f.nin)


SCALARS = [3.0, np.float32(3), np.array(3.0), 3, True, 3j, np.longdouble(3), np.float16(3), [3.0], np.ones((1, 1))]


@pytest.mark.skipif(scipy.special.logsumexp(3.0, keepdims=True).shape == (), reason="an older scipy has other shapes")
def test_shapes_of_scalars_are_scipys():
    options = [{}, {"keepdims": True}, {"return_sign": True}, {"keepdims": True, "return_sign": True}]
    weights = [None, 2.0, np.array(2.0), [2.0], [[1.0]], [1.0, 2.0]]
    for a, axis, b, others in itertools.product(SCALARS, [None, 0, -1, (), (0,), (-1,), (0, 1), 1], weights, options):
        expected = outcome(scipy.special.logsumexp, a, axis, b, **others)
        got = outcome(special.logsumexp, a, axis, b, **others)
        if isinstance(expected, Exception):
            continue
        for one, other in zip(np.atleast_1d(got), np.atleast_1d(expected), strict=True):
            assert np.shape(one) == np.shape(other), (a, axis, b, others)
        assert np.shape(got) == np.shape(expected), (a, axis, b, others)
        np.testing.assert_allclose(got, expected, rtol=1e-3)
        assert np.asarray(got).dtype == np.asarray(expected).dtype
        for name in ("softmax", "log_softmax"):
            expected = outcome(getattr(scipy.special, name), a, axis)
            if not isinstance(expected, Exception):
                assert np.shape(getattr(special, name)(a, axis)) == np.shape(expected)


def test_wrong_keywords_of_softplus_name_it():
    with pytest.raises(TypeError, match="softplus"):
        special.softplus(np.eye(2), nonsense=1)
