"""Sums with weights and masks, and means: every way through memory against MPFR, and results near 0."""

import itertools

import gmpy2
import numpy as np
import pytest

from fastlog import logmeanexp, logsumexp
from fastlog._core import INDEX, claims, functions, run_over, supported_targets

INF = np.inf
FORMS = ("constant", "of rows", "where", "where and constant", "where of columns", "one vector", "full", "zeros",
         "full and where")  # fmt: skip
LENGTHS = (1, 2, 3, 7, 10, 17, 33, 64, 70, 129, 300)


def arguments(form, shape, dtype, rng):
    """Return weights and a mask of some form; None stands for none."""
    b = (rng.uniform(0.01, 1, shape) * 2.0 ** rng.integers(-8, 8, shape)).astype(dtype)
    some = rng.random(shape) < 0.7
    return {
        "constant": (dtype(0.37), None),
        "of rows": (b[:, :1], None),
        "where": (None, some),
        "where and constant": (dtype(3), some),
        "where of columns": (None, some[0]),
        "one vector": (b[0], None),
        "full": (b, None),
        "zeros": (b * some, None),
        "full and where": (b, some),
    }[form]


def exact_sums(x, b, where, mean):
    """Return logarithms of weighted sums as numbers of MPFR."""
    b = np.broadcast_to(1 if b is None else b, x.shape)
    where = np.broadcast_to(True if where is None else where, x.shape)
    results = []
    with gmpy2.context(precision=300):
        for row, weights, some in zip(x, b, where, strict=True):
            terms = [gmpy2.mpfr(float(w)) * gmpy2.exp(gmpy2.mpfr(float(v)))
                     for v, w in zip(row[some], weights[some], strict=True) if w != 0]  # fmt: skip
            total = gmpy2.fsum(terms) / (int(some.sum()) if mean else 1) if some.any() or not mean else gmpy2.nan()
            results.append(gmpy2.log(total))
    return results


def ulps(y, exact, least):
    """Return the largest error in ulp of max(least, abs(exact))."""
    worst, eps = 0.0, np.finfo(y.dtype).eps
    with gmpy2.context(precision=300):
        for got, wanted in zip(y.tolist(), exact, strict=True):
            if not gmpy2.is_finite(wanted):
                assert got == wanted or (got != got and gmpy2.is_nan(wanted))
                continue
            size = max(least, abs(float(wanted)))
            worst = max(worst, abs(float(gmpy2.mpfr(got) - wanted)) / (eps * 2.0 ** np.floor(np.log2(size))))
    return worst


def layouts(x, b, where):
    """Yield a call's arguments with rows in rows, in columns, and in rows with gaps; and the axis."""
    yield x, b, where, 1
    yield tuple(None if a is None else np.ascontiguousarray(np.broadcast_to(a, x.shape).T)
                if np.ndim(a) == 2 and np.shape(a) == x.shape else np.reshape(a, (-1, 1)) if np.ndim(a) == 1
                else np.transpose(a) for a in (x, b, where)) + (0,)  # fmt: skip
    yield tuple(np.repeat(a, 2, axis=1)[:, ::2] if np.shape(a) == x.shape else a for a in (x, b, where)) + (1,)


