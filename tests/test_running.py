"""LogSumExp: sums that grow chunk by chunk, and add up."""

import pickle

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlog import LogSumExp, logmeanexp, logsumexp
from fastlog._core import functions, supported_targets

INF = np.inf


def cut(x, axis, pieces):
    return np.array_split(x, pieces, axis=axis)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), ()])
def test_chunks_are_as_good_as_the_whole(dtype, axis):
    x = np.random.default_rng(0).normal(0, 8, (60, 70)).astype(dtype)
    along = 0 if axis in (None, 0, (0, 1)) else 1
    running = LogSumExp(axis)
    for chunk in cut(x, along, 7) if axis != () else [x, x]:
        assert running.update(chunk) is running
    expected = logsumexp(x.astype("f8"), axis) + (np.log(2) if axis == () else 0)
    ulp = np.spacing(np.maximum(1, np.abs(expected)).astype(dtype)).astype("f8")
    assert np.max(np.abs(running.value - expected) / ulp) < 1
    assert running.value.dtype == dtype
    assert np.shape(running.value) == np.shape(expected)


def test_no_error_accumulates():
    """A million numbers in 20 000 chunks, and merged as a tree, against 50 digits."""
    x = np.random.default_rng(1).normal(-700, 3, 1_000_000)
    exact = mpmath.log(mpmath.fsum(map(mpmath.exp, map(mpmath.mpf, x[:2000].tolist()))))
    one_by_one = LogSumExp()
    for value in x[:2000]:
        one_by_one.update(value)
    assert abs(one_by_one.value - exact) <= np.spacing(700.0)
    chain, tree = LogSumExp(), [LogSumExp().update(chunk) for chunk in np.split(x, 20_000)]
    for chunk in tree:
        chain.merge(chunk)
    while len(tree) > 1:
        tree = [a.merge(b) for a, b in zip(tree[::2], [*tree[1::2], LogSumExp()], strict=False)]
    assert abs(chain.value - logsumexp(x)) <= np.spacing(700.0)
    assert abs(tree[0].value - logsumexp(x)) <= np.spacing(700.0)


def test_float32_does_not_drift():
    running = LogSumExp(0)
    for _ in range(100):
        running.update(np.zeros((300_000, 2), np.float32))
    np.testing.assert_array_equal(running.value, np.float32(np.log(3e7)))
    assert running.value.dtype == np.float32
    np.testing.assert_allclose(running.mean, 0, atol=1e-7)


@given(st.lists(st.lists(st.sampled_from([0.0, 1, -1, 800, -800, INF, -INF, np.nan]), max_size=4), max_size=6))
def test_special_values(chunks):
    running = LogSumExp()
    with np.errstate(all="raise"):
        for chunk in chunks:
            running.update(np.array(chunk))
        flat = np.array([x for chunk in chunks for x in chunk])
        value, sign = logsumexp(flat, return_sign=True)
        np.testing.assert_allclose(running.value, value, rtol=1e-15, atol=1e-15)
        np.testing.assert_array_equal(running.sign, sign)
        np.testing.assert_allclose(running.mean, logmeanexp(flat), rtol=1e-15, atol=1e-15)


WEIGHTS = st.one_of(st.just(0.0), st.floats(0.1, 9), st.floats(-9, -0.1))


@given(st.lists(st.tuples(st.floats(-50, 50), WEIGHTS), min_size=1, max_size=30), st.integers(1, 5))
def test_weights(pairs, pieces):
    x, b = np.array(pairs).T
    running = LogSumExp()
    for chunk, weights in zip(cut(x, 0, pieces), cut(b, 0, pieces), strict=True):
        running.update(chunk, weights)
    scale = np.sum(np.abs(b) * np.exp(x - x.max()))
    with np.errstate(all="ignore"):
        total = running.sign * np.exp(running.parts.max - x.max()) * (1 + running.parts.rest)
    np.testing.assert_allclose(total, np.sum(b * np.exp(x - x.max())), rtol=0, atol=1e-14 * scale)


def test_weights_that_cancel():
    running = LogSumExp().update([1.0], b=1).update([1.0], b=-1)
    assert (running.value, running.sign) == (-INF, 0)
    assert running.update([2.0]).value == 2
    assert np.isnan(LogSumExp().update([0.0], b=-1).value)
    assert LogSumExp().update([0.0], b=-1).sign == -1
    assert np.isnan(LogSumExp().update([INF], b=1).update([INF], b=-1).value)


