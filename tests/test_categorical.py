"""Entropies, importance weights and samples of categorical distributions that are given by logits."""

import itertools
from fractions import Fraction
from functools import cache

import mpmath
import numpy as np
import pytest
from scipy import stats

import fastlog
from fastlog import _core, categorical_entropy, importance_weights, log_softmax, logsumexp, sample_categorical

DTYPES = [np.float64, np.float32]
INF, NAN = np.inf, np.nan

# ---- log_softmax with logsumexp ----


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g"])
@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), (1, 2), None, ()])
def test_log_softmax_returns_what_it_subtracts(axis, dtype):
    x = np.random.default_rng(0).normal(0, 4, (5, 40, 30)).astype(dtype)
    for options in ({}, {"where": x > -1}, {"temperature": 2.0}):
        y, lse = log_softmax(x, axis, return_lse=True, **options)
        np.testing.assert_array_equal(y, log_softmax(x, axis, **options))
        assert y.dtype == lse.dtype == x.dtype
        counted = np.where(options.get("where", True), x, x.dtype.type(-INF))
        expected = logsumexp(counted / x.dtype.type(options.get("temperature", 1)), axis)
        np.testing.assert_array_equal(lse, expected)


def test_log_softmax_and_logsumexp_in_place():
    x = np.random.default_rng(0).normal(0, 4, (50, 40))
    expected, lse = log_softmax(x, 1), logsumexp(x, 1)
    y, found = log_softmax(x, 1, out=x, return_lse=True)
    assert y is x
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(found, lse)


def test_masked_log_softmax_returns_a_masked_sum():
    x = np.ma.array([[0.0, 5.0, 0.0], [1.0, 1.0, 1.0]], mask=[[0, 1, 0], [1, 1, 1]])
    y, lse = log_softmax(x, 1, return_lse=True)
    assert lse[0] == pytest.approx(np.log(2))
    assert lse.mask.tolist() == [False, True]
    assert y.mask.tolist() == x.mask.tolist()


# ---- entropy ----


def by_gaps(row):
    """Return the entropy of a distribution as a number of mpmath, from terms that are not negative."""
    with mpmath.workprec(160):
        gaps = sorted(mpmath.mpf(float(max(row))) - mpmath.mpf(float(v)) for v in row if v > -INF)[1:]
        terms = [mpmath.exp(-d) for d in gaps]
        rest = mpmath.fsum(terms)
        return mpmath.log1p(rest) + mpmath.fsum(d * t for d, t in zip(gaps, terms, strict=True)) / (1 + rest)


def test_the_reference_is_the_entropy():
    """The definition agrees, at a precision at which no digit is lost."""
    for row in ([0.0, -1.0, 2.0, 2.0], [3.0, -300.0, -400.0], [1e-3, -80.0]):
        with mpmath.workprec(1500):
            terms = [mpmath.exp(mpmath.mpf(v)) for v in row]
            p = [t / mpmath.fsum(terms) for t in terms]
            entropy = -mpmath.fsum(v * mpmath.log(v) for v in p)
            assert abs(by_gaps(row) / entropy - 1) < 1e-40


ROWS = {
    "usual": lambda rng: rng.normal(0, 3, (40, 10)),
    "long": lambda rng: rng.normal(0, 4, (2, 1500)),
    "pairs": lambda rng: rng.normal(0, 30, (60, 2)),
    "dominated": lambda rng: np.where(np.arange(40) == 7, 3.0, rng.uniform(-70, -30, (20, 40))),
    "far": lambda rng: rng.normal(0, 30, (20, 20)) + 4e4,
    "ascending": lambda rng: np.sort(rng.uniform(-80, 10, (2, 1100))),
    "sparse": lambda rng: np.where(rng.random((20, 70)) < 0.8, -INF, rng.normal(0, 9, (20, 70))),
}


@cache
def rows_and_entropies(kind, dtype):
    """Return rows, and their entropies as numbers of mpmath."""
    x = ROWS[kind](np.random.default_rng(1)).astype(dtype)
    return x, [by_gaps(row) for row in x]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ROWS)
