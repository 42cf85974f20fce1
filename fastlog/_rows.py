"""How reductions and normalisations of rows get from their arguments to the loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastlog._arrays import (
    as_array,
    as_axes,
    by_stride,
    cast,
    deliver,
    from_rows,
    refuse_mask,
    to_rows,
    working_dtype,
)
from fastlog._core import INDEX, run_over

_ALL = np.ones((), np.bool)
_LEAST = np.finfo(np.float32).smallest_normal
_CHUNK = 1 << 15  # elements that stay in the cache between being divided by a temperature and normalised


def broadcast_shape(name: str, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that arrays of two shapes have together, or say which shapes do not fit."""
    if one == other:
        return one
    longer, shorter = sorted((one, other), key=len, reverse=True)  # NumPy's function knows 32 dimensions
    pairs = list(zip(longer, (1,) * (len(longer) - len(shorter)) + shorter, strict=True))
    if any(n != m and 1 not in (n, m) for n, m in pairs):
        raise ValueError(f"{name}: the shapes {one} and {other} do not broadcast together")
    return tuple([n if m == 1 else m for n, m in pairs])


def _as_dtype(name: str, x: np.ndarray, dtype: Any) -> np.ndarray:
    """Convert to the dtype that the caller wants, if any."""
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
    if include is not None and broadcast_shape(name, x.shape, include.shape) != x.shape:
        raise ValueError(f"{name}: where has the shape {include.shape}, which does not fit {x.shape}")
    return x, include


def sum_of_exponentials(
    name: str,
    a: Any,
    x: np.ndarray,
    include: np.ndarray | None,
    b: Any,
    axis: Any,
    keepdims: bool,
    return_sign: bool,
    out: Any,
    mean: bool,
) -> Any:
    """Compute logsumexp and logmeanexp in every case that the short way leaves."""
    weights, result = (None, x.dtype) if b is None else as_weights(name, b, x.dtype)
    shape = x.shape
    if weights is not None and weights.ndim:
        shape = broadcast_shape(name, x.shape, weights.shape)
    axes = as_axes(axis, len(shape))
    if mean:
        weights, empty = _shares(weights, working_dtype(result) or result, include, shape, axes, keepdims)
    if weights is None and include is None and not return_sign:
        y = sign = _plain_sum(x, axes, keepdims)
    else:
        y, sign = weighted_sum(x, weights, include, result, shape, axes, keepdims)
        if mean and empty is not None:
            y[empty] = np.nan
        if not return_sign and y.dtype.kind != "c":
            if y.size != 1:
                with np.errstate(invalid="ignore"):  # bfloat16 compares nan with a flag
                    y[sign < 0] = np.nan
            elif sign.item() < 0:
                y[...] = np.nan
    if return_sign:
        y = y.real
    if isinstance(a, np.ma.MaskedArray):
        y, sign = (masked_sum(part, a, shape, axes, keepdims) for part in (y, sign))
    first = deliver(y, out)
    return (first, deliver(sign, None)) if return_sign else first


def masked_sum(
    y: np.ndarray, a: np.ma.MaskedArray[Any, Any], shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool
) -> np.ma.MaskedArray[Any, Any]:
    """Return results of sums over the axes of `a`, as it is broadcast, masked where all of their elements are."""
    return np.ma.array(y, mask=np.all(np.broadcast_to(np.ma.getmaskarray(a), shape), axis=axes, keepdims=keepdims))


def _shares(
    weights: np.ndarray | None,
    dtype: np.dtype,
    include: np.ndarray | None,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    keepdims: bool,
) -> tuple[np.ndarray, Any]:
    """Weights, or ones, divided by how many elements are included; and where that is none."""
    ones = np.ones((), dtype) if weights is None else weights.astype(np.result_type(weights, dtype), copy=False)
    with np.errstate(all="ignore"):
        if include is None:
            number = math.prod([shape[k] for k in axes])
            return np.asarray(ones / (number or math.nan), ones.dtype), ... if number == 0 else None
        count = np.sum(np.broadcast_to(include, shape), axes, keepdims=True)
        return np.asarray(ones / count, ones.dtype), (count if keepdims else np.squeeze(count, axes)) == 0


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


