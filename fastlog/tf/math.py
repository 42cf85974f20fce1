"""tf.math's names. `name` is accepted and ignored."""

from __future__ import annotations

from typing import Any

import fastlog as _fastlog

__all__ = ["log_sigmoid", "reduce_logsumexp", "sigmoid", "softplus"]


def log_sigmoid(x: Any, name: str | None = None) -> Any:
    """log(1 / (1 + exp(-x))), elementwise; see `fastlog.log_sigmoid`."""
    return _fastlog.log_sigmoid(x)


def sigmoid(x: Any, name: str | None = None) -> Any:
    """1 / (1 + exp(-x)), elementwise; see `fastlog.sigmoid`."""
    return _fastlog.sigmoid(x)


def softplus(features: Any, name: str | None = None) -> Any:
    """log(1 + exp(x)), elementwise; see `fastlog.softplus`."""
    return _fastlog.softplus(features)


def reduce_logsumexp(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Logarithm of the sum of exponentials over axes (an int, or a list or tuple); see `fastlog.logsumexp`."""
    return _fastlog.logsumexp(input_tensor, tuple(axis) if isinstance(axis, list) else axis, keepdims=keepdims)
