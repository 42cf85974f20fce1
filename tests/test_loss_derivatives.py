"""Gradients and Hessians of the losses: against their formulas in 400 bits, and derivatives of 50-digit values."""

import itertools
from functools import cache

import mpmath
import numpy as np
import pytest
from helpers.reference import distance, exact_exp, exact_log1p, exact_numbers, in_two_words

import fastlog
from fastlog._core import INDEX, run_loss, supported_targets

BCE, FOCAL, ROWS = INDEX["binary_cross_entropy_with_logits"], INDEX["focal_loss"], INDEX["cross_entropy"]
DTYPES = ["f4", "f8"]


def logits(kind, shape, dtype, rng):
    made = {
        "normal": rng.normal(0, 3, shape),
        "wide": rng.uniform(-150, 150, shape),
        "small": rng.normal(0, 1e-3, shape),
        "equal": np.full(shape, 1.25),
        "offset": rng.normal(-500, 2, shape),
    }
    return made[kind].astype(dtype)


def sigmoids(x):
    """Return sigmoid(x) and sigmoid(-x) of MPFR numbers."""
    t = exact_exp(-np.abs(x))
    return np.where(x >= 0, 1, t) / (1 + t), np.where(x >= 0, t, 1) / (1 + t)


def binary(x, positive, negative):
    """Return loss, gradient and Hessian of binary cross-entropy, and the size of the gradient's terms."""
    high, low = sigmoids(x)
    magnitude = np.abs(x)
    loss = np.where(x < 0, positive, negative) * magnitude + (positive + negative) * exact_log1p(exact_exp(-magnitude))
    return loss, negative * high - positive * low, (positive + negative) * high * low, negative * high + positive * low


@cache
def binary_case(dtype, kind, targets):
    """Return arguments of binary cross-entropy; in two words the sum of the losses and what `binary` says of them."""
    rng = np.random.default_rng(5)
    n = 5003
    x = logits(kind, n, dtype, rng)
    z = (rng.random(n) if targets in ("soft", "weighted") else rng.integers(0, 2, n)).astype(
        "i1" if targets == "i1" else dtype
    )
    w, q = (rng.random(n).astype(dtype), rng.random(n).astype(dtype)) if targets == "weighted" else (None, None)
    positive, negative = exact_numbers(z), 1 - exact_numbers(z)
    if w is not None:
        positive, negative = exact_numbers(w) * exact_numbers(q) * positive, exact_numbers(w) * negative
    loss, gradient, hessian, size = binary(exact_numbers(x), positive, negative)
    return (x, z, w, q), in_two_words(loss.sum()), *map(in_two_words, (loss, gradient, hessian, size))


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["normal", "wide", "small", "equal"])
@pytest.mark.parametrize("targets", ["hard", "soft", "i1", "weighted"])
def test_binary_cross_entropy(target, dtype, kind, targets):
    (x, z, w, q), whole, loss, gradient, hessian, size = binary_case(dtype, kind, targets)
    each, g, h = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for out in (each, None):  # with the losses, and without: two ways through the loop
        with np.errstate(all="raise"):
            total, _, _ = run_loss(BCE, (x, z, w, q, out, g, h, None), target=target)
        assert distance(g, gradient, size[0]) <= 4
        assert distance(h, hessian, hessian[0]) <= 6
    assert distance(x.dtype.type(total), whole, whole[0]) <= 1.1
    assert distance(each, loss, loss[0]) <= (1.5 if w is None else 3.2)


