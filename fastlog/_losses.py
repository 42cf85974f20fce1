"""Losses of logits, with torch's reductions."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fastlog._arrays import as_array, as_axes, cast, working_dtype
from fastlog._core import functions
from fastlog._reductions import log_softmax

_active = functions()
_REDUCTIONS = ("none", "sum", "mean")


def binary_cross_entropy_with_logits(
    logits: Any, targets: Any, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    """Binary cross-entropy of logits x and targets z, -z log(sigmoid(x)) - (1 - z) log(1 - sigmoid(x)).

    Parameters
    ----------
    logits : array_like
        Real numbers of any shape.
    targets : array_like
        Labels 0 and 1 (of any dtype), or probabilities; of the same shape.
    weight : array_like, optional
        Weight of each element, of a shape that broadcasts to that of `logits`.
    pos_weight : array_like, optional
        Weight of the positive part, the factor of z log(sigmoid(x)); broadcasts likewise.
    reduction : {'mean', 'sum', 'none'}, optional
        The mean divides by the number of elements, whatever their weights.

    Returns
    -------
    scalar or ndarray
        The loss, in the dtype of `logits`; of their shape with reduction 'none'.

    Raises
    ------
    ValueError
        If the shapes differ or `reduction` is unknown.
    TypeError
        If an argument is not numeric, or complex or longdouble.

    Notes
    -----
    Computed as abs(x) w + log1p(exp(-abs(x))), where w, the weight of the wrong side, is 1 - z for x >= 0 and z below.
    Infinite logits follow the limit: (inf, 1) and (-inf, 0) are 0, (inf, 0) and (-inf, 1) are inf. An element that
    weighs 0 does not count, even if its loss is infinite. Sums are carried in float64 or better. The mean of nothing is
    nan, the sum 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import binary_cross_entropy_with_logits
    >>> binary_cross_entropy_with_logits(np.array([2.0, -1.0]), np.array([1, 0]), reduction="none")
    array([0.12692801, 0.31326169])
    """
    name = "binary_cross_entropy_with_logits"
    _check_reduction(name, reduction)
    x, dtype = _real(name, logits)
    z, _ = _real(name, targets)
    if x.shape != z.shape:
        raise ValueError(f"{name}: logits and targets must have the same shape, not {x.shape} and {z.shape}")
    z = cast(z, x.dtype)
    if pos_weight is None and weight is None and reduction != "none":
        total = _active[name + "_sum"](x.ravel(), z.ravel())
        return _reduced(total, x.size, reduction, dtype)
    if pos_weight is None:
        loss = _active[name](x, z)
    else:
        factor = _fitting(name, "pos_weight", pos_weight, x)
        ones, zeros = np.ones_like(x), np.zeros_like(x)
        loss = _weighted(_active[name](x, ones), z * factor) + _weighted(_active[name](x, zeros), 1 - z)
    if weight is not None:
        loss = _weighted(loss, _fitting(name, "weight", weight, x))
    if reduction == "none":
        return cast(loss, dtype)[()]
    return _reduced(np.sum(loss, dtype=np.float64), x.size, reduction, dtype)


def cross_entropy(
    logits: Any,
    targets: Any,
    weight: Any = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    *,
    axis: int = -1,
) -> Any:
    """Cross-entropy of rows of logits with class labels or class probabilities.

    Parameters
    ----------
    logits : array_like
        Real numbers; `axis` runs over the classes.
    targets : array_like
        Labels: integers (or booleans) of the shape of `logits` without `axis`, from 0 to the number of classes less 1.
        Or probabilities: floats of the shape of `logits`.
    weight : array_like, optional
        One weight per class.
    ignore_index : int or None, optional
        A label that does not count.
    reduction : {'mean', 'sum', 'none'}, optional
        The mean divides by the summed class weight of the labels that count; for probabilities, by the number of rows.
    axis : int, optional
        The class axis.

    Returns
    -------
    scalar or ndarray
        The loss, in the dtype of `logits`; of their shape without `axis` with reduction 'none'.

    Raises
    ------
    ValueError
        If a label is out of range, shapes do not fit, or `reduction` is unknown.
    TypeError
        If an argument is not numeric, or complex or longdouble.

    Notes
    -----
    logsumexp(row) - row[label], or minus the sum of p log_softmax(row), where 0 times log 0 is 0. If no label counts,
    the mean is nan and the sum 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import cross_entropy
    >>> logits = np.array([[2.0, 0.0], [0.0, 0.0]])
    >>> cross_entropy(logits, [0, 1], reduction="none")
    array([0.12692801, 0.69314718])
    >>> cross_entropy(logits, [[1.0, 0.0], [0.5, 0.5]])
    np.float64(0.4100375958014589)
    """
    name = "cross_entropy"
    _check_reduction(name, reduction)
    x, dtype = _real(name, logits)
    rows, classes = _class_rows(name, "logits", x, axis)
    labels = _labels(name, targets)
    if labels.dtype.kind not in "biu":
        p, _ = _real(name, targets)
        if p.shape != x.shape:
            raise ValueError(
                f"{name}: class probabilities must have the shape of the logits, {x.shape}, not {p.shape}; "
                "class labels must be integers"
            )
        class_weight = _class_weight(name, weight, classes)
        loss = _soft_cross_entropy(rows, np.moveaxis(p, axis, -1), class_weight)
        if reduction == "none":
            return cast(loss, dtype)[()]
        return _reduced(np.sum(loss), loss.size, reduction, dtype)
    labels, counts = _checked_labels(name, labels, rows, ignore_index)
    loss = np.zeros(labels.shape, x.dtype)
    if loss.size and classes:
        _active["softmax_cross_entropy"](rows, labels, out=loss)
    return _weighted_labels(name, loss, labels, counts, weight, classes, reduction, dtype)


def nll_loss(
    log_probs: Any,
    targets: Any,
    weight: Any = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    *,
    axis: int = -1,
) -> Any:
    """Negative log-likelihood of class labels, given log-probabilities.

    Parameters
    ----------
    log_probs : array_like
        Log-probabilities, such as `log_softmax` gives; `axis` runs over the classes.
    targets : array_like of int
        Labels of the shape of `log_probs` without `axis`, from 0 to the number of classes less 1.
    weight : array_like, optional
        One weight per class.
    ignore_index : int or None, optional
        A label that does not count.
    reduction : {'mean', 'sum', 'none'}, optional
        The mean divides by the summed class weight of the labels that count.
    axis : int, optional
        The class axis.

    Returns
    -------
    scalar or ndarray
        The loss, in the dtype of `log_probs`; of their shape without `axis` with reduction 'none'.

    Raises
    ------
    ValueError
        If a label is out of range, shapes do not fit, or `reduction` is unknown.
    TypeError
        If an argument is not numeric, or complex or longdouble, or the labels are not integers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import log_softmax, nll_loss
    >>> nll_loss(log_softmax(np.array([[2.0, 0.0], [0.0, 0.0]]), axis=1), [0, 1])
    np.float64(0.4100375958014589)
    """
    name = "nll_loss"
    _check_reduction(name, reduction)
    x, dtype = _real(name, log_probs)
    rows, classes = _class_rows(name, "log_probs", x, axis)
    labels = _labels(name, targets)
    if labels.dtype.kind not in "biu":
        raise TypeError(f"{name}: targets must be integer class labels, not {labels.dtype}")
    labels, counts = _checked_labels(name, labels, rows, ignore_index)
    loss = np.zeros(labels.shape, x.dtype)
    if loss.size and classes:
        loss = -np.take_along_axis(rows, labels[..., np.newaxis], axis=-1)[..., 0]
    return _weighted_labels(name, loss, labels, counts, weight, classes, reduction, dtype)


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{name}: reduction must be one of {', '.join(map(repr, _REDUCTIONS))}, not {reduction!r}")


def _real(name: str, a: Any) -> tuple[np.ndarray, np.dtype]:
    """Return `a` in the dtype of a kernel, and the dtype that a result should have."""
    if isinstance(a, np.ma.MaskedArray) and np.ma.is_masked(a):
        raise TypeError(f"{name}: an argument has masked elements; leave them out, or use weights or ignore_index")
    x = as_array(name, a)
    working = working_dtype(x.dtype)
    if working is None:
        raise TypeError(f"{name}: computed for real numbers up to float64, not for {x.dtype}; convert the argument")
    return x.astype(working, copy=False), x.dtype


def _weighted(loss: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the product; a loss that weighs 0 does not count, even if it is infinite."""
    with np.errstate(invalid="ignore", under="ignore"):
        product: np.ndarray = np.where(weight == 0, weight.dtype.type(0), loss * weight)
        return product


