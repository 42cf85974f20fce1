"""Derivatives of fastlog's functions by JAX and torch: the known ones, also where the usual formulas lose them."""

import importlib.util
import sys

import numpy as np
import pytest
from helpers import calls
from helpers.libraries import gradients, library

import fastlog
from fastlog import nn, tf

INF, NAN, F = np.inf, np.nan, nn.functional
bce, focal = fastlog.binary_cross_entropy_with_logits, fastlog.focal_loss

GRADIENTS = {
    "logsumexp": lambda x, of: fastlog.logsumexp(x, axis=1).sum(),
    "weighted": lambda x, of: fastlog.logsumexp(x, axis=1, b=of(calls.ROW)).sum(),
    "softmax": lambda x, of: (fastlog.softmax(x, axis=0) ** 2).sum(),
    "log_softmax": lambda x, of: (fastlog.log_softmax(x) ** 2).sum(),
    "bce": lambda x, of: fastlog.binary_cross_entropy_with_logits(x, of(calls.P), label_smoothing=0.1),
    "focal": lambda x, of: fastlog.focal_loss(x, of(calls.P), 0.3, 1.7),
    "cross_entropy": lambda x, of: fastlog.cross_entropy(x, of(calls.LABELS), of(calls.ROW), label_smoothing=0.2),
    "rows with weights": lambda x, of: fastlog.cross_entropy(
        x, of(calls.LABELS), sample_weight=of(calls.OF_ROWS), temperature=2.5
    ),
    "focal of softmax": lambda x, of: fastlog.softmax_focal_loss(x, of(calls.LABELS), of(calls.ROW), 1.5),
    "kl": lambda x, of: fastlog.kl_divergence(fastlog.log_softmax(x, 1), of(calls.P)),
}
OURS = {
    "logsumexp": lambda x: fastlog.softmax(x, axis=1),
    "bce": lambda x: fastlog.binary_cross_entropy_with_logits(x, calls.P, label_smoothing=0.1, return_grad=True)[1],
    "focal": lambda x: fastlog.focal_loss(x, calls.P, 0.3, 1.7, return_grad=True)[1],
    "cross_entropy": lambda x: fastlog.cross_entropy(x, calls.LABELS, calls.ROW, label_smoothing=0.2, return_grad=True)[
        1
    ],
    "rows with weights": lambda x: fastlog.cross_entropy(
        x, calls.LABELS, sample_weight=calls.OF_ROWS, temperature=2.5, return_grad=True
    )[1],
    "focal of softmax": lambda x: fastlog.softmax_focal_loss(x, calls.LABELS, calls.ROW, 1.5, return_grad=True)[1],
}


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("x", [calls.X, np.zeros_like(calls.X)], ids=["x", "zeros"])
def test_gradients_of_jax_and_torch(name, x):
    found = []
    if importlib.util.find_spec("jax"):
        jnp = library("jax")
        gradient = sys.modules["jax"].jit(sys.modules["jax"].grad(lambda a: GRADIENTS[name](a, jnp.asarray)))
        found.append(np.asarray(gradient(jnp.asarray(x))))
    if importlib.util.find_spec("torch"):
        torch = library("torch")
        a = torch.asarray(x).requires_grad_()
        GRADIENTS[name](a, torch.asarray).backward()
        found.append(a.grad.numpy())
    if name in OURS:
        found.append(OURS[name](x))
    if len(found) < 2:
        pytest.skip("neither torch nor a gradient of our own to compare with")
    for one in found[1:]:
        np.testing.assert_allclose(one, found[0], rtol=1e-10, atol=1e-13)