def run(target, mean, x, b, where, axis):
    """Return what the loop of a target computes."""
    name = "logmeanexp_weighted" if mean else "logsumexp_weighted"
    weights = np.asarray(1 if b is None else b, x.dtype)
    y, sign = run_over(INDEX[name], (x, weights, np.asarray(True if where is None else where)), (axis,), target=target)
    np.testing.assert_array_equal(sign[np.isfinite(y)], 1)
    return y


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_forms_keep_the_claim_of_plain_sums(target, form, dtype):
    """The error is at most that of logsumexp, in ulp of max(1, abs(y)), in sums and in means."""
    bound = claims()["logsumexp"][np.dtype(dtype).name][0]
    rng = np.random.default_rng(31)
    for n, mean in itertools.product(LENGTHS, (False, True)):
        shape = max(2, min(17, 150 // n)), n
        x = (rng.normal(0, rng.choice([0.3, 3, 30]), shape) + rng.choice([0, 0, -3, 400, -3000])).astype(dtype)
        b, where = arguments(form, shape, dtype, rng)
        exact = exact_sums(x, b, where, mean)
        for a, weights, some, axis in layouts(x, b, where):
            assert ulps(run(target, mean, a, weights, some, axis), exact, 1.0) <= bound


@pytest.mark.parametrize("form", ["plain", "mean", "one vector", "where"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_near_zero_keep_their_digits(target, form, dtype):
    """Sums next to 1 have logarithms right to 2 ulp, down to 1e-15 in float64 and 1e-12 in float32."""
    rng = np.random.default_rng(32)
    least = 1e-12 if dtype == np.float32 else 1e-15
    for n in (2, 10, 33, 400):
        shape = max(6, 40 // n), n
        distance = 10.0 ** -rng.uniform(1, 16, (shape[0], 1)) * rng.choice([-1, 1], (shape[0], 1))
        x = np.log(rng.dirichlet(np.ones(n), shape[0]) + 1e-9)
        b, where = None, None
        if form == "mean":
            x += np.log(n)
        elif form == "one vector":
            b = rng.uniform(0.1, 2, n).astype(dtype)
            x -= np.log(b)
        elif form == "where":
            where = rng.random(n) < 0.8
            where[0] = True
            x[:, ~where] = 1
        total = np.logaddexp.reduce(x[:, slice(None) if where is None else where] + (0 if b is None else np.log(b)), 1)
        x = (x - (total - (np.log(n) if form == "mean" else 0))[:, np.newaxis] + distance).astype(dtype)
        exact = exact_sums(x, b, where, form == "mean")
        far = np.array([abs(float(e)) >= least for e in exact])
        for a, weights, some, axis in layouts(x, b, where):
            if form == "plain":
                y = functions(target)["logsumexp"](a, axis=axis)
            elif form == "mean":
                y = functions(target)["logmeanexp"](a, axis=axis)
            else:
                y = run(target, False, a, weights, some, axis)
            chosen = [e for e, wanted in zip(exact, far, strict=True) if wanted]
            assert ulps(y[far], chosen, 0.0) <= 2.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [3, 40, 200, 3000])
def test_dropped_elements_may_be_anything(target, dtype, n):
    """Neither a weight of 0 nor a mask lets inf or nan through; what they weigh does not matter under a mask."""
    rng = np.random.default_rng(33)
    x = rng.normal(0, 2, (9, n)).astype(dtype)
    some = rng.random((9, n)) < 0.5
    some[:, 1] = True
    some[4] = False
    b = rng.uniform(0.5, 2, (9, n)).astype(dtype)
    wild, wild_b = x.copy(), b.copy()
    wild[~some] = rng.choice([INF, -INF, np.nan, 1e30], (~some).sum())
    wild_b[~some] = rng.choice([INF, -1, np.nan, 1e30], (~some).sum())
    for mean in (False, True):
        by_mask = run(target, mean, x, b, some, 1)
        exact = exact_sums(x, b, some, mean)
        assert ulps(by_mask, exact, 1.0) <= 1
        with np.errstate(all="raise"):
            for a, weights, included, axis in layouts(wild, wild_b, some):
                assert ulps(run(target, mean, a, weights, included, axis), exact, 1.0) <= 1
            if not mean:
                for a, weights, _, axis in layouts(wild, np.where(some, b, dtype(0)), None):
                    assert ulps(run(target, mean, a, weights, None, axis), exact, 1.0) <= 1
    only = exact_sums(x, None, some, False)
    assert ulps(run(target, False, wild, None, some, 1), only, 1.0) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 10, 100, 3000])
def test_the_largest_element_may_weigh_next_to_nothing(target, dtype, n):
    """Sums whose quick terms would overflow, be subnormal, or vanish, are computed in another way."""
    info = np.finfo(dtype)
    powers = [int(np.log2(float(info.smallest_normal))), int(np.log2(float(info.max))) - 1]
    rng = np.random.default_rng(34)
    for weight_of_max, weights in itertools.product((powers[0], -40, 0, 29), ((-5, 5), powers, (powers[0],) * 2)):
        x = rng.normal(0, 3, (5, n)).astype(dtype)
        x[:, n // 2] += rng.choice([30, 80, 600])
        b = (2.0 ** rng.uniform(*weights, (5, n))).astype(dtype)
        b[:, n // 2] = 2.0**weight_of_max
        exact = exact_sums(x, b, None, False)
        for a, of, _, axis in layouts(x, b, None):
            assert ulps(run(target, False, a, of, None, axis), exact, 1.0) <= 1
    x = rng.normal(0, 3, (5, n)).astype(dtype)
    b = (info.smallest_subnormal * rng.integers(1, 1000, (5, n))).astype(dtype)
    assert ulps(run(target, False, x, b, None, 1), exact_sums(x, b, None, False), 1.0) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 10, 70, 1100, 3000])
def test_weights_of_both_signs(target, dtype, n):
    """Rows with negative weights among others without: the digits that cancel are lost, and no others."""
    rng = np.random.default_rng(35)
    x = rng.normal(0, 3, (13, n)).astype(dtype)
    b = rng.uniform(0.5, 1, (13, n)).astype(dtype)
    b[::2] *= rng.choice([-1, 1], (7, n))
    b[4] = -1
    exact = exact_sums(x, np.abs(b), None, False)
    with gmpy2.context(precision=300):
        totals = []
        for row, of in zip(x.tolist(), b.tolist(), strict=True):
            totals.append(gmpy2.fsum([gmpy2.mpfr(w) * gmpy2.exp(gmpy2.mpfr(v)) for v, w in zip(row, of, strict=True)]))
        lost = [float(gmpy2.exp(all_) / abs(total)) for all_, total in zip(exact, totals, strict=True)]
        wanted = np.array([float(gmpy2.log(abs(total))) for total in totals])
    for a, weights, _, axis in layouts(x, b, None):
        arrays = (a, weights, np.ones((), bool))
        y, sign = run_over(INDEX["logsumexp_weighted"], arrays, (axis,), target=target)
        np.testing.assert_array_equal(sign, [1 if total > 0 else -1 for total in totals])
        bound = np.finfo(dtype).eps * np.maximum(1, np.abs(wanted)) + 3e-16 * np.array(lost)
        assert (np.abs(y.astype(np.float64) - wanted) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [3, 10, 70, 1100])
def test_rows_do_not_depend_on_their_neighbours(target, dtype, n):
    """Weights that are negative, extreme or 0, and results near 0, change no bit of other rows."""
    rng = np.random.default_rng(37)
    x, b = rng.normal(3, 2, (40, n)).astype(dtype), rng.uniform(0.5, 1, (40, n)).astype(dtype)
    others = b.copy()
    others[1::6, 0] *= -1
    others[3::6, 1] = np.finfo(dtype).smallest_subnormal
    others[5::6, 2] = 0
    near = x.copy()
    near[1::4] -= logsumexp(x[1::4], 1, b=others[1::4], return_sign=True)[0][:, np.newaxis]
    for (a, of, _, axis), (c, changed, _, _) in zip(layouts(x, b, None), layouts(near, others, None), strict=True):
        arrays = [(a, of, np.ones((), bool)), (c, changed, np.ones((), bool))]
        one, other = (run_over(INDEX["logsumexp_weighted"], y, (axis,), target=target)[0] for y in arrays)
        np.testing.assert_array_equal(one[::2], other[::2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plain_calls_take_a_short_way_to_the_same_bits(dtype):
    """A call gives what the public function gives without its short way, with every combination of arguments."""
    rng = np.random.default_rng(36)
    x = rng.normal(0, 2, (4, 5, 6)).astype(dtype)
    b = rng.normal(size=(4, 5, 6)).astype(dtype)
    weights = (None, 0.25, 2, -1.5, True, 0, np.abs(b), b, b[0], b[:, :1], b.astype("f8"), 1e-60, [1, 2, 3, 4, 5, 6])
    masks = (None, b > 0, b[0, 0] > 0, np.array(False))
    for axis, keepdims in itertools.product((None, 0, 1, -1, (0, 1), (2, 0), ()), (False, True)):
        for of, where in itertools.product(weights, masks):
            for function in (logsumexp, logmeanexp):
                options = {"b": of, "where": where, "keepdims": keepdims}
                for signs in (False, True) if function is logsumexp else (None,):
                    if signs is not None:
                        options["return_sign"] = signs
                    got, expected = function(x, axis, **options), function.__wrapped__(x, axis, **options)
                    for one, other in zip(got, expected, strict=True) if signs else [(got, expected)]:
                        assert type(one) is type(other)
                        assert np.shape(one) == np.shape(other)
                        assert one.dtype == other.dtype
                        np.testing.assert_array_equal(one, other)


EXTREME = [  # elements and weights
    ([1000.0, 1000.0], [1e-200, 1e200]),
    ([3000.0, 0.0], [1e-300, 1e300]),
    ([-1400.0, 1.0, 0.0], [1e305, 2.0, -1e-305]),
    ([0.0, 1420.0, 5.0], [-1e308, 1e-308, 1e308]),
    ([5000.0, 1.0], [0.0, 1e-307]),
    ([-5000.0, 4999.0], [1.0, -1.0]),
]


@pytest.mark.parametrize("dtype", ["g", "D", "G"])
@pytest.mark.parametrize(("x", "b"), EXTREME)
@pytest.mark.parametrize("axis", [0, 1])
def test_extreme_weights_of_longdouble_and_complex_numbers(x, b, axis, dtype):
    """Results are those of float64, and those of large equal elements, whose exponentials overflow."""
    size, sign = logsumexp(x, b=b, return_sign=True)
    a, weights = np.array([x, x], dtype), np.array([b, np.negative(b)], dtype)
    got = logsumexp(a if axis else np.asfortranarray(a.T), axis, weights if axis else weights.T, return_sign=True)
    np.testing.assert_allclose(got[0], [size, size], rtol=1e-13)
    np.testing.assert_allclose(got[1], [sign, -sign], rtol=1e-13, atol=1e-12)
    mean = logmeanexp(a[0], b=np.multiply(sign, weights[0]))
    np.testing.assert_allclose(mean, size - np.log(len(x)), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["g", "D", "G"])
@pytest.mark.parametrize("b", [[1e200, -1e200], [1e-200, -1e-200], [1, 2, -3]])
def test_large_elements_cancel(b, dtype):
    for value in (20_000, -20_000):
        size, sign = logsumexp(np.full(len(b), value, dtype), b=b, return_sign=True)
        assert (size, sign) == (-INF, 0)
    assert logsumexp(np.array([1000, INF], dtype), b=[-1, 1]).real == INF


def test_bools_as_weights_say_which_elements_count():
    x = np.array([[1.0, INF], [np.nan, 2.0]])
    keep = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(logsumexp(x, 1, b=keep), [1, 2])
    np.testing.assert_array_equal(logsumexp(x, 1, b=keep, where=np.array([True, False])), [1, -INF])
    np.testing.assert_array_equal(logsumexp(x[:, 0], 1, b=keep[:, :1].repeat(2, 1)[:1]), [logsumexp(x[:, 0])])
    assert logsumexp([1.0, 2.0], b=False) == -INF
    assert logmeanexp([0.0, 7.0], b=[True, False]) == -np.log(2)


def test_targets_agree_on_means_of_long_rows():
    """A float has no room for the number of elements of a long row."""
    n = 2**24 + 3
    x = np.zeros(n, np.float32)
    for target in supported_targets():
        assert abs(functions(target)["logmeanexp"](x)) <= 2.0**-40
