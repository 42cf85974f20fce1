"""softmax and log_softmax, with SciPy's signatures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastlog import _by_numpy
from fastlog._arrays import aligned, as_axes, deliver, from_rows, refuse_mask, rounded, to_rows, working_dtype
from fastlog._core import INDEX, claims, may_write, run_over, short_way
from fastlog._docs import filled
from fastlog._libraries import of_any_array
from fastlog._rows import included, masked_sum
from fastlog._typing import AnyArray, Axes, DTypeLike, Mask, Out

__all__ = ["log_softmax", "softmax"]

_SOFTMAX = INDEX["softmax"]
_SOFTMAX_AND_LOGSUMEXP = INDEX["softmax_and_logsumexp"]
_LOG_SOFTMAX = INDEX["log_softmax"]
_CHUNK = 1 << 15  # So many elements stay in the cache between being divided by a temperature and normalised.


@short_way(_SOFTMAX)
@of_any_array
@filled(claims()["softmax"])
def softmax(
    x: AnyArray,
    axis: Axes | None = None,
    *,
    where: Mask | None = None,
    out: Out | None = None,
    dtype: DTypeLike | None = None,
    temperature: float = 1.0,
    return_lse: bool = False,
) -> Any:
    """Softmax, exp(x) / sum(exp(x)), over an axis.

    Parameters
    ----------
    x : array_like
        Real or complex numbers of any shape; dtypes as for `logsumexp`.
    axis : None, int or tuple of ints, optional
        Axes over which the result sums to 1; all of them by default.
    where : array_like of bool, optional
        Elements to include; the others become 0 and count for nothing.
    {out and dtype}
    temperature : float, optional
        A positive number that `x` is divided by, as in ``softmax(x / temperature)`` and to the same bits, but without
        another array where `x` is in C order; for rows of up to some ten thousand elements also without another pass
        over memory.
    return_lse : bool, optional
        Whether to return ``logsumexp(x / temperature)`` too, of which softmax is the gradient: both from one pass over
        memory to sum and one to divide.

    Returns
    -------
    ndarray or scalar
        Of the shape of `x`, in C order, and masked where `x` is. nan in rows that hold nan or inf, or nothing but -inf.
    lse : ndarray or scalar
        With `return_lse`: of the shape of `x` without the axes.

    {raises}

    See Also
    --------
    log_softmax : its logarithm, more accurate than ``np.log(softmax(x))``
    scipy.special.softmax

    Notes
    -----
    exp(x - M)/(1 + r) in the terms of `logsumexp`. The exponents are reduced without rounding x - M, so elements far
    below the maximum are as accurate as the others, down to correct subnormals: the error is at most {ulp} ulp, in
    float32 and float64, on every target. No floating-point exception is raised.

    Temporary arrays of the size of `x` are needed for dtypes other than float32 and float64, for several axes that are
    not neighbours in memory, and where `out` overlaps `x` without being in the same place.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import softmax
    >>> softmax(np.array([[0.0, 0.0], [0.0, np.log(3.0)]]), axis=1)
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    return _normalize("softmax", x, axis, where, out, dtype, temperature, return_lse, False)


