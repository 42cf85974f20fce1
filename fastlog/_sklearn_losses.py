"""The losses of scikit-learn on fastlog's loops: methods of `HalfBinomialLoss` and `HalfMultinomialLoss`.

scikit-learn's conventions hold: targets, weights and losses of n samples are contiguous; predictions and derivatives
have the shape (n,), or (n, 1), in the binomial loss, and (n, classes) with any strides in the multinomial one; the
caller may give the arrays for the results. What fastlog does not compute, or not faster, goes to the original methods.

Short arrays do not, although scikit-learn needs less time to begin: a search among losses that vanish, as those of
separable classes do, would end elsewhere for the samples of one set than for twice as many.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlog._core import INDEX, MOST_THREADS, get_threads, run_loss, run_over, set_threads

_BINOMIAL, _MULTINOMIAL = "CyHalfBinomialLoss", "CyHalfMultinomialLoss"
_BCE, _CROSS_ENTROPY = INDEX["binary_cross_entropy_with_logits"], INDEX["cross_entropy"]
_SOFTMAX = INDEX["softmax"]

_BLOCK = 16384  # So many elements of a few arrays fit in the caches next to a core.
_VERY_FEW = 3  # With so few classes side by side in float64, scikit-learn is faster at Hessians.
_FEW_CLASSES = 16  # With so few, a factor for each sample is multiplied class by class.

_Arrays = tuple[np.ndarray, ...]


# ---- the code that the methods get ----
# It runs among the globals of sklearn._loss.loss, so it imports what it needs.


def _loss(self, y_true, raw_prediction, sample_weight=None, loss_out=None, n_threads=1):  # type: ignore[no-untyped-def]
    from fastlog._replace import theirs
    from fastlog._sklearn_losses import loss

    result = loss(self, y_true, raw_prediction, sample_weight, loss_out, n_threads)
    if result is None:
        original = theirs["sklearn._loss.loss.BaseLoss.loss"]
        return original(self, y_true, raw_prediction, sample_weight, loss_out, n_threads)
    return result


def _loss_gradient(  # type: ignore[no-untyped-def]
    self, y_true, raw_prediction, sample_weight=None, loss_out=None, gradient_out=None, n_threads=1
):
    from fastlog._replace import theirs
    from fastlog._sklearn_losses import loss_gradient

    result = loss_gradient(self, y_true, raw_prediction, sample_weight, loss_out, gradient_out, n_threads)
    if result is None:
        original = theirs["sklearn._loss.loss.BaseLoss.loss_gradient"]
        return original(self, y_true, raw_prediction, sample_weight, loss_out, gradient_out, n_threads)
    return result


def _gradient(self, y_true, raw_prediction, sample_weight=None, gradient_out=None, n_threads=1):  # type: ignore[no-untyped-def]
    from fastlog._replace import theirs
    from fastlog._sklearn_losses import gradient

    result = gradient(self, y_true, raw_prediction, sample_weight, gradient_out, n_threads)
    if result is None:
        original = theirs["sklearn._loss.loss.BaseLoss.gradient"]
        return original(self, y_true, raw_prediction, sample_weight, gradient_out, n_threads)
    return result


def _gradient_hessian(  # type: ignore[no-untyped-def]
    self, y_true, raw_prediction, sample_weight=None, gradient_out=None, hessian_out=None, n_threads=1
):
    from fastlog._replace import theirs
    from fastlog._sklearn_losses import gradient_hessian

    result = gradient_hessian(self, y_true, raw_prediction, sample_weight, gradient_out, hessian_out, n_threads)
    if result is None:
        original = theirs["sklearn._loss.loss.BaseLoss.gradient_hessian"]
        return original(self, y_true, raw_prediction, sample_weight, gradient_out, hessian_out, n_threads)
    return result


def _gradient_proba(  # type: ignore[no-untyped-def]
    self, y_true, raw_prediction, sample_weight=None, gradient_out=None, proba_out=None, n_threads=1
):
    from fastlog._replace import theirs
    from fastlog._sklearn_losses import gradient_proba

    result = gradient_proba(self, y_true, raw_prediction, sample_weight, gradient_out, proba_out, n_threads)
    if result is None:
        original = theirs["sklearn._loss.loss.HalfMultinomialLoss.gradient_proba"]
        return original(self, y_true, raw_prediction, sample_weight, gradient_out, proba_out, n_threads)
    return result


METHODS: dict[str, Any] = {
    "BaseLoss.loss": _loss,
    "BaseLoss.loss_gradient": _loss_gradient,
    "BaseLoss.gradient": _gradient,
    "BaseLoss.gradient_hessian": _gradient_hessian,
    "HalfMultinomialLoss.gradient_proba": _gradient_proba,
}


# ---- what they call: each function returns None where the original method is to be called ----


def loss(self: Any, y: Any, x: Any, weight: Any, loss_out: Any, n_threads: Any) -> Any:
    """Return the losses."""
    kind = _kind(self, y, x, weight, n_threads)
    if kind is None:
        return None
    each = np.empty_like(y) if loss_out is None else loss_out
    return each if _run(kind, y, x, weight, n_threads, each=each) else None


def loss_gradient(
    self: Any, y: Any, x: Any, weight: Any, loss_out: Any, gradient_out: Any, n_threads: Any
) -> tuple[Any, Any] | None:
    """Return the losses and their gradient."""
    kind = _kind(self, y, x, weight, n_threads)
    if kind is None:
        return None
    each = np.empty_like(y) if loss_out is None else loss_out
    grad = _squeezed(np.empty_like(x) if gradient_out is None else gradient_out)
    return (each, grad) if _run(kind, y, x, weight, n_threads, each=each, grad=grad) else None


def gradient(self: Any, y: Any, x: Any, weight: Any, gradient_out: Any, n_threads: Any) -> Any:
    """Return the gradient of the losses."""
    kind = _kind(self, y, x, weight, n_threads)
    if kind is None:
        return None
    grad = _squeezed(np.empty_like(x) if gradient_out is None else gradient_out)
    return grad if _run(kind, y, x, weight, n_threads, grad=grad) else None


def gradient_hessian(
    self: Any, y: Any, x: Any, weight: Any, gradient_out: Any, hessian_out: Any, n_threads: Any
) -> tuple[Any, Any] | None:
    """Return the gradient of the losses, and the diagonal of their Hessian."""
    kind = _kind(self, y, x, weight, n_threads)
    if kind is None:
        return None
    grad = _squeezed(np.empty_like(x) if gradient_out is None else gradient_out)
    hess = _squeezed(np.empty_like(x) if hessian_out is None else hessian_out)
    return (grad, hess) if _run(kind, y, x, weight, n_threads, grad=grad, hess=hess) else None


def gradient_proba(
    self: Any, y: Any, x: Any, weight: Any, gradient_out: Any, proba_out: Any, n_threads: Any
) -> tuple[Any, Any] | None:
    """Return the gradient of the losses, and the probabilities of the classes."""
    kind = _kind(self, y, x, weight, n_threads)
    if kind is None:
        return None
    grad = np.empty_like(x) if gradient_out is None else gradient_out
    proba = np.empty_like(x) if proba_out is None else proba_out
    return (grad, proba) if _run(kind, y, x, weight, n_threads, grad=grad, proba=proba) else None


def _squeezed(a: Any) -> Any:
    return a.squeeze(1) if type(a) is np.ndarray and a.ndim == 2 and a.shape[1] == 1 else a


def _is_right(a: Any, like: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Tell whether `a` is an array of that shape and of the dtype of `like` that a loop can read in place."""
    return type(a) is np.ndarray and a.dtype == like.dtype and a.shape == shape and a.flags.aligned


