"""Sums and normalisations of segments: the elements that have the same index, wherever they stand."""

from __future__ import annotations

import math
import operator
import sys
from typing import Any

import numpy as np

from fastlog._arrays import aligned, as_array, rectangular, refuse_mask, rounded, working_dtype
from fastlog._core import claims, functions
from fastlog._docs import filled
from fastlog._libraries import of_any_array
from fastlog._typing import AnyArray

__all__ = ["segment_log_softmax", "segment_logsumexp", "segment_softmax"]

_UFUNCS = functions()
# All arguments have the axis of their elements, or segments, in front; those of two words have the words behind it.
_OF_SUMS = [0, 0, 0, 0, 0, (0, 1)]
_OF_ELEMENTS = [0, 0, (0, 1), 0]


@of_any_array
@filled(claims()["logsumexp"])
def segment_logsumexp(data: AnyArray, segment_ids: AnyArray, num_segments: int | None = None) -> Any:
    """Logarithm of the sum of exponentials of each segment: of the elements that have the same index.

    Parameters
    ----------
    data : array_like
        Real numbers, of the shape of `segment_ids` and any more axes behind it. float16, float32, float64 and bfloat16
        keep their dtype; booleans and integers become float64.
    segment_ids : array_like of int
        The segment of each element, from 0 to `num_segments` - 1, sorted or not; mostly of one axis. Axes of `data`
        behind it are columns, which are summed each by itself.
    num_segments : int, optional
        The number of segments; by default one more than the largest index.

    Returns
    -------
    ndarray
        Of the shape ``(num_segments, ...)``, where the dots stand for the columns; -inf for segments without elements.
        Masked elements of a masked array do not count.

    Raises
    ------
    TypeError
        If `data` is ragged or no array of real numbers, or `segment_ids` is no array of integers, or has masked
        elements, or `num_segments` is no integer.
    ValueError
        If the shapes do not fit, or an index is negative or not below `num_segments`.

    See Also
    --------
    segment_softmax, segment_log_softmax
    logsumexp : of whole rows

    Notes
    -----
    log(sum of exp(x)) = M + log(sum of exp(x - M)), where M is the largest element of the segment. One pass over the
    elements finds the largest ones; another adds the exponentials to their segments, in two doubles. No element is
    sorted or moved, and a result depends on nothing but the elements of its segment and their order. The error is at
    most {ulp} ulp of max(1, abs(result)), and results near 0 that one element dominates keep their digits. No
    floating-point exception is raised.

    The call needs memory for three doubles per segment and column, and for a copy of `data` where its dtype is neither
    float64 nor float32.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import segment_logsumexp
    >>> x = np.log([1.0, 2.0, 3.0, 4.0])
    >>> np.exp(segment_logsumexp(x, [0, 2, 0, 2]))
    array([4., 0., 6.])
    """
    x, dtype, ids, n = _segments("segment_logsumexp", data, segment_ids, num_segments)
    return rounded(_sums(x, ids, n)[0], dtype)


@of_any_array
@filled(claims()["softmax"])
def segment_softmax(data: AnyArray, segment_ids: AnyArray, num_segments: int | None = None) -> Any:
    """Softmax of each element among those that have the same index.

    Parameters
    ----------
    data : array_like
        Real numbers, as for `segment_logsumexp`.
    segment_ids : array_like of int
        The segment of each element, as for `segment_logsumexp`.
    num_segments : int, optional
        The number of segments, if indices are to be held against it.

    Returns
    -------
    ndarray
        Of the shape of `data`: ``exp(data)``, divided by the sum of its segment and column. nan in segments that hold
        nan or inf, or nothing but -inf. Masked elements of a masked array do not count, and stay masked.

    Raises
    ------
    TypeError, ValueError
        As `segment_logsumexp` does.

    See Also
    --------
    segment_logsumexp, segment_log_softmax
    softmax : of whole rows

    Notes
    -----
    exp(x - L), where L is the `segment_logsumexp` of the segment in two words. The error is at most {ulp} ulp, also of
    subnormal numbers. No floating-point exception is raised.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import segment_softmax
    >>> segment_softmax(np.log([1.0, 2.0, 3.0, 4.0]), [0, 1, 0, 1])
    array([0.25      , 0.33333333, 0.75      , 0.66666667])
    """
    return _normalize("segment_softmax", data, segment_ids, num_segments)


