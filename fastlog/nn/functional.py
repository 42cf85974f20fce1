"""The names, argument orders and defaults of torch.nn.functional, on NumPy's arrays and those of other libraries.

The class axis is 1, or 0 for one-dimensional input, as torch has it. Each function delegates to fastlog's own.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal, TypeVar

import numpy as np

import fastlog as _fastlog
from fastlog._libraries import elementwise as _elementwise

_R = TypeVar("_R", bound=str)

__all__ = [
    "binary_cross_entropy_with_logits", "cross_entropy", "kl_div", "log_softmax", "logsigmoid", "logsumexp", "mish",
    "nll_loss", "sigmoid", "silu", "softmax", "softmin", "softplus",
]  # fmt: skip


def logsigmoid(input: Any) -> Any:
    """Return log(1 / (1 + exp(-x))), elementwise; see `fastlog.log_sigmoid`."""
    return _elementwise.log_sigmoid(input)


def sigmoid(input: Any) -> Any:
    """Return 1 / (1 + exp(-x)), elementwise; see `fastlog.sigmoid`."""
    return _elementwise.sigmoid(input)


def silu(input: Any, inplace: bool = False) -> Any:
    """Return x sigmoid(x), elementwise; see `fastlog.silu`."""
    return _elementwise.in_place(_elementwise.silu, input) if inplace else _elementwise.silu(input)


def mish(input: Any, inplace: bool = False) -> Any:
    """Return x tanh(softplus(x)), elementwise; see `fastlog.mish`."""
    return _elementwise.in_place(_elementwise.mish, input) if inplace else _elementwise.mish(input)


def softplus(input: Any, beta: float = 1, threshold: float = 20) -> Any:
    """Return log(1 + exp(beta x)) / beta, elementwise.

    `threshold` is accepted and ignored. From beta x > threshold on, torch returns x; here, no result needs that.
    """
    return _elementwise.softplus(input, beta)


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Return the softmax over the axis `dim`, computed in `dtype` if given; see `fastlog.softmax`."""
    return _fastlog.softmax(input, _dim("softmax", input, dim, _stacklevel), dtype=dtype)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Return the softmax of -x over the axis `dim`, computed in `dtype` if given; see `fastlog.softmax`."""
    return softmax(-_elementwise.floating("softmin", input), dim, _stacklevel + 1, dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Return the logarithm of the softmax over the axis `dim`, in `dtype` if given; see `fastlog.log_softmax`."""
    return _fastlog.log_softmax(input, _dim("log_softmax", input, dim, _stacklevel), dtype=dtype)


def logsumexp(input: Any, dim: int | tuple[int, ...] | list[int], keepdim: bool = False, *, out: Any = None) -> Any:
    """Return the logarithm of the sum of exponentials over the axes `dim`; see `fastlog.logsumexp`.

    As in torch, no axes at all mean every axis.
    """
    axes = (tuple(dim) or None) if isinstance(dim, list | tuple) else dim
    return _fastlog.logsumexp(input, axes, keepdims=keepdim, out=out)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    pos_weight: Any = None,
) -> Any:
    """Return the binary cross-entropy of logits and targets; see `fastlog.binary_cross_entropy_with_logits`."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _fastlog.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy of logits with class labels or class probabilities; see `fastlog.cross_entropy`."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    axis = _class_axis(input)
    return _fastlog.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing, axis=axis)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Any:
    """Return the negative log-likelihood of class labels, given log-probabilities; see `fastlog.nll_loss`."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return _fastlog.nll_loss(input, target, weight, ignore_index, reduction, axis=_class_axis(input))


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Literal["mean", "sum", "none", "batchmean"] = "mean",
    log_target: bool = False,
) -> Any:
    """Return the Kullback-Leibler divergence of target probabilities (or their logarithms) from log-probabilities.

    As in torch, 'mean' divides by the number of elements, with a warning, 'batchmean' by the length of the first axis,
    and 'none' leaves each element to itself; see `fastlog.kl_divergence`. The shapes may be broadcast together.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction == "mean":
        message = "reduction='mean' divides by the number of elements; the divergence's own mean is 'batchmean'"
        warnings.warn(message, UserWarning, stacklevel=2)
    rows = (*np.shape(input), 1)[0]
    if np.shape(input) != np.shape(target):
        input, target = _elementwise.broadcast("kl_div", input, target)
    n = (*np.shape(input), 1)[0]
    if reduction != "batchmean" or n == rows:
        return _fastlog.kl_divergence(input, target, log_target=log_target, axis=(), reduction=reduction)
    mean = _fastlog.kl_divergence(input, target, log_target=log_target, axis=(), reduction=reduction if n else "sum")
    return mean * (n / rows if rows else np.nan)


def legacy_reduction(
    size_average: bool | None, reduce: bool | None, reduction: _R
) -> _R | Literal["mean", "sum", "none"]:
    """Return the reduction that the two deprecated arguments mean, or `reduction` when neither is given."""
    if size_average is None and reduce is None:
        return reduction
    mean = size_average is None or size_average
    meant: Literal["mean", "sum", "none"] = "none" if reduce is not None and not reduce else "mean" if mean else "sum"
    warnings.warn(f"size_average and reduce are deprecated; give reduction={meant!r}", UserWarning, stacklevel=3)
    return meant


def _dim(name: str, input: Any, dim: int | None, stacklevel: int) -> int:
    """Return torch's implicit axis, with its warning, where none was given."""
    if dim is not None:
        return dim
    warnings.warn(f"{name}: implicit dim is deprecated; give dim=", UserWarning, stacklevel=stacklevel)
    return 0 if np.ndim(input) in (0, 1, 3) else 1


def _class_axis(input: Any) -> int:
    """Return the axis of the classes, as torch has it."""
    return 0 if np.ndim(input) == 1 else 1
