"""Weights of rows and temperatures of cross-entropy: against 400 bits, mpmath's derivatives, and calls without them."""

import mpmath
import numpy as np
import pytest
from helpers.reference import distance, exact_exp, exact_log1p, exact_numbers, in_two_words

from fastlog import cross_entropy, log_softmax
from fastlog._core import INDEX, run_loss, supported_targets

ROWS = INDEX["cross_entropy"]
DTYPES = ["f4", "f8"]
SHAPES = [(37, 1), (50, 2), (40, 10), (19, 33), (5, 1000), (3, 3000)]
EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}
INF, NAN = np.inf, np.nan
rng = np.random.default_rng(21)


def layouts(x):
    return x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]


def same_but_for_rounding(got, expected, dtype):
    """Compare results of different ways of summing, by the size of the largest: gradients are differences."""
    assert np.isfinite(expected).all()
    size = float(np.max(np.abs(expected), initial=0))
    atol = 16 * EPS[np.dtype(dtype).name] * size + (2.0**-24 if dtype == "e" else 0)  # the latter is float16's smallest
    np.testing.assert_allclose(np.asarray(got, np.float64), np.asarray(expected, np.float64), rtol=0, atol=atol)


def targets_of(shape, dtype):
    """Return by name the targets of rows, and options of `run_loss`."""
    rows, classes = shape
    labels = rng.integers(0, classes, rows)
    labels[::5] = -100
    soft, weight = rng.dirichlet(np.ones(classes), rows).astype(dtype), rng.random(classes)
    return {
        "labels": (labels, {"ignored": -100}),
        "class weights": (labels, {"ignored": -100, "class_weight": weight}),
        "smoothed": (labels, {"ignored": -100, "smoothing": 0.125}),
        "probabilities": (soft, {"probabilities": True}),
        "weighted probabilities": (soft, {"probabilities": True, "class_weight": weight, "smoothing": 0.125}),
    }


def results_of(x, z, weights, target, mean=False, **options):
    """Return losses, their sum or mean, gradients, Hessians and slopes."""
    each, (g, h), slopes = np.empty(len(x), x.dtype), (np.empty_like(x), np.empty_like(x)), np.empty(len(x))
    total = run_loss(ROWS, (x, z, weights, None, g, h, slopes), 1, mean=mean, target=target, **options)[0]
    alone = run_loss(ROWS, (x, z, weights, None, None, None, None), 1, mean=mean, target=target, **options)[0]
    assert total == alone or np.isnan(total) == np.isnan(alone)
    run_loss(ROWS, (x, z, weights, each, None, None, None), 1, target=target, **options)
    only_g = np.empty_like(x)
    run_loss(ROWS, (x, z, weights, None, only_g, None, None), 1, mean=mean, target=target, **options)
    return each, np.float64(total), g, h, slopes, only_g


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_powers_of_two_change_no_digit(target, dtype, shape):
    """Rows weigh powers of two, or 0; each result is that without weights, times the weight, to the last bit."""
    x = rng.normal(0, 5, shape).astype(dtype)
    x[0, :1] = INF
    w = rng.choice([0, 1, 0.5, 4, 2.0**-20, 2.0**20], shape[0])
    w[:2] = 2, 0
    for name, (z, options) in targets_of(shape, dtype).items():
        for a in layouts(x):
            plain = results_of(a, z, None, target, **options)
            got, opposite = results_of(a, z, w, target, **options), results_of(a, z, -w, target, **options)
            for k, one in enumerate(got):
                if k != 1:
                    factor = w if one.ndim == 1 else w[:, np.newaxis]
                    expected = np.where(factor == 0, 0, plain[k] * factor).astype(one.dtype)
                    np.testing.assert_array_equal(one, expected, f"{name}, result {k}")
                    if k < 5:  # Where labels alone have a gradient, a negative one takes another way.
                        np.testing.assert_array_equal(opposite[k], -expected, f"{name}, result {k}")
            size = 8 * np.spacing(w[:, np.newaxis].astype(dtype))
            assert (abs(opposite[5] + got[5]) <= size).all()