@cache
def focal_case(dtype, alpha, gamma, hard):
    """Return logits and targets; loss, gradient and Hessian in two words; the sizes of the terms of these."""
    rng = np.random.default_rng(6)
    n = 3001
    x = logits("normal", n, dtype, rng)
    z = (rng.integers(0, 2, n) if hard else rng.random(n)).astype(dtype)
    zl = exact_numbers(z)
    high, low = sigmoids(exact_numbers(x))
    loss, b1, b2, _ = binary(exact_numbers(x), zl, 1 - zl)
    m = zl * low + (1 - zl) * high
    weights = [exact_numbers(np.dtype(dtype).type(a)) for a in (alpha, 1 - alpha)]  # as the loop rounds them
    factor = (weights[0] * zl + weights[1] * (1 - zl)) * m**gamma
    r = (1 - 2 * zl) * high * low / m
    first = [high * (1 - zl), -low * zl, gamma * r * loss]
    second = [b2, 2 * gamma * r * high * (1 - zl), -2 * gamma * r * low * zl, gamma * (gamma - 1) * r * r * loss,
              gamma * r * (low - high) * loss]  # fmt: skip
    results = [factor * sum(terms) for terms in ([loss], first, second)]
    sizes = [np.asarray(factor * sum(map(np.abs, terms)), np.float64) for terms in ([loss], first, second)]
    return x, z, [in_two_words(result) for result in results], sizes


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.5), (0.1, 5.0), (1.0, 0.0)])
def test_focal_loss(target, dtype, alpha, gamma):
    """The errors are those of a product of powers, in ulp of the sum of the terms' sizes; they grow with gamma."""
    for hard in (True, False):
        x, z, results, sizes = focal_case(dtype, alpha, gamma, hard)
        got = [np.empty_like(x) for _ in results]
        settings = {"positive": alpha, "negative": 1 - alpha, "gamma": gamma}
        with np.errstate(all="raise"):
            run_loss(FOCAL, (x, z, None, None, *got, None), target=target, **settings)
        ulps = dict(zip(("each", "gradient", "Hessian"), map(distance, got, results, sizes), strict=True))
        with np.errstate(all="raise"):
            run_loss(FOCAL, (x, z, None, None, got[0], None, None, None), target=target, **settings)
        ulps["alone"] = distance(got[0], results[0], sizes[0])
        bound = 4.5 + 2.3 * gamma  # measured: 4.3 at gamma = 1/2, 7.6 at 2, and 15.1 at 5
        assert {name: ulp for name, ulp in ulps.items() if ulp > bound} == {}


def rows_reference(x, a):
    """Return in two words the sum of the losses, losses, gradient and Hessian of rows with class weights a.

    Also the size of the gradient's terms: A (1 - p) and A - a of the largest class, A p and a of the others and of all.
    """
    top = x.max(axis=1, keepdims=True)
    e = exact_exp(x - top)
    at_top = np.zeros(x.shape, bool)
    at_top[np.arange(len(x)), x.argmax(axis=1)] = True
    rest = np.where(at_top, 0, e).sum(axis=1, keepdims=True)
    others = np.where(at_top, rest, 1 + rest - e) / (1 + rest)  # 1 - p, which may be far below 1
    p, weight = e / (1 + rest), a.sum(axis=1, keepdims=True)
    loss = (a * (top - x)).sum(axis=1) + weight[:, 0] * exact_log1p(rest[:, 0])
    gradient = np.where(at_top, (weight - a) - weight * others, weight * p - a)
    size = np.where(at_top, np.abs(weight - a) + weight * others, weight * p + a)
    return tuple(map(in_two_words, (loss.sum(), loss, gradient, weight * p * others, size, weight * p + a)))


@cache
def rows_cases(dtype, shape, kind):
    """Return logits; and by name: targets, options, and what `rows_reference` says of them."""
    rng = np.random.default_rng(7)
    rows, classes = shape
    x = logits(kind, shape, dtype, rng)
    labels = rng.integers(0, classes, rows)
    labels[::5] = -100
    counts = labels >= 0
    weight = rng.random(classes)
    onehot = np.eye(classes)[np.maximum(labels, 0)] * counts[:, None]
    soft = rng.dirichlet(np.ones(classes), rows).astype(dtype)
    eps = 0.125
    rounded, spread = exact_numbers(weight.astype(dtype)), exact_numbers(eps) / classes
    smooth = exact_numbers((onehot * (1 - eps) + eps / classes) * counts[:, None])
    of_both = {"probabilities": True, "class_weight": weight, "smoothing": eps}
    cases = {
        "labels": (labels, {"ignored": -100}, exact_numbers(onehot)),
        "class weights": (labels, {"ignored": -100, "class_weight": weight}, onehot * rounded),
        "smoothed": (labels, {"ignored": -100, "smoothing": eps}, smooth),
        "probabilities": (soft, {"probabilities": True}, exact_numbers(soft)),
        "weighted probabilities": (soft, of_both, (exact_numbers(soft) * (1 - eps) + spread) * rounded),
    }
    return x, {name: (z, options, rows_reference(exact_numbers(x), a)) for name, (z, options, a) in cases.items()}


