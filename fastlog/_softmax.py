"""softmax and log_softmax, with SciPy's signatures."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlog import _by_numpy
from fastlog._arrays import as_axes, as_divisor, deliver, from_rows, in_memory, to_rows, working_dtype
from fastlog._core import INDEX, claims, may_write, run_over, short_way
from fastlog._docs import filled
from fastlog._libraries import of_any_array
from fastlog._rows import included, masked_sum
from fastlog._typing import AnyArray, Axes, DTypeLike, Mask, Out

__all__ = ["log_softmax", "softmax"]

_SOFTMAX, _LOG_SOFTMAX = INDEX["softmax"], INDEX["log_softmax"]
_AND_LOGSUMEXP = {_SOFTMAX: INDEX["softmax_and_logsumexp"], _LOG_SOFTMAX: INDEX["log_softmax_and_logsumexp"]}


@short_way(_SOFTMAX, _AND_LOGSUMEXP[_SOFTMAX])
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
        another array, and without another pass over memory.
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

    Temporary arrays of the size of `x` are needed for dtypes other than float64, float32, float16 and bfloat16, for
    several axes that are not neighbours in memory, and where `out` overlaps `x` without being in the same place. With
    float16 and bfloat16, a temperature or a mask, there is room for some rows at a time: for 16 or more of short ones,
    one of long ones, and 256 where rows are neighbours in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import softmax
    >>> softmax(np.array([[0.0, 0.0], [0.0, np.log(3.0)]]), axis=1)
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    return _normalize("softmax", x, axis, where, out, dtype, temperature, return_lse, False)


@short_way(_LOG_SOFTMAX, _AND_LOGSUMEXP[_LOG_SOFTMAX])
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
    return_lse: bool = False,
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
        without another array, and without another pass over memory.
    return_lse : bool, optional
        Whether to return ``logsumexp(x / temperature)`` too, which is subtracted.

    Returns
    -------
    ndarray or scalar
        Of the shape of `x`, in C order, and masked where `x` is. nan in rows that hold nan or nothing but -inf.
    lse : ndarray or scalar
        With `return_lse`: of the shape of `x` without the axes.

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

    Temporary arrays of the size of `x` are needed for dtypes other than float64, float32, float16 and bfloat16, for
    several axes that are not neighbours in memory, and where `out` overlaps `x` without being in the same place. With
    float16 and bfloat16, a temperature or a mask, there is room for some rows at a time: for 16 or more of short ones,
    one of long ones, and 256 where rows are neighbours in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import log_softmax
    >>> log_softmax(np.array([1000.0, 1.0]))
    array([  -0., -999.])
    >>> log_softmax(np.array([0.0, -40.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    return _normalize("log_softmax", x, axis, where, out, dtype, temperature, return_lse, True)


def _normalize(
    name: str, a: Any, axis: Any, where: Any, out: Any, dtype: Any, temperature: Any, return_lse: bool, logs: bool
) -> Any:
    """Compute softmax or, with `logs`, log_softmax, in all cases that the short way does not take."""
    x, include = included(name, a, where, dtype)
    axes = as_axes(axis, x.ndim)
    divisor = as_divisor(name, temperature, x.real.dtype)
    working = working_dtype(x.dtype)
    if working is None:
        y, lse = _by_numpy.normalized(x, include, axes, divisor, logs)
        if include is not None:
            np.copyto(y, -np.inf if logs else 0, where=~include)
    else:
        function = _LOG_SOFTMAX if logs else _SOFTMAX
        function = _AND_LOGSUMEXP[function] if return_lse else function
        x = in_memory(x, working)
        y = out if may_write(out, x, (include,)) else np.empty(x.shape, x.dtype)
        lse = _normalize_into(y, function, x, include, axes, divisor)
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
    made = run_over(function, (x, y), axes, divisor=divisor, where=include)
    if made is None:  # No single stride leads through these axes, so a copy is normalised.
        rows = np.array(to_rows(x, axes), order="C")
        if include is not None:
            include = np.array(to_rows(np.broadcast_to(include, x.shape), axes))
        made = run_over(function, (rows, rows), (rows.ndim - 1,), divisor=divisor, where=include)
        np.copyto(y, from_rows(rows, y.shape, axes))
    return made[0] if made else None
