"""logsumexp, softmax and log_softmax, with SciPy's signatures."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlog._arrays import as_array, as_axes, cast, deliver, from_rows, to_rows, working_dtype
from fastlog._core import INDEX, functions, run_rows

_LOGSUMEXP = INDEX["logsumexp"]
_SOFTMAX = INDEX["softmax"]
_LOG_SOFTMAX = INDEX["log_softmax"]
_rows = functions()


def logsumexp(
    a: Any,
    axis: Any = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
    *,
    where: Any = None,
    out: np.ndarray | None = None,
    dtype: Any = None,
) -> Any:
    """Logarithm of the sum of exponentials over an axis, log(sum(b * exp(a))).

    Parameters
    ----------
    a : array_like
        Real or complex numbers of any shape. float16, float32 and float64 keep their dtype (float16 is computed in
        float32); booleans and integers become float64; longdouble and complex are computed by plain NumPy.
    axis : None, int or tuple of ints, optional
        Axes over which the sum is taken; all of them by default.
    b : array_like, optional
        Weights of the exponentials, of a shape that broadcasts with that of `a`; they may be negative. An element whose
        weight is 0 does not count, even if it is infinite or nan.
    keepdims : bool, optional
        Whether the reduced axes stay as axes of length 1.
    return_sign : bool, optional
        Whether to return the sign of the sum too. Without it, the result is nan where the sum is negative.
    where : array_like of bool, optional
        Elements to include, of a shape that broadcasts to that of `a`.
    out : ndarray, optional
        Array for the result.
    dtype : dtype, optional
        The dtype to convert `a` to, and so of the result.

    Returns
    -------
    res : ndarray or scalar
        The logarithm of the sum, of the shape of `a` without the reduced axes; -inf for an empty sum.
    sgn : ndarray or scalar
        With `return_sign`: 1, 0 or -1 (a complex phase for complex `a`), of the same shape.

    Raises
    ------
    TypeError
        If `a` is ragged or not numeric, or `axis` is neither None nor int nor tuple of ints.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    ValueError
        If an axis occurs twice, or shapes do not fit.

    See Also
    --------
    logaddexp : of two arguments, elementwise
    scipy.special.logsumexp

    Notes
    -----
    With M the largest element, the result is M + log1p(r), where r sums the exponentials of the other elements minus M:
    one element of size M is left out, so that results near 0 keep their digits [1]_. Sums are carried in two words and
    do not show the number of elements. -inf elements add nothing; inf gives inf; nan gives nan. No floating-point
    exception is raised.

    The error is at most 1 ulp of max(1, abs(result)), in float32 and float64, on every target.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
       IMA Journal of Numerical Analysis 41 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import logsumexp
    >>> logsumexp(np.array([1000.0, 1000.0]))
    np.float64(1000.6931471805599)
    >>> logsumexp(np.array([[0.0, -40.0], [1.0, 2.0]]), axis=1)
    array([4.24835426e-18, 2.31326169e+00])
    >>> logsumexp([1.0, 2.0], b=[1, -1], return_sign=True)
    (np.float64(1.5413248546129181), np.float64(-1.0))
    """
    if b is where is out is dtype is None and not keepdims and not return_sign:
        y = run_rows(_LOGSUMEXP, a, axis)
        if y is not None:
            return y
    x, mask, kept = _select("logsumexp", a, where, dtype)
    if b is None:
        axes = as_axes(axis, x.ndim)
        y = _logsumexp_rows(to_rows(x, axes))
        sign = _sign_of_sum(y)
    else:
        weights = as_array("logsumexp", b)
        if type(b) in (int, float) or np.asarray(b).dtype == bool:  # these do not widen float32
            weights = weights.astype(np.result_type(x.dtype, b if type(b) in (int, float) else bool))
        if mask is not None:
            weights = np.where(mask, weights, 0)
        x, weights = _broadcast("logsumexp", x, weights)
        if kept is not None:
            kept = np.broadcast_to(kept, x.shape)
        axes = as_axes(axis, x.ndim)
        y, sign = _weighted_rows(to_rows(x, axes), to_rows(weights, axes))
        if not return_sign and y.dtype.kind != "c":
            y = np.where(sign < 0, np.nan, y).astype(y.dtype)
    if return_sign:
        y = y.real
    if keepdims:
        y, sign = np.expand_dims(y, axes), np.expand_dims(sign, axes)
    if kept is not None:
        none = ~np.any(kept, axis=axes, keepdims=keepdims)
        y, sign = np.ma.array(y, mask=none), np.ma.array(sign, mask=none)
    return (deliver(y, out), deliver(sign, None)) if return_sign else deliver(y, out)


def softmax(x: Any, axis: Any = None, *, where: Any = None, out: np.ndarray | None = None, dtype: Any = None) -> Any:
    """Softmax, exp(x) / sum(exp(x)), over an axis.

    Parameters
    ----------
    x : array_like
        Real or complex numbers of any shape; dtypes as for `logsumexp`.
    axis : None, int or tuple of ints, optional
        Axes over which the result sums to 1; all of them by default.
    where : array_like of bool, optional
        Elements to include; the others become 0 and count for nothing.
    out : ndarray, optional
        Array for the result.
    dtype : dtype, optional
        The dtype to convert `x` to, and so of the result.

    Returns
    -------
    ndarray or scalar
        Of the shape of `x`, in C order. nan in rows that hold nan or inf, or nothing but -inf.

    Raises
    ------
    TypeError
        If `x` is ragged or not numeric, or `axis` is neither None nor int nor tuple of ints.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    ValueError
        If an axis occurs twice, or shapes do not fit.

    See Also
    --------
    log_softmax : its logarithm, more accurate than ``np.log(softmax(x))``
    scipy.special.softmax

    Notes
    -----
    exp(x - M)/(1 + r) in the terms of `logsumexp`. The exponents are reduced without rounding x - M, so elements far
    below the maximum are as accurate as the others, down to correct subnormals: the error is at most 2 ulp, in float32
    and float64, on every target. No floating-point exception is raised.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import softmax
    >>> softmax(np.array([[0.0, 0.0], [0.0, np.log(3.0)]]), axis=1)
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    if where is dtype is None:
        y = run_rows(_SOFTMAX, x, axis, out)
        if y is not None:
            return y
    return _normalize("softmax", x, axis, where, out, dtype, 0.0)


