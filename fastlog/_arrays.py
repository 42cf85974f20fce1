"""Arguments that the functions accept: arrays, dtypes, axes, outputs."""

from __future__ import annotations

import math
import operator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.exceptions import AxisError


def as_array(name: str, a: Any) -> np.ndarray:
    """Return `a` as an array of floating point or complex numbers; booleans and integers become float64.

    A ragged array, or one that is not numeric, raises TypeError. `name` is the function that asks.
    """
    if type(a) is np.ndarray and a.dtype.char in "fd" and a.dtype.isnative:
        return a
    x = rectangular(name, a)
    if x.dtype.kind in "biu":
        return x.astype(np.float64)
    if x.dtype.kind in "fc" or x.dtype.name == "bfloat16":
        return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    raise TypeError(
        f"{name}: cannot compute with dtype {x.dtype}; convert the argument to numbers first, for example with "
        "np.asarray(x, dtype=np.float64), or names of classes to labels with np.unique(x, return_inverse=True)[1]"
    )


def rectangular(name: str, a: Any) -> np.ndarray:
    """Return `a` as an array of any dtype; TypeError if it is ragged."""
    try:
        return np.asarray(a)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise TypeError(
            f"{name}: the rows of the argument have different lengths; pad them to one length, for example with -inf"
        ) from error


def refuse_mask(name: str, argument: str, a: Any) -> None:
    """Refuse masked elements of an argument other than the first."""
    if isinstance(a, np.ma.MaskedArray) and np.ma.is_masked(a):
        raise TypeError(
            f"{name}: {argument} has masked elements; fill them first, as only the mask of the first argument counts"
        )


def as_divisor(name: str, temperature: Any, dtype: np.dtype) -> float:
    """Return a temperature as the number of `dtype` by which an array of that dtype is divided."""
    refuse_mask(name, "temperature", temperature)
    divisor = math.nan
    with np.errstate(all="ignore"), suppress(TypeError, ValueError, OverflowError):
        if np.asarray(temperature).dtype.kind not in "SUMmc":  # Text, times and complex numbers are no temperatures.
            divisor = float(dtype.type(temperature))
    if not 0 < divisor < math.inf:
        if np.ndim(temperature) > 0:
            raise ValueError(
                f"{name}: temperature must be one number, not an array of the shape {np.shape(temperature)}; if "
                "each row has its own, pass x / temperature, for example x / temperature[:, np.newaxis]"
            )
        raise ValueError(f"{name}: temperature must be a positive number of {dtype}, not {temperature!r}")
    return divisor


def working_dtype(dtype: np.dtype) -> np.dtype | None:
    """Return the kernel's dtype for arrays of `dtype`; None where there is no kernel (longdouble, complex)."""
    if dtype.char in "fd":
        return dtype
    if dtype.kind == "c" or (dtype.kind == "f" and dtype.itemsize > 8):
        return None
    return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)


def is_narrow(dtype: np.dtype) -> bool:
    """Tell whether loops of float32 compute with a dtype, piece by piece: float16 or bfloat16."""
    return dtype.char == "e" or (dtype.kind == "V" and dtype.name == "bfloat16")


def cast(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return `y` in another dtype; numbers that become subnormal or 0 do so without a warning."""
    if y.dtype == dtype:
        return y
    with np.errstate(under="ignore"):
        return y.astype(dtype, copy=False)


def rounded(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return results in another dtype; numbers beyond its range become infinite without a warning."""
    if y.dtype == dtype:
        return y
    with np.errstate(over="ignore", under="ignore"):
        return y.astype(dtype, copy=False)


def in_memory(x: np.ndarray, working: np.dtype) -> np.ndarray:
    """Return an array for the walker: as it is, if that is aligned and has a dtype of loops or a narrow one."""
    return x if is_narrow(x.dtype) and x.flags.aligned else aligned(x, working)


def aligned(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the array in a dtype that has a kernel, at addresses that the kernel can read."""
    return x if x.dtype == dtype and x.flags.aligned else np.array(x, dtype)


def broadcast_shape(name: str, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that arrays of two shapes have together, or say which shapes do not fit."""
    if one == other or not other:
        return one
    longer, shorter = sorted((one, other), key=len, reverse=True)  # NumPy's own function is limited to 32 axes.
    pairs = list(zip(longer, (1,) * (len(longer) - len(shorter)) + shorter, strict=True))
    if any(n != m and 1 not in (n, m) for n, m in pairs):
        raise ValueError(f"{name}: the shapes {one} and {other} do not broadcast together")
    return tuple([n if m == 1 else m for n, m in pairs])


def fits(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Tell whether an array of one shape can be broadcast to another shape."""
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False))


def as_axis(axis: Any, ndim: int) -> int:
    """Return `axis`, an int, as an axis from 0 to ndim - 1; TypeError and AxisError otherwise."""
    if type(axis) is int and -ndim <= axis < ndim:
        return axis % ndim
    if axis is None or isinstance(axis, (tuple, bool, np.bool)):
        raise TypeError(f"axis must be an int, not {axis!r}")
    (k,) = as_axes(axis, ndim)
    return k


def as_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return `axis` (None, which means all, an int or a tuple of ints) as a sorted tuple of axes from 0 to ndim - 1.

    A 0-d array has the axes 0 and -1 too, as in SciPy. Anything else raises TypeError (also float, str, bool and list),
    AxisError for an axis out of range, or ValueError for one that occurs twice.
    """
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    found = []
    for one in axis if isinstance(axis, tuple) else (axis,):
        if isinstance(one, (bool, np.bool)):
            raise TypeError("axis must be None, an int or a tuple of ints, not a bool")
        try:
            index = operator.index(one)
        except TypeError:
            raise TypeError(f"axis must be None, an int or a tuple of ints, not {type(one).__name__}") from None
        if ndim == 0 and index in (0, -1):
            found.append(0)
            continue
        if not -ndim <= index < ndim:
            raise AxisError(index, ndim)
        found.append(index % ndim)
    if len(set(found)) < len(found):
        raise ValueError(f"duplicate value in 'axis': {axis}")
    return tuple(sorted(found)) if ndim else ()


def to_rows(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Return `x` with `axes`, in their order, joined into one last axis: a view where strides allow it."""
    others = tuple(k for k in range(x.ndim) if k not in axes)
    length = math.prod(x.shape[k] for k in axes)
    return x.transpose(others + axes).reshape(tuple(x.shape[k] for k in others) + (length,))


def from_rows(rows: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """Undo `to_rows` for an array that had `shape`."""
    others = tuple(k for k in range(len(shape)) if k not in axes)
    order = others + axes
    return rows.reshape(tuple(shape[k] for k in order)).transpose(np.argsort(order))


def check_out(out: Any) -> None:
    """Refuse an `out` that is no ndarray, because results would be written into a copy of it."""
    if not (out is None or isinstance(out, np.ndarray)):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")


def deliver(y: np.ndarray, out: np.ndarray | None) -> Any:
    """Return the result as NumPy does: a scalar instead of a 0-d array, or `out` when the caller gave one.

    A masked `out` gets the mask of the result; another one gets what is computed under the mask.
    """
    if out is None:
        return y[()] if y.ndim == 0 else y
    check_out(out)
    if out.shape != y.shape:
        raise ValueError(f"out has the shape {out.shape}, but the result has the shape {y.shape}")
    with np.errstate(under="ignore"):
        np.copyto(np.ma.getdata(out), np.ma.getdata(y), casting="same_kind")
    if isinstance(out, np.ma.MaskedArray):
        out.mask = np.ma.getmaskarray(y)
    return out