def run(name: str, arrays: tuple[np.ndarray, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[np.ndarray, ...]:
    """Run a row function over the axes of arrays that broadcast; copy those whose axes need it."""
    made = run_over(INDEX[name], arrays, axes, keepdims)
    if made is None:
        shape = arrays[0].shape
        for part in arrays[1:]:
            shape = broadcast_shape(name, shape, part.shape)
        arrays = tuple([np.broadcast_to(part, shape) for part in arrays])
        rows = tuple([to_rows(part, by_stride(arrays[0], axes)) for part in arrays])
        made = run_over(INDEX[name], rows, (rows[0].ndim - 1,))
        assert made is not None
        made = tuple([np.expand_dims(y, axes) for y in made]) if keepdims else made
    return made


def _plain_sum(x: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """Logsumexp of all elements."""
    working = working_dtype(x.dtype)
    if working is not None:
        return _rounded(run("logsumexp", (aligned(x, working),), axes, keepdims)[0], x.dtype)
    y = _plain_logsumexp(to_rows(x, axes), None)[0]
    return np.expand_dims(y, axes) if keepdims else np.asarray(y)


def _rounded(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return results in another dtype; what is beyond its range is infinite, and raises nothing."""
    with np.errstate(over="ignore"):
        return cast(y, dtype)


def aligned(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the array in a dtype that has a kernel, at addresses that the kernel can read."""
    return x if x.dtype == dtype and x.flags.aligned else np.array(x, dtype)


def weighted_sum(
    x: np.ndarray,
    weights: np.ndarray | None,
    include: np.ndarray | None,
    result: np.dtype,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    keepdims: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """log(abs(sum(weights * exp(x)))) over the axes and the sign of the sum, of the elements to be included."""
    working = working_dtype(result if weights is None else np.result_type(result, weights))
    if working is None:
        rows = to_rows(np.broadcast_to(x.astype(result, copy=False), shape), axes)
        if weights is None:
            weights = np.ones((), result)
        if include is not None:
            weights = np.where(include, weights, 0)
        y, sign = _plain_logsumexp(rows, to_rows(np.broadcast_to(weights, shape), axes))
        return (np.expand_dims(y, axes), np.expand_dims(sign, axes)) if keepdims else (np.asarray(y), np.asarray(sign))
    weights = np.ones((), working) if weights is None else aligned(weights, working)
    include = _ALL if include is None else include
    y, sign = run("logsumexp_weighted", (aligned(x, working), weights, include), axes, keepdims)
    return _rounded(y, result), _rounded(sign, result)


def _plain_logsumexp(rows: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Logsumexp over the last axis and the sign of the sum, by NumPy's functions, for dtypes without a kernel.

    An element of the largest real part is left out, so log(sum) = a + log(w) + log1p(rest / w), with w its weight.
    Where that is not finite, the sum's own logarithm follows C's rules for infinities.
    """
    shape = rows.shape[:-1]
    if rows.size == 0:
        return np.full(shape, -np.inf, rows.dtype), np.zeros(shape, rows.dtype)
    rows = rows.reshape(-1, rows.shape[-1])  # some of NumPy's functions know 32 dimensions
    weights = None if weights is None else weights.reshape(rows.shape)
    with np.errstate(all="ignore"):
        if weights is None:  # 1 * inf would be inf + nan i
            weights, direct = np.ones_like(rows), np.sum(np.exp(rows), axis=-1)
        else:
            weights, rows = weights.astype(rows.dtype), np.where(weights == 0, -np.inf, rows)
            direct = np.sum(np.where(weights == 0, 0, weights * np.exp(rows)), axis=-1)
        at = np.argmax(rows.real, axis=-1)[..., np.newaxis]
        top, weight = np.take_along_axis(rows, at, -1), np.take_along_axis(weights, at, -1)
        others = weights * np.exp(rows - top)
        np.put_along_axis(others, at, 0, -1)
        ratio = np.sum(others, axis=-1) / weight[..., 0]
        total = weight[..., 0] * (1 + ratio)
        if rows.dtype.kind == "c":
            y = top[..., 0] + np.log(weight[..., 0]) + np.log1p(ratio)
            turns = np.ceil((y.imag - np.pi) / (2 * np.pi))  # to the angles from -pi, excluded, to pi
            y = y - 1j * (2 * np.pi) * np.where(np.isfinite(turns), turns, 0)
            sign = np.sign(total) * np.exp(1j * top[..., 0].imag)
        else:
            size = np.where(ratio < -1, -2 - ratio, ratio)
            y, sign = top[..., 0] + np.log(np.abs(weight[..., 0])) + np.log1p(size), np.sign(total)
        finite = np.isfinite(y)
        magnitude = np.abs(direct) if rows.dtype.kind == "f" else direct
        y, sign = np.where(finite, y, np.log(magnitude)), np.where(finite, sign, np.sign(direct))
    return y.reshape(shape), sign.reshape(shape)


def normalize(
    name: str, a: Any, axis: Any, where: Any, out: Any, dtype: Any, temperature: float, return_lse: bool
) -> Any:
    """Softmax or log_softmax in every case that the short way leaves."""
    x, include = included(name, a, where, dtype)
    axes = as_axes(axis, x.ndim)
    refuse_mask(name, "temperature", temperature)
    try:
        with np.errstate(all="ignore"):
            divisor = float(x.real.dtype.type(temperature))
    except (TypeError, ValueError, OverflowError):
        divisor = math.nan
    if not 0 < divisor < math.inf:
        raise ValueError(f"{name}: temperature must be a positive number of {x.real.dtype}, not {temperature!r}")
    working = working_dtype(x.dtype)
    if divisor != 1 and working not in (None, x.dtype):  # rounded as the caller's own division would be
        with np.errstate(all="ignore"):
            x, divisor = x / x.dtype.type(divisor), 1
    if working is None:
        y, lse = _plain_normalize(name, x, include, axes, divisor)
    else:
        straight = _takes_rows(out, x, working)
        y = out if straight else np.empty(x.shape, working)
        lse = _normalize_into(y, name, aligned(x, working), include, axes, divisor, return_lse)
        y, lse = _rounded(y, x.dtype), _rounded(lse, x.dtype) if return_lse else lse
    if include is not None:
        np.copyto(y, 0 if name == "softmax" else -np.inf, where=~include)
    result: Any = y
    if isinstance(a, np.ma.MaskedArray):
        result = np.ma.array(y, mask=np.ma.getmaskarray(a))
        lse = masked_sum(lse, a, x.shape, axes, False) if return_lse else lse
    result = out if result is out else deliver(result, out)
    return (result, deliver(lse, None)) if return_lse else result


def _takes_rows(out: Any, x: np.ndarray, working: np.dtype) -> bool:
    """Whether the result can be written straight into `out`: of the dtype, and apart from `x` or in its very place."""
    if type(out) is not np.ndarray or out.shape != x.shape or out.dtype != x.dtype or x.dtype != working:
        return False
    if not (out.flags.writeable and out.flags.aligned):
        return False
    return _same_place(out, x) or not np.may_share_memory(out, x)


def _same_place(y: np.ndarray, x: np.ndarray) -> bool:
    return y.strides == x.strides and y.__array_interface__["data"][0] == x.__array_interface__["data"][0]


def _normalize_into(
    y: np.ndarray,
    name: str,
    x: np.ndarray,
    include: np.ndarray | None,
    axes: tuple[int, ...],
    divisor: float,
    return_lse: bool,
) -> Any:
    """Write softmax or log_softmax of x / divisor over the axes into y; return the logsumexp if wanted."""
    function = "softmax_and_logsumexp" if return_lse else name
    last_of_many = x.ndim > 1 and len(x) > 1 and axes == (x.ndim - 1,)
    if divisor != 1 and include is None and last_of_many and x.size > _CHUNK:
        step = max(1, _CHUNK * len(x) // x.size)  # rows that stay in the cache
        parts = []
        for k in range(0, len(x), step):
            parts.append(_normalize_into(y[k : k + step], name, x[k : k + step], None, axes, divisor, return_lse))
        return np.concatenate(parts) if return_lse else None
    source = x
    with np.errstate(all="ignore"):
        if include is not None:
            source = y
            np.divide(x, x.dtype.type(divisor), out=y) if divisor != 1 else np.copyto(y, x)
            np.copyto(y, -np.inf, where=~include)
        elif divisor != 1:
            # NumPy chooses the layout, as for the caller's own quotient: the last bits of sums depend on it.
            source = np.divide(x, x.dtype.type(divisor), out=y if x.flags.c_contiguous else None)
    made = run_over(INDEX[function], (source, y), axes)
    if made is None:  # no single stride leads through the axes: a copy in which one does
        rows = np.array(to_rows(source, axes), order="C")
        made = run_over(INDEX[function], (rows, rows), (rows.ndim - 1,))
        np.copyto(y, from_rows(rows, y.shape, axes))
    return made[0] if made else None


def _plain_normalize(
    name: str, x: np.ndarray, include: np.ndarray | None, axes: tuple[int, ...], divisor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the same by NumPy's functions, for dtypes without a kernel."""
    with np.errstate(all="ignore"):
        x = x / x.real.dtype.type(divisor) if divisor != 1 else x
        rows = to_rows(x if include is None else np.where(include, x, -np.inf), axes)
        lse = _plain_logsumexp(rows, None)[0]
        y = rows - lse[..., np.newaxis]
        y = np.ascontiguousarray(from_rows(np.exp(y) if name == "softmax" else y, x.shape, axes))
    return y.reshape(x.shape), lse
