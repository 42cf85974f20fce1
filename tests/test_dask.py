"""Dask arrays: lazy, over any chunks, with NumPy's values; sums over chunks as exact as over one array."""

import itertools
import re

import dask
import dask.array as da
import numpy as np
import pytest
from helpers import calls

import fastlog
from fastlog import nn, special
from fastlog._core import claims

dask.config.set(scheduler="synchronous")
INF = np.inf
CASES = [("f8", (4, 5)), ("f8", (15, 16)), ("f8", (15, 3)), ("f8", (2, 16)), ("f4", (4, 5)), ("f2", (15, 3))]


def in_chunks(chunks):
    def of(a):
        return da.from_array(a, chunks=chunks if a.ndim == 2 else 4)

    return of


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "chunks"), CASES)
@pytest.mark.parametrize("name", calls.CALLS)
def test_same_values(name, dtype, chunks):
    x, of = calls.X.astype(dtype), in_chunks(chunks)
    close = {"f8": 1e-13, "f4": 4e-6, "f2": 6e-3}[dtype]
    expected = list(calls.CALLS[name](x, lambda a: a))
    lazy = list(calls.CALLS[name](of(x), of))
    assert all(isinstance(y, da.Array) for y in lazy)
    for got, computed, numpys in zip(lazy, dask.compute(*lazy), expected, strict=True):
        assert got.dtype == computed.dtype == np.asarray(numpys).dtype
        assert got.shape == computed.shape == np.shape(numpys)
        np.testing.assert_allclose(computed, numpys, rtol=close, atol=close)


SPECIAL = np.array(
    [
        [0, 1, -np.inf, -np.inf, 2, 3],
        [np.inf, 1, 2, 3, 4, 5],
        [1, 2, 3, np.inf, 4, np.inf],
        [np.nan, 1, 2, 3, 4, 5],
        [1, 2, 3, 4, np.nan, np.inf],
        [-np.inf] * 6,
        [np.inf, 1, -np.inf, -np.inf, 0, 1],
        [0, -800, 0, 0, 0, 0],
        [-40, -40, -40, 0, -50, -50],
        [0, -800, -800, -900, -745, -746],
        [-800, -900, -1000, -800, 0, 0],
    ]
)


@pytest.mark.parametrize("f", [fastlog.logsumexp, fastlog.logmeanexp, fastlog.softmax, fastlog.log_softmax])
def test_special_values_across_chunks(f):
    y = f(da.from_array(SPECIAL, chunks=(11, 2)), axis=1)
    with np.errstate(all="raise"):
        computed = y.compute()
    np.testing.assert_allclose(computed, f(SPECIAL, axis=1), rtol=1e-15, atol=0)


SOME = [0.0, -0.0, 1.0, -1000.0, -745.2, -INF, INF, np.nan, 1e308, 1.79e308, -1.7e308]


@pytest.mark.parametrize("f", [fastlog.softmax, fastlog.log_softmax])
def test_every_short_row_across_chunks(f):
    """Rows of one element per chunk have NumPy's values, infinities, nan, and signs of zero."""
    rows = np.array(list(itertools.product(SOME, repeat=3)))
    for where in (None, np.array([True, True, False]), np.zeros(3, bool)):
        with np.errstate(all="raise"):
            got = f(da.from_array(rows, chunks=(400, 1)), axis=1, where=where).compute()
        expected = f(rows, axis=1, where=where)
        np.testing.assert_allclose(got, expected, rtol=1e-15, atol=5e-324)
        some = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got[some]), np.signbit(expected[some]))


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # Dask sets 1e20 as the fill value of float16
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_what_underflows_is_a_negative_zero(dtype, chunks):
    for row, negative in (
        ([0, -1000, -np.inf], True),
        ([-np.inf, 0, -1000], True),
        ([0, -np.inf, -np.inf], False),
        ([-1000, -np.inf, -2000], True),
    ):
        x = np.array(row, dtype)
        y = fastlog.log_softmax(da.from_array(x, chunks=chunks)).compute()
        assert y.max() == 0
        assert np.signbit(y[np.argmax(x)]) == negative
        np.testing.assert_array_equal(y, fastlog.log_softmax(x))
    x = da.from_array(np.array([0, -1000], dtype), chunks=1)
    alone = fastlog.log_softmax(x, where=np.array([True, False])).compute()
    hidden = fastlog.log_softmax(da.ma.masked_array(x, da.from_array(np.array([False, True]), chunks=1))).compute()
    assert not np.signbit(alone[0])
    assert not np.signbit(hidden[0])


