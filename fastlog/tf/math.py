"""The names of tf.math. The argument `name` is accepted and ignored."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastlog as _fastlog
from fastlog._libraries import elementwise as _elementwise

__all__ = [
    "cumulative_logsumexp", "log_sigmoid", "log_softmax", "reduce_logsumexp", "sigmoid", "softmax", "softplus",
    "xlog1py", "xlogy",
]  # fmt: skip


def log_sigmoid(x: Any, name: str | None = None) -> Any:
    """Return log(1 / (1 + exp(-x))), elementwise; see `fastlog.log_sigmoid`."""
    return _elementwise.log_sigmoid(x)


def sigmoid(x: Any, name: str | None = None) -> Any:
    """Return 1 / (1 + exp(-x)), elementwise; see `fastlog.sigmoid`."""
    return _elementwise.sigmoid(x)


def softplus(features: Any, name: str | None = None) -> Any:
    """Return log(1 + exp(x)), elementwise; see `fastlog.softplus`."""
    return _elementwise.softplus(features)


def xlogy(x: Any, y: Any, name: str | None = None) -> Any:
    """Return x log(y), 0 where x is 0, elementwise; see `fastlog.xlogy`."""
    return _elementwise.xlogy(x, y)


def xlog1py(x: Any, y: Any, name: str | None = None) -> Any:
    """Return x log(1 + y), 0 where x is 0, elementwise; see `fastlog.xlog1py`."""
    return _elementwise.xlog1py(x, y)


def softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """Return the softmax over `axis`, by default the last; see `fastlog.softmax`."""
    return _fastlog.softmax(logits, -1 if axis is None else axis)


def log_softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """Return the logarithm of the softmax over `axis`, by default the last; see `fastlog.log_softmax`."""
    return _fastlog.log_softmax(logits, -1 if axis is None else axis)


def reduce_logsumexp(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Return the logarithm of the sum of exponentials over axes; see `fastlog.logsumexp`.

    They may be an int, a list, a tuple or an array.
    """
    axes = tuple(np.ravel(axis).tolist()) if isinstance(axis, list | np.ndarray) else axis
    return _fastlog.logsumexp(input_tensor, axes, keepdims=keepdims)


def cumulative_logsumexp(
    x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Any:
    """Return the logarithm of the running sum of exponentials along an axis; see `fastlog.logcumsumexp`."""
    return _fastlog.logcumsumexp(x, axis, reverse=reverse, exclusive=exclusive)
