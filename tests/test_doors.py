"""fastlog.nn and fastlog.tf beside torch and TensorFlow, or what was recorded of them."""

import json
import warnings

import doors
import numpy as np
import pytest

import fastlog

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