def exact(x):
    """Return logsumexp, log_softmax and softmax along the first axis of finite numbers, by name, as long doubles."""
    rows = np.ascontiguousarray(x.T, "g")  # NumPy adds up pairwise along the last axis alone
    top = rows.max(axis=-1, keepdims=True)
    log1p_rest = np.log1p(np.sort(np.exp(rows - top))[..., :-1].sum(axis=-1, keepdims=True))
    log_p = (rows - top) - log1p_rest
    return {"logsumexp": (top + log1p_rest)[..., 0], "log_softmax": log_p, "softmax": np.exp(log_p)}


def largest_error(f, expected, got):
    """Return the largest error of one of these functions, in ulp, for logsumexp in ulp of max(1, |result|)."""
    expected = expected[f.__name__]
    size = np.maximum(1, np.abs(expected)) if f is fastlog.logsumexp else np.abs(expected)
    return np.max(np.abs(got.T - expected) / np.spacing(size.astype(got.dtype)).astype("g"))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_accuracy_across_chunks(dtype):
    """The claims hold for dominant entries, for far entries, and for sums of many chunks."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 10, (300, 200)), rng.normal(0, 1, (300, 200)) - np.eye(300, 200) * -60])
    x = x.astype(dtype)
    bounds = {f: claims()[f.__name__][np.dtype(dtype).name][0] for f in (fastlog.log_softmax, fastlog.softmax)}
    expected = exact(x.T)
    for f, bound in (bounds | {fastlog.logsumexp: 1.5}).items():
        got = f(da.from_array(x, chunks=(100, 7)), axis=1).compute()
        assert largest_error(f, expected, got.T) <= bound, f.__name__


ROWS = {
    "random": lambda rng, shape: rng.normal(size=shape),
    "equal": lambda rng, shape: np.full(shape, -0.3),
    "two values": lambda rng, shape: rng.choice([0.0, -1.1], shape),
    "far below": lambda rng, shape: rng.uniform(-760, 0, shape),
    "near a large number": lambda rng, shape: 1e5 + rng.normal(0, 20, shape),
    "one that dominates": lambda rng, shape: np.concatenate([np.full((1, *shape[1:]), 30.0), rng.normal(size=shape)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("shape", "chunks"), [((100_000,), (1000,)), ((200_000, 2), (1000, 1)), ((3000,), (7,))])
@pytest.mark.parametrize("rows", ROWS)
def test_the_claims_hold_for_any_number_of_chunks(rows, shape, chunks, dtype):
    x = ROWS[rows](np.random.default_rng(0), shape).astype(dtype)
    lazy, expected = da.from_array(x, chunks=chunks), exact(x)
    for f in (fastlog.softmax, fastlog.log_softmax):
        bound = claims()[f.__name__][np.dtype(dtype).name][0]
        assert largest_error(f, expected, f(lazy, axis=0).compute()) <= bound, f.__name__


def test_float16_ends_quietly():
    x = np.array([65504, -65504, 65000], np.float16)
    with np.errstate(all="raise"):
        got = fastlog.log_softmax(da.from_array(x, chunks=1)).compute()
    np.testing.assert_array_equal(got, fastlog.log_softmax(x))


def test_large_equal_elements_across_chunks():
    x = np.array([1e308, 1e308, 0, -1e308])
    lazy = da.from_array(x, chunks=1)
    for f in (fastlog.softmax, fastlog.log_softmax):
        np.testing.assert_allclose(f(lazy).compute(), f(x), rtol=1e-15)


INFINITIES = [
    ([INF, INF, INF], [1.0, -1, 1]),
    ([INF, 0, INF, 0], [1.0, 1, -1, 1]),
    ([0.0, 1, 0], [INF, 1, -INF]),
    ([-INF, INF], [INF, 1]),
    ([np.nan, 1, 2], [0.0, -1, -INF]),
    ([1.0, 1, 1, 1], [1.0, 1, -1, -1]),
    ([1.0, 2, np.nan], [1.0, -1, 1]),
]


@pytest.mark.parametrize(("x", "b"), INFINITIES)
def test_infinities_of_both_signs_in_any_chunks(x, b):
    """A sum that is undefined in one chunk is undefined in several, and so is its sign."""
    x, b = np.array(x), np.array(b)
    for chunks in range(1, len(x) + 1):
        lazy, weights = da.from_array(x, chunks=chunks), da.from_array(b, chunks=chunks)
        computed = dask.compute(*fastlog.logsumexp(lazy, b=weights, return_sign=True))
        for got, expected in zip(computed, fastlog.logsumexp(x, b=b, return_sign=True), strict=True):
            np.testing.assert_array_equal(got, expected)
        for f in (fastlog.logsumexp, fastlog.logmeanexp):
            np.testing.assert_allclose(f(lazy, 0, weights).compute(), f(x, 0, b), rtol=1e-15)


@pytest.mark.slow
def test_the_number_of_chunks_does_not_show():
    x = np.random.default_rng(5).normal(-8, 0.5, (1000, 2))
    x[:, 1] = np.where(np.arange(1000) == 0, 0.0, -0.3)
    lazy, wide = da.from_array(x, chunks=(1, 2)), x.astype("g")
    exact = np.log(np.exp(wide).sum(0))
    for got, y in (
        (fastlog.logsumexp(lazy, 0), exact),
        (fastlog.logmeanexp(lazy, 0), exact - np.log(np.longdouble(len(x)))),
    ):
        assert np.max(np.abs(got.compute() - y) / np.spacing(np.maximum(1, np.abs(y)).astype("f8"))) < 1


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative_sums_of_many_chunks(dtype, reverse):
    x = np.full((400, 2), -0.3, dtype)
    got = fastlog.logcumsumexp(da.from_array(x, chunks=(1, 2)), 0, reverse=reverse).compute()
    exact = np.longdouble(x[0, 0]) + np.log(np.arange(1, 401).astype("g"))
    ulp = np.spacing(np.maximum(1, np.abs(exact)).astype(dtype)).astype("g")
    assert got.dtype == dtype
    assert np.max(np.abs((got[::-1] if reverse else got) - exact[:, np.newaxis]) / ulp[:, np.newaxis]) < 1.1


def test_float32_does_not_drift():
    x = da.zeros((20_000_000, 2), chunks=(250_000, 2), dtype=np.float32)
    np.testing.assert_array_equal(fastlog.logsumexp(x, axis=0).compute(), np.float32(np.log(2e7)))


def test_nothing_is_computed_before_its_time():
    def fail(block):
        raise AssertionError("computed")

    x = da.map_blocks(fail, da.zeros((6, 4), chunks=2), dtype=np.float64, meta=np.empty((0, 0)))
    y = da.zeros(6, chunks=2, dtype=int)
    for f in (
        lambda: fastlog.logsumexp(x, 0),
        lambda: fastlog.softmax(x, 1),
        lambda: fastlog.cross_entropy(x, y, return_grad=True)[1],
        lambda: fastlog.softplus(x),
        lambda: np.logaddexp(x, x),
    ):
        assert isinstance(f(), da.Array)
    with pytest.raises(AssertionError, match="computed"):
        fastlog.logsumexp(x).compute()


def test_elementwise_by_block():
    x = da.from_array(calls.X, chunks=(4, 5))
    for f in (fastlog.softplus, fastlog.log_sigmoid, fastlog.logit, special.expit):
        y = f(x)
        assert y.chunks == x.chunks
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(y.compute(), f(calls.X))
    np.testing.assert_array_equal(nn.functional.silu(x).compute(), fastlog.silu(calls.X))


def test_unknown_chunks():
    x = da.from_array(calls.X, chunks=(4, 16))
    some = x[x[:, 0] > 0]
    assert np.isnan(some.shape[0])
    expected = calls.X[calls.X[:, 0] > 0]
    np.testing.assert_allclose(fastlog.logsumexp(some, 0).compute(), fastlog.logsumexp(expected, 0), rtol=1e-15)
    np.testing.assert_allclose(fastlog.logmeanexp(some).compute(), fastlog.logmeanexp(expected), rtol=1e-15)
    np.testing.assert_allclose(fastlog.softmax(some, 1).compute(), fastlog.softmax(expected, 1), rtol=1e-15)
    of_rows = fastlog.cross_entropy(some, (some[:, 1] > 0) * 1, sample_weight=abs(some[:, 2]), return_grad=True)
    weights = abs(expected[:, 2])
    own = fastlog.cross_entropy(expected, (expected[:, 1] > 0) * 1, sample_weight=weights, return_grad=True)
    for one, other in zip(of_rows, own, strict=True):
        np.testing.assert_allclose(one.compute(), other, rtol=1e-13)
    with pytest.raises(ValueError, match="sample_weight needs chunks"):
        fastlog.cross_entropy(some, (some[:, 1] > 0) * 1, sample_weight=da.ones(5, chunks=5))
    z = (some > 0) * 1.0
    got = fastlog.binary_cross_entropy_with_logits(some, z).compute()
    np.testing.assert_allclose(got, fastlog.binary_cross_entropy_with_logits(expected, (expected > 0) * 1.0))


def test_errors():
    x = da.from_array(calls.X, chunks=4)
    with pytest.raises(ValueError, match=r"is 16, but labels run from 0 to 15"):
        fastlog.cross_entropy(x, np.full(15, 16)).compute()
    with pytest.raises(ValueError, match=r"shape \(15,\) for logits of \(15, 16\), not \(15, 16\); one-hot"):
        fastlog.cross_entropy(x, calls.X.astype(int))
    for f in (fastlog.cross_entropy, fastlog.nll_loss):
        with pytest.raises(ValueError, match=r"must have the shape \(15,\) for logits of \(15, 16\), not \(1,\)"):
            f(x.rechunk(1), np.zeros(1, int))
    for f in (
        fastlog.binary_cross_entropy_with_logits,
        fastlog.focal_loss,
        fastlog.cross_entropy,
        fastlog.kl_divergence,
    ):
        for reduction in ("none", "mean"):
            for z in (calls.X[:3], calls.ROW):
                with pytest.raises(ValueError, match=rf"\(15, 16\), not {re.escape(str(z.shape))}"):
                    f(x, z, reduction=reduction)
    for f in (fastlog.binary_cross_entropy_with_logits, fastlog.focal_loss):
        with pytest.raises(ValueError, match="weight has the shape"):
            f(x, calls.P, weight=np.ones((2, 15, 16)))
    with pytest.raises(ValueError, match="'median'"):
        fastlog.cross_entropy(x, calls.LABELS, reduction="median")
    with pytest.raises(ValueError, match=r"weight must have the shape \(16,\)"):
        fastlog.cross_entropy(x, calls.LABELS, np.ones(3))
    with pytest.raises(ValueError, match=r"sample_weight has the shape \(16,\)"):
        fastlog.cross_entropy(x, calls.LABELS, sample_weight=np.ones(16))
    with pytest.raises(ValueError, match="temperature must be a positive number"):
        fastlog.cross_entropy(x, calls.LABELS, temperature=-1.0)
    with pytest.raises(TypeError, match="not computed for Dask arrays"):
        fastlog.softmax_focal_loss(x, calls.LABELS)
    with pytest.raises(ValueError, match="do not broadcast"):
        fastlog.logsumexp(x, 0, np.ones(7))
    for f, z in ((fastlog.cross_entropy, calls.LABELS), (fastlog.binary_cross_entropy_with_logits, calls.P)):
        with pytest.raises(ValueError, match="'batchmean'"):
            f(x, z, reduction="batchmean")
        with pytest.raises(ValueError, match=r"label_smoothing must be between 0 and 1, not 3\.0"):
            f(x, z, label_smoothing=3.0)
        with pytest.raises(TypeError, match="label_smoothing must be a number, not 'x'"):
            f(x, z, label_smoothing="x")
    with pytest.raises(ValueError, match="gamma must be a finite number of at least 0"):
        fastlog.focal_loss(x, calls.P, gamma=-1)
    with pytest.raises(ValueError, match="does not fit"):
        fastlog.logsumexp(x, 0, where=np.ones((2, 15, 16), bool))
    with pytest.raises(TypeError, match="out="):
        fastlog.softmax(x, 1, out=np.empty((15, 16)))
    with pytest.raises(TypeError, match="complex"):
        fastlog.logsumexp(x + 1j)
    with pytest.raises(ValueError, match="temperature"):
        fastlog.log_softmax(x, 1, temperature=-1.0)
    with pytest.raises(np.exceptions.AxisError):
        fastlog.logsumexp(x, 2)
    for f in (fastlog.logsumexp, fastlog.logmeanexp, fastlog.logcumsumexp):
        with pytest.raises(TypeError, match=rf"^{f.__name__}\(\) got an unexpected keyword argument 'dim'"):
            f(x, dim=1)


def test_masks_are_kept():
    mask = (calls.X > 1) | (np.arange(15) == 3)[:, None]
    masked = np.ma.array(calls.X, mask=mask)
    lazy = da.ma.masked_array(da.from_array(calls.X, chunks=(4, 5)), da.from_array(mask, chunks=(4, 5)))
    for f in (fastlog.softmax, fastlog.log_softmax):
        got, expected = f(lazy, 1).compute(), f(masked, 1)
        np.testing.assert_array_equal(np.ma.getmaskarray(got), masked.mask)
        np.testing.assert_allclose(got.filled(0), expected.filled(0), rtol=1e-14)
    got = fastlog.logsumexp(lazy, 1).compute()
    np.testing.assert_array_equal(np.ma.getmaskarray(got), np.arange(15) == 3)
    exact = fastlog.logsumexp(masked.astype("g"), 1)
    np.testing.assert_allclose(got.filled(0), exact.filled(0).astype("f8"), rtol=1e-15)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # Dask sets 1e20 as the fill value of float16
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("temperature", [1, 3e-3])
@pytest.mark.parametrize("f", [fastlog.softmax, fastlog.log_softmax])
def test_masks_and_where_and_temperature_together(f, temperature, dtype):
    x = calls.X.astype(dtype)
    mask = (calls.X > 1) | (np.arange(15) == 3)[:, None]
    where = (np.sin(7 * calls.X) > -0.5) & (np.arange(15) != 8)[:, None]
    for of, masked in ((in_chunks((4, 5)), x), (lambda a: lazily_masked(a, (4, 5)), np.ma.array(x, mask=mask))):
        for axis, included in itertools.product((0, 1, None, (0, 1), ()), (None, where)):
            got = f(of(masked), axis, where=included, temperature=temperature).compute()
            expected = f(masked, axis, where=included, temperature=temperature)
            assert type(got) is type(expected)
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(expected))
            close = 2.5 * np.finfo(dtype).eps
            smallest = np.finfo(dtype).smallest_subnormal
            np.testing.assert_allclose(*map(np.ma.getdata, (got, expected)), rtol=close, atol=smallest)


@pytest.mark.parametrize("x", [np.zeros(4, "f4"), da.zeros(4, chunks=2, dtype="f4")], ids=["NumPy", "Dask"])
def test_temperatures_are_those_of_numpys_arrays(x):
    for f in (fastlog.softmax, fastlog.log_softmax):
        for bad in ("hot", 0, -1, INF, np.nan, 10**400, 1e-50, 1e50):
            with pytest.raises(ValueError, match=f"^{f.__name__}: temperature must be a positive number of float32"):
                f(x, temperature=bad)
        with pytest.raises(TypeError, match="temperature has masked elements"):
            f(x, temperature=np.ma.masked)


def test_temperature_divides_quietly():
    x = np.ma.array([1e10, 1e10, 2.0, -1e300], mask=[0, 0, 1, 0])
    lazy = lazily_masked(x, 1)
    for f in (fastlog.softmax, fastlog.log_softmax):
        for temperature in (1e-290, 1e-300):
            with np.errstate(all="raise"):
                got = f(lazy, temperature=temperature).compute()
            expected = f(x, temperature=temperature)
            np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(expected))
            np.testing.assert_allclose(got.filled(7), expected.filled(7), rtol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_weights_of_any_dtype(dtype):
    x = calls.X.astype(dtype)
    lazy = da.from_array(x, chunks=(4, 5))
    weights = [
        2,
        0.5,
        True,
        1e39,
        np.float64(2),
        np.float32(2),
        np.array(3),
        np.arange(16, dtype="i1"),
        np.ones(16, bool),
    ]
    for b in (*weights, np.arange(16, dtype="f2"), np.arange(16, dtype="f8")):
        for f in (fastlog.logsumexp, fastlog.logmeanexp):
            got, expected = f(lazy, 1, b), f(x, 1, b)
            assert got.dtype == got.compute().dtype == expected.dtype
            np.testing.assert_allclose(got.compute(), expected, rtol=4 * np.finfo(expected.dtype).eps)


def lazily_masked(a, chunks):
    mask = np.ma.getmaskarray(a)
    return da.ma.masked_array(da.from_array(np.ma.getdata(a), chunks=chunks), da.from_array(mask, chunks=chunks))


@pytest.mark.parametrize("chunks", [1, 2, 4])
def test_masks_where_weights_enlarge_the_array(chunks):
    x = np.ma.array([1.0, 2.0, 3.0, 4.0], mask=[0, 1, 0, 0])
    lazy = lazily_masked(x, chunks)
    for b in (np.ones((2, 4)), np.full((3, 1), 0.5)):
        for axis in (None, 0, 1, ()):
            for f in (fastlog.logsumexp, fastlog.logmeanexp):
                got, expected = f(lazy, axis, b).compute(), f(x, axis, b)
                np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(expected))
                np.testing.assert_allclose(np.ma.filled(got, 0), np.ma.filled(expected, 0), rtol=1e-15)
    where = np.array([True, True, False, True])
    got, expected = fastlog.logsumexp(lazy, where=where), fastlog.logsumexp(x, where=where)
    np.testing.assert_allclose(got.compute(), expected, rtol=1e-15)
    for options in ({"reverse": r, "exclusive": e} for r in (False, True) for e in (False, True)):
        cumulative, whole = fastlog.logcumsumexp(lazy, **options).compute(), fastlog.logcumsumexp(x, **options)
        np.testing.assert_array_equal(cumulative.mask, whole.mask)
        np.testing.assert_allclose(cumulative.filled(0), whole.filled(0), rtol=1e-15)


def test_masks_of_other_arguments_are_refused():
    x, y = da.ones((4, 3), chunks=2), np.array([0, 1, 2, 0])
    for of in (np.ma.array, lambda a, mask: lazily_masked(np.ma.array(a, mask=mask), 2)):
        masked = of(np.ones(3), mask=[0, 1, 0])
        for call in (
            lambda b: fastlog.logsumexp(x, 1, b),
            lambda b: fastlog.logmeanexp(x, 1, b),
            lambda b: fastlog.logsumexp(x, 1, where=b > 0),
            lambda b: fastlog.softmax(x, 1, where=b > 0),
            lambda b: fastlog.cross_entropy(x, y, b),
            lambda b: fastlog.binary_cross_entropy_with_logits(x, x, b),
            lambda b: fastlog.binary_cross_entropy_with_logits(x, da.ones((4, 3)) * b),
            lambda b: fastlog.kl_divergence(x, da.ones((4, 3)) * b, reduction="none"),
        ):
            with pytest.raises(TypeError, match="masked elements"):
                dask.compute(call(masked))
        with pytest.raises(TypeError, match="masked elements"):
            fastlog.cross_entropy(x, of(y, mask=[0, 0, 0, 1])).compute()
    with pytest.raises(TypeError, match="masked elements"):
        fastlog.binary_cross_entropy_with_logits(
            lazily_masked(np.ma.array(np.ones((4, 3)), mask=True), 2), x, y[:3]
        ).compute()


def test_integers_become_float64():
    x = da.arange(12, chunks=5)
    assert fastlog.logsumexp(x).dtype == np.float64
    np.testing.assert_allclose(fastlog.logsumexp(x).compute(), fastlog.logsumexp(np.arange(12)))


def assert_same(call, of, **close):
    """Check that a call has the shapes, dtypes and values of NumPy's results; `call` gets a maker of arrays."""
    for got, expected in zip(dask.compute(*call(of)), call(lambda a: a), strict=True):
        assert got.dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(got, expected, strict=True, **close)