def exact_results(x, a, w, temperature):
    """Return losses, gradients, Hessians, slopes and the sizes of their terms, in 400 bits; a row has weights a_c."""
    top = x.max(axis=1, keepdims=True)
    e = exact_exp(x - top)
    at_top = np.zeros(x.shape, bool)
    at_top[np.arange(len(x)), x.argmax(axis=1)] = True
    rest = np.where(at_top, 0, e).sum(axis=1, keepdims=True)
    others, p, whole = np.where(at_top, rest, 1 + rest - e) / (1 + rest), e / (1 + rest), a.sum(axis=1, keepdims=True)
    loss = w * ((a * (top - x)).sum(axis=1) + whole[:, 0] * exact_log1p(rest[:, 0]))
    scale = w[:, np.newaxis] / temperature
    slope = scale[:, 0] * ((a * x).sum(axis=1) - whole[:, 0] * (p * x).sum(axis=1))
    sizes = scale * (whole * p + a), abs(scale[:, 0]) * ((whole * p + a) * (top - x)).sum(axis=1)
    return loss, scale * (whole * p - a), scale * whole * p * others / temperature, slope, *sizes


@pytest.mark.slow
@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("temperature", [1.0, 0.75, 31.0])
def test_results_against_400_bits(target, dtype, shape, temperature):
    x = rng.normal(100, 4, shape).astype(dtype)
    w = rng.uniform(0.1, 3, shape[0]).astype("f4").astype("f8")
    u = exact_numbers(x / x.dtype.type(temperature))
    for name, (z, options) in targets_of(shape, dtype).items():
        a = np.eye(shape[1])[np.maximum(z, 0)] * (z >= 0)[:, None] if z.ndim == 1 else z
        counts = (a.sum(axis=1, keepdims=True) > 0).astype(float)
        a, eps = exact_numbers(a), options.get("smoothing", 0)
        a = a * (1 - eps) + counts * exact_numbers(eps) / shape[1]
        if "class_weight" in options:
            a = a * exact_numbers(options["class_weight"].astype(dtype))
        loss, gradient, hessian, slope, *sizes = map(in_two_words, exact_results(u, a, exact_numbers(w), temperature))
        total = in_two_words(exact_results(u, a, exact_numbers(w), temperature)[0].sum())
        for logits in layouts(x):
            got = results_of(logits, z, w, target, temperature=temperature, **options)
            ulps = {
                "losses": distance(got[0], loss, loss[0]),
                "sum": distance(x.dtype.type(got[1]), total, total[0]),
                "gradient": distance(got[2], gradient, sizes[0][0]),
                "gradient alone": distance(got[5], gradient, sizes[0][0]),
                "Hessian": distance(got[3], hessian, hessian[0]),
                "slope": distance(got[4].astype(dtype), slope, sizes[1][0]),
            }
            bounds = {"losses": 4.5, "sum": 2, "gradient": 6, "gradient alone": 6, "Hessian": 9, "slope": 6}
            assert {k: v for k, v in ulps.items() if v > bounds[k]} == {}, name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("classes", [3, 40, 700])
def test_rows_of_weight_0_do_not_count(dtype, reduction, classes):
    """Whatever the numbers of such rows are, the results are those of the other rows; their own are 0."""
    x = rng.normal(0, 3, (50, classes)).astype(dtype)
    p = rng.dirichlet(np.ones(classes), 50).astype(dtype)
    labels = rng.integers(0, classes, 50)
    w = rng.uniform(0.5, 2, 50)
    w[::4] = 0
    counts = w != 0
    for value in (NAN, INF, -INF):
        x[::4], p[::4] = value, value
        for targets in (labels, p):
            for options in ({}, {"label_smoothing": 0.1}, {"weight": np.arange(classes) + 1.0}, {"temperature": 2.0}):
                options = {"reduction": reduction, "return_hess": True, **options}
                for a in layouts(x):
                    got = cross_entropy(a, targets, sample_weight=w, **options)
                    rest = cross_entropy(x[counts], targets[counts], sample_weight=w[counts], **options)
                    for one, other in zip(got, rest, strict=True):
                        if np.ndim(one):
                            assert (one[~counts] == 0).all()
                            one = one[counts]
                        same_but_for_rounding(one, other, dtype)
    assert np.isnan(cross_entropy(x, labels, sample_weight=np.zeros(50)))
    assert not cross_entropy(x, labels, sample_weight=np.zeros(50), return_grad=True)[1].any()