@pytest.mark.slow
@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(37, 1), (50, 2), (40, 10), (19, 33), (5, 1000), (1, 3000)])
@pytest.mark.parametrize("kind", ["normal", "wide", "equal", "offset"])
def test_cross_entropy(target, dtype, shape, kind):
    x, cases = rows_cases(dtype, shape, kind)
    spread = np.repeat(x, 2, axis=1)
    for name, (z, options, (whole, loss, gradient, hessian, size, terms)) in cases.items():
        if name not in ("labels", "class weights"):  # the weights of the classes are rounded, and their sum
            size = terms
        for layout in (x, np.asfortranarray(x), spread[:, ::2]):
            each, g, h = np.empty(len(x), dtype), np.empty_like(layout), np.empty_like(layout)
            with np.errstate(all="raise"):
                _, _, wrong = run_loss(ROWS, (layout, z, None, each, g, h, None), 1, target=target, **options)
                only_g = np.empty_like(layout)
                total, _, _ = run_loss(ROWS, (layout, z, None, None, only_g, None, None), 1, target=target, **options)
            assert wrong == 0
            ulps = {
                "each": distance(each, loss, loss[0]),
                "sum": distance(x.dtype.type(total), whole, whole[0]),
                "gradient": distance(g, gradient, size[0]),
                "gradient alone": distance(only_g, gradient, size[0]),
                "Hessian": distance(h, hessian, hessian[0]),
            }
            bounds = {"each": 4, "sum": 1.5, "gradient": 5, "gradient alone": 5, "Hessian": 7}
            assert {k: v for k, v in ulps.items() if v > bounds[k]} == {}, name