LARGE = {"float16": 6e4, "float32": 1.5e38}


@pytest.mark.parametrize("dtype", LARGE)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sums_of_losses_are_rounded_once(reduction, dtype):
    """Sums of blocks need more digits or a wider range than the dtype of the logits has; results do not."""
    x, far = np.full((3000, 30), -3, dtype), np.array([[1, -1, 0]] * 40, dtype) * np.dtype(dtype).type(LARGE[dtype])
    labels, few, z = np.arange(3000) % 30, np.arange(40) % 3, np.full(x.shape, 0.3)
    options = {"reduction": reduction, "return_grad": True}
    large = 1e60 if reduction == "mean" else 1.0
    for call in (
        lambda of: fastlog.binary_cross_entropy_with_logits(of(x), of(z), 0.5, **options),
        lambda of: fastlog.focal_loss(of(x), of(z), **options),
        lambda of: fastlog.kl_divergence(of(x), of(z), reduction=reduction)[None],
        lambda of: fastlog.kl_divergence(of(x), of(z), axis=None, reduction="none")[None],
        lambda of: fastlog.nll_loss(of(far), of(few), reduction=reduction)[None],
        lambda of: fastlog.cross_entropy(of(far), of(few), **options),
        lambda of: fastlog.cross_entropy(of(x), of(labels), np.full(30, large), temperature=0.7, **options),
        lambda of: fastlog.cross_entropy(of(x), of(labels), sample_weight=np.full(3000, large), **options),
    ):
        with np.errstate(over="ignore"):
            assert_same(call, lambda a: da.from_array(a, chunks=a.shape), rtol=4 * np.finfo(dtype).eps)