def test_weights_that_are_nan_or_negative():
    """They act as the weights of classes do; labels that do not count drop out whatever their rows weigh."""
    x, labels = rng.normal(size=(4, 3)), np.array([0, -100, 2, 1])
    plain = cross_entropy(x, labels, reduction="none")
    for value in (NAN, INF, -INF):
        loss, g, h = cross_entropy(x, labels, reduction="none", sample_weight=[1, value, 2, -1], return_hess=True)
        np.testing.assert_array_equal(loss, plain * [1, 0, 2, -1])
        assert not g[1].any()
        assert not h[1].any()
        mean = cross_entropy(x, labels, sample_weight=[1, value, 2, -1], return_grad=True)
        np.testing.assert_allclose(mean[0], (plain * [1, 0, 2, -1]).sum() / 2)
        assert np.isfinite(mean[1]).all()
        excluded = cross_entropy(x, labels, [1, 1, 0], sample_weight=[1, 1, value, 1], return_grad=True)
        assert np.isfinite(excluded[1]).all()
    for options in ({}, {"label_smoothing": 0.5}):
        loss, g = cross_entropy(x, labels, sample_weight=[1, 1, NAN, 1], reduction="none", return_grad=True, **options)
        assert np.isnan(loss).tolist() == np.isnan(g).all(axis=1).tolist() == [False, False, True, False]
        assert np.isnan(cross_entropy(x, labels, sample_weight=[1, 1, NAN, 1], **options))


@pytest.mark.parametrize("dtype", DTYPES)
def test_means_do_not_depend_on_the_unit_of_weights(dtype):
    x, labels, w = rng.normal(size=(40, 5)).astype(dtype), rng.integers(0, 5, 40), rng.uniform(1, 2, 40)
    for targets in (labels, rng.dirichlet(np.ones(5), 40).astype(dtype)):
        expected = cross_entropy(x, targets, sample_weight=w, return_hess=True)
        for unit in (2.0**-1000, 2.0**-30, 2.0**30, 2.0**1000):
            got = cross_entropy(x, targets, sample_weight=w * unit, return_hess=True)
            for one, other in zip(got, expected, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_weights_broadcast_along_any_axis(axis):
    x = rng.normal(size=(4, 5, 6))
    rows = x.shape[:axis] + x.shape[axis + 1 :]
    labels, full = rng.integers(0, x.shape[axis], rows), rng.uniform(0, 2, rows)
    plain, g = cross_entropy(x, labels, axis=axis, reduction="none", return_grad=True)
    for w in (3, 0.5, full, full[0], full[:, :1], full.astype("f2"), full > 1, full.tolist()):
        spread = np.broadcast_to(np.asarray(w, float), rows)
        got = cross_entropy(x, labels, axis=axis, reduction="none", sample_weight=w, return_grad=True)
        np.testing.assert_allclose(got[0], plain * spread, rtol=1e-15)
        np.testing.assert_allclose(got[1], g * np.expand_dims(spread, axis), rtol=4e-15)
        mean = cross_entropy(x, labels, axis=axis, sample_weight=w)
        np.testing.assert_allclose(mean, (plain * spread).sum() / spread.sum(), rtol=1e-14)
    for wrong in (full[..., np.newaxis], full[:, :2], np.ones(7)):
        with pytest.raises(ValueError, match="sample_weight has the shape"):
            cross_entropy(x, labels, axis=axis, sample_weight=wrong)
    with pytest.raises(TypeError, match="masked"):
        cross_entropy(x, labels, axis=axis, sample_weight=np.ma.array(full, mask=full > 1))
    with pytest.raises(TypeError, match="real numbers"):
        cross_entropy(x, labels, axis=axis, sample_weight=full * 1j)


@pytest.mark.parametrize("char", ["e", "E", "f", "d"])
@pytest.mark.parametrize("shape", [(1, 5), (3000, 3), (300, 40), (30, 600), (3, 20000), (4, 3, 50)])
def test_a_temperature_has_the_bits_of_quotients(char, shape):
    dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if char == "E" else char)
    x = rng.normal(0, 8, shape).astype(dtype)
    for axis in range(len(shape)):
        rows = shape[:axis] + shape[axis + 1 :]
        labels = rng.integers(0, shape[axis], rows)
        p, w = (rng.random(shape) / shape[axis]).astype(dtype), rng.random(rows)
        for t in (1.0, 0.5, 3.0):
            quotients = (
                (x.astype("f4") / np.float32(dtype.type(t))).astype(dtype) if char in "eE" else x / dtype.type(t)
            )
            for targets in (labels, p):
                for reduction in ("mean", "none"):
                    options = {"axis": axis, "reduction": reduction, "sample_weight": w}
                    expected, g, h = cross_entropy(quotients, targets, return_hess=True, **options)
                    alone = cross_entropy(x, targets, temperature=t, **options)
                    np.testing.assert_array_equal(alone, cross_entropy(quotients, targets, **options))
                    loss, grad, hess, slope = cross_entropy(x, targets, temperature=t, return_hess=True, **options)
                    np.testing.assert_array_equal(loss, expected)
                    assert grad.dtype == hess.dtype == slope.dtype == dtype
                    assert slope.shape == (rows if reduction == "none" else ())
                    pair = cross_entropy(x, targets, temperature=t, return_grad=True, **options)
                    same_but_for_rounding(pair[1], grad, dtype)
                    same_but_for_rounding(pair[2], slope, dtype)
                    same_but_for_rounding(grad, g.astype("f8") / t, dtype)
                    same_but_for_rounding(hess, h.astype("f8") / t**2, dtype)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_slopes_are_derivatives_by_the_temperature(reduction):
    """mpmath differentiates the weighted loss by the temperature."""
    x, labels = rng.normal(3, 2, (4, 3)), np.array([2, 0, -100, 1])
    w, v, t = np.array([1, 2.5, 3, 0.5]), np.array([0.5, 1, 2]), 0.625

    def loss(temperature):
        total = size = mpmath.mpf(0)
        for row, label, weight in zip(x, labels, w, strict=True):
            if label >= 0:
                log_z = mpmath.log(sum(mpmath.exp(one / temperature) for one in row))
                total += weight * v[label] * (log_z - row[label] / temperature)
                size += weight * v[label]
        return total / size if reduction == "mean" else total

    with mpmath.workdps(50):
        value, derivative = loss(mpmath.mpf(t)), mpmath.diff(loss, t)
    options = {"reduction": reduction, "sample_weight": w, "temperature": t}
    got = cross_entropy(x, labels, v, return_grad=True, **options)
    assert got[0] == pytest.approx(float(value), rel=1e-15)
    assert got[2] == pytest.approx(float(derivative), rel=1e-14)
    assert got[2] == cross_entropy(x, labels, v, return_hess=True, **options)[3]
    assert cross_entropy(x, labels, v, **options) == got[0]