@pytest.mark.slow
@pytest.mark.parametrize("return_hess", [False, True])
def test_gradients_are_numerical_derivatives(return_hess):
    """The public functions with their options give the derivatives of 50-digit values."""
    quarter, eighth = mpmath.mpf(0.25), mpmath.mpf(0.125)
    rng = np.random.default_rng(8)
    x = rng.normal(0, 2, (3, 4))
    z, w, q = rng.random((3, 4)), rng.random((3, 1)), rng.random(4)
    labels, class_weight = np.array([3, 0, -100]), rng.random(4)

    def softplus(t):
        return mpmath.log1p(mpmath.exp(t)) if t < 0 else t + mpmath.log1p(mpmath.exp(-t))

    def bce(v, eps=quarter):
        total = 0
        for i, j in itertools.product(range(3), range(4)):
            zz = z[i, j] * (1 - eps) + eps / 2
            total += w[i, 0] * (q[j] * zz * softplus(-v[i][j]) + (1 - zz) * softplus(v[i][j]))
        return total / 12

    def focal(v):
        total = 0
        for i, j in itertools.product(range(3), range(4)):
            s, b = 1 / (1 + mpmath.exp(-v[i][j])), z[i, j] * softplus(-v[i][j]) + (1 - z[i, j]) * softplus(v[i][j])
            m = z[i, j] * (1 - s) + (1 - z[i, j]) * s
            total += (0.25 * z[i, j] + 0.75 * (1 - z[i, j])) * m**1.5 * b
        return total

    def cross(v, eps=eighth):
        total = weights = 0
        for row, label in zip(v, labels, strict=True):
            if label < 0:
                continue
            log_z = mpmath.log(sum(map(mpmath.exp, row)))
            total += (1 - eps) * class_weight[label] * (log_z - row[label])
            total += eps / 4 * sum(class_weight[c] * (log_z - row[c]) for c in range(4))
            weights += class_weight[label]
        return total / weights

    cases = [
        (bce, lambda **k: fastlog.binary_cross_entropy_with_logits(x, z, w, q, label_smoothing=0.25, **k)),
        (focal, lambda **k: fastlog.focal_loss(x, z, 0.25, 1.5, "sum", **k)),
        (cross, lambda **k: fastlog.cross_entropy(x, labels, class_weight, label_smoothing=0.125, **k)),
    ]
    with mpmath.workdps(50):
        for loss, ours in cases:
            value, gradient, *hessian = ours(return_grad=True, return_hess=return_hess)
            assert len(hessian) == return_hess
            at = [[mpmath.mpf(t) for t in row] for row in x]
            np.testing.assert_allclose(value, float(loss(at)), rtol=1e-15)
            for i, j in itertools.product(range(3), range(4)):

                def along(t, i=i, j=j, loss=loss, at=at):
                    moved = [list(row) for row in at]
                    moved[i][j] = t
                    return loss(moved)

                np.testing.assert_allclose(gradient[i, j], float(mpmath.diff(along, at[i][j])), rtol=1e-13, atol=1e-17)
                if return_hess:
                    second = float(mpmath.diff(along, at[i][j], 2))
                    np.testing.assert_allclose(hessian[0][i, j], second, rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_logits_have_the_limits_derivatives(dtype):
    inf = np.inf
    x, z = np.array([inf, -inf, inf, -inf], dtype), np.array([1, 0, 0, 1])
    with np.errstate(all="raise"):
        loss, g, h = fastlog.binary_cross_entropy_with_logits(x, z, reduction="none", return_hess=True)
        np.testing.assert_array_equal(g, [0, 0, 1, -1])
        np.testing.assert_array_equal(h, [0, 0, 0, 0])
        loss, g, h = fastlog.focal_loss(x, z, reduction="none", return_hess=True)
        np.testing.assert_array_equal(loss, [0, 0, inf, inf])
        np.testing.assert_array_equal(g, [0, 0, 1, -1])
        np.testing.assert_array_equal(h, [0, 0, 0, 0])
        rows = np.array([[inf, 0, 1], [0, inf, 1], [-inf, 0, 0], [-inf, 0, 0]], dtype)
        loss, g, h = fastlog.cross_entropy(rows, [0, 0, 0, 1], reduction="none", return_hess=True)
        np.testing.assert_array_equal(loss, np.array([0, inf, inf, np.log(2)], dtype))
        np.testing.assert_array_equal(g, [[0, 0, 0], [-1, 1, 0], [-1, 0.5, 0.5], [0, -0.5, 0.5]])
        np.testing.assert_array_equal(h, [[0, 0, 0], [0, 0, 0], [0, 0.25, 0.25], [0, 0.25, 0.25]])
        undefined = np.array([[inf, inf, 0], [-inf, -inf, -inf], [np.nan, 0, 1]], dtype)
        loss, g = fastlog.cross_entropy(undefined, [0, 1, 1], reduction="none", return_grad=True)
        assert np.isnan(loss).all()
        assert np.isnan(g[:, 0]).all()
        loss, g = fastlog.cross_entropy(undefined, [-100, -100, -100], reduction="none", return_grad=True)
        assert not loss.any()
        assert not g.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_certain_rows_keep_the_digits_of_their_gradient(dtype):
    """Where p rounds to 1, 1 - p is computed from the other classes."""
    x = np.array([[0.0, -40.0]], dtype)
    loss, g, h = fastlog.cross_entropy(x, [0], return_hess=True)
    expected = np.exp(-40.0)
    np.testing.assert_allclose([loss, -g[0, 0], g[0, 1], h[0, 0], h[0, 1]], expected, rtol=1e-6)
    soft = np.array([[1.0, 0.0]], dtype)
    np.testing.assert_allclose(fastlog.cross_entropy(x, soft, return_grad=True)[1], g, rtol=1e-6)


def test_derivatives_in_every_layout():
    """Derivatives in any axis, order, strides and dtype are those of C-ordered rows, in the places of their logits."""
    rng = np.random.default_rng(9)
    base = rng.normal(size=(4, 6, 5, 3))
    weight = rng.random(6)
    for dtype in ("f2", "f4", "f8"):
        x = base.astype(dtype)
        labels = rng.integers(0, 6, (4, 5, 3)).astype("u1")
        labels[0, 0] = 255
        options = {"weight": weight, "ignore_index": 255, "return_hess": True}
        rows = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        expected = fastlog.cross_entropy(rows, labels, **options)
        for a in (
            x,
            np.asfortranarray(x),
            x[::-1][::-1],
            np.repeat(x, 2, 3)[..., ::2],
            x.astype(x.dtype.newbyteorder()),
        ):
            got = fastlog.cross_entropy(a, labels, axis=1, **options)
            np.testing.assert_allclose(got[0], expected[0], rtol=1e-3 if dtype == "f2" else 1e-6)
            for one, other in zip(got[1:], expected[1:], strict=True):
                assert one.shape == x.shape
                assert one.dtype == dtype
                np.testing.assert_allclose(
                    np.moveaxis(one, 1, -1), other, rtol=2e-3 if dtype == "f2" else 1e-5, atol=1e-9
                )
        z = rng.integers(0, 2, x.shape).astype(bool)
        w = rng.random((6, 1, 1))
        expected = fastlog.binary_cross_entropy_with_logits(x, z, w, return_hess=True)
        for a, b in [(np.asfortranarray(x), z), (x, np.asfortranarray(z)), (np.repeat(x, 2, 3)[..., ::2], z)]:
            got = fastlog.binary_cross_entropy_with_logits(a, b, w, return_hess=True)
            np.testing.assert_allclose(got[0], expected[0], rtol=1e-3 if dtype == "f2" else 1e-6)
            for one, other in zip(got[1:], expected[1:], strict=True):
                np.testing.assert_array_equal(one, other)
