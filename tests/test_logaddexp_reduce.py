"""logaddexp's methods: reduce, reduceat and accumulate are as exact as logsumexp, and are called as NumPy's."""

import functools
import inspect
import pickle
import re

import gmpy2
import numpy as np
import pytest
from helpers.arrays import same_bits, samples
from helpers.reference import exact_logsumexp
from hypothesis import given
from hypothesis import strategies as st

import fastlog


@pytest.fixture(scope="module")
def logaddexp(ufuncs):
    return ufuncs["logaddexp"]


# NumPy before 2.2 offers no place to put a method of one ufunc.
OWN_METHODS = hasattr(np.logaddexp, "__dict__")
ATTACHED = pytest.mark.skipif(not OWN_METHODS, reason="NumPy before 2.2")


def log_sum(x):
    """Return the logarithm of the sum of e^x over all elements, computed in 400 bits, as a long double."""
    return np.longdouble(f"{exact_logsumexp(np.ravel(x)):.30g}")


def log_sums(x, axis):
    rest = [k for k in range(x.ndim) if k not in np.arange(x.ndim)[np.r_[axis]]]
    rows = np.moveaxis(x, rest, range(len(rest))).reshape(*(x.shape[k] for k in rest), -1)
    return np.apply_along_axis(log_sum, -1, rows)


def assert_close(got, expected, ulp):
    """Assert that the errors are at most `ulp` units in the last place of max(1, |expected|), in the dtype of `got`."""
    unit = np.spacing(np.maximum(1, np.abs(np.asarray(expected))).astype(got.dtype))
    assert np.max(np.abs(np.asarray(got, np.longdouble) - expected) / unit) <= ulp


def numbers(shape, dtype="f8", seed=0):
    return np.random.default_rng(seed).normal(2, 3, shape).astype(dtype)


# ---- reduce ----