def test_entropy_keeps_its_digits(kind, dtype, target):
    x, expected = rows_and_entropies(kind, dtype)
    for rows in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        got = _core.run_over(_core.INDEX["categorical_entropy"], (rows,), (1,), target=target)[0]
        found = 0
        for y, exact in zip(got, expected, strict=True):
            if exact > 2 * mpmath.mpf(float(np.finfo(dtype).smallest_normal)):
                ulp = np.spacing(dtype(float(exact)))
                assert abs(mpmath.mpf(float(y)) - exact) <= 3 * mpmath.mpf(float(ulp))
                found += 1
        assert found > len(x) // 2


@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 100, 5000])
def test_entropy_of_equal_elements(n):
    for value in (0.0, -700.5, 1e5):
        np.testing.assert_allclose(categorical_entropy(np.full((3, n), value), 1), np.log(n), rtol=1e-15)


def test_entropy_does_not_depend_on_shifts_and_blocks():
    rng = np.random.default_rng(2)
    x = rng.normal(0, 30, 10_000)
    expected = categorical_entropy(x)
    for shift in (-64.0, 1024.0, 2.0**17):
        np.testing.assert_allclose(categorical_entropy(np.round(x, 0) + shift), categorical_entropy(np.round(x, 0)),
                                   rtol=1e-14)  # fmt: skip
    for order in (np.sort(x), np.sort(x)[::-1], rng.permutation(x)):
        np.testing.assert_allclose(categorical_entropy(order), expected, rtol=1e-13)
    with np.errstate(all="raise"):
        p = fastlog.softmax(x)
        np.testing.assert_allclose(fastlog.entr(p).sum(), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["f2", *DTYPES])
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), -1])
def test_entropy_of_special_rows(axis, dtype):
    with np.errstate(all="raise"):
        x = np.zeros((7, 40), dtype)
        x[1, 3], x[2, 3], x[3], x[4, 1:], x[5, :3] = INF, NAN, -INF, -INF, -INF
        got = categorical_entropy(x, 1)
        assert got.dtype == x.dtype
        np.testing.assert_allclose(got, [np.log(40), NAN, NAN, NAN, 0, np.log(37), np.log(40)], rtol=1e-3)
        np.testing.assert_array_equal(categorical_entropy(np.asfortranarray(x), 1), got)
        np.testing.assert_array_equal(categorical_entropy(x.T, 0), got)
        assert np.isnan(categorical_entropy(np.empty((3, 0), dtype), 1)).all()
        assert categorical_entropy(x, axis, keepdims=True).ndim == 2


def test_entropy_of_other_arguments():
    assert categorical_entropy([0, 0]) == pytest.approx(np.log(2))
    assert categorical_entropy(np.array([True, True])).dtype == np.float64
    assert categorical_entropy(5.0) == 0
    x = np.ma.array([[0.0, 5.0, 0.0], [1.0, 1.0, 1.0]], mask=[[0, 1, 0], [1, 1, 1]])
    y = categorical_entropy(x, 1)
    assert y[0] == pytest.approx(np.log(2))
    assert y.mask.tolist() == [False, True]
    with pytest.raises(TypeError, match="complex"):
        categorical_entropy([1j])
    with pytest.raises(np.exceptions.AxisError):
        categorical_entropy([1.0], 1)
    with pytest.raises(TypeError, match="axis"):
        categorical_entropy([1.0], "rows")


@pytest.mark.parametrize("shape", [(3, 70_001), (2501, 70), (151, 1000), (9000, 20)])
def test_threads_change_no_bit_of_entropies(shape):
    x = np.random.default_rng(3).normal(0, 30, shape)
    x[x > 60] = -INF
    for rows in (x, np.asfortranarray(x)):
        found = set()
        for n in (1, 2, 3, 8):
            with fastlog.num_threads(n):
                found.add(categorical_entropy(rows, 1).tobytes())
        assert len(found) == 1


