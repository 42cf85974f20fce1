"""tf.nn's names and defaults: softmaxes over the last axis, losses elementwise or per row, labels before logits.

`name` is accepted and ignored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastlog as _fastlog

__all__ = [
    "log_softmax",
    "sigmoid_cross_entropy_with_logits",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "sparse_softmax_cross_entropy_with_logits",
]


def softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """Softmax over `axis`, by default the last; see `fastlog.softmax`."""
    return _fastlog.softmax(logits, -1 if axis is None else axis)


def log_softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """Logarithm of the softmax over `axis`, by default the last; see `fastlog.log_softmax`."""
    return _fastlog.log_softmax(logits, -1 if axis is None else axis)


def sigmoid_cross_entropy_with_logits(labels: Any = None, logits: Any = None, name: str | None = None) -> Any:
    """Binary cross-entropy, elementwise; see `fastlog.binary_cross_entropy_with_logits`.

    Raises
    ------
    ValueError
        If the shapes of labels and logits differ, or one of them is missing.
    """
    labels, logits = _both(labels, logits)
    return _fastlog.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """Cross-entropy with class probabilities, one value per row; see `fastlog.cross_entropy`."""
    labels, logits = _both(labels, logits)
    probabilities = np.asarray(labels)
    if probabilities.dtype.kind in "biu":  # one-hot
        probabilities = probabilities.astype(np.float64)
    return _fastlog.cross_entropy(logits, probabilities, reduction="none", axis=axis)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Any:
    """Cross-entropy with class labels along the last axis, one value per row; see `fastlog.cross_entropy`.

    Raises
    ------
    ValueError
        If a label is out of range, or the shape of the labels is not that of the logits without the last axis.
    """
    labels, logits = _both(labels, logits)
    counted = np.asarray(labels)
    if counted.dtype.kind not in "biu":
        raise TypeError(f"labels must be integers, not {counted.dtype}")
    return _fastlog.cross_entropy(logits, counted, reduction="none", ignore_index=None)


def _both(labels: Any, logits: Any) -> tuple[Any, Any]:
    if labels is None or logits is None:
        raise ValueError("both labels and logits must be given")
    return labels, logits