@short_way(_LOG_SOFTMAX)
@of_any_array
@filled(claims()["log_softmax"])
def log_softmax(
    x: AnyArray,
    axis: Axes | None = None,
    *,
    where: Mask | None = None,
    out: Out | None = None,
    dtype: DTypeLike | None = None,
    temperature: float = 1.0,
) -> Any:
    """Logarithm of the softmax, x - logsumexp(x), over an axis.

    Parameters
    ----------
    x : array_like
        Real or complex numbers of any shape; dtypes as for `logsumexp`.
    axis : None, int or tuple of ints, optional
        Axes over which the exponential of the result sums to 1; all of them by default.
    where : array_like of bool, optional
        Elements to include; the others become -inf and count for nothing.
    {out and dtype}
    temperature : float, optional
        A positive number that `x` is divided by, as in ``log_softmax(x / temperature)`` and to the same bits, but
        without another array where `x` is in C order; for rows of up to some ten thousand elements also without another
        pass over memory.

    Returns
    -------
    ndarray or scalar
        Of the shape of `x`, in C order, and masked where `x` is. nan in rows that hold nan or nothing but -inf.

    {raises}

    See Also
    --------
    softmax
    scipy.special.log_softmax

    Notes
    -----
    logsumexp(x) is subtracted in two words, so the dominant element keeps its digits: it is -log1p(r), not a difference
    of nearly equal numbers, and -0.0 where that underflows; of the only element above -inf it is log(1) = 0.0. The
    error is at most {ulp} ulp, in float32 and float64, on every target. No floating-point exception is raised.

    Temporary arrays of the size of `x` are needed for dtypes other than float32 and float64, for several axes that are
    not neighbours in memory, and where `out` overlaps `x` without being in the same place.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import log_softmax
    >>> log_softmax(np.array([1000.0, 1.0]))
    array([  -0., -999.])
    >>> log_softmax(np.array([0.0, -40.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    return _normalize("log_softmax", x, axis, where, out, dtype, temperature, False, True)


def _normalize(
    name: str, a: Any, axis: Any, where: Any, out: Any, dtype: Any, temperature: Any, return_lse: bool, logs: bool
) -> Any:
    """Compute softmax or, with `logs`, log_softmax, in all cases that the short way does not take."""
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
    if divisor != 1 and working not in (None, x.dtype):  # The quotient is rounded as the caller's own.
        with np.errstate(all="ignore"):
            x, divisor = x / x.dtype.type(divisor), 1
    if working is None:
        y, lse = _by_numpy.normalized(x, include, axes, divisor, logs)
    else:
        function = _LOG_SOFTMAX if logs else _SOFTMAX_AND_LOGSUMEXP if return_lse else _SOFTMAX
        y = out if x.dtype == working and may_write(out, x) else np.empty(x.shape, working)
        lse = _normalize_into(y, function, aligned(x, working), include, axes, divisor)
        y, lse = rounded(y, x.dtype), rounded(lse, x.dtype) if return_lse else lse
    if include is not None:
        np.copyto(y, -np.inf if logs else 0, where=~include)
    result: Any = y
    if isinstance(a, np.ma.MaskedArray):
        result = np.ma.array(y, mask=np.ma.getmaskarray(a))
        lse = masked_sum(lse, a, x.shape, axes, False) if return_lse else lse
    result = out if result is out else deliver(result, out)
    return (result, deliver(lse, None)) if return_lse else result


def _normalize_into(
    y: np.ndarray, function: int, x: np.ndarray, include: np.ndarray | None, axes: tuple[int, ...], divisor: float
) -> Any:
    """Write the function of x / divisor over the axes into y; return the logsumexp if the function gives it."""
    last_of_many = x.ndim > 1 and len(x) > 1 and axes == (x.ndim - 1,)
    if divisor != 1 and include is None and last_of_many and x.size > _CHUNK:
        step = max(1, _CHUNK * len(x) // x.size)  # So many rows stay in the cache.
        parts = []
        for k in range(0, len(x), step):
            parts.append(_normalize_into(y[k : k + step], function, x[k : k + step], None, axes, divisor))
        return None if parts[0] is None else np.concatenate(parts)
    source = x
    with np.errstate(all="ignore"):
        if include is not None:
            source = y
            np.divide(x, x.dtype.type(divisor), out=y) if divisor != 1 else np.copyto(y, x)
            np.copyto(y, -np.inf, where=~include)
        elif divisor != 1:
            # NumPy chooses the layout, as for the caller's own quotient: the last bits of sums depend on it.
            source = np.divide(x, x.dtype.type(divisor), out=y if x.flags.c_contiguous else None)
    made = run_over(function, (source, y), axes)
    if made is None:  # No single stride leads through these axes, so a copy is normalised.
        rows = np.array(to_rows(source, axes), order="C")
        made = run_over(function, (rows, rows), (rows.ndim - 1,))
        np.copyto(y, from_rows(rows, y.shape, axes))
    return made[0] if made else None
