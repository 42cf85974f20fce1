"""The names of tf.compat.v1.nn: losses take labels and logits by name only, and `dim` is another name of `axis`."""

from __future__ import annotations

from typing import Any

from fastlog.tf import nn as _nn
from fastlog.tf.nn import sigmoid, silu, softplus, swish

__all__ = [
    "log_softmax", "sigmoid", "sigmoid_cross_entropy_with_logits", "silu", "softmax",
    "softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits_v2", "softplus",
    "sparse_softmax_cross_entropy_with_logits", "swish", "weighted_cross_entropy_with_logits",
]  # fmt: skip


def softmax(logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Any:
    """Return the softmax over `axis`, by default the last; see `fastlog.softmax`."""
    return _nn.softmax(logits, _one_of(axis, dim))


def log_softmax(logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Any:
    """Return the logarithm of the softmax over `axis`, by default the last; see `fastlog.log_softmax`."""
    return _nn.log_softmax(logits, _one_of(axis, dim))


def sigmoid_cross_entropy_with_logits(
    _sentinel: None = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Any:
    """Return the binary cross-entropy, elementwise; see `fastlog.tf.nn.sigmoid_cross_entropy_with_logits`."""
    _named_only(_sentinel)
    return _nn.sigmoid_cross_entropy_with_logits(labels, logits, name)


def weighted_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, pos_weight: Any = None, name: str | None = None, targets: Any = None
) -> Any:
    """Return what `fastlog.tf.nn.weighted_cross_entropy_with_logits` does; `targets` is another name of `labels`."""
    if labels is not None and targets is not None:
        raise ValueError("targets is another name of labels; give one of them")
    return _nn.weighted_cross_entropy_with_logits(targets if labels is None else labels, logits, pos_weight, name)


def softmax_cross_entropy_with_logits(
    _sentinel: None = None,
    labels: Any = None,
    logits: Any = None,
    dim: int = -1,
    name: str | None = None,
    axis: int | None = None,
) -> Any:
    """Return the cross-entropy with class probabilities; see `fastlog.tf.nn.softmax_cross_entropy_with_logits`."""
    _named_only(_sentinel)
    return _nn.softmax_cross_entropy_with_logits(labels, logits, dim if axis is None else axis, name)


def softmax_cross_entropy_with_logits_v2(
    labels: Any, logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> Any:
    """Return the cross-entropy with class probabilities; see `fastlog.tf.nn.softmax_cross_entropy_with_logits`."""
    along = _one_of(axis, dim)
    return _nn.softmax_cross_entropy_with_logits(labels, logits, -1 if along is None else along, name)


def sparse_softmax_cross_entropy_with_logits(
    _sentinel: None = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Any:
    """Return the cross-entropy with class labels; see `fastlog.tf.nn.sparse_softmax_cross_entropy_with_logits`."""
    _named_only(_sentinel)
    return _nn.sparse_softmax_cross_entropy_with_logits(labels, logits, name)


def _named_only(sentinel: None) -> None:
    """Refuse arguments by position."""
    if sentinel is not None:
        raise ValueError("labels and logits must be passed by name: labels=..., logits=...")


def _one_of(axis: int | None, dim: int | None) -> int | None:
    """Return the axis, which has two names."""
    if axis is not None and dim is not None:
        raise ValueError("dim is another name of axis; give one of them")
    return dim if axis is None else axis