def _fitting(name: str, argument: str, a: Any, x: np.ndarray) -> np.ndarray:
    """Return a weight that must broadcast to the shape of `x`."""
    w, _ = _real(name, a)
    try:
        np.broadcast_to(w, x.shape)
    except ValueError:
        raise ValueError(f"{name}: {argument} has the shape {w.shape}, which does not fit {x.shape}") from None
    return cast(w, x.dtype)


def _reduced(total: Any, count: Any, reduction: str, dtype: np.dtype) -> Any:
    """Return the sum or the mean as a scalar; the mean of nothing is nan, quietly."""
    if reduction == "mean":
        total = total / count if count else np.nan
    return cast(np.asarray(total), dtype)[()]


def _class_rows(name: str, argument: str, x: np.ndarray, axis: Any) -> tuple[np.ndarray, int]:
    """Return `x` with the class axis last, and the number of classes."""
    if x.ndim == 0 or isinstance(axis, tuple) or axis is None:
        raise ValueError(f"{name}: {argument} need one class axis; got {argument} of shape {x.shape} and axis={axis}")
    (k,) = as_axes(axis, x.ndim)
    return np.moveaxis(x, k, -1), x.shape[k]


def _labels(name: str, targets: Any) -> np.ndarray:
    """Return class labels, or class probabilities, as an array."""
    if isinstance(targets, np.ma.MaskedArray) and np.ma.is_masked(targets):
        raise TypeError(f"{name}: targets have masked elements; use ignore_index for rows that do not count")
    if isinstance(targets, (list, tuple)) and len(targets) == 0:
        return np.empty(0, np.int64)
    try:
        return np.asarray(targets)
    except ValueError:
        raise TypeError(f"{name}: the rows of targets have different lengths") from None


