"""Checks of the arguments of losses. Each function gets the name of the loss that asks, for its messages."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fastlog._arrays import as_array, as_axis, cast, fits, is_narrow, rectangular, working_dtype

REDUCTIONS = ("none", "sum", "mean")


def check_reduction(name: str, reduction: str, choices: tuple[str, ...] = REDUCTIONS) -> None:
    """Refuse a reduction of losses that is none of the choices."""
    if reduction not in choices:
        raise ValueError(f"{name}: reduction must be one of {', '.join(map(repr, choices))}, not {reduction!r}")


def real_number(name: str, argument: str, value: Any) -> float:
    """Return an argument that must be a real number."""
    if type(value) is float:
        return value
    x = np.asanyarray(value)
    if x.ndim or x.dtype.kind not in "biuf" or isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name}: {argument} must be a number, not {value!r}")
    return float(x)


def in_unit_interval(name: str, argument: str, value: Any) -> float:
    """Return an argument that must be a number from 0 to 1."""
    number = real_number(name, argument, value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name}: {argument} must be between 0 and 1, not {value}")
    return number


def focusing_power(name: str, gamma: Any, dtype: np.dtype) -> float:
    """Return the power of a focal loss of logits of `dtype`."""
    power = real_number(name, "gamma", gamma)
    if not 0 <= power <= float(np.finfo("f" if is_narrow(dtype) else dtype).max):
        raise ValueError(f"{name}: gamma must be a finite number of at least 0, not {power}")
    return power


def _behaved(x: np.ndarray) -> np.ndarray:
    """Return an array that loops can read in place, native and aligned."""
    return x if x.flags.aligned and x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def real_array(name: str, a: Any, narrow: np.dtype | None = None) -> tuple[np.ndarray, np.dtype]:
    """Return `a` in the dtype of a kernel, or as it is in that of `narrow`; and the dtype that a result should have."""
    if isinstance(a, np.ma.MaskedArray) and np.ma.is_masked(a):
        raise TypeError(f"{name}: an argument has masked elements; leave them out, or let them weigh 0")
    x = as_array(name, a)
    working = working_dtype(x.dtype)
    if working is None:
        raise TypeError(f"{name}: computed for real numbers up to float64, not for {x.dtype}; convert the argument")
    return _behaved(x if x.dtype == narrow else x.astype(working, copy=False)), x.dtype


def logit_array(name: str, a: Any) -> tuple[np.ndarray, np.dtype]:
    """Return logits in a dtype that the walker takes, and the dtype that a result should have."""
    x = as_array(name, a)
    return real_array(name, a, x.dtype if is_narrow(x.dtype) else None)


def target_array(name: str, targets: Any, dtype: np.dtype) -> np.ndarray:
    """Return labels as they are, and numbers in a dtype of a kernel or in that of the logits."""
    if isinstance(targets, np.ma.MaskedArray) and np.ma.is_masked(targets):
        raise TypeError(f"{name}: targets have masked elements; use ignore_index or weights for what does not count")
    if isinstance(targets, (list, tuple)) and len(targets) == 0:
        return np.empty(0, np.int64)
    z = rectangular(name, targets)
    return _behaved(z) if z.dtype.kind in "biu" else real_array(name, z, dtype if is_narrow(dtype) else None)[0]


def logits_and_targets(
    name: str, first: str, logits: Any, targets: Any, second: str = "targets"
) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """Return two arrays of one shape, and the dtype of the result."""
    x, dtype = logit_array(name, logits)
    z = target_array(name, targets, x.dtype)
    if x.shape != z.shape:
        raise ValueError(f"{name}: {first} and {second} must have the same shape, not {x.shape} and {z.shape}")
    return x, z, dtype


def factor_array(name: str, argument: str, a: Any, x: np.ndarray) -> np.ndarray | None:
    """Return the weights of elements, in the dtype in which `x` is computed, to whose shape they must broadcast."""
    if a is None:
        return None
    w, _ = real_array(name, a)
    if not fits(w.shape, x.shape):
        raise ValueError(f"{name}: {argument} has the shape {w.shape}, which does not fit {x.shape}")
    return cast(w, working_dtype(x.dtype) or x.dtype)


def class_axis(name: str, argument: str, x: np.ndarray, axis: Any) -> int:
    """Return the axis of the classes, from 0 to x.ndim - 1."""
    if x.ndim == 0 or isinstance(axis, tuple) or axis is None:
        raise ValueError(f"{name}: {argument} need one class axis; got {argument} of shape {x.shape} and axis={axis}")
    return as_axis(axis, x.ndim)


def class_weight_array(name: str, weight: Any, classes: int, argument: str = "weight") -> np.ndarray | None:
    """Return one weight for each class, as a contiguous array of float64."""
    if weight is None:
        return None
    w, _ = real_array(name, weight)
    if w.shape != (classes,):
        raise ValueError(f"{name}: {argument} must have the shape ({classes},), one per class, not {w.shape}")
    return np.ascontiguousarray(w, np.float64)


def row_weight_array(name: str, weight: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return one weight for each row, as an array of float64 of the shape of the rows' losses."""
    w, _ = real_array(name, weight)
    if not fits(w.shape, shape):
        raise row_weight_error(name, w.shape, shape)
    return np.broadcast_to(w.astype(np.float64, copy=False), shape)


