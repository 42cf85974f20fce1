"""tf.compat.v1.nn's losses, which take labels and logits by name only."""

from __future__ import annotations

from typing import Any

from fastlog.tf import nn as _nn

__all__ = [
    "sigmoid_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits",
    "sparse_softmax_cross_entropy_with_logits",
]


def sigmoid_cross_entropy_with_logits(
    _sentinel: None = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Any:
    """Binary cross-entropy, elementwise; see `fastlog.tf.nn.sigmoid_cross_entropy_with_logits`."""
    _named_only(_sentinel)
    return _nn.sigmoid_cross_entropy_with_logits(labels, logits, name)


def softmax_cross_entropy_with_logits(
    _sentinel: None = None,
    labels: Any = None,
    logits: Any = None,
    dim: int = -1,
    name: str | None = None,
    axis: int | None = None,
) -> Any:
    """Cross-entropy with class probabilities; see `fastlog.tf.nn.softmax_cross_entropy_with_logits`."""
    _named_only(_sentinel)
    return _nn.softmax_cross_entropy_with_logits(labels, logits, dim if axis is None else axis, name)


def sparse_softmax_cross_entropy_with_logits(
    _sentinel: None = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Any:
    """Cross-entropy with class labels; see `fastlog.tf.nn.sparse_softmax_cross_entropy_with_logits`."""
    _named_only(_sentinel)
    return _nn.sparse_softmax_cross_entropy_with_logits(labels, logits, name)


def _named_only(sentinel: None) -> None:
    if sentinel is not None:
        raise ValueError("labels and logits must be passed by name: labels=..., logits=...")
