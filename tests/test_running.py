"""LogSumExp: sums that grow chunk by chunk, and add up."""

import copy
import decimal
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastlog import LogSumExp, _running, logmeanexp, logsumexp
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
    wide = x.astype("g")  # on most machines with more digits; the sum of two whole ones is twice one
    expected = wide + np.log(np.longdouble(2)) if axis == () else np.log(np.sum(np.exp(wide), axis))
    ulp = np.spacing(np.maximum(1, np.abs(expected)).astype(dtype)).astype("g")
    assert np.max(np.abs(running.value - expected) / ulp) < 1
    assert running.value.dtype == dtype
    assert np.shape(running.value) == np.shape(expected)


@pytest.mark.slow
def test_no_error_accumulates():
    """A million numbers in 20 000 chunks, in a chain or a tree, are as exact as one sum, and 2000 as 50 digits."""
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


CHAINS = {  # elements of one chunk each
    "equal": lambda n: np.where(np.arange(n) == 0, 0.0, -0.3),
    "rising": lambda n: 1e-3 * np.arange(n),
    "falling": lambda n: -1e-3 * np.arange(n),
    "far below and above": lambda n: np.where(np.arange(n) % 2, -40.3, 0.7),
    "near 0": lambda n: np.random.default_rng(1).normal(-np.log(n), 0.5, n),
    "large": lambda n: np.random.default_rng(2).normal(-1e4, 8, n),
}


def joined(states, tree):
    while len(states) > 1:
        pairs = zip(states[::2], [*states[1::2], LogSumExp(0)], strict=False)
        states = [one.merge(other) for one, other in pairs] if tree else [states[0].merge(states[1]), *states[2:]]
    return states[0]


@pytest.mark.slow
def test_the_number_of_chunks_does_not_show():
    """Sums of 5000 chunks of one element, in a chain or a tree, with and without weights, are held to 60 digits."""
    n = 5000
    x = np.stack([chain(n) for chain in CHAINS.values()], 1)
    b = np.random.default_rng(3).uniform(0.1, 3, n)
    chain, backwards, weighted = LogSumExp(0), LogSumExp(0), LogSumExp(0)
    for k in range(n):
        chain.update(x[k : k + 1])
        backwards.update(x[n - 1 - k : n - k])
        weighted.update(x[k : k + 1], b[k])
    states = [LogSumExp(0).update(row) for row in x[:, np.newaxis]]
    tree = joined(states, tree=True)
    with mpmath.workdps(60):
        for column in range(x.shape[1]):
            terms = [mpmath.exp(mpmath.mpf(v)) for v in x[:, column].tolist()]
            exact = mpmath.log(mpmath.fsum(terms))
            of_weights = mpmath.log(mpmath.fdot(zip(terms, map(mpmath.mpf, b.tolist()), strict=True)))
            for running, expected, bound in ((chain, exact, 1), (backwards, exact, 1), (tree, exact, 1),
                                             (weighted, of_weights, 1.5)):  # fmt: skip
                for got, y in ((running.value[column], expected), (running.mean[column], expected - mpmath.log(n))):
                    assert abs(got - y) <= bound * np.spacing(max(1.0, abs(got))), (list(CHAINS)[column], running)
    np.testing.assert_array_equal(weighted.sign, 1)


def test_many_sums_are_as_good_as_one():
    """More sums than are merged at a time, in any layout, have the values that each has alone."""
    x = np.random.default_rng(6).normal(0, 5, (6, 3, 20_000))
    x[:, 0, ::7] = -INF
    x[2, 1, ::5] = np.nan
    running, some = LogSumExp(0), [(0, 0), (0, 1), (1, 5), (2, 16_384), (2, 19_999)]
    alone = [LogSumExp() for _ in some]
    for chunk in np.split(np.asfortranarray(x), 3):
        running.update(chunk)
        for one, at in zip(alone, some, strict=True):
            one.update(chunk[:, *at])
    for one, at in zip(alone, some, strict=True):
        np.testing.assert_array_equal([running.value[at], running.mean[at]], [one.value, one.mean])
    np.testing.assert_allclose(running.value, logsumexp(x, 0), rtol=4e-16, atol=4e-16)


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("shift", [0.0, -2.0])
def test_few_chunks(tree, shift):
    rng = np.random.default_rng(4)
    for _ in range(150):
        x = rng.normal(shift, rng.choice([0.01, 0.3, 2]), (rng.integers(2, 6), rng.integers(1, 7)))
        states = [LogSumExp(0).update(chunk[:, np.newaxis]) for chunk in x]
        with mpmath.workdps(50):
            exact = mpmath.log(mpmath.fsum(map(mpmath.exp, map(mpmath.mpf, x.ravel().tolist()))))
        (got,) = joined(states, tree).value
        assert abs(got - exact) <= 1.1 * np.spacing(max(1.0, abs(got)))


def test_what_dominates_leaves_the_digits_of_the_others():
    running = LogSumExp().update([0.0]).update([-40.0]).update([-700.0])
    np.testing.assert_allclose(running.value, np.exp(-40.0), rtol=4e-16)
    np.testing.assert_allclose(LogSumExp().update([-600.0]).update([0.0]).value, np.exp(-600.0), rtol=4e-16)


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