def test_derivative_of_the_entropy():
    """-p (log p + H), by differences."""
    x = np.random.default_rng(4).normal(0, 2, 9)
    p, h = fastlog.softmax(x), categorical_entropy(x)
    steps = 1e-6 * np.eye(9)
    differences = (categorical_entropy(x + steps, 1) - categorical_entropy(x - steps, 1)) / 2e-6
    np.testing.assert_allclose(differences, -p * (np.log(p) + h), rtol=1e-6, atol=1e-9)


# ---- importance weights ----


@pytest.mark.parametrize("dtype", ["f2", *DTYPES])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_importance_weights(axis, dtype):
    log_w = (np.random.default_rng(5).normal(0, 3, (30, 50)) - 100).astype(dtype)
    got = importance_weights(log_w, axis)
    assert got._fields == ("weights", "log_mean", "ess")
    with mpmath.workprec(200):
        for k, row in enumerate(np.moveaxis(log_w, axis, -1)[:4]):
            w = [mpmath.exp(mpmath.mpf(float(v))) for v in row]
            total, squares = mpmath.fsum(w), mpmath.fsum(v * v for v in w)
            eps = float(np.finfo(dtype).eps)
            weights = np.moveaxis(got.weights, axis, -1)[k]
            np.testing.assert_allclose(weights, [float(v / total) for v in w], rtol=3 * eps, atol=6e-8)
            np.testing.assert_allclose(got.log_mean[k], float(mpmath.log(total / len(w))), rtol=2 * eps)
            np.testing.assert_allclose(
                got.ess[k], float(total * total / squares), rtol=30 * eps if dtype != "f2" else 0.01
            )
    assert got.weights.dtype == got.log_mean.dtype == got.ess.dtype == log_w.dtype


def test_importance_weights_do_not_overflow():
    for shift in (-1e300, -800.0, 800.0, 1e300):
        weights, log_mean, ess = importance_weights(np.array([shift, shift, -INF, -INF]))
        assert weights.tolist() == [0.5, 0.5, 0, 0]
        assert log_mean == pytest.approx(shift - np.log(2))
        assert ess == 2
    n = 1_000_003
    assert importance_weights(np.zeros(n)).ess == pytest.approx(n, rel=1e-13)
    assert importance_weights(np.zeros(n, "f4")).ess == pytest.approx(n, rel=8 * 2.0**-23)


@pytest.mark.parametrize("dtype", ["f2", "bfloat16", "f4", "f8"])
@pytest.mark.parametrize("n", [3, 256, 500, 30_000])
def test_the_effective_size_of_equal_weights(n, dtype):
    """It is their number, in every layout, even where squares of weights underflow in the dtype."""
    dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)
    log_w = np.full((n, 2), 0.5, dtype)
    for found in (importance_weights(log_w, 0), importance_weights(log_w.T.copy()), importance_weights(log_w[:, 0])):
        assert found.ess.dtype == dtype
        narrow = dtype.itemsize == 2
        ulp = np.spacing(np.array(n, dtype)).astype(float)
        assert np.all(abs(found.ess.astype(float) - n) <= (0.5 if narrow else 30) * ulp)
    np.testing.assert_array_equal(found.weights, fastlog.softmax(log_w[:, 0]))


def test_special_importance_weights():
    weights, log_mean, ess = importance_weights([[-INF, -INF], [NAN, 0.0], [INF, 0.0]])
    assert np.isnan(weights).all()
    assert np.isnan(ess).all()
    np.testing.assert_array_equal(log_mean, [-INF, NAN, INF])
    empty = importance_weights(np.empty((2, 0)))
    assert empty.weights.shape == (2, 0)
    assert np.isnan(empty.log_mean).all()
    for wrong, error in ((5.0, ValueError), ([1j], TypeError), (np.ma.array([1.0, 2.0], mask=[0, 1]), TypeError)):
        with pytest.raises(error, match="importance_weights"):
            importance_weights(wrong)