def test_where_and_masks():
    x, some = np.arange(12.0).reshape(3, 4), np.arange(12).reshape(3, 4) % 3 == 0
    running = LogSumExp(1).update(x[:, :2], where=some[:, :2]).update(np.ma.array(x[:, 2:], mask=~some[:, 2:]))
    np.testing.assert_allclose(running.value, logsumexp(x, 1, where=some), rtol=1e-15)
    np.testing.assert_allclose(running.mean, logmeanexp(x, 1, where=some), rtol=1e-15)
    weighted = LogSumExp(0, keepdims=True).update(x, np.arange(3)[:, None], where=some)
    np.testing.assert_allclose(weighted.value, logsumexp(x, 0, np.arange(3)[:, None], True, where=some), rtol=1e-15)


def test_dtypes_widen():
    running = LogSumExp().update(np.float16([1]))
    assert running.value.dtype == np.float16
    assert running.update(np.float32([1])).value.dtype == np.float32
    assert running.update([1, 2]).value.dtype == np.float64
    assert LogSumExp().value.dtype == np.float64
    assert LogSumExp().update(np.float32([1]), b=2).value.dtype == np.float32


def test_the_empty_sum():
    empty = LogSumExp()
    assert (empty.value, empty.sign) == (-INF, 0)
    assert np.isnan(empty.mean)
    full = LogSumExp(0).update(np.ones((2, 3)))
    np.testing.assert_array_equal(LogSumExp(0).merge(full).merge(LogSumExp(0)).value, full.value)


def test_merging_leaves_the_other_as_it_is():
    one, other = LogSumExp(0).update(np.zeros((2, 3))), LogSumExp(0).update(np.ones((2, 3)))
    before = other.value.copy()
    one.merge(other)
    one.update(np.full((1, 3), 9.0))
    np.testing.assert_array_equal(other.value, before)
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(again.value, one.value)
    np.testing.assert_array_equal(again.update(np.zeros((1, 3))).value, one.update(np.zeros((1, 3))).value)


def test_errors():
    with pytest.raises(TypeError, match="axis"):
        LogSumExp("0")
    with pytest.raises(ValueError, match="duplicate"):
        LogSumExp((0, 0))
    with pytest.raises(TypeError, match="another LogSumExp"):
        LogSumExp().merge(3.0)
    with pytest.raises(TypeError, match="longdouble|longdouble|float128"):
        LogSumExp().update(np.ones(2, "g"))
    with pytest.raises(TypeError, match="complex"):
        LogSumExp().update(np.ones(2, "D"))
    with pytest.raises(TypeError, match="convert"):
        LogSumExp().update(["a"])
    with pytest.raises(np.exceptions.AxisError):
        LogSumExp(1).update([1.0])
    running = LogSumExp(0).update(np.ones((2, 3)))
    before = running.value
    for wrong in (np.ones((2, 4)), np.ones((2, 3, 1))):
        with pytest.raises(ValueError, match="do not add up"):
            running.update(wrong)
    with pytest.raises(ValueError, match="broadcast"):
        running.update(np.ones((2, 3)), np.ones((5, 3)))
    np.testing.assert_array_equal(running.value, before)


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_partitions_on_every_target(target, dtype):
    """max + log1p(rest) is logsumexp: rows of all lengths and layouts."""
    rng = np.random.default_rng(3)
    exact = np.finfo(dtype).eps
    for n in (*range(1, 20), 40, 100, 1000, 5000):
        x = rng.normal(0, 5, (9, n)).astype(dtype)
        for layout in (x, np.asfortranarray(x), x[:, ::-1], x[::2]):
            top, rest = functions(target)["partition"](layout)
            np.testing.assert_array_equal(top, layout.max(axis=1))
            wide = np.sort(layout.astype("g"), axis=1)
            expected = np.exp(wide[:, :-1] - wide[:, -1:]).sum(axis=1)
            np.testing.assert_allclose(rest, expected, rtol=4 * exact, atol=0 if n > 1 else 1e-300)
    top, rest = functions(target)["partition"](np.empty((2, 0), dtype))
    np.testing.assert_array_equal(top, -INF)
    np.testing.assert_array_equal(rest, -1)
    _, rest = functions(target)["partition"](np.array([[1, np.nan], [np.nan, INF]], dtype))
    assert np.isnan(rest).all()