SIGNED = st.tuples(st.sampled_from([0.0, 1, 800, INF, -INF, np.nan]), st.sampled_from([1.0, -1, 0, 2, INF, -INF]))


@given(st.lists(SIGNED, min_size=1, max_size=5), st.integers(1, 5), st.booleans())
@example([(INF, 1), (INF, -1), (INF, 1)], 1, False)
@example([(INF, 1), (INF, -1), (INF, 1)], 2, False)
@example([(INF, 1), (INF, -1), (INF, 1)], 3, True)
@example([(0, INF), (0, -INF), (1, 1)], 3, True)
@example([(0, INF), (-INF, INF), (1, 1)], 3, True)
def test_what_is_undefined_stays_undefined(pairs, pieces, tree):
    """Infinities and nan with weights of both signs give the same for any chunks."""
    x, b = np.array(pairs).T
    with np.errstate(all="raise"):
        states = [LogSumExp(0).update(*chunk) for chunk in zip(cut(x, 0, pieces), cut(b, 0, pieces), strict=True)]
        running = joined(states, tree)
        size, sign = logsumexp(x, b=b, return_sign=True)
        np.testing.assert_array_equal(running.sign, sign)
        np.testing.assert_allclose(running.value, size if not sign < 0 else np.nan, rtol=1e-15)
        np.testing.assert_allclose(running.mean, logmeanexp(x, b=b), rtol=1e-15, atol=1e-15)


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


def test_threads_share_a_sum():
    shared, threads, updates = LogSumExp(), 4, 300
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda k: [shared.update([0.0, k]) for _ in range(updates)], range(threads)))
    finally:
        sys.setswitchinterval(interval)
    assert shared.parts.elements == 2 * threads * updates
    expected = np.log(updates) + logsumexp(np.arange(threads), b=[1 + threads, 1, 1, 1])
    np.testing.assert_allclose(shared.value, expected, rtol=1e-15)


def test_threads_merge_into_each_other():
    one, other = LogSumExp().update([0.0]), LogSumExp().update([1.0])
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(lambda a, b: [a.merge(b) for _ in range(20)], *pair) for pair in ((one, other), (other, one))
        ]
        for job in jobs:
            job.result(timeout=60)
    assert one.parts.elements > 20
    assert one.merge(one).parts.elements % 2 == 0


def test_the_context_of_decimal_numbers_makes_no_difference(monkeypatch):
    """Neither the context of the thread nor the default one shows in the tables of exponentials."""
    expected = _running._tables()
    signals = list(decimal.Context().traps)
    monkeypatch.setattr(_running, "_made", [])
    for signal in signals:
        monkeypatch.setitem(decimal.DefaultContext.traps, signal, True)
    with decimal.localcontext(decimal.Context(2, decimal.ROUND_UP, Emin=-1, Emax=1, clamp=1, traps=signals)):
        for words, others in zip(expected, _running._tables(), strict=True):
            np.testing.assert_array_equal(words, others)


def test_parts_are_copies():
    """Whoever writes to the parts of a sum does not change it, nor the empty sum."""
    for running in (LogSumExp(), LogSumExp(0).update(np.zeros((3, 2))), LogSumExp(0).update(np.ones((3, 2)), 2.0)):
        before = np.array(running.parts)
        for part in running.parts:
            part[...] = 7
        np.testing.assert_array_equal(running.parts, before)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda running: pickle.loads(pickle.dumps(running))])
def test_copies_go_their_own_ways(copied):
    for running in (LogSumExp(), LogSumExp(1, keepdims=True).update(np.arange(6.0).reshape(2, 3))):
        again = copied(running)
        np.testing.assert_array_equal(again.value, running.value)
        chunk = np.zeros((2, 3))
        np.testing.assert_array_equal(copied(running).update(chunk).value, copied(running).update(chunk).value)
        again.update(chunk)
        assert np.all(again.parts.elements == running.parts.elements + (6 if running.parts.max.ndim == 0 else 3))


FORK = """
import os, signal, threading
from fastlog import LogSumExp

shared, go_on = LogSumExp().update([0.0]), [True]

def keep_adding():
    while go_on:
        shared.update([0.0])

thread = threading.Thread(target=keep_adding)
thread.start()
children = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if shared.update([1.0]).value > 1 else 1)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
go_on.clear()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes by fork here")
def test_a_fork_finds_sums_in_order():
    """A fork finds sums in order even while a thread adds to them.

    The test runs in a process of its own, as libraries with threads forbid forks.
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str([0] * 5)


def test_errors():
    with pytest.raises(TypeError, match="axis"):
        LogSumExp("0")
    with pytest.raises(ValueError, match="duplicate"):
        LogSumExp((0, 0))
    with pytest.raises(TypeError, match="another LogSumExp"):
        LogSumExp().merge(3.0)
    with pytest.raises(TypeError, match=f"not for {np.dtype('g').name}$"):
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
    """For rows of all lengths and layouts, max + log1p(rest) is logsumexp."""
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


def test_repr_shows_the_axes_and_the_value():
    assert repr(LogSumExp()) == "<LogSumExp(axis=None), value np.float64(-inf)>"
    running = LogSumExp(axis=0, keepdims=True).update(np.zeros((1, 2)))
    assert repr(running) == "<LogSumExp(axis=0, keepdims=True), value array([[0., 0.]])>"