def row_weight_error(name: str, shape: tuple[int, ...], rows: tuple[int, ...]) -> ValueError:
    """Return the error that says what shape the weights of rows may have."""
    return ValueError(f"{name}: sample_weight has the shape {shape}, but one weight per row has the shape {rows}")


def ignored_label(name: str, labels: np.ndarray, ignore_index: Any) -> tuple[np.ndarray, int | None]:
    """Return the labels, and the one that does not count. Loops compare both as int64."""
    if ignore_index is None:
        return labels, None
    try:
        index = operator.index(ignore_index)
    except TypeError:
        raise TypeError(f"{name}: ignore_index must be an integer or None, not {ignore_index!r}") from None
    if labels.dtype == np.uint64 and index >= 2**63 - 1:  # Loops take all labels of this size for one.
        free = next(k for k in range(2**63 - 2, 0, -1) if not np.any(labels == k))
        return np.where(labels == index, np.uint64(free), labels), free
    return labels, index if -(2**63) <= index < 2**63 else None  # No label is beyond that range.


def check_label_shape(name: str, labels: np.ndarray, x: np.ndarray, axis: int) -> None:
    """Refuse labels that do not have the shape of `x` without the axis of the classes."""
    expected = x.shape[:axis] + x.shape[axis + 1 :]
    if labels.shape != expected:
        raise ValueError(
            f"{name}: for rows of {x.shape[axis]} classes, labels must have the shape {expected}, not {labels.shape}"
            f"{one_hot_hint(name, labels.shape, x.shape)}"
        )


def class_labels(
    name: str, argument: str, logits: Any, targets: Any, axis: Any, ignore_index: Any
) -> tuple[np.ndarray, np.dtype, int, np.ndarray, int | None]:
    """Return rows and their labels for a loss that takes no probabilities.

    These are the rows, the dtype that a result should have, the class axis, the labels, and the one that is ignored.
    """
    x, dtype = logit_array(name, logits)
    k = class_axis(name, argument, x, axis)
    labels = target_array(name, targets, x.dtype)
    if labels.dtype.kind not in "biu":
        raise TypeError(f"{name}: targets must be integer class labels, not {labels.dtype}")
    check_label_shape(name, labels, x, k)
    labels, ignored = ignored_label(name, labels, ignore_index)
    return x, dtype, k, labels, ignored


def one_hot_hint(name: str, targets: Any, logits: Any) -> str:
    """Return what a message adds on integers or booleans of the shape of the logits; other losses take labels alone."""
    one_hot = name == "cross_entropy" and tuple(targets) == tuple(logits)
    return "; one-hot targets are probabilities: convert them to floats" if one_hot else ""


def refuse_wrong_label(name: str, labels: np.ndarray, classes: int, ignored: int | None) -> None:
    """Say which label is the first one out of range."""
    wrong = (labels < 0) | (labels >= classes)
    if ignored is not None:
        wrong &= labels != ignored
    position = tuple(int(i) for i in np.argwhere(wrong)[0])
    raise label_error(name, position, labels[position], classes)


def label_error(name: str, position: tuple[int, ...], label: int, classes: int) -> ValueError:
    """Return the error that says which label is out of range."""
    where = f"[{', '.join(map(str, position))}]" if position else ""
    return ValueError(
        f"{name}: targets{where} is {label}, but labels run from 0 to {classes - 1}; "
        "use ignore_index for rows that do not count"
    )