@of_any_array
@filled(claims()["log_softmax"])
def segment_log_softmax(data: AnyArray, segment_ids: AnyArray, num_segments: int | None = None) -> Any:
    """Logarithm of the softmax of each element among those that have the same index.

    Parameters
    ----------
    data : array_like
        Real numbers, as for `segment_logsumexp`.
    segment_ids : array_like of int
        The segment of each element, as for `segment_logsumexp`.
    num_segments : int, optional
        The number of segments, if indices are to be held against it.

    Returns
    -------
    ndarray
        Of the shape of `data`: ``data`` less the logsumexp of its segment and column. nan in segments that hold nan or
        nothing but -inf. Masked elements of a masked array do not count, and stay masked.

    Raises
    ------
    TypeError, ValueError
        As `segment_logsumexp` does.

    See Also
    --------
    segment_logsumexp, segment_softmax
    log_softmax : of whole rows

    Notes
    -----
    The logsumexp of the segment is subtracted in two words, so the dominant element keeps its digits. The error is at
    most {ulp} ulp. No floating-point exception is raised.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import segment_log_softmax
    >>> segment_log_softmax([0.0, 5.0, -40.0], [1, 0, 1])
    array([-4.24835426e-18,  0.00000000e+00, -4.00000000e+01])
    """
    return _normalize("segment_log_softmax", data, segment_ids, num_segments)


def _normalize(name: str, data: Any, segment_ids: Any, num_segments: Any) -> Any:
    x, dtype, ids, n = _segments(name, data, segment_ids, num_segments)
    logs = _sums(x, ids, n)[2]
    y = rounded(_UFUNCS[name](x, ids, logs, axes=_OF_ELEMENTS), dtype).reshape(np.shape(data))
    return np.ma.array(y, mask=np.ma.getmaskarray(data)) if isinstance(data, np.ma.MaskedArray) else y


def _sums(x: np.ndarray, ids: np.ndarray, n: int) -> Any:
    """Return the logsumexp of segments, their largest elements, and the logsumexp in two doubles."""
    return _UFUNCS["segment_logsumexp"](x, ids, np.full((n, *x.shape[1:]), -np.inf, x.dtype), axes=_OF_SUMS)


def checked_count(name: str, num_segments: Any) -> int:
    """Return the number of segments that the caller wants."""
    try:
        n = operator.index(num_segments)
    except TypeError:
        raise TypeError(f"{name}: num_segments must be an integer, not {type(num_segments).__name__}") from None
    if n < 0:
        raise ValueError(f"{name}: num_segments must not be negative, not {n}")
    return n


def refuse_shapes(name: str, data: tuple[int, ...], ids: tuple[int, ...]) -> None:
    """Refuse elements and indices whose shapes do not fit."""
    if not ids or data[: len(ids)] != ids:
        raise ValueError(
            f"{name}: data must have the shape of segment_ids and any more axes, but the shapes are {data} and {ids}"
        )


def refuse_index(name: str, least: int, largest: int, n: int) -> None:
    """Refuse indices that are out of range."""
    if least < 0 or largest >= n:
        if least < 0:
            wrong, reason = least, "no index may be negative"
        else:
            wrong, reason = largest, f"there are the segments 0 to {n - 1}" if n else "there are no segments"
        raise ValueError(
            f"{name}: segment_ids has the index {wrong}, but {reason}; leave out the elements that belong to no "
            "segment, for example with data[segment_ids >= 0]"
        )


def _segments(name: str, data: Any, segment_ids: Any, num_segments: Any) -> tuple[Any, np.dtype, np.ndarray, int]:
    """Return the elements with one axis for those of all segments, their dtype, their indices, and the number."""
    x = as_array(name, data)
    working = working_dtype(x.dtype)
    if working is None:
        raise TypeError(f"{name}: computed for real numbers up to float64, not for {x.dtype}")
    refuse_mask(name, "segment_ids", segment_ids)
    ids = rectangular(name, segment_ids)
    if ids.size == 0 and not hasattr(segment_ids, "dtype"):
        ids = ids.astype(np.int64)  # An empty list has no integers to be seen.
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name}: segment_ids must be an array of integers, not of {ids.dtype}")
    refuse_shapes(name, x.shape, ids.shape)
    least, largest = (int(ids.min()), int(ids.max())) if ids.size else (0, -1)
    n = largest + 1 if num_segments is None else checked_count(name, num_segments)
    refuse_index(name, least, largest, n)
    columns = math.prod(m or 1 for m in x.shape[ids.ndim :])  # NumPy ignores axes of length 0 where it checks a size.
    if 16 * n * columns > sys.maxsize:  # A sum takes two doubles.
        raise ValueError(
            f"{name}: {n} segments are more than an array can hold; their number is num_segments, or else one more "
            "than the largest index"
        )
    if isinstance(data, np.ma.MaskedArray):
        x = np.where(np.ma.getmaskarray(data), x.dtype.type(-np.inf), x)
    elements = aligned(x, working).reshape(ids.size, *x.shape[ids.ndim :])
    return elements, x.dtype, ids.astype(np.int64, copy=False).reshape(-1), n
