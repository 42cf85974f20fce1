"""The methods reduce, reduceat and at of logaddexp: row functions compute the same at once.

NumPy's own `reduce` calls a ufunc's loop row by row wherever the reduced axis is not the innermost one in memory, and
it rounds the result so far to the array's dtype between two calls: each element costs an error and a logarithm. No loop
can change that. Its `at` makes one loop call for each index. But since NumPy 2.2 a ufunc has a ``__dict__``, whose
entries come before the methods of its type. The methods that are attached there compute the plain cases (exact
ndarrays, ordinary arguments). They hand all other calls to NumPy's method, with the arguments as they came; so errors
and overrides are NumPy's. Older NumPy has only that method.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastlog._arrays import as_axes, cast, deliver, fits, is_narrow, to_rows, working_dtype

_NO_VALUE = np._NoValue
_NUMBERS = (int, float, np.integer, np.floating)
_REDUCE = dict.fromkeys(("array", "axis", "dtype", "out", "keepdims", "initial", "where"))
_REDUCEAT = dict.fromkeys(("array", "indices", "axis", "dtype", "out"))
_AXIS = {"axis"}
_BUFFER = 8192  # NumPy converts so many elements at a time, unless it is told otherwise.
_FEW = 100  # So few segments take NumPy's way, one loop call each, in less time than it takes to look at them.


def attach_row_methods(functions: dict[str, np.ufunc], run_rows: Callable[..., Any], index: int) -> None:
    """Give the logaddexp of a target its `row_methods`, where ufuncs can have methods of their own."""
    if hasattr(functions["logaddexp"], "__dict__"):
        functions["logaddexp"].__dict__.update(row_methods(functions, run_rows, index))


def row_methods(
    functions: dict[str, np.ufunc], run_rows: Callable[..., Any], index: int, module: str = "fastlog"
) -> dict[str, Callable[..., Any]]:
    """Return the methods of logaddexp, by name, that its target's row functions do better.

    `functions` has the target's ufuncs by their names in the table. `run_rows` is `fastlog._core.run_rows` for that
    target, and `index` the number of logsumexp. In `module`, pickle finds logaddexp.
    """
    names = ("logaddexp", "logsumexp", "logsumexp_segments", "segment_logsumexp")
    ufunc, rows, segments, buckets = (functions[name] for name in names)
    numpy_reduce, numpy_reduceat, numpy_at = ufunc.reduce, ufunc.reduceat, ufunc.at

    @functools.wraps(numpy_reduce)
    def reduce(*args: Any, **keywords: Any) -> Any:
        y = None
        if args and type(args[0]) is np.ndarray:
            if len(args) == 1 and (not keywords or keywords.keys() == _AXIS):
                y = run_rows(index, args[0], keywords.get("axis", 0))
            elif len(args) == 2 and not keywords:
                y = run_rows(index, *args)
        if y is None:
            given = _by_name(_REDUCE, args, keywords)
            if given and not _one_call(**given):
                y = _reduce(ufunc, rows, **given)
        return numpy_reduce(*args, **keywords) if y is None else y

    @functools.wraps(numpy_reduceat)
    def reduceat(*args: Any, **keywords: Any) -> Any:
        given = _by_name(_REDUCEAT, args, keywords)
        y = _reduceat(ufunc, segments, **given) if "indices" in given and _has_many_indices(given["indices"]) else None
        return numpy_reduceat(*args, **keywords) if y is None else y

    @functools.wraps(numpy_at)
    def at(*args: Any, **keywords: Any) -> None:
        if keywords or len(args) != 3 or not _at(buckets, *args):
            numpy_at(*args, **keywords)

    methods: dict[str, Callable[..., Any]] = {"reduce": reduce, "reduceat": reduceat, "at": at}
    for name, method in methods.items():
        method.__module__, method.__qualname__ = module, f"logaddexp.{name}"
    return methods


def _one_call(array: Any, where: Any = True, **_: Any) -> bool:
    """Tell whether NumPy passes the whole array to the loop: that is as exact and, for short arrays, quicker."""
    return where is True and type(array) is np.ndarray and array.ndim == 1 and array.size <= _BUFFER


def _has_many_indices(indices: Any) -> bool:
    """Tell whether the indices are so many, and so plain, that it pays to look at them here."""
    if type(indices) is np.ndarray:
        return indices.ndim == 1 and indices.size >= _FEW
    return type(indices) in (list, tuple) and len(indices) >= _FEW and all(type(i) is int for i in indices)


def _by_name(parameters: dict[str, None], args: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by name; an empty dict where NumPy has to say what is wrong with them."""
    given = dict(zip(parameters, args, strict=False))
    given.update(keywords)
    known = len(given) == len(args) + len(keywords) and given.keys() <= parameters.keys()
    return given if known and type(given.get("array")) in (np.ndarray, np.memmap) else {}


def _plain(x: Any) -> Any:
    """Return a NumPy number as Python's, a memmap as an ndarray, the element of a tuple of one; others as they are."""
    if type(x) is tuple and len(x) == 1:
        x = x[0]
    if type(x) is np.memmap:
        return x.view(np.ndarray)
    return x.item() if isinstance(x, np.bool | np.number) or (type(x) is np.ndarray and x.ndim == 0) else x


