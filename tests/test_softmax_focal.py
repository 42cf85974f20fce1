"""The focal loss of softmax: against mpmath, its relatives, and in the arrays of other libraries."""

import mpmath
import numpy as np
import pytest

from fastlog import cross_entropy, focal_loss, num_threads, softmax_focal_loss

INF, NAN = np.inf, np.nan
rng = np.random.default_rng(3)


def exact(row, label, gamma):
    """Return the loss of a row and its gradient, with 60 digits."""
    with mpmath.workdps(60):
        e = [mpmath.exp(mpmath.mpf(float(one))) for one in row]
        p = [one / sum(e) for one in e]
        missed = sum(one for c, one in enumerate(p) if c != label)
        entropy = -mpmath.log1p(-missed)
        power = missed**gamma
        slope = power + (gamma * power / missed * (1 - missed) * entropy if missed else 0)
        return power * entropy, [slope * (one if c != label else -missed) for c, one in enumerate(p)]


def logits_of(kind, dtype):
    x = rng.normal(0, 3, (60, 5))
    if kind == "sure":  # One class has nearly all of the probability.
        x[np.arange(60), rng.integers(0, 5, 60)] += rng.uniform(10, 80, 60)
    if kind == "close":
        x = 5 + rng.normal(0, 1e-3, (60, 5))
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("kind", ["normal", "sure", "close"])
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 5])
def test_values_and_gradients(dtype, kind, gamma):
    x, labels = logits_of(kind, dtype), rng.integers(0, 5, 60)
    loss, grad = softmax_focal_loss(x, labels, gamma=gamma, reduction="none", return_grad=True)
    alone = softmax_focal_loss(x, labels, gamma=gamma, reduction="none")
    assert loss.dtype == grad.dtype == x.dtype
    np.testing.assert_array_equal(alone, loss)
    bound = 3 + gamma if dtype == "f4" else 2 + 1.5 * gamma  # The docstring says so.
    for row, label, got, slopes in zip(x, labels, loss, grad, strict=True):
        value, gradient = exact(row, label, gamma)
        ulp = float(np.spacing(x.dtype.type(value)))
        assert abs(float(mpmath.mpf(float(got)) - value)) <= bound * ulp
        for one, expected in zip(slopes, gradient, strict=True):
            size = float(np.spacing(np.abs(x.dtype.type(expected))))
            assert abs(float(mpmath.mpf(float(one)) - expected)) <= (bound + 5) * size


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_reductions_weights_and_ignored_labels(reduction, axis):
    x, alpha = rng.normal(0, 2, (4, 5, 6)), rng.random(6)
    classes, rows = x.shape[axis], x.shape[:axis] + x.shape[axis + 1 :]
    alpha = alpha[:classes]
    alpha[1] = 0
    labels = rng.integers(0, classes, rows)
    labels[0, 1:3] = -100, 1
    moved = np.moveaxis(x, axis, -1)
    each = np.zeros(rows)
    gradient = np.zeros(moved.shape)
    for i in np.ndindex(rows):
        if labels[i] >= 0:
            value, slopes = exact(moved[i], labels[i], 1.5)
            each[i] = alpha[labels[i]] * value
            gradient[i] = [alpha[labels[i]] * one for one in slopes]
    count = np.count_nonzero(labels >= 0) if reduction == "mean" else 1
    np.moveaxis(x, axis, -1)[0, 1:3] = NAN  # These rows do not count.
    for array, targets in ((x, labels), (np.asfortranarray(x), labels.astype("i1"))):
        options = {"axis": axis, "reduction": reduction, "gamma": 1.5}
        loss, grad = softmax_focal_loss(array, targets, alpha, return_grad=True, **options)
        np.testing.assert_allclose(loss, each if reduction == "none" else each.sum() / count, rtol=1e-14)
        np.testing.assert_allclose(grad, np.moveaxis(gradient, -1, axis) / count, rtol=2e-14)
        with num_threads(2):
            np.testing.assert_array_equal(softmax_focal_loss(array, targets, alpha, **options), loss)


@pytest.mark.parametrize("char", ["e", "E"])
def test_narrow_types(char):
    """The losses of float16 and bfloat16 are those of float32, rounded; gradients, too."""
    dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if char == "E" else char)
    x, labels = rng.normal(0, 3, (300, 7)).astype(dtype), rng.integers(0, 7, 300)
    got = softmax_focal_loss(x, labels, reduction="none", return_grad=True)
    wide = softmax_focal_loss(x.astype("f4"), labels, reduction="none", return_grad=True)
    for one, other in zip(got, wide, strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, other.astype(dtype))