def test_kl_divergence_takes_targets_in_other_chunks():
    x = da.from_array(calls.X, chunks=(4, 5))
    got = fastlog.kl_divergence(x, da.from_array(calls.P, chunks=(7, 3)), reduction="none")
    np.testing.assert_allclose(got.compute(), fastlog.kl_divergence(calls.X, calls.P, reduction="none"), rtol=1e-14)


EMPTY = [((0,), (0,)), ((3, 0), (3, 0)), ((2, 0), (1, 0)), ((3, 0), ((2, 1), (0,))), ((0, 3), ((0,), (2, 1)))]
OF_NOTHING = {
    "cumulative": lambda x, axis: [
        fastlog.logcumsumexp(x, axis, reverse=r, exclusive=e) for r in (False, True) for e in (False, True)
    ],
    "flat": lambda x, axis: [fastlog.logcumsumexp(x)],
    "importance weights": lambda x, axis: [*fastlog.importance_weights(x, axis)],
    "segments": lambda x, axis: [
        fastlog.segment_logsumexp(x, np.zeros_like(x, dtype=int, shape=x.shape[:1]), n) for n in (None, 2)
    ],
    "probabilities": lambda x, axis: fastlog.cross_entropy(x, x, axis=axis, return_grad=True),
    "elements": lambda x, axis: fastlog.binary_cross_entropy_with_logits(x, x, return_grad=True),
    "KL divergence": lambda x, axis: [fastlog.kl_divergence(x, x, axis=axis, reduction="none")],
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("shape", "chunks"), EMPTY)
@pytest.mark.parametrize("name", OF_NOTHING)
def test_arrays_of_nothing(name, shape, chunks):
    x = np.zeros(shape)
    for axis in range(x.ndim):
        assert_same(lambda of, axis=axis: OF_NOTHING[name](of(x), axis), lambda a: da.from_array(a, chunks=chunks))


def test_segments_of_many_axes():
    x = calls.X[0].reshape((2, 2) + (1,) * 8 + (2, 2))
    ids = np.array([1, 0])
    got = fastlog.segment_logsumexp(da.from_array(x, chunks=1), da.from_array(ids, chunks=1)).compute()
    np.testing.assert_array_equal(got, fastlog.segment_logsumexp(x, ids))