def _reduce(
    ufunc: np.ufunc,
    rows: np.ufunc,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = _NO_VALUE,
    where: Any = True,
) -> Any:
    """Compute ufunc.reduce by `rows` over the axes; return None where NumPy has to do it."""
    array, keepdims, initial = _plain(array), _plain(keepdims), _plain(initial)
    where = _plain(np.asarray(where))
    out = out[0] if type(out) is tuple and len(out) == 1 else out
    result_dtype = _result_dtype(ufunc, array, dtype, out)
    if result_dtype is None:
        return None
    if initial is None and array.size and where is True:
        initial = _NO_VALUE
    axes = _axes(axis, array.ndim)
    if not axes or keepdims not in (0, 1) or not (initial is _NO_VALUE or isinstance(initial, _NUMBERS)):
        return None
    if where is True and _half_rows(array, axes, result_dtype):
        return None
    shape = tuple([1 if k in axes else n for k, n in enumerate(array.shape) if keepdims or k not in axes])
    if out is not None and out.shape != shape:
        return None
    x = array.astype(working_dtype(result_dtype), copy=False)
    if where is not True:
        if type(where) is not np.ndarray or where.dtype != np.bool or not fits(where.shape, x.shape):
            return None
        x = np.where(where, x, -np.inf)
    y = rows(to_rows(x, axes)) if len(axes) > 1 else rows(x, axis=axes[0])
    if initial is not _NO_VALUE:
        y = ufunc(y, x.dtype.type(initial))
    return _rounded(y.reshape(shape) if keepdims else y, result_dtype, out)


def _reduceat(
    ufunc: np.ufunc, segments: np.ufunc, array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None
) -> Any:
    """Compute ufunc.reduceat by `segments` along the axis; return None where NumPy has to do it."""
    array = _plain(array)
    out = out[0] if type(out) is tuple and len(out) == 1 else out
    result_dtype = _result_dtype(ufunc, array, dtype, out)
    axes = () if result_dtype is None else _axes(axis, array.ndim)
    if result_dtype is None or len(axes) != 1:
        return None
    first = np.asarray(indices)
    n = array.shape[axes[0]]
    if first.dtype.kind not in "iu" or not np.can_cast(first.dtype, np.intp) or first.min() < 0 or first.max() >= n:
        return None
    if out is not None and out.shape != (*array.shape[: axes[0]], len(first), *array.shape[axes[0] + 1 :]):
        return None
    first = first.astype(np.int64, copy=False)
    last = first + 1  # A segment that ends before it begins is its first element.
    np.maximum(last[:-1], first[1:], out=last[:-1])
    last[-1] = n
    x = array.astype(working_dtype(result_dtype), copy=False)
    return _rounded(segments(x, first, last, axes=[axes[0], 0, 0, axes[0]]), result_dtype, out)


def _at(buckets: np.ufunc, a: Any, indices: Any, b: Any) -> bool:
    """Compute logaddexp.at in place by `buckets`, and tell whether that was possible; else NumPy has to do it.

    All elements of `a` are read and written, so there must be about as many indices.
    """
    if type(a) is not np.ndarray or a.ndim != 1 or a.dtype.char not in "fd" or not a.flags.behaved:
        return False
    if type(indices) is not np.ndarray or indices.ndim != 1 or indices.dtype.kind not in "iu":
        return False
    if type(b) is not np.ndarray or b.shape != indices.shape or b.dtype != a.dtype or len(b) < max(_FEW, len(a) // 4):
        return False
    if np.may_share_memory(a, b) or np.may_share_memory(a, indices):
        return False
    least, largest = indices.min(), indices.max()
    if least < -len(a) or largest >= len(a):
        return False
    ids = indices.astype(np.int64, copy=False)
    if least < 0:
        ids = np.where(ids < 0, ids + len(a), ids)
    y = buckets(b, ids, a)[0]
    # An element without an index keeps its bits: those of nan, and of -0.0, though log(exp(-0.0)) is 0.0.
    np.copyto(a, y, where=(a != y) & (a == a))
    return True


def _result_dtype(ufunc: np.ufunc, array: Any, dtype: Any, out: Any) -> np.dtype[Any] | None:
    """Return float16, bfloat16, float32 or float64, as NumPy would choose it.

    Return None where `array`, `dtype` or `out` is not a simple case; NumPy's own method decides then.
    """
    if type(array) is not np.ndarray or array.ndim == 0 or not (array.dtype.kind in "fbiu" or is_narrow(array.dtype)):
        return None
    try:
        if dtype is None and array.dtype.kind in "biu":  # NumPy's logaddexp and fastlog's differ on small integers.
            dtype = ufunc.resolve_dtypes((array.dtype, array.dtype, None))[2]
        found: np.dtype[Any] = array.dtype if dtype is None else np.dtype(dtype)
    except TypeError:
        return None
    if not found.isnative:
        if dtype is not None:
            return None
        found = found.newbyteorder("=")
    if found.char not in "fd" and not is_narrow(found):
        return None
    if out is not None and not (type(out) is np.ndarray and out.dtype == found and out.flags.writeable):
        return None
    return found


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes; an empty tuple where NumPy has to say what is wrong with them."""
    try:
        return as_axes(tuple([_plain(k) for k in axis]) if type(axis) is tuple else _plain(axis), ndim)
    except (TypeError, ValueError):
        return ()


def _half_rows(array: np.ndarray, axes: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Tell whether NumPy makes one loop call for each result: for float16 that is as exact, and quicker."""
    last = array.ndim - len(axes) == axes[0] and array.flags.c_contiguous
    return dtype.char == "e" and array.dtype == dtype and (array.ndim == 1 or last)


def _rounded(y: Any, dtype: np.dtype[Any], out: np.ndarray | None) -> Any:
    """Deliver results in their dtype; a result beyond its range is infinite, and raises nothing."""
    with np.errstate(over="ignore"):
        return deliver(cast(y, dtype), out)
