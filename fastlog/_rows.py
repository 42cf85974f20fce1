"""Functions of rows: which elements count, what they weigh, and how they get to the loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastlog import _by_numpy
from fastlog._arrays import aligned, as_array, fits, refuse_mask, rounded, to_rows, working_dtype
from fastlog._core import INDEX, run_over

_WEIGHTED, _WEIGHTED_MEAN = INDEX["logsumexp_weighted"], INDEX["logmeanexp_weighted"]
_ALL = np.ones((), np.bool)
_LEAST = np.finfo(np.float32).smallest_normal


def _as_dtype(name: str, x: np.ndarray, dtype: Any) -> np.ndarray:
    """Return the array in the dtype that the caller wants, if any."""
    if dtype is None:
        return x
    wanted = np.dtype(dtype).newbyteorder("=")
    if wanted.kind not in "fc" and wanted.name != "bfloat16":
        raise TypeError(f"{name}: dtype must be a floating point or complex dtype, not {wanted}")
    with np.errstate(under="ignore"):
        return x.astype(wanted, copy=False)


def included(name: str, a: Any, where: Any, dtype: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the array, and which elements of it count: all (None), or those that `where` and its mask let through."""
    x = _as_dtype(name, as_array(name, a), dtype)
    include = np.asarray(~np.ma.getmaskarray(a)) if isinstance(a, np.ma.MaskedArray) else None
    if where is not None:
        refuse_mask(name, "where", where)
        where = np.asarray(where)
        if where.dtype != bool:
            raise TypeError(f"{name}: where must be an array of bool, not of {where.dtype}")
        include = where if include is None else np.asarray(include & where)
    if include is not None and not fits(include.shape, x.shape):
        raise ValueError(f"{name}: where has the shape {include.shape}, which does not fit {x.shape}")
    return x, include


def as_weights(name: str, b: Any, dtype: np.dtype) -> tuple[np.ndarray, np.dtype]:
    """Return weights as an array, and the dtype of sums with them, for elements of `dtype`.

    Python's numbers and bools do not widen that; numbers beyond its range keep their own all the same.
    """
    if type(b) is np.ndarray and b.dtype == dtype:
        return b, dtype
    if type(b) is float and dtype.char == "d":
        return np.asarray(b), dtype
    if type(b) in (int, float):
        weights, working = np.asarray(b, np.float64), working_dtype(dtype) or dtype
        with np.errstate(all="ignore"):
            narrow = weights.astype(working)
        keeps = working.char != "f" or not b or not math.isfinite(b) or _LEAST <= abs(narrow) < math.inf
        return (narrow if keeps else weights), dtype
    refuse_mask(name, "b", b)
    weights = as_array(name, b)
    if np.asarray(b).dtype == bool:
        weights = weights.astype(dtype)
    return weights, np.result_type(dtype, weights)


def is_bool(b: Any) -> bool:
    """Tell whether weights are bools, which only say which elements count."""
    return type(b) is bool or np.asarray(b).dtype == bool


def joined(include: np.ndarray | None, b: Any) -> np.ndarray | None:
    """Return which elements count, of those that are included, with bools as weights; None stands for all."""
    also = np.asarray(b)
    if include is None:
        return None if also.ndim == 0 and also else also
    return np.asarray(include & also)


def run(
    function: int, arrays: tuple[np.ndarray, ...], shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool
) -> tuple[np.ndarray, ...]:
    """Run a row function over the axes of arrays that broadcast to `shape`; copy those whose axes need it."""
    made = run_over(function, arrays, axes, keepdims)
    if made is None:
        arrays = tuple([np.broadcast_to(part, shape) for part in arrays])
        # The longest strides come first, so that to_rows joins the axes without a copy if that is possible.
        order = tuple(sorted(axes, key=lambda k: -abs(arrays[0].strides[k])))
        rows = tuple([to_rows(part, order) for part in arrays])
        made = run_over(function, rows, (rows[0].ndim - 1,))
        assert made is not None
        made = tuple([np.expand_dims(y, axes) for y in made]) if keepdims else made
    return made


def weighted_sum(
    x: np.ndarray,
    weights: np.ndarray | None,
    include: np.ndarray | None,
    result: np.dtype,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    keepdims: bool,
    mean: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return log(abs(sum(weights * exp(x)))) over the axes, and the sign of the sum; only included elements count.

    With `mean`, the sum is divided by the number of included elements. Longdouble and complex sums are not.
    """
    working = working_dtype(result if weights is None else np.result_type(result, weights))
    if working is None:
        rows = to_rows(np.broadcast_to(x.astype(result, copy=False), shape), axes)
        if weights is None:
            weights = np.ones((), result)
        if include is not None:
            weights = np.where(include, weights, 0)
        y, sign = _by_numpy.logsumexp(rows, to_rows(np.broadcast_to(weights, shape), axes))
        return (np.expand_dims(y, axes), np.expand_dims(sign, axes)) if keepdims else (np.asarray(y), np.asarray(sign))
    weights = np.ones((), working) if weights is None else aligned(weights, working)
    include = _ALL if include is None else include
    y, sign = run(_WEIGHTED_MEAN if mean else _WEIGHTED, (aligned(x, working), weights, include), shape, axes, keepdims)
    return rounded(y, result), rounded(sign, result)


def masked_sum(
    y: np.ndarray, a: np.ma.MaskedArray[Any, Any], shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool
) -> np.ma.MaskedArray[Any, Any]:
    """Return results of sums over the axes of `a`, as it is broadcast, masked where all of their elements are."""
    return np.ma.array(y, mask=np.all(np.broadcast_to(np.ma.getmaskarray(a), shape), axis=axes, keepdims=keepdims))
