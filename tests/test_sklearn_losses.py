"""The losses of scikit-learn's estimators under the patch: the same numbers, dtypes and layouts as without it."""

import numpy as np
import pytest

import fastlog

losses = pytest.importorskip("sklearn._loss.loss")
METHODS = ("loss", "loss_gradient", "gradient", "gradient_hessian", "gradient_proba")


def arguments(classes, dtype, order, weighted, n):
    """Return a loss of scikit-learn, targets, raw predictions and weights."""
    rng = np.random.default_rng(classes)
    loss = losses.HalfMultinomialLoss(n_classes=classes) if classes > 1 else losses.HalfBinomialLoss()
    shape = (n, classes) if classes > 1 else n
    x = np.array(rng.normal(0, 5, shape), dtype, order=order)
    y = (rng.integers(0, classes, n) if classes > 1 else rng.random(n) < 0.5).astype(dtype)
    return loss, y, x, rng.random(n).astype(dtype) if weighted else None


def arrays(answer):
    """Return the arrays of an answer, of which a method has one or two."""
    return answer if isinstance(answer, tuple) else (answer,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [1, 3, 20])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("weighted", [False, True])
def test_same_numbers(classes, dtype, order, weighted):
    for n in (7, 300, 20_000):
        loss, y, x, weight = arguments(classes, dtype, order, weighted, n)
        for method in METHODS[: 5 if classes > 1 else 4]:
            expected = arrays(getattr(loss, method)(y, x, weight))
            for threads in (1, 2):
                with fastlog.patch(["sklearn"]):
                    got = arrays(getattr(loss, method)(y, x, weight, n_threads=threads))
                for one, other in zip(got, expected, strict=True):
                    assert (one.dtype, one.shape, one.strides) == (other.dtype, other.shape, other.strides)
                    eps = np.finfo(dtype).eps
                    np.testing.assert_allclose(one, other, rtol=8 * eps, atol=16 * eps)


@pytest.mark.parametrize("classes", [1, 20])
def test_results_go_to_given_arrays(classes):
    loss, y, x, weight = arguments(classes, "float64", "C", True, 1000)
    out, gradient = np.empty(1000), np.empty_like(x)
    expected = loss.loss_gradient(y, x, weight)
    with fastlog.patch(["sklearn"]):
        got = loss.loss_gradient(y, x, weight, loss_out=out, gradient_out=gradient)
    assert got[0] is out
    assert got[1] is gradient
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [2, 5])
def test_logistic_regression_has_the_same_coefficients(classes, dtype):
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 5)).astype(dtype)
    labels = np.argmax(x @ rng.normal(size=(5, classes)) + rng.gumbel(size=(2000, classes)), axis=1)

    def fit():
        return linear_model.LogisticRegression(max_iter=200, tol=1e-6).fit(x, labels)

    alone = fit()
    with fastlog.patch(["sklearn"]):
        patched = fit()
    assert patched.coef_.dtype == alone.coef_.dtype
    np.testing.assert_allclose(patched.coef_, alone.coef_, rtol=0, atol=1e-3 if dtype == "float32" else 1e-6)
    assert np.mean(patched.predict(x) != alone.predict(x)) < 1e-3