@pytest.mark.parametrize("axis", [0, 1, 2, -1, (0, 1), (0, 2), (1, 2), (2, 0, 1)], ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_reduce_over_axes(logaddexp, axis, dtype):
    x = numbers((5, 6, 7), dtype)
    expected = log_sums(x, axis)
    for y in (x, np.asfortranarray(x), x[::-1, ::-1].copy()[::-1, ::-1], np.repeat(x, 2, axis=2)[:, :, ::2]):
        assert_close(logaddexp.reduce(y, axis=axis), expected, 1 if OWN_METHODS else 20)
    kept = logaddexp.reduce(x, axis=axis, keepdims=True)
    assert kept.shape == tuple(1 if k in np.arange(3)[np.r_[axis]] else s for k, s in enumerate(x.shape))
    np.testing.assert_array_equal(kept.squeeze(), logaddexp.reduce(x, axis=axis))


def test_reduce_over_all_and_no_axes(logaddexp):
    x = numbers((5, 6, 7))
    assert_close(logaddexp.reduce(x, axis=None), log_sum(x), 2)
    same_bits(logaddexp.reduce(x, axis=()), x)
    same_bits(logaddexp.reduce(x), logaddexp.reduce(x, axis=0))
    with pytest.raises(np.exceptions.AxisError):
        logaddexp.reduce(x, axis=3)
    with pytest.raises(ValueError, match="duplicate"):
        logaddexp.reduce(x, axis=(0, 0))


def test_reduce_where_initial_out_dtype(logaddexp):
    x = numbers(50)
    selected = x > 2
    assert_close(logaddexp.reduce(x, where=selected), log_sum(x[selected]), 1 if OWN_METHODS else 10)
    assert_close(logaddexp.reduce(x, initial=5.0), log_sum([*x, 5]), 3)
    same_bits(logaddexp.reduce(x, initial=-np.inf), logaddexp.reduce(x))
    assert logaddexp.reduce(x, where=np.zeros(50, bool)) == -np.inf
    with pytest.raises(ValueError, match="identity|initial"):
        logaddexp.reduce(x[:0], initial=None)
    out = np.empty(())
    assert logaddexp.reduce(x, out=out) is out
    same_bits(out, logaddexp.reduce(x))
    single = logaddexp.reduce(x, dtype="f4")
    assert single.dtype == np.float32
    assert_close(single, log_sum(x.astype("f4")), 2)


def test_reduce_of_nothing(logaddexp, dtype):
    assert logaddexp.identity == -np.inf
    same_bits(logaddexp.reduce(np.empty(0, dtype)), dtype.type(-np.inf))
    same_bits(logaddexp.reduce(np.empty((0, 3), dtype)), np.full(3, -np.inf, dtype))
    assert logaddexp.reduce(np.empty((3, 0), dtype)).shape == (0,)
    assert logaddexp.reduce([]) == -np.inf


def test_reduce_of_one(logaddexp, dtype):
    for x in samples(logaddexp, dtype, 60)[0]:
        y = logaddexp.reduce(np.array([x]))
        assert type(y) is dtype.type
        np.testing.assert_array_equal(y, x)  # +0 for -0, as log(1) is


@pytest.mark.parametrize("n", [2, 3, 17, 64, 65, 1000, 5000])
def test_reduce_of_infinities_and_nan(logaddexp, dtype, n):
    x = numbers(n, dtype)
    x[0] = -np.inf
    with np.errstate(all="raise"):
        assert np.isfinite(logaddexp.reduce(x))
        assert logaddexp.reduce(np.full(n, -np.inf, dtype)) == -np.inf
        for at in (0, 1, n // 2, n - 1):
            for special in (np.inf, np.nan):
                y = x.copy()
                y[at] = special
                np.testing.assert_equal(logaddexp.reduce(y), special)
            y[at], y[at - 1] = np.inf, np.nan
            assert np.isnan(logaddexp.reduce(y))
            y[at - 1] = np.inf
            assert logaddexp.reduce(y) == np.inf


ROWS = {
    "normal": lambda rng, n: rng.normal(0, 1, n),
    "wide": lambda rng, n: rng.uniform(-100, 100, n),
    "ascending": lambda rng, n: np.linspace(-50, 50, n),
    "constant": lambda rng, n: np.full(n, 0.1),
    "all but one constant": lambda rng, n: np.r_[np.full(n - 1, 0.1), 0.7],
    "small beside one": lambda rng, n: np.r_[0.0, np.full(n - 1, -20.0)],
    "lognormal": lambda rng, n: -rng.lognormal(0, 1, n),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("n", [1000, 1_000_000])
def test_reduce_float32_does_not_accumulate_errors(logaddexp, rows, n):
    x = ROWS[rows](np.random.default_rng(2), n).astype("f4")
    wide = x.astype("f8")
    expected = wide.max() + np.log(np.exp(wide - wide.max()).sum())
    ulp = 2 if OWN_METHODS else 5  # older NumPy passes a row in parts of 8192
    assert_close(logaddexp.reduce(x), expected, ulp)
    assert_close(logaddexp.reduce(np.repeat(x, 2)[::2]), expected, ulp)
    assert_close(logaddexp.reduce(x[::-1]), expected, ulp)


@pytest.mark.parametrize("n", [2, 10, 100, 1000])
def test_reduce_float64(logaddexp, n):
    for seed in range(5):
        x = numbers(n, seed=seed)
        assert_close(logaddexp.reduce(x), log_sum(x), 2)


def test_reduce_float16_does_not_accumulate_errors(logaddexp):
    """A sum rounded to float16 after each element would no longer grow from about 6 on; this one does."""
    x = np.zeros(10_000, "f2")
    assert_close(logaddexp.reduce(x), np.log(10_000), 1)


@ATTACHED
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_reduce_over_the_first_axis_does_not_accumulate_errors(logaddexp, rows, dtype):
    x = ROWS[rows](np.random.default_rng(3), 300_000).astype(dtype).reshape(100_000, 3)
    wide = x.astype("f8")
    expected = wide.max(0) + np.log(np.exp(wide - wide.max(0)).sum(0))
    assert_close(logaddexp.reduce(x), expected, 1)
    assert_close(logaddexp.reduce(np.asfortranarray(x)), expected, 1)
    assert_close(logaddexp.reduce(x[:, None], axis=(0, 1)), expected, 1)
    assert_close(logaddexp.reduce(x, initial=-1000.0), expected, 1)
    assert_close(logaddexp.reduce(x, where=np.array([True, False, True]))[[0, 2]], expected[[0, 2]], 1)
    y = logaddexp.reduce(x.astype("f8"), dtype=dtype, keepdims=True)
    assert y.shape == (1, 3)
    assert_close(y[0], expected, 1)


def test_numpys_own_reduce_is_still_there(logaddexp):
    x = numbers((50, 3))
    y = np.ufunc.reduce(logaddexp, x)
    assert_close(y, log_sums(x, 0), 10)


def test_reduce_looks_like_numpys():
    for name in ("reduce", "reduceat", "accumulate"):
        own, numpys = getattr(fastlog.logaddexp, name), getattr(np.logaddexp, name)
        assert callable(own)
        assert own.__name__ == name
        assert own.__doc__ == numpys.__doc__
        if numpys.__text_signature__ is not None:
            assert inspect.signature(own) == inspect.signature(numpys)
    assert isinstance(fastlog.logaddexp, np.ufunc)


M = numbers((4, 3, 5), seed=1)
REDUCE_CALLS = {
    "list": lambda f: f.reduce([1.0, 2.0]),
    "keyword array": lambda f: f.reduce(array=M),
    "scalar": lambda f: f.reduce(1.5),
    "0-d": lambda f: f.reduce(np.array(1.5), axis=None),
    "0-d, initial None": lambda f: f.reduce(np.array(1.5), initial=None),
    "ints": lambda f: f.reduce(np.arange(12).reshape(3, 4), 1),
    "bools": lambda f: f.reduce(np.ones((3, 4), bool)),
    "swapped": lambda f: f.reduce(M.astype(">f4"), 1),
    "half": lambda f: f.reduce(M.astype("f2"), 1),
    "half, all": lambda f: f.reduce(M.astype("f2"), None),
    "int32 index": lambda f: f.reduce(M, np.int32(1)),
    "negative": lambda f: f.reduce(M, -2),
    "two axes": lambda f: f.reduce(M, (0, -1), keepdims=True),
    "no axes": lambda f: f.reduce(M, ()),
    "dtype": lambda f: f.reduce(M, 1, "f4"),
    "dtype class": lambda f: f.reduce(M, dtype=np.float32),
    "DType": lambda f: f.reduce(M, dtype=np.dtypes.Float32DType),
    "dtype and out": lambda f: f.reduce(M, 1, "f4", np.empty((4, 5), "f4")),
    "out": lambda f: f.reduce(M, 0, out=np.empty((3, 5))),
    "out tuple": lambda f: f.reduce(M, 0, out=(np.empty((3, 5)),)),
    "out in Fortran order": lambda f: f.reduce(M, 0, out=np.empty((3, 5), order="F")),
    "out kept": lambda f: f.reduce(M, 0, None, np.empty((1, 3, 5)), True),
    "out of another dtype": lambda f: f.reduce(M, 0, out=np.empty((3, 5), "f4")),
    "out within the input": lambda f: f.reduce(m := M.copy(), 0, out=m[1]),
    "wrong out": lambda f: f.reduce(M, 0, out=np.empty((5, 3))),
    "out with too many axes": lambda f: f.reduce(M, 0, out=np.empty((1, 3, 5))),
    "out is a list": lambda f: f.reduce(M, 0, out=[1]),
    "read-only out": lambda f: f.reduce(M, 0, out=np.broadcast_to(np.empty(5), (3, 5))),
    "keepdims": lambda f: f.reduce(M, None, keepdims=True),
    "keepdims 1": lambda f: f.reduce(M, 1, keepdims=1),
    "keepdims None": lambda f: f.reduce(M, 1, keepdims=None),
    "initial": lambda f: f.reduce(M, 1, initial=3),
    "initial nan": lambda f: f.reduce(M, 1, initial=np.nan),
    "initial None": lambda f: f.reduce(M, 1, initial=None),
    "initial None of nothing": lambda f: f.reduce(M[:, :0], 1, initial=None),
    "initial str": lambda f: f.reduce(M, 1, initial="a"),
    "where": lambda f: f.reduce(M, 1, where=M > 0),
    "where row": lambda f: f.reduce(M, 1, where=M[0, 0] > 0),
    "where list": lambda f: f.reduce(M, 1, where=[True, False, True, True, False]),
    "where False": lambda f: f.reduce(M, 1, where=False),
    "where ints": lambda f: f.reduce(M, 1, where=np.ones(5, int)),
    "where and initial": lambda f: f.reduce(M, 1, where=M > 0, initial=-2.5),
    "where and None": lambda f: f.reduce(M, 1, where=M > 0, initial=None),
    "where too large": lambda f: f.reduce(M, 1, where=np.ones((2, 4, 3, 5), bool)),
    "where of another shape": lambda f: f.reduce(M, 1, where=np.ones(4, bool)),
    "all positional": lambda f: f.reduce(M, 1, None, None, False, 2.0, M > 0),
    "one too many": lambda f: f.reduce(M, 1, None, None, False, 2.0, True, 1),
    "nothing": lambda f: f.reduce(),
    "twice": lambda f: f.reduce(M, 1, axis=1),
    "unknown": lambda f: f.reduce(M, axes=1),
    "out of range": lambda f: f.reduce(M, 3),
    "duplicate": lambda f: f.reduce(M, (1, -2)),
    "float axis": lambda f: f.reduce(M, 1.0),
    "empty rows": lambda f: f.reduce(M[:, :0], 1),
    "no rows": lambda f: f.reduce(M[:0], 1),
    "empty": lambda f: f.reduce(M[:0], 0),
    "longdouble": lambda f: f.reduce(M.astype("g"), dtype="f8"),
    "matrix": lambda f: f.reduce(np.asmatrix(M[0]), 0),
    "masked": lambda f: f.reduce(np.ma.array(M, mask=M > 3), 1),
    "non-contiguous": lambda f: f.reduce(M[::-2, :, ::2], (0, 1)),
    "reduceat list": lambda f: f.reduceat(M, [0, 2], 1),
    "reduceat array": lambda f: f.reduceat(M, np.arange(150) % 3, 1),
    "reduceat unsigned": lambda f: f.reduceat(M, np.arange(150, dtype="u1") % 3, 1, "f4"),
    "reduceat half": lambda f: f.reduceat(M.astype("f2"), np.arange(150) % 4),
    "reduceat ints": lambda f: f.reduceat(np.arange(5), np.arange(150) % 4),
    "reduceat out": lambda f: f.reduceat(M, np.arange(150) % 4, 0, None, np.empty((150, 3, 5))),
    "reduceat wrong out": lambda f: f.reduceat(M, np.arange(150) % 4, 0, None, np.empty((9, 3, 5))),
    "reduceat negative": lambda f: f.reduceat(M, np.arange(150) % 3 - 1),
    "reduceat too large": lambda f: f.reduceat(M, np.arange(150)),
    "reduceat floats": lambda f: f.reduceat(M, np.zeros(150)),
    "reduceat matrix": lambda f: f.reduceat(M, np.zeros((150, 2), int)),
    "reduceat ragged": lambda f: f.reduceat(M, [[0], [1, 2]] * 50),
    "reduceat nothing": lambda f: f.reduceat(M, []),
    "reduceat two axes": lambda f: f.reduceat(M, np.zeros(150, int), (0, 1)),
    "reduceat keyword": lambda f: f.reduceat(M, indices=np.zeros(150, int), axis=-1),
    "accumulate": lambda f: f.accumulate(M, 1),
    "accumulate dtype": lambda f: f.accumulate(M, 1, "f4"),
    "accumulate ints": lambda f: f.accumulate(np.arange(5)),
    "accumulate swapped": lambda f: f.accumulate(M.astype(">f4"), -1),
    "accumulate empty": lambda f: f.accumulate(M[:, :0], 1),
    "accumulate out": lambda f: f.accumulate(M, 1, out=np.empty(M.shape)),
    "accumulate two axes": lambda f: f.accumulate(M, (0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("call", REDUCE_CALLS.values(), ids=REDUCE_CALLS)
def test_calls_are_taken_as_numpy_takes_them(logaddexp, call):
    """Each call gives the type, dtype, shape and nearly the values that NumPy gives, or the same exception."""
    try:
        with np.errstate(invalid="ignore"):
            expected = call(np.logaddexp)
    except Exception as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        with pytest.raises(type(refusal), match=re.escape(str(refusal))):
            call(logaddexp)
        return
    got = call(logaddexp)
    assert type(got) is type(expected)
    assert got.shape == expected.shape
    if got.dtype != expected.dtype:  # to NumPy, small integers are float16
        assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=2e-3 if np.float16 in (got.dtype, expected.dtype) else 2e-6)


def test_reduce_returns_out(logaddexp):
    for x, axis in ((M, 0), (M[0], 1), (M[0, 0], 0), (M, (0, 1))):
        out = np.empty(np.add.reduce(x, axis).shape)
        assert logaddexp.reduce(x, axis, out=out) is out
    out = np.empty((150, 3, 5))
    assert logaddexp.reduceat(M, np.arange(150) % 4, out=out) is out


def test_reduce_is_quiet(logaddexp, dtype):
    x = numbers((300, 40), dtype)
    x[::7] = -np.inf
    x[:, 3] = -np.inf
    x[5, 5], x[6, 6] = np.inf, np.nan
    with np.errstate(all="raise"):
        for axis in (0, 1, None):
            assert np.isnan(logaddexp.reduce(x, axis)).sum() == 1
            logaddexp.reduce(x, axis, initial=3.0, where=x > 0)
            assert np.isnan(logaddexp.reduce(x, axis, initial=np.nan)).all()
        logaddexp.reduceat(x, np.arange(300))
        logaddexp.reduceat(x, np.arange(0, 300, 3), axis=0)
        logaddexp.accumulate(x, 0)
        logaddexp.accumulate(x, 1)
        high = np.full((4, 3), np.finfo(dtype).max)
        np.testing.assert_array_equal(logaddexp.reduce(high), high[0])


# ---- reduceat ----


def test_reduceat(logaddexp):
    x = numbers(3000)
    starts = [0, 1, 5, 100, 101, 2000]
    expected = [log_sum(x[a:b]) for a, b in zip(starts, [*starts[1:], None], strict=True)]
    assert_close(logaddexp.reduceat(x, starts), np.array(expected), 2)
    assert logaddexp.reduceat(x, [7, 3])[0] == x[7]
    rows = np.stack([x, x[::-1]])
    assert_close(logaddexp.reduceat(rows, starts, axis=1)[0], np.array(expected), 2)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("longest", [1, 3, 9, 40, 300])
def test_reduceat_of_many_segments(logaddexp, dtype, longest):
    rng = np.random.default_rng(5)
    starts = np.cumsum(rng.integers(1, longest + 1, 200)) - 1
    n = starts[-1] + 3
    x = numbers(n, dtype, seed=6)
    whole = logaddexp.reduceat(x, starts)
    expected = [log_sum(x[a:b]) for a, b in zip(starts, [*starts[1:], n], strict=True)]
    assert_close(whole, np.array(expected), 1)
    same_bits(logaddexp.reduceat(np.repeat(x, 2)[::2], starts), whole)
    same_bits(logaddexp.reduceat(np.stack([x, x]), starts, axis=1), np.stack([whole, whole]))
    same_bits(logaddexp.reduceat(np.stack([x, x], 1), starts, axis=0), np.stack([whole, whole], 1))
    if dtype != "f2":  # a segment's result does not depend on its neighbours
        same_bits(logaddexp.reduceat(x[starts[9] :], starts[9:] - starts[9]), whole[9:])


def test_reduceat_of_special_values(logaddexp, dtype):
    x = np.tile(np.array([-np.inf, -np.inf, np.inf, 1, np.nan, 2, -np.inf, 3], dtype), 25)
    with np.errstate(all="raise"):
        y = logaddexp.reduceat(x, np.arange(0, 200, 2)).reshape(25, 4)
    np.testing.assert_array_equal(y, np.tile(np.array([-np.inf, np.inf, np.nan, 3], dtype), (25, 1)))


# ---- accumulate ----

RUNNING = ROWS | {
    "descending": lambda rng, n: np.linspace(50, -50, n),
    "slowly ascending": lambda rng, n: np.linspace(0, 1, n),
    "steeply ascending": lambda rng, n: np.linspace(-20, 20, n) * n,
    "in steps": lambda rng, n: np.arange(n) // 500 * 45.0 - 900,
    "jumps": lambda rng, n: np.where(np.arange(n) % 2, 0, rng.uniform(0, 1000, n)) + np.arange(n) // 50 * 99,
    "very wide": lambda rng, n: rng.uniform(-3000, 3000, n),
    "records": lambda rng, n: np.sort(rng.normal(0, 100, n)) + rng.normal(0, 1, n),
    "near 0": lambda rng, n: -(np.linspace(20, 0, n) ** 2) - 30 + 30 * (np.arange(n) == n // 2),
}


@functools.cache
def running(rows, n, dtype):
    """Return a row, some indices, and the row's running log-sum-exp at these, computed in 200 bits."""
    x = RUNNING[rows](np.random.default_rng(4), n).astype(dtype)
    indices = {*range(300), *range(300, n, n // 300), n - 1}
    expected, total = [], gmpy2.mpfr(0)
    with gmpy2.context(gmpy2.get_context(), precision=200):
        for i, value in enumerate(x.tolist()):
            total += gmpy2.exp(gmpy2.mpfr(value))
            if i in indices:
                expected.append(np.longdouble(f"{gmpy2.log(total):.30g}"))
    return x, sorted(indices), np.array(expected)


@pytest.mark.slow
@pytest.mark.parametrize("rows", RUNNING)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_accumulate_does_not_accumulate_errors(logaddexp, rows, dtype):
    if rows in ("steeply ascending", "jumps") and dtype == "f2":
        return
    x, indices, expected = running(rows, 20_000, dtype)
    assert_close(logaddexp.accumulate(x)[indices], expected, 0.6)


def test_accumulate_of_a_long_row(logaddexp):
    x, indices, expected = running("normal", 100_000, "f4")
    assert_close(logaddexp.accumulate(x)[indices], expected, 0.6)


@given(st.lists(st.floats(-800, 800) | st.sampled_from([0.0, -np.inf, 1e300, -1e300, 5e-324]), min_size=1, max_size=20))
def test_accumulate_ends_with_the_logsumexp(row):
    x = np.array(row)
    y = fastlog.logaddexp.accumulate(x)
    for i in range(len(x)):
        expected = fastlog.logsumexp(x[: i + 1])
        assert y[i] == expected or abs(y[i] - expected) <= 2 * np.spacing(max(1, abs(expected)))


def test_accumulate_keeps_what_is_small_beside_a_maximum_of_0(logaddexp):
    y = logaddexp.accumulate([-30.0, 0.0, -40.0, -np.inf, -700.0])
    np.testing.assert_allclose(
        y, [-30, *[np.log1p(np.exp(-30))], *[np.log1p(np.exp(-30) + np.exp(-40))] * 3], rtol=1e-15
    )


@pytest.mark.parametrize("rows", RUNNING)
def test_accumulate_looks_back_only(logaddexp, dtype, rows):
    """Neither later elements nor the layout change a result."""
    x = RUNNING[rows](np.random.default_rng(7), 1000)
    x = (x / max(1, np.abs(x).max() / 60000)).astype(dtype)
    whole = logaddexp.accumulate(x)
    for n in (3, 16, 17, 127, 128, 129, 130, 257, 600):
        same_bits(logaddexp.accumulate(x[:n]), whole[:n])
    later = x.copy()
    later[500:] = np.nan
    later[400:500] = np.inf
    same_bits(logaddexp.accumulate(later)[:400], whole[:400])
    assert np.all(logaddexp.accumulate(later)[400:500] == np.inf)
    assert np.isnan(logaddexp.accumulate(later)[500:]).all()
    same_bits(logaddexp.accumulate(np.repeat(x, 3)[::3]), whole)
    same_bits(logaddexp.accumulate(x[::-1].copy()[::-1]), whole)
    for axis, y in ((0, np.stack([x, x], 1)), (1, np.stack([x, x]))):
        for z in (y, np.asfortranarray(y)):
            same_bits(logaddexp.accumulate(z, axis), np.stack([whole, whole], 1 - axis))


def test_accumulate_in_place_and_overlapping(logaddexp, dtype):
    x = numbers(700, dtype)
    whole = logaddexp.accumulate(x)
    y = x.copy()
    assert logaddexp.accumulate(y, out=y) is y
    same_bits(y, whole)
    for into, of in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None)), (slice(-2, None, -1), slice(1, None))):
        y = np.empty(701, dtype)
        y[of] = x
        logaddexp.accumulate(y[of], out=y[into])
        same_bits(y[into], whole)
    y = np.empty(1400, dtype)[::2]
    logaddexp.accumulate(x, out=y)
    same_bits(y, whole)
    y = np.zeros(700, "f8")
    logaddexp.accumulate(x, out=y, dtype=dtype)
    same_bits(y.astype(dtype), whole)


@pytest.mark.parametrize("n", [1, 2, 5, 127, 128, 129, 300])
def test_accumulate_of_special_values(logaddexp, dtype, n):
    inf, nan, largest = np.inf, np.nan, np.finfo(dtype).max
    with np.errstate(all="raise"):
        for special in (inf, -inf, nan):
            np.testing.assert_array_equal(logaddexp.accumulate(np.full(n, special, dtype)), special)
        for first in (-inf, -largest, 0, largest):
            x = np.full(n, -inf, dtype)
            x[-1] = first
            np.testing.assert_array_equal(logaddexp.accumulate(x), x)
            np.testing.assert_array_equal(logaddexp.accumulate(x[::-1]), np.full(n, first, dtype))
        x = np.r_[np.full(n, -inf), 1, -inf, inf, inf, -inf, 3, nan, inf].astype(dtype)
        expected = np.r_[np.full(n, -inf), 1, 1, inf, inf, inf, inf, nan, nan].astype(dtype)
        np.testing.assert_array_equal(logaddexp.accumulate(x), expected)
    assert logaddexp.accumulate(np.empty(0, dtype)).shape == (0,)


def test_accumulate_of_subnormal_results(logaddexp):
    """Where the result is subnormal, log(1 + e^x) is e^x."""
    for dtype, low in (("f4", -100.0), ("f8", -740.0)):
        y = logaddexp.accumulate(np.array([0, low, -np.inf], dtype))
        np.testing.assert_array_equal(y[1:], np.exp(np.float64(low)).astype(dtype))


SPELLINGS = {
    "NumPy axis": ((), {"axis": np.int64(0)}),
    "tuple of a NumPy axis": ((), {"axis": (np.intp(0),)}),
    "keepdims as an integer": ((), {"keepdims": 0}),
    "NumPy true": ((), {"where": np.True_}),
    "where as a list": ((), {"where": [True] * 3}),
    "no initial value": ((), {"initial": None}),
    "initial value as an array": ((), {"initial": np.array(-np.inf)}),
}


@ATTACHED
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_reduce_does_not_depend_on_the_spelling(spelling):
    x = np.random.default_rng(0).normal(0, 1, (20_000, 3)).astype(np.float32)
    args, keywords = SPELLINGS[spelling]
    np.testing.assert_array_equal(fastlog.logaddexp.reduce(x, *args, **keywords), fastlog.logaddexp.reduce(x))


@ATTACHED
def test_reduce_of_other_forms_of_the_array(tmp_path):
    x = np.random.default_rng(0).normal(0, 1, (20_000, 3)).astype(np.float32)
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
    mapped[:] = x
    out = np.empty(3, np.float32)
    assert fastlog.logaddexp.reduce(x, out=(out,)) is out
    for y in (out, fastlog.logaddexp.reduce(mapped), fastlog.logaddexp.reduce(array=x)):
        np.testing.assert_array_equal(y, fastlog.logaddexp.reduce(x))


@pytest.mark.parametrize("name", ["reduce", "reduceat", "accumulate"])
def test_methods_pickle(name):
    method = getattr(fastlog.logaddexp, name)
    x = np.arange(6.0)
    arguments = (x, [0, 2]) if name == "reduceat" else (x,)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(method))(*arguments), method(*arguments))


@pytest.mark.parametrize("count", [3, 150])
def test_reduceat_casts_indices_safely(count):
    with pytest.raises(TypeError, match="safe"):
        fastlog.logaddexp.reduceat(np.ones(200), np.arange(count, dtype=np.uint64))