def test_derivatives_by_temperature_and_weights():
    """The slope is what the libraries find; the derivative of a weighted sum by a weight is the row's loss."""
    expected = fastlog.cross_entropy(
        calls.X, calls.LABELS, sample_weight=calls.OF_ROWS, temperature=2.5, return_grad=True
    )
    each = fastlog.cross_entropy(calls.X, calls.LABELS, reduction="none")
    if importlib.util.find_spec("torch"):
        torch = library("torch")
        t = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
        w = torch.asarray(calls.OF_ROWS).requires_grad_()
        x, y = torch.asarray(calls.X), torch.asarray(calls.LABELS)
        fastlog.cross_entropy(x, y, sample_weight=w, temperature=t).backward()
        np.testing.assert_allclose(t.grad.numpy(), expected[2], rtol=1e-11)
        (by_weight,) = torch.autograd.grad(fastlog.cross_entropy(x, y, sample_weight=w, reduction="sum"), w)
        np.testing.assert_allclose(by_weight.numpy(), each, rtol=1e-11)
    if importlib.util.find_spec("jax"):
        jnp = library("jax")
        jax = sys.modules["jax"]
        x, y, w = jnp.asarray(calls.X), jnp.asarray(calls.LABELS), jnp.asarray(calls.OF_ROWS)
        by_t = jax.jit(jax.grad(lambda t: fastlog.cross_entropy(x, y, sample_weight=w, temperature=t)))
        np.testing.assert_allclose(by_t(2.5), expected[2], rtol=1e-11)
        by_w = jax.jit(jax.grad(lambda v: fastlog.cross_entropy(x, y, sample_weight=v, reduction="sum")))
        np.testing.assert_allclose(by_w(w), each, rtol=1e-11)


SATURATED = {
    "focal": lambda x, of: fastlog.focal_loss(x, of(np.array([[1.0, 0.0], [1.0, 0.0]])), gamma=0.5),
    "ignored row": lambda x, of: fastlog.cross_entropy(x, of(np.array([-100, 1]))),
    "row that weighs 0": lambda x, of: fastlog.cross_entropy(
        x, of(np.array([0, 1])), sample_weight=of(np.array([0.0, 1]))
    ),
    "row of no weight": lambda x, of: fastlog.cross_entropy(x, of(np.array([0, 1])), of(np.array([0.0, 1.0]))),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SATURATED)
def test_gradients_are_numbers_where_losses_are_0(name):
    rows = {"focal": [[1000.0, -1000.0], [0.0, 1.0]]}.get(name, [[-np.inf, -np.inf], [0.0, 1.0]])
    jnp, torch = library("jax"), importlib.util.find_spec("torch") and library("torch")
    gradient = sys.modules["jax"].grad(lambda a: SATURATED[name](a, jnp.asarray))(jnp.asarray(rows))
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[0] == 0).all()
    if torch:
        a = torch.asarray(rows, dtype=torch.float64).requires_grad_()
        SATURATED[name](a, torch.asarray).backward()
        np.testing.assert_allclose(a.grad, gradient, rtol=1e-12)