def _kind(self: Any, y: Any, x: Any, weight: Any, n_threads: Any) -> str | None:
    """Return the name of the loss if fastlog computes it with these arguments, and None otherwise."""
    kind = type(getattr(self, "closs", None)).__name__
    if kind not in (_BINOMIAL, _MULTINOMIAL) or type(x) is not np.ndarray or type(n_threads) is not int:
        return None
    if x.dtype.char not in "fd" or not x.dtype.isnative or x.ndim == 0 or not x.size or not x.flags.aligned:
        return None
    samples = x.shape[:1]
    if x.shape[1:] != (() if kind == _BINOMIAL and x.ndim == 1 else (1,) if kind == _BINOMIAL else x.shape[1:2]):
        return None
    right = [_is_right(a, x, samples) and a.flags.c_contiguous for a in (y, weight) if a is not None]
    if not all(right) or y is None or (kind == _MULTINOMIAL and (x.ndim != 2 or x.shape[1] < 2)):
        return None
    return kind if kind == _MULTINOMIAL or _squeezed(x).flags.c_contiguous else None


def _run(kind: str, y: np.ndarray, x: np.ndarray, weight: np.ndarray | None, n_threads: int, **results: Any) -> bool:
    """Write the results, and return whether they mean anything: scikit-learn's method computes them if not."""
    x = _squeezed(x) if kind == _BINOMIAL else x
    if "hess" in results and x.ndim == 2 and x.shape[1] <= _VERY_FEW and x.dtype.char == "d" and x.flags.c_contiguous:
        return False
    inputs = [a for a in (y, x, weight) if a is not None]
    taken: list[np.ndarray] = []
    for name, a in results.items():
        right = _is_right(a, x, y.shape if name == "each" else x.shape) and a.flags.writeable
        if not right or (a.ndim == 1 and not a.flags.c_contiguous):
            return False
        if any(np.may_share_memory(a, other) for other in (*inputs, *taken)):
            return False  # The order in which elements are read and written matters then.
        taken.append(a)
    before = set_threads(min(n_threads, MOST_THREADS)) if n_threads > 1 else None
    try:
        return _in_blocks(kind, y, x, weight, results)
    finally:
        if before is not None:
            set_threads(before)