def test_relatives():
    """With the power 0 it is cross-entropy; with two classes, the focal loss of the logistic function."""
    x, labels = rng.normal(0, 3, (50, 4)), rng.integers(0, 4, 50)
    for one, other in zip(
        softmax_focal_loss(x, labels, gamma=0, return_grad=True),
        cross_entropy(x, labels, return_grad=True),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=4e-15)
    z = rng.integers(0, 2, 50)
    pairs = np.stack([np.zeros(50), x[:, 0]], axis=1)
    expected, slopes = focal_loss(x[:, 0], z, return_grad=True)
    got, grad = softmax_focal_loss(pairs, z, return_grad=True)
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    np.testing.assert_allclose(grad, np.stack([-slopes, slopes], axis=1), rtol=2e-14)
    assert softmax_focal_loss([[0.0, 1.0]], [True]) == softmax_focal_loss([[0.0, 1.0]], np.array([1], np.uint64))


@pytest.mark.parametrize("ignore_index", [None, -100, 1])
def test_a_single_row(ignore_index):
    """A row without an axis of rows has the loss of that row, whichever label is ignored."""
    x = np.array([1.0, 2.0])
    for label in (0, 1):
        options = {"alpha": [0.5, 0.3], "ignore_index": ignore_index, "reduction": "sum", "return_grad": True}
        loss, grad = softmax_focal_loss(x, label, **options)
        expected, slopes = softmax_focal_loss(x[np.newaxis], [label], **options)
        assert loss == expected
        np.testing.assert_array_equal(grad, slopes[0])


def test_limits():
    x = np.array([[INF, 0.0], [INF, 0.0], [INF, INF], [800.0, 0.0], [0.0, 0.0]])
    for gamma in (0, 0.5, 2):
        loss, g = softmax_focal_loss(x, [0, 1, 0, 0, -100], gamma=gamma, reduction="none", return_grad=True)
        np.testing.assert_array_equal(loss, [0, INF, NAN, 0, 0])
        np.testing.assert_array_equal(g[0], [0, 0])
        np.testing.assert_array_equal(g[1], [1, -1])
        assert np.isfinite(g[3:]).all()
        assert np.isnan(softmax_focal_loss(x, np.full(5, -100), gamma=gamma))
        assert softmax_focal_loss(x, np.full(5, -100), gamma=gamma, reduction="sum") == 0
        assert not softmax_focal_loss(x, np.full(5, -100), gamma=gamma, return_grad=True)[1].any()
        assert np.isnan(softmax_focal_loss(np.empty((0, 3)), np.empty(0, int), gamma=gamma))


def test_wrong_arguments():
    x = np.zeros((2, 3), "f4")
    for gamma in (-1, INF, NAN, 1e39):
        with pytest.raises(ValueError, match="gamma"):
            softmax_focal_loss(x, [0, 1], gamma=gamma)
    with pytest.raises(ValueError, match="alpha must have the shape"):
        softmax_focal_loss(x, [0, 1], [1, 2])
    with pytest.raises(ValueError, match=r"targets\[1\] is 3, but labels run from 0 to 2"):
        softmax_focal_loss(x, [0, 3])
    with pytest.raises(ValueError, match="labels must have the shape"):
        softmax_focal_loss(x, [0, 1, 2])
    with pytest.raises(ValueError, match="reduction"):
        softmax_focal_loss(x, [0, 1], reduction="median")
    with pytest.raises(TypeError, match="integer class labels"):
        softmax_focal_loss(x, np.zeros((2, 3)))


@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_other_libraries(library, reduction):
    """Losses, gradients and derivatives by the library itself are those of NumPy's arrays."""
    x, labels, alpha = rng.normal(0, 3, (20, 4)).astype("f4"), rng.integers(0, 4, 20), rng.random(4).astype("f4")
    labels[3], alpha[2], x[5], labels[5] = -100, 0, NAN, 2
    if library == "torch":
        pytest.importorskip("array_api_compat")
    module = pytest.importorskip("torch" if library == "torch" else "jax.numpy")
    for gamma in (0.5, 2.0):
        expected = softmax_focal_loss(x, labels, alpha, gamma, reduction, return_grad=True)
        if library == "torch":
            a = module.tensor(x, requires_grad=True)
            loss, grad = softmax_focal_loss(a, module.tensor(labels), alpha, gamma, reduction, return_grad=True)
            (own,) = module.autograd.grad(loss.sum(), a)
            loss, grad, own = loss.detach(), grad.detach(), own.detach()
        else:
            jax = pytest.importorskip("jax")
            loss, grad = softmax_focal_loss(module.asarray(x), labels, alpha, gamma, reduction, return_grad=True)
            own = jax.jit(jax.grad(lambda a, g: softmax_focal_loss(a, labels, alpha, g, reduction).sum()))(x, gamma)
        for one, other in ((loss, expected[0]), (grad, expected[1]), (own, expected[1])):
            np.testing.assert_allclose(np.asarray(one), other, rtol=3e-5, atol=1e-6)