# A function of the argument named first in the ID, linear in it, and values of this argument: many are 0 or 1.
Z, X4 = np.array([0.0, 1, 1, 0]), np.array([1.0, -2, 3, 0.5])
LABELED = np.array([[0.0, 1, 2], [1, 2, 1], [NAN, 1, 1]])
LINEAR = {
    "targets of BCE": (lambda of, z: bce(of(X4), z, of(X4**2), of(X4**2), reduction="sum"), Z),
    "weight of BCE": (lambda of, w: bce(of(X4), of(Z), w, reduction="none"), [0, 0, 1, 1]),
    "pos_weight of BCE": (lambda of, w: bce(of(X4), of(Z), None, w, reduction="none"), [0, 0, 1, 1]),
    "label_smoothing of BCE": (lambda of, e: bce(of(X4), of(Z), label_smoothing=e), 0.0),
    "weight of focal": (lambda of, w: focal(of(X4), of(Z), weight=w, reduction="sum"), [0, 0, 1, 1]),
    "alpha of focal": (lambda of, a: focal(of(X4), of(Z), a), 0.0),
    "probabilities": (lambda of, z: fastlog.cross_entropy(of(X4[None]), z, reduction="sum"), [[0, 1, 0, 0]]),
    "weight of probabilities": (
        lambda of, w: fastlog.cross_entropy(of(X4[None]), of(Z[None] / 2), w, reduction="sum"),
        [0, 0, 1, 0],
    ),
    "weight of labels": (
        lambda of, w: fastlog.cross_entropy(of(LABELED), of([0, 1, -100]), w, reduction="none"),
        [0, 0, 1],
    ),
    "label_smoothing": (lambda of, e: fastlog.cross_entropy(of(X4[None]), of([2]), label_smoothing=e), 0.0),
    "weight of NLL": (lambda of, w: fastlog.nll_loss(of(-(X4**2)[None]), of([2]), w, reduction="none"), [0, 0, 0, 1]),
    "x of xlogy": (lambda of, x: tf.math.xlogy(x, of([2.0, 0.5, 3, 1])), [0, -0.0, 0, 1]),
    "x of xlog1py": (lambda of, x: tf.math.xlog1py(x, of([2.0, -0.5, 3, 0])), [0, -0.0, 0, 1]),
    "weight of logsumexp": (lambda of, b: exponential(fastlog.logsumexp(of(X4), b=b)), [0, 1, 0, 2]),
    "weight of logmeanexp": (lambda of, b: exponential(fastlog.logmeanexp(of(X4), b=b)), [0, 1, 0, 2]),
}


def exponential(a):
    return (sys.modules["torch"] if type(a).__module__ == "torch" else sys.modules["jax"].numpy).exp(a)


@pytest.mark.slow
@pytest.mark.parametrize("name", LINEAR)
def test_derivatives_by_what_is_0(name):
    f, start = LINEAR[name]
    start, jnp = np.asarray(start, float), library("jax")
    values = [np.asarray(f(jnp.asarray, jnp.asarray(start + step))).sum() for step in units(start.shape)]
    expected = np.reshape(values, start.shape) - np.asarray(f(jnp.asarray, jnp.asarray(start))).sum()
    for (found,) in gradients(f, start):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def units(shape):
    return np.eye(int(np.prod(shape))).reshape(-1, *shape)