def _in_blocks(kind: str, y: np.ndarray, x: np.ndarray, weight: np.ndarray | None, results: dict[str, Any]) -> bool:
    """Compute so many samples at a time that what several passes read stays in the caches."""
    step = max(1, _BLOCK * get_threads() // (x.size // len(x)))
    for start in range(0, len(x), step):
        block = slice(start, start + step)
        w = None if weight is None else weight[block]
        parts = {name: a[block] for name, a in results.items()}
        if kind == _BINOMIAL:
            _binomial(y[block], x[block], w, **parts)
        elif not _multinomial(y[block], x[block], w, **parts):
            return False
    return True


def _binomial(
    y: np.ndarray, x: np.ndarray, weight: np.ndarray | None, each: Any = None, grad: Any = None, hess: Any = None
) -> None:
    each = np.empty_like(x) if each is None else each  # A loss of elements is cheaper than a sum of losses.
    run_loss(_BCE, (x, y, weight, None, each, grad, hess, None))


def _multinomial(
    y: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    each: Any = None,
    grad: Any = None,
    hess: Any = None,
    proba: Any = None,
) -> bool:
    with np.errstate(invalid="ignore"):
        labels = y.astype(np.int32)
    if weight is not None and (weight == 1).all():
        weight = None
    if proba is None:
        each = np.empty_like(y) if each is None else each
        of_rows = None if weight is None else weight.astype(np.float64, copy=False)
        _, _, wrong = run_loss(_CROSS_ENTROPY, (x, labels, of_rows, each, grad, hess, None), 1)
        return not wrong
    if labels.min() < 0 or labels.max() >= x.shape[1]:
        return False
    run_over(_SOFTMAX, (x, proba), (1,))
    np.copyto(grad, proba)
    grad[np.arange(len(x)), labels] -= 1
    if weight is not None:
        _multiply_rows(grad, weight)
    return True


def _multiply_rows(a: np.ndarray, factor: np.ndarray) -> None:
    if a.shape[1] < _FEW_CLASSES:
        for k in range(a.shape[1]):
            np.multiply(a[:, k], factor, out=a[:, k])
    else:
        np.multiply(a, factor[:, np.newaxis], out=a)