# ---- samples ----


@pytest.mark.parametrize("dtype", ["f2", *DTYPES])
@pytest.mark.parametrize("n", [2, 7, 255, 256, 257, 1000])
def test_frequencies_of_samples(n, dtype):
    logits = np.random.default_rng(6).normal(0, 1, n).astype(dtype)
    logits[n // 2] = -INF
    draws = 40_000
    for temperature in (1.0, 2.5):
        drawn = sample_categorical(np.broadcast_to(logits, (draws, n)), 12, temperature=temperature)
        assert drawn.shape == (draws,)
        assert drawn.dtype.kind == "i"
        counts = np.bincount(drawn, minlength=n)
        assert counts[n // 2] == 0
        p = np.exp(logits.astype(float) / temperature)
        p /= p.sum()
        counts, p = np.delete(counts, n // 2), np.delete(p, n // 2)
        order = np.argsort(p)
        merged = np.add.reduceat([counts[order], draws * p[order]], np.arange(0, n - 1, max(1, n // 40)), axis=1)
        if merged.shape[1] > 1:
            assert stats.chisquare(*merged).pvalue > 1e-3


def test_one_random_number_per_sample():
    logits = np.random.default_rng(7).normal(0, 2, (40, 30, 500))
    one, other = np.random.default_rng(8), np.random.default_rng(8)
    drawn = sample_categorical(logits, one, axis=1)
    u = other.random((40, 500))
    assert one.random() == other.random()
    upto = np.cumsum(fastlog.softmax(logits, 1), axis=1)
    expected = np.argmax(upto > (u * upto[:, -1])[:, None], axis=1)
    np.testing.assert_array_equal(drawn, expected)
    assert sample_categorical(logits[0, 0], 3).shape == ()


@pytest.mark.parametrize("dtype", ["f2", *DTYPES])
@pytest.mark.parametrize("wrong", [INF, NAN, -INF])
def test_a_generator_does_not_advance_where_a_row_is_refused(wrong, dtype):
    logits = np.zeros((300, 4), dtype)
    logits[slice(None) if wrong == -INF else 7, 1] = wrong
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    for x, axis in ((logits, 0), (np.ascontiguousarray(logits.T), -1)):  # the general way, and the short one
        with pytest.raises(ValueError, match=r"the row \(1,\) has no finite logit"):
            sample_categorical(x, rng, axis)
    assert rng.bit_generator.state == before


def test_extreme_logits():
    rows = np.array([[0.0, 1000.0, -1000.0], [-1e300, -1e300, -INF], [-INF, -INF, -745.0], [1e300, 0.0, 0.0]])
    drawn = sample_categorical(np.tile(rows, (500, 1)), 1).reshape(500, 4)
    assert set(drawn[:, 0]) == {1}
    assert set(drawn[:, 1]) == {0, 1}
    assert set(drawn[:, 2]) == {2}
    assert set(drawn[:, 3]) == {0}


@pytest.mark.parametrize("n", [3, 256, 300, 1024])
def test_the_ends_of_the_unit_interval(n, monkeypatch):
    """Neither the smallest nor the largest random number draws a class of probability 0."""
    logits = np.random.default_rng(9).normal(0, 9, (2000, n))
    logits[:, 0], logits[:, -1] = -INF, -INF
    for u in (0.0, 1 - 2.0**-53, 0.5):
        generator = np.random.default_rng(0)

        class Fixed:
            random = staticmethod(lambda shape, u=u: np.full(shape, u))

        monkeypatch.setattr(np.random, "default_rng", lambda rng, fixed=Fixed: fixed)
        drawn = sample_categorical(logits, generator)
        monkeypatch.undo()
        assert (np.take_along_axis(logits, drawn[:, None], 1) > -INF).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_tail_is_lost(dtype):
    """A million classes that a running sum in the dtype would lose beside the first one have a fifth of the draws."""
    n = 1_000_000
    logits = np.full(n, np.log(0.25 / n), dtype)
    logits[0] = 0
    rng = np.random.default_rng(10)
    drawn = np.array([sample_categorical(logits, rng) for _ in range(400)])
    tail = drawn[drawn > 0]
    assert stats.binomtest(len(tail), 400, 0.2).pvalue > 1e-3
    assert stats.kstest(tail / n, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
def test_short_draws_agree_with_the_general_ones(dtype):
    """Plain rows and a generator go straight to the loop; other layouts and axes do not."""
    rng = np.random.default_rng
    for shape in ((7,), (1, 10), (40, 3), (4, 5, 70)):
        x = rng(1).normal(0, 3, shape).astype(dtype)
        for options in ({}, {"temperature": 0.5}):
            drawn = sample_categorical(x, rng(2), **options)
            assert np.shape(drawn) == shape[:-1]
            np.testing.assert_array_equal(drawn, sample_categorical(x, rng(2), np.int64(-1), **options))
            np.testing.assert_array_equal(drawn, sample_categorical(np.moveaxis(x, -1, 0), rng(2), 0, **options))
    with pytest.raises(ValueError, match=r"the row \(1,\) has no finite logit"):
        sample_categorical(np.array([[0, 1], [-INF, -INF]], dtype), rng(0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 9, 64, 65, 128, 500])
def test_draws_are_where_the_running_sum_is_above(n, dtype, target):
    """In every layout, the index is that of exact sums, unless u is next to one of these."""
    rng = np.random.default_rng(n)
    p = rng.random((40, n)).astype(dtype) * (rng.random((40, n)) < 0.7)
    p[0], p[1] = 0, 1
    u = rng.random(40)
    draw = _core.functions(target)["categorical_draw"]
    drawn = draw(p, u)
    for row in range(40):
        upto = list(itertools.accumulate(map(Fraction, p[row].tolist())))
        above = [k for k, sum_ in enumerate(upto) if sum_ > Fraction(u[row]) * upto[-1]]
        assert drawn[row] == (above[0] if above else -1)
    np.testing.assert_array_equal(draw(np.asfortranarray(p), u), drawn)
    np.testing.assert_array_equal(draw(np.repeat(p, 2, axis=1)[:, ::2], u), drawn)
    np.testing.assert_array_equal(draw(p.T, u, axis=0), drawn)
    last = np.nextafter(1, 0)
    assert np.all(p[np.arange(2, 40), draw(p[2:], last)] > 0) or n == 1


@pytest.mark.parametrize("row", [[-INF, -INF], [NAN, 0.0], [INF, 0.0]])
def test_nothing_to_draw(row):
    with pytest.raises(ValueError, match=r"the row \(1,\) has no finite logit"):
        sample_categorical([[0.0, 1.0], row], 0)
    with pytest.raises(ValueError, match="the array has no finite logit"):
        sample_categorical(row, 0)


def test_wrong_arguments_of_samples():
    with pytest.raises(ValueError, match="nothing to draw"):
        sample_categorical(np.empty((3, 0)), 0)
    assert sample_categorical(np.empty((0, 3)), 0).shape == (0,)
    with pytest.raises(ValueError, match="sample_categorical: temperature"):
        sample_categorical([0.0, 1.0], 0, temperature=0)
    with pytest.raises(ValueError, match="axis"):
        sample_categorical(1.0, 0)
    with pytest.raises(TypeError, match="masked"):
        sample_categorical(np.ma.array([1.0, 2.0], mask=[0, 1]), 0)
    with pytest.raises(np.exceptions.AxisError):
        sample_categorical([0.0, 1.0], 0, axis=1)


@pytest.mark.parametrize("axis", [0, 1])
def test_importance_weights_of_nothing(axis):
    weights, log_mean, ess = importance_weights(np.empty((0, 3)), axis)
    assert weights.shape == (0, 3)
    for y in (log_mean, ess):
        assert y.shape == ((3,) if axis == 0 else (0,))
        assert np.isnan(y).all()