def _checked_labels(
    name: str, labels: np.ndarray, rows: np.ndarray, ignore_index: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of rows as int64, those that do not count set to 0, and which ones count."""
    if ignore_index is not None:
        ignore_index = operator.index(ignore_index)
    *expected, classes = rows.shape
    if labels.shape != tuple(expected):
        raise ValueError(
            f"{name}: for rows of {classes} classes, labels must have the shape {tuple(expected)}, not {labels.shape}"
        )
    counts = np.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    wrong = counts & ((labels < 0) | (labels >= classes))
    if wrong.any():
        position = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{name}: targets[{', '.join(map(str, position))}] is {labels[position]}, but labels run from 0 to "
            f"{classes - 1}; use ignore_index for rows that do not count"
        )
    return np.where(counts, labels, 0).astype(np.int64), counts


def _class_weight(name: str, weight: Any, classes: int) -> np.ndarray | None:
    if weight is None:
        return None
    w, _ = _real(name, weight)
    if w.shape != (classes,):
        raise ValueError(f"{name}: weight must have the shape ({classes},), one per class, not {w.shape}")
    return w.astype(np.float64)


def _weighted_labels(
    name: str,
    loss: np.ndarray,
    labels: np.ndarray,
    counts: np.ndarray,
    weight: Any,
    classes: int,
    reduction: str,
    dtype: np.dtype,
) -> Any:
    """Weight and reduce the losses of labelled rows; rows that do not count, or weigh nothing, are 0."""
    class_weight = _class_weight(name, weight, classes)
    row_weight = counts.astype(np.float64)
    if class_weight is not None and classes:
        row_weight *= class_weight[labels]
    loss = _weighted(loss, row_weight)
    if reduction == "none":
        return cast(loss, dtype)[()]
    return _reduced(np.sum(loss), np.sum(row_weight), reduction, dtype)


def _soft_cross_entropy(rows: np.ndarray, p: np.ndarray, class_weight: np.ndarray | None) -> np.ndarray:
    """Minus the sum of w p log_softmax(rows) over the last axis in float64, where p = 0 counts for nothing."""
    if rows.size == 0:
        return np.zeros(rows.shape[:-1])
    factor = p.astype(np.float64) if class_weight is None else p * class_weight
    loss: np.ndarray = -np.sum(_weighted(log_softmax(rows, axis=-1), factor), axis=-1)
    return loss
