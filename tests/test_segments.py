"""Sums and normalisations of segments: elements with the same index, in any order."""

import fractions
import importlib.util

import mpmath
import numpy as np
import pytest
from helpers.libraries import gradients, library, numbers

import fastlog
from fastlog._core import claims, functions, supported_targets

INF = np.inf
TARGETS = supported_targets()
DTYPES = (np.float32, np.float64)
NAMES = ("segment_logsumexp", "segment_softmax", "segment_log_softmax")


def exact(x, ids, n):
    """Return the logarithms of the sums of segments as numbers of mpmath, and None for those without elements."""
    with mpmath.workdps(60):
        sums = [[mpmath.exp(mpmath.mpf(float(a))) for a, k in zip(x, ids, strict=True) if k == s] for s in range(n)]
        return [mpmath.log(mpmath.fsum(terms)) if terms else None for terms in sums]


def ulps(y, correct, dtype, least=0.0):
    """Return the error in ulp of the correct number, or of `least`, if that is larger."""
    size = max(abs(float(correct)), least, float(np.finfo(dtype).smallest_subnormal))
    error = abs(fractions.Fraction(float(y)) - fractions.Fraction(str(mpmath.nstr(correct, 50))))
    return float(error / fractions.Fraction(float(np.spacing(dtype(size)))))


def data(dtype, n, kind, rng):
    x = rng.normal(0, {"unit": 1, "wide": 40, "dominated": 1}[kind], n)
    x[rng.random(n) < 0.2] = -30 if kind == "dominated" else 0.5
    return x.astype(dtype)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["unit", "wide", "dominated"])
