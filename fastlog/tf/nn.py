"""The names and defaults of tf.nn: softmaxes over the last axis, unreduced losses, labels before logits.

The argument `name` is accepted and ignored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastlog as _fastlog
from fastlog._arrays import refuse_mask as _refuse_mask
from fastlog._libraries import computed as _computed
from fastlog._libraries import elementwise as _elementwise
from fastlog._libraries import library_of as _library_of
from fastlog.tf.math import log_softmax, sigmoid, softmax, softplus

__all__ = [
    "log_softmax", "sigmoid", "sigmoid_cross_entropy_with_logits", "silu", "softmax",
    "softmax_cross_entropy_with_logits", "softplus", "sparse_softmax_cross_entropy_with_logits", "swish",
    "weighted_cross_entropy_with_logits",
]  # fmt: skip


def silu(features: Any, beta: float = 1.0) -> Any:
    """Return x sigmoid(beta x), elementwise; see `fastlog.silu`."""
    return _elementwise.silu(features, beta)


swish = silu


def sigmoid_cross_entropy_with_logits(labels: Any = None, logits: Any = None, name: str | None = None) -> Any:
    """Return the binary cross-entropy, elementwise; see `fastlog.binary_cross_entropy_with_logits`.

    Different shapes, or a missing argument, raise ValueError.
    """
    labels, logits = _both(labels, logits)
    return _fastlog.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def weighted_cross_entropy_with_logits(labels: Any, logits: Any, pos_weight: Any, name: str | None = None) -> Any:
    """Return the binary cross-entropy, elementwise, with a weight of the label 1.

    Different shapes raise ValueError; see `fastlog.binary_cross_entropy_with_logits`.
    """
    labels, logits = _both(labels, logits)
    return _fastlog.binary_cross_entropy_with_logits(logits, labels, pos_weight=pos_weight, reduction="none")


def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """Return the cross-entropy with class probabilities, one value per row; see `fastlog.cross_entropy`.

    The shapes are broadcast together.
    """
    labels, logits = _both(labels, logits)
    function = "softmax_cross_entropy_with_logits"
    probabilities = _elementwise.floating(function, labels)
    if not _library_of(logits):
        probabilities = _computed(probabilities)
        _refuse_mask(function, "the array of labels", probabilities)
        if probabilities.shape != np.shape(logits):
            logits, probabilities = _elementwise.broadcast(function, logits, probabilities)
    return _fastlog.cross_entropy(logits, probabilities, None, None, "none", axis=axis)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Any:
    """Return the cross-entropy with class labels along the last axis, one value per row; see `fastlog.cross_entropy`.

    A label out of range raises ValueError; so do labels whose shape is not that of the logits without the last axis.
    """
    labels, logits = _both(labels, logits)
    counted = np.empty(0) if _library_of(logits) else np.asanyarray(labels)
    if counted.size and counted.dtype.kind not in "biu":
        raise TypeError(f"labels must be integers, not {counted.dtype}")
    return _fastlog.cross_entropy(logits, labels, None, None, "none")


def _both(labels: Any, logits: Any) -> tuple[Any, Any]:
    """Return labels and logits, neither of which may be missing."""
    if labels is None or logits is None:
        raise ValueError("both labels and logits must be given")
    return labels, logits