def log_softmax(
    x: Any, axis: Any = None, *, where: Any = None, out: np.ndarray | None = None, dtype: Any = None
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
    out : ndarray, optional
        Array for the result.
    dtype : dtype, optional
        The dtype to convert `x` to, and so of the result.

    Returns
    -------
    ndarray or scalar
        Of the shape of `x`, in C order. nan in rows that hold nan or nothing but -inf.

    Raises
    ------
    TypeError
        If `x` is ragged or not numeric, or `axis` is neither None nor int nor tuple of ints.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    ValueError
        If an axis occurs twice, or shapes do not fit.

    See Also
    --------
    softmax
    scipy.special.log_softmax

    Notes
    -----
    logsumexp(x) is subtracted in two words, so the dominant element keeps its digits: it is -log1p(r), not a difference
    of nearly equal numbers. The error is at most 3 ulp, in float32 and float64, on every target. No floating-point
    exception is raised.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import log_softmax
    >>> log_softmax(np.array([1000.0, 1.0]))
    array([   0., -999.])
    >>> log_softmax(np.array([0.0, -40.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    if where is dtype is None:
        y = run_rows(_LOG_SOFTMAX, x, axis, out)
        if y is not None:
            return y
    return _normalize("log_softmax", x, axis, where, out, dtype, -np.inf)


def _broadcast(name: str, x: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Broadcast two arrays against each other, or say which shapes do not fit."""
    try:
        shape = np.broadcast_shapes(x.shape, other.shape)
    except ValueError:
        raise ValueError(f"{name}: the shapes {x.shape} and {other.shape} do not broadcast together") from None
    return np.broadcast_to(x, shape), np.broadcast_to(other, shape)


def _select(name: str, a: Any, where: Any, dtype: Any) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return the array with the elements that do not count set to -inf, which do count, and a masked array's own mask.

    The last is the inverted mask of a masked array `a`, None for others.
    """
    x = as_array(name, a)
    if dtype is not None:
        wanted = np.dtype(dtype)
        if wanted.kind not in "fc" and wanted.name != "bfloat16":
            raise TypeError(f"{name}: dtype must be a floating point or complex dtype, not {wanted}")
        x = cast(x, wanted)
    kept = ~np.ma.getmaskarray(a) if isinstance(a, np.ma.MaskedArray) else None
    mask = kept
    if where is not None:
        where = np.asarray(where)
        if where.dtype != bool:
            raise TypeError(f"{name}: where must be an array of bool, not of {where.dtype}")
        mask = where if mask is None else mask & where
    if mask is not None:
        _, mask = _broadcast(name, x, mask)
        if mask.shape != x.shape:
            raise ValueError(f"{name}: where has the shape {mask.shape}, which does not fit {x.shape}")
        x = np.where(mask, x, x.dtype.type(-np.inf))
    return x, mask, kept


def _logsumexp_rows(rows: np.ndarray) -> np.ndarray:
    """Logsumexp over the last axis."""
    working = working_dtype(rows.dtype)
    if working is None:
        return _plain_logsumexp(rows, 1)
    y = np.empty(rows.shape[:-1], working)
    _rows["logsumexp"](rows.astype(working, copy=False), out=y)
    return cast(y, rows.dtype)


def _sign_of_sum(y: np.ndarray) -> np.ndarray:
    """Sign of a sum whose logarithm is `y`: 0 for an empty sum, nan for nan, else 1 or the phase."""
    with np.errstate(invalid="ignore"):
        phase = np.exp(1j * y.imag) if y.dtype.kind == "c" else np.ones_like(y)
        return np.where(y == -np.inf, 0, np.where(np.isnan(y), np.nan, phase)).astype(phase.dtype)


def _plain_logsumexp(rows: np.ndarray, weights: Any) -> np.ndarray:
    """Logsumexp over the last axis by NumPy's own functions, for dtypes without a kernel."""
    if rows.shape[-1] == 0:
        return np.full(rows.shape[:-1], -np.inf, rows.dtype)
    with np.errstate(all="ignore"):
        shift = np.max(rows.real, axis=-1, keepdims=True)
        shift = np.where(np.isfinite(shift), shift, 0)
        total = np.sum(weights * np.exp(rows - shift), axis=-1)
        y: np.ndarray = np.log(total) + shift[..., 0]
        return y


def _weighted_rows(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log(abs(sum(weights * exp(rows)))) over the last axis, and the sign of the sum.

    log(abs(weights)) joins the exponents, positive and negative weights are summed apart, and the difference of the two
    sums is log(e^p - e^n) = p + log(1 - e^(n - p)).
    """
    result = np.result_type(rows.dtype, weights.dtype)
    dropped = weights == 0
    with np.errstate(all="ignore"):
        if result.kind == "c":
            rows = np.where(dropped, -np.inf, rows)
            y = _plain_logsumexp(rows, np.where(dropped, 0, weights))
            return y, _sign_of_sum(y)
        # float32 is computed in float64: the sums may cancel.
        wide = np.result_type(result, np.float64)
        exponents = np.where(dropped, -np.inf, rows.astype(wide) + np.log(np.abs(weights).astype(wide)))
        negative = weights < 0
        if not negative.any():
            y = _logsumexp_rows(exponents)
            sign = _sign_of_sum(y)
        else:
            plus = _logsumexp_rows(np.where(negative, -np.inf, exponents))
            minus = _logsumexp_rows(np.where(negative, exponents, -np.inf))
            larger, smaller = np.maximum(plus, minus), np.minimum(plus, minus)
            difference = smaller - larger
            log_gap = np.where(difference < -0.7, np.log1p(-np.exp(difference)), np.log(-np.expm1(difference)))
            cancelled = (plus == minus) & (plus < np.inf)  # inf - inf remains nan
            y = np.where(cancelled, -np.inf, larger + log_gap)
            sign = np.sign(np.where(cancelled, 0, plus - minus))
        return y.astype(result), sign.astype(result)


def _normalize(name: str, a: Any, axis: Any, where: Any, out: Any, dtype: Any, excluded: float) -> Any:
    """Softmax or log_softmax in every case that the short way leaves; `excluded` is what masked elements become."""
    x, mask, kept = _select(name, a, where, dtype)
    axes = as_axes(axis, x.ndim)
    working = working_dtype(x.dtype)
    rows = to_rows(x, axes)
    if x.size == 0:
        y = np.empty(rows.shape, x.dtype)
    elif working is None:
        with np.errstate(all="ignore"):
            y = rows - _plain_logsumexp(rows, 1)[..., np.newaxis]
            if name == "softmax":
                y = np.exp(y)
    else:
        y = np.empty(rows.shape, working)
        _rows[name](rows.astype(working, copy=False), out=y)
        y = cast(y, x.dtype)
    y = np.ascontiguousarray(from_rows(y, x.shape, axes)).reshape(x.shape)
    if mask is not None:
        y = np.where(mask, y, y.dtype.type(excluded))
    if kept is not None:
        y = np.ma.array(y, mask=~kept)
    return deliver(y, out)