def test_errors_are_below_those_that_rows_claim(target, dtype, kind):
    rng, of, name = np.random.default_rng(3), functions(target), np.dtype(dtype).name
    x, ids = data(dtype, 700, kind, rng), rng.integers(0, 23, 700)
    y, _, log_z = of["segment_logsumexp"](x, ids, np.full(25, -INF, dtype))
    softmax = of["segment_softmax"](x, ids, log_z)
    logs = of["segment_log_softmax"](x, ids, log_z)
    correct = exact(x, ids, 25)
    assert np.isneginf(y[23:]).all()
    assert max(ulps(y[s], correct[s], dtype, 1.0) for s in range(23)) <= claims()["logsumexp"][name][0]
    with mpmath.workdps(60):
        log = [mpmath.mpf(float(a)) - correct[k] for a, k in zip(x, ids, strict=True)]
        share = [mpmath.exp(a) for a in log]
    assert max(map(ulps, softmax, share, [dtype] * 700)) <= claims()["softmax"][name][0]
    assert max(map(ulps, logs, log, [dtype] * 700)) <= claims()["log_softmax"][name][0]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_segment_depends_on_its_own_elements_alone(target, dtype):
    rng, of = np.random.default_rng(4), functions(target)
    for columns in (1, 3, 16, 130):
        x = rng.normal(0, 9, (300, columns)).astype(dtype)
        ids = rng.integers(0, 40, 300)
        start = np.full((40, columns), -INF, dtype)
        y, _, log_z = of["segment_logsumexp"](x, ids, start, axes=[0, 0, 0, 0, 0, (0, 1)])
        share = of["segment_softmax"](x, ids, log_z, axes=[0, 0, (0, 1), 0])
        order = np.argsort(ids, kind="stable")
        for c in {0, columns // 2, columns - 1}:
            of_column = of["segment_logsumexp"](x[order, c], ids[order], start[:, 0])
            np.testing.assert_array_equal(y[:, c], of_column[0])
            np.testing.assert_array_equal(share[order, c], of["segment_softmax"](x[order, c], ids[order], of_column[2]))
            spread = np.full(600, np.nan, dtype)
            spread[::2] = x[::-1, c]
            again = of["segment_logsumexp"](spread[-2::-2], np.repeat(ids, 2)[::2], start[:, 0])
            np.testing.assert_array_equal(y[:, c], again[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_of_threads_gives_the_same_bits(dtype):
    rng = np.random.default_rng(5)
    for shape, n in (((300_000,), 50), ((3000, 200), 11)):
        x, ids = rng.normal(0, 9, shape).astype(dtype), rng.integers(0, n, shape[0])
        once = [getattr(fastlog, name)(x, ids) for name in NAMES]
        for threads in (2, 3, 8):
            with fastlog.num_threads(threads):
                for name, y in zip(NAMES, once, strict=True):
                    assert getattr(fastlog, name)(x, ids).tobytes() == y.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.slow
def test_long_segments_of_random_elements_do_not_drift(dtype):
    rng = np.random.default_rng(6)
    n = 3_000_000
    x, ids = rng.normal(0, 1, n).astype(dtype), rng.integers(0, 2, n)
    y = fastlog.segment_logsumexp(x, ids)
    for s in range(2):
        terms = np.exp(x[ids == s].astype(np.longdouble))
        correct = np.log(np.sum(terms))  # Pairwise sums of 64 bits are right to 1e-18.
        assert abs(y[s] - correct) <= claims()["logsumexp"][np.dtype(dtype).name][0] * np.spacing(dtype(correct))


def test_limits():
    with np.errstate(all="raise"):
        x, ids = [INF, 1.0, np.nan, 1.0, -INF, -INF, -INF, 2.0], [0, 0, 1, 1, 2, 2, 4, 4]
        np.testing.assert_array_equal(fastlog.segment_logsumexp(x, ids), [INF, np.nan, -INF, -INF, 2.0])
        np.testing.assert_array_equal(fastlog.segment_softmax(x, ids), [np.nan] * 6 + [0.0, 1.0])
        logs = fastlog.segment_log_softmax(x, ids)
        np.testing.assert_array_equal(logs, [np.nan, -INF, np.nan, np.nan, np.nan, np.nan, -INF, 0.0])
        assert fastlog.segment_logsumexp([], [], 3).tolist() == [-INF] * 3
        assert fastlog.segment_logsumexp([], []).shape == (0,)
        assert fastlog.segment_softmax(np.empty((0, 2)), []).shape == (0, 2)
        assert fastlog.segment_logsumexp(np.empty((2, 0)), [0, 3]).shape == (4, 0)
        tiny = fastlog.segment_softmax([0.0, -740.0], [0, 0])
        assert tiny[1] == float(mpmath.exp(-740))


@pytest.mark.parametrize("dtype", ["e", "f", "d", ">f8", "i4", "?", "bfloat16"])
def test_dtypes_and_shapes(dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    dtype = np.dtype(dtype)
    x = np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype)
    y = fastlog.segment_logsumexp(x, np.array([1, 0, 1], np.uint8))
    result = np.dtype(np.float64) if dtype.kind in "bi" else dtype.newbyteorder("=")
    assert y.shape == (2, 2)
    assert y.dtype == result
    of_rows = fastlog.logsumexp(x[::2].astype(np.float64), axis=0)
    np.testing.assert_allclose(
        y[1].astype(float), of_rows, rtol=float(np.finfo(np.float16).eps) * (8 if dtype.kind == "V" else 1)
    )
    both = fastlog.segment_softmax(x, np.array([[1, 0], [0, 0], [1, 1]]))
    assert both.shape == x.shape
    assert both.dtype == result


def test_masked_elements_do_not_count():
    x = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
    y = fastlog.segment_softmax(x, [0, 0, 0])
    assert y.mask.tolist() == [False, True, False]
    np.testing.assert_allclose(y.compressed(), fastlog.softmax([1.0, 3.0]), rtol=1e-15)
    np.testing.assert_allclose(fastlog.segment_logsumexp(x, [0, 1, 0]), [fastlog.logsumexp([1.0, 3.0]), -INF], 1e-15)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([1.0, 2.0], [0, -1]), ValueError, "index -1.*no index may be negative"),
        (([1.0], [-1]), ValueError, "index -1, but no index may be negative"),
        (([1.0], [0], 0), ValueError, "index 0, but there are no segments"),
        (([1.0], [0], 2**63), ValueError, f"{2**63} segments are more than an array can hold"),
        (([1.0], np.array([2**64 - 1], np.uint64)), ValueError, f"{2**64} segments are more"),
        ((np.ones((1, 2**20)), [2**40]), ValueError, f"{2**40 + 1} segments are more"),
        ((np.ones((1, 0)), [0], 2**63), ValueError, f"{2**63} segments are more"),
        (([1.0, 2.0], [0, 2], 2), ValueError, "index 2.*segments 0 to 1"),
        (([1.0, 2.0], [0.0, 1.0]), TypeError, "integers, not of float64"),
        (([1.0, 2.0], [True, False]), TypeError, "integers, not of bool"),
        (([1.0, 2.0], [0]), ValueError, r"\(2,\) and \(1,\)"),
        ((1.0, 0), ValueError, "shape"),
        (([1j], [0]), TypeError, "complex128"),
        ((np.ones(1, np.longdouble), [0]), TypeError, "real numbers up to float64"),
        (([[1.0], [1.0, 2.0]], [0, 1]), TypeError, "different lengths"),
        (([1.0], [0], 1.5), TypeError, "num_segments must be an integer"),
        (([], [], -1), ValueError, "must not be negative"),
        (([1.0], np.ma.array([0], mask=[True])), TypeError, "segment_ids has masked"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_bad_arguments_are_refused(name, arguments, error, says):
    with pytest.raises(error, match=says):
        getattr(fastlog, name)(*arguments)


@pytest.mark.skipif(
    not hasattr(fastlog.logaddexp, "__dict__"), reason="ufuncs have methods of their own since NumPy 2.2"
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_logaddexp_at(dtype):
    rng = np.random.default_rng(8)
    a = rng.normal(0, 3, 50).astype(dtype)
    a[:3] = -INF, -0.0, np.nan
    ids, b = rng.integers(-47, 47, 3000), rng.normal(0, 9, 3000).astype(dtype)
    ids[ids % 50 < 3] = 7
    before, plain = a.copy(), a.astype(np.longdouble)
    np.logaddexp.at(plain, ids, b)
    fastlog.logaddexp.at(a, ids, b)
    np.testing.assert_allclose(a.astype(float), plain.astype(float), rtol=2 * np.finfo(dtype).eps)
    assert a[:3].tobytes() == before[:3].tobytes()
    few = before.copy()
    fastlog.logaddexp.at(few, [4, 4, -1], dtype(1.0))  # NumPy's own method takes such calls.
    expected = before.copy()
    np.logaddexp.at(expected, [4, 4, -1], dtype(1.0))
    np.testing.assert_allclose(few, expected, rtol=1e-6)
    with pytest.raises(IndexError):
        fastlog.logaddexp.at(a, np.full(3000, 50), b)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("package", ["jax", "torch"])
def test_other_libraries_compute_segments(name, package):
    rng = np.random.default_rng(9)
    x, ids = rng.normal(0, 9, (60, 3)), rng.integers(0, 7, 60)
    x[ids == 3] = -INF
    xp, expected = library(package), getattr(fastlog, name)(x, ids, 9)
    for a in (xp.asarray(x), xp.asarray(x).requires_grad_()) if package == "torch" else (xp.asarray(x),):
        y = getattr(fastlog, name)(a, xp.asarray(ids), 9)
        assert type(y).__module__.partition(".")[0].startswith(package)
        np.testing.assert_allclose(numbers(y), expected, rtol=1e-13, atol=1e-13)
    with pytest.raises(ValueError, match="index"):
        getattr(fastlog, name)(xp.asarray(x), xp.asarray(ids), 2)


def test_the_derivative_of_segment_logsumexp_is_segment_softmax():
    rng = np.random.default_rng(10)
    x, ids = rng.normal(0, 9, 60), rng.integers(0, 7, 60)
    for (g,) in gradients(lambda of, a: fastlog.segment_logsumexp(a, of(ids), 8)[:7], x):
        np.testing.assert_allclose(g, fastlog.segment_softmax(x, ids), rtol=1e-13)


def test_a_compiler_needs_the_number_of_segments():
    library("jax")
    import jax

    with pytest.raises(ValueError, match="num_segments must be given"):
        jax.jit(fastlog.segment_logsumexp)(np.ones(3), np.zeros(3, int))


def test_libraries_without_a_sum_over_indices_say_so():
    strict = library("array_api_strict")
    with pytest.raises(TypeError, match="segments are computed for arrays of"):
        fastlog.segment_logsumexp(strict.ones(3), strict.zeros(3, dtype=strict.int64))


def test_dask_and_labels():
    if importlib.util.find_spec("dask") is None or importlib.util.find_spec("pandas") is None:
        pytest.skip("dask and pandas are not installed")
    import dask.array as da
    import pandas as pd

    rng = np.random.default_rng(11)
    x, ids = rng.normal(0, 9, (60, 4)), rng.integers(0, 7, 60)
    y = fastlog.segment_logsumexp(da.from_array(x, chunks=(7, 3)), da.from_array(ids, chunks=11))
    np.testing.assert_allclose(y.compute(), fastlog.segment_logsumexp(x, ids), rtol=1e-15)
    with pytest.raises(TypeError, match="not computed for Dask"):
        fastlog.segment_softmax(da.from_array(x, chunks=7), ids)
    series = pd.Series(x[:, 0], index=rng.permutation(60), name="score")
    share = fastlog.segment_softmax(series, pd.Series(ids, index=series.index))
    assert share.name == "score"
    assert share.index.equals(series.index)
    # There are as many segments as elements, but they have other labels.
    assert type(fastlog.segment_logsumexp(series, ids, 60)) is np.ndarray