def test_slopes_keep_their_digits():
    """Where logits lie close together, far from 0, and where the label has nearly all of the probability."""
    x = 1e6 + np.array([[0.0, 2.0**-20, 2.0**-18]])
    with mpmath.workdps(60):
        p = [mpmath.exp(mpmath.mpf(one) / 2) for one in x[0]]
        exact = (x[0, 2] - sum(q * one for q, one in zip(p, x[0], strict=True)) / sum(p)) / 4
    assert cross_entropy(x, [2], temperature=2.0, return_grad=True)[2] == pytest.approx(float(exact), rel=1e-14)
    got = cross_entropy([[80.0, 0.0]], [0], temperature=2.0, return_grad=True)[2]
    assert got == pytest.approx(20 * np.exp(-40.0), rel=1e-14)


def test_limits_of_slopes():
    for classes in (3, 100):
        x = np.zeros((4, classes))
        x[0, 1], x[1, 1], x[2, 1], x[3, 0] = INF, -INF, INF, NAN
        loss, _, slope = cross_entropy(x, [1, 0, 0, 1], temperature=2.0, reduction="none", return_grad=True)
        assert slope[0] == loss[0] == 0
        assert slope[1] == 0
        assert slope[2] == -INF
        assert np.isnan(slope[3])


def test_temperatures_that_are_refused():
    x = np.zeros((2, 3), "f4")
    for wrong in (0, -1.0, INF, NAN, 1e-50, "warm", 1e-40):
        with pytest.raises(ValueError, match="temperature"):
            cross_entropy(x, [0, 1], temperature=wrong)
    with pytest.raises(ValueError, match="each row has its own"):
        cross_entropy(x, [0, 1], temperature=np.ones(2))
    with pytest.raises(TypeError, match="masked"):
        cross_entropy(x, [0, 1], temperature=np.ma.masked)
    with pytest.raises(ValueError, match="labels run from"):
        cross_entropy(x, [0, 3], temperature=2.0, sample_weight=[1, 0], return_grad=True)


def test_a_temperature_is_found_by_newton():
    """Logits that are too large by a factor are calibrated: at the minimum, the slope is 0."""
    optimize = pytest.importorskip("scipy.optimize")
    logits = rng.normal(0, 2, (4000, 5))
    p = np.exp(log_softmax(logits, axis=1))
    labels = (p.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1).clip(0, 4)

    def loss(t):
        value, _, slope = cross_entropy(3 * logits, labels, temperature=t[0], return_grad=True)
        return value, np.array([slope])

    found = optimize.minimize(loss, [1.0], jac=True, bounds=[(0.05, None)])
    assert found.success
    assert found.x[0] == pytest.approx(3, rel=0.1)
    assert abs(loss(found.x)[1][0]) < 1e-4