ENDS = [INF, -INF, 0.0, 1000, -1000]
DERIVATIVES = {  # known derivatives by each argument, at points where the usual formulas lose them or give nan
    "xlogy": (lambda of, x, y: tf.math.xlogy(x, y), [[0, 0, 0], [2, 0, -1]], [[np.log(2), 0, 0], [0, 0, 0]]),
    "xlog1py": (lambda of, x, y: tf.math.xlog1py(x, y), [[0, 0, 0], [2, -1, -2]], [[np.log(3), 0, 0], [0, 0, 0]]),
    "temperature": (lambda of, t: fastlog.log_softmax(of([0.0, 1]), temperature=t)[0], [1], [1 / (1 + np.exp(-1))]),
    "gamma": (
        lambda of, gamma: focal(of([1.0, 2]), of([1.0, 0]), gamma=gamma, reduction="sum"),
        [0],
        [-np.sum(np.log1p(np.exp([-1, 2])) * np.log1p(np.exp([1, -2])))],
    ),
    "KL by p": (
        lambda of, q, p: fastlog.kl_divergence(q, p, reduction="sum"),
        [[-1, -2, -INF], [0.5, 0, 0]],
        [[-0.5, 0, 0], [np.log(0.5) + 2, 2, 0]],
    ),
    "KL by log p": (
        lambda of, q, p: fastlog.kl_divergence(q, p, log_target=True, reduction="sum"),
        [[-1, -2, -INF], [-0.5, -INF, -INF]],
        [[-np.exp(-0.5), 0, 0], [1.5 * np.exp(-0.5), 0, 0]],
    ),
    "focal loss": (
        lambda of, x: focal(x, of([1.0, 0, 1, 0, 1]), gamma=0, reduction="sum"),
        [[1000, -1000, 740, 0, -1000]],
        [[0, 0, 0, 0.5, -1]],
    ),
    "focal loss of infinite logits": (
        lambda of, x: focal(x, of([1.0, 0, 1, 0]), reduction="sum"),
        [[INF, -INF, -INF, INF]],
        [[0, 0, -1, 1]],
    ),
    "focal loss of softmax where the label's logit is -inf": (
        lambda of, x: fastlog.softmax_focal_loss(x, of([0]), reduction="sum"),
        [[[-INF, 0, 0]]],
        [[[-1, 0.5, 0.5]]],
    ),
    "class weight of rows with weights": (
        lambda of, w: fastlog.cross_entropy(of([[0.0, 0]]), of([0]), w, sample_weight=of([2.0]), reduction="sum"),
        [[0, 1]],
        [[2 * np.log(2), 0]],
    ),
    "nan that weighs 0": (
        lambda of, x: bce(x, of([0.0, 1, 1, 0]), of([0.0, 0, 0, 1]), reduction="sum"),
        [[NAN, INF, -INF, 0]],
        [[0, 0, 0, 0.5]],
    ),
    "nan that weighs 0 in focal loss": (
        lambda of, x: focal(x, of([0.0, 1, 1, 0]), gamma=0, weight=of([0.0, 0, 0, 1]), reduction="sum"),
        [[NAN, INF, -INF, 0]],
        [[0, 0, 0, 0.5]],
    ),
    "BCE that weighs 0": (
        lambda of, x, z, w, p: bce(x, z, w, p, reduction="sum"),
        [[0, 0, 1, INF, 0], [1, 0, NAN, 1, 1], [0, 0, 0, 0, 0], [INF, NAN, 1, 1, 2]],
        [[0] * 5, [0] * 5, [0, 0, 0, 0, 2 * np.log(2)], [0] * 5],
    ),
    "focal loss that weighs 0": (
        lambda of, x, z, w: focal(x, z, gamma=0, weight=w, reduction="sum"),
        [[0, INF, 0], [NAN, 1, 1], [0, 0, 0]],
        [[0] * 3, [0] * 3, [0, 0, np.log(2)]],
    ),
    "BCE of infinite weight": (
        lambda of, x, w: bce(x, of([1.0, 0]), w, reduction="sum"),
        [[0, 0], [INF, INF]],
        [[-INF, INF], [np.log(2)] * 2],
    ),
    "focal loss of infinite weight": (
        lambda of, x: focal(x, of([1.0, 0]), weight=of([INF, INF]), reduction="sum"),
        [[0, 0]],
        [[-INF, INF]],
    ),
    "classes that weigh 0": (
        lambda of, x, z, w: fastlog.cross_entropy(x, z, w),
        [[[0, 0, 0]], [[0.5, 0.5, NAN]], [1, 1, 0]],
        [[[-1 / 6, -1 / 6, 1 / 3]], [[np.log(3), np.log(3), 0]], [np.log(3) / 2, np.log(3) / 2, 0]],
    ),
    "rows of -inf": (
        lambda of, x: fastlog.cross_entropy(x, of([0, 1, -100]), reduction="sum"),
        [[[-INF, -INF], [0, 0], [-INF, -INF]]],
        [[[NAN, NAN], [0.5, -0.5], [0, 0]]],
    ),
    "infinite logits": (
        lambda of, x: fastlog.cross_entropy(x, of([0, 1, 0, 0]), reduction="sum"),
        [[[INF, 0], [INF, 0], [INF, INF], [0, 0]]],
        [[[0, 0], [1, -1], [NAN, NAN], [-0.5, 0.5]]],
    ),
    "infinite logits, probabilities": (
        lambda of, x: fastlog.cross_entropy(x, of([[0.25, 0.75, 0], [1, 0, 0]]), reduction="sum"),
        [[[INF, 0, -INF], [INF, 0, -INF]]],
        [[[0.75, -0.75, 0], [0, 0, 0]]],
    ),
    "infinite logits, smoothing": (
        lambda of, x: fastlog.cross_entropy(x, of([0]), label_smoothing=0.2),
        [[[INF, 0]]],
        [[[0.1, -0.1]]],
    ),
    "logcumsumexp of infinity": (lambda of, x: fastlog.logcumsumexp(x), [[0, INF, 1]], [[1, NAN, 0]]),
    "signs of log_softmax": (lambda of, x: fastlog.log_softmax(x)[0], [[0, -40]], [[np.exp(-40), -np.exp(-40)]]),
    "nan that is ignored": (
        lambda of, x: fastlog.cross_entropy(x, of([-100, 0, 1]), of([0.0, 1]), reduction="sum"),
        [[[NAN, 0], [INF, NAN], [0, 0]]],
        [[[0, 0], [0, 0], [0.5, -0.5]]],
    ),
    "nan of another class": (lambda of, x: fastlog.nll_loss(x, of([0])), [[[-1, NAN]]], [[[-1, 0]]]),
    "logsumexp": (lambda of, x: fastlog.logsumexp(x, 1), [[[-INF, -INF], [0, -INF]]], [[[0, 0], [1, 0]]]),
    "logmeanexp": (lambda of, x: fastlog.logmeanexp(x, 1), [[[-INF, -INF], [0, -INF]]], [[[0, 0], [1, 0]]]),
    "logsumexp of nothing": (lambda of, x: fastlog.logsumexp(x, where=of([False, False])), [[NAN, 1]], [[0, 0]]),
    "weighted": (
        lambda of, x, b: fastlog.logsumexp(x, b=b),
        [[0, 1, NAN, INF, 1000], [1, 0, 0, 0, 0]],
        [[1, 0, 0, 0, 0], [1, np.e, 0, 0, 0]],
    ),
    "weights of 0": (lambda of, x, b: fastlog.logsumexp(x, b=b), [[0, 1], [0, 0]], [[0, 0], [0, 0]]),
    "softmax": (lambda of, x: fastlog.softmax(x, 1)[:, 0], [[[-INF, -INF], [0, 0]]], [[[0, 0], [0.25, -0.25]]]),
    "softmax of some": (
        lambda of, x: fastlog.softmax(x, 1, where=of([[False, False], [True, False]]))[:, 0],
        [[[NAN, 1], [0, NAN]]],
        [[[0, 0], [0, 0]]],
    ),
    "log_softmax": (lambda of, x: fastlog.log_softmax(x, 1)[:, 0], [[[-INF, -INF], [0, 0]]], [[[0, 0], [0.5, -0.5]]]),
    "logcumsumexp": (lambda of, x: fastlog.logcumsumexp(x), [[-INF, -INF, 0, -INF]], [[0, 0, 2, 0]]),
    "logcumsumexp of nothing": (lambda of, x: fastlog.logcumsumexp(x), [[-INF, -INF]], [[0, 0]]),
    "softplus": (lambda of, x: F.softplus(x), [ENDS], [[1, 0, 0.5, 1, 0]]),
    "softplus, beta": (lambda of, x: F.softplus(x, 1e3), [ENDS], [[1, 0, 0.5, 1, 0]]),
    "softplus by beta": (
        lambda of, beta: F.softplus(of([*ENDS, 1]), beta),
        [1],
        [-np.log(2) + 1 / (1 + np.exp(-1)) - np.log1p(np.exp(1))],
    ),
    "silu": (lambda of, x: F.silu(x), [ENDS], [[1, 0, 0.5, 1, 0]]),
    "silu, beta": (lambda of, x, beta: tf.nn.silu(x, beta), [ENDS, 1], [[1, 0, 0.5, 1, 0], 0]),
    "mish": (lambda of, x: F.mish(x), [ENDS], [[1, 0, 0.6, 1, 0]]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DERIVATIVES)
def test_known_derivatives(name):
    f, arguments, expected = DERIVATIVES[name]
    for found in gradients(f, *arguments):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
