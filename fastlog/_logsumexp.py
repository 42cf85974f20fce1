"""logsumexp, logmeanexp and logcumsumexp, with SciPy's signatures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastlog import _by_numpy
from fastlog._arrays import (
    as_axes,
    as_axis,
    broadcast_shape,
    check_out,
    deliver,
    in_memory,
    rounded,
    to_rows,
    working_dtype,
)
from fastlog._core import INDEX, claims, functions, short_way
from fastlog._docs import filled
from fastlog._libraries import of_any_array
from fastlog._rows import as_weights, included, is_bool, joined, masked_sum, run, weighted_sum
from fastlog._typing import AnyArray, Axes, Axis, DTypeLike, Mask, Out

__all__ = ["logcumsumexp", "logmeanexp", "logsumexp"]

_LOGSUMEXP, _LOGMEANEXP = INDEX["logsumexp"], INDEX["logmeanexp"]
_CLAIM = claims()["logsumexp"]
_accumulate = functions()["logaddexp"].accumulate


@short_way(INDEX["logsumexp"], INDEX["logsumexp_weighted"])
@of_any_array
@filled(_CLAIM)
def logsumexp(
    a: AnyArray,
    axis: Axes | None = None,
    b: AnyArray | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    *,
    where: Mask | None = None,
    out: Out | None = None,
    dtype: DTypeLike | None = None,
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
        weight is 0 does not count, even if it is infinite or nan. Python's numbers and bools do not widen float32, and
        count in full where they are beyond its range.
    keepdims : bool, optional
        Whether the reduced axes stay as axes of length 1.
    return_sign : bool, optional
        Whether to return the sign of the sum too. Without it, the result is nan where the sum is negative.
    where : array_like of bool, optional
        Elements to include, of a shape that broadcasts to that of `a`.
    {out and dtype}

    Returns
    -------
    res : ndarray or scalar
        The logarithm of the sum, of the shape of `a` without the reduced axes; -inf for an empty sum.
    sgn : ndarray or scalar
        With `return_sign`: 1, 0 or -1 (a complex phase for complex `a`), of the same shape.

    {raises}

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

    The error is at most {ulp} ulp of max(1, abs(result)), in float32 and float64, on every target.

    It is at most 2.5 ulp of the result itself where that is above 1e-15 in float64, or 1e-12 in float32: next to 0,
    sums are computed again, with more words, which takes about ten times as long. Nearer to 0, the absolute error stays
    below 1e-30.

    All of this holds with weights and `where` too. A weight that is the same for all elements, like the number of a
    mean, joins the logarithm in two words. Weights that vary along a row multiply the exponentials. Rows with weights
    of both signs or of extreme size are computed in float64; where weights are extreme, their powers of two join the
    exponents of the exponentials. So weights of any size neither overflow nor lose digits. Where positive and negative
    terms cancel, the digits that cancel are lost. Equal elements cancel exactly, and leave -inf with the sign 0, if
    they are two with opposite weights, or if the weights are whole numbers up to 2**24 (or such numbers times one power
    of two) that add up to 0; of other terms that ought to cancel, some 1e-16 of the largest may be left. The sum of
    infinities of both signs is nan, and so is its sign.

    The masked elements of a masked array do not count, and the result is masked where all of them are. A masked `out`
    gets that mask, too. Masks of other arguments are refused.

    Temporary arrays are needed, of the size of `a`, where its dtype is none of float64, float32, float16 and bfloat16,
    where it is one of the last two and sums are weighted or have `where`, where `b` changes the dtype or `axis` names
    several axes that are not neighbours in memory (of `a`, or of `b` or `where` as they are broadcast), and for
    longdouble and complex numbers. Weighted sums and those with `where` have their signs beside them. Nothing else is
    copied.

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
    return _log_of_sum(False, a, axis, b, keepdims, return_sign, where, out, dtype)


@short_way(INDEX["logmeanexp"], INDEX["logmeanexp_weighted"])
@of_any_array
@filled(_CLAIM)
def logmeanexp(
    a: AnyArray,
    axis: Axes | None = None,
    b: AnyArray | None = None,
    keepdims: bool = False,
    *,
    where: Mask | None = None,
    out: Out | None = None,
    dtype: DTypeLike | None = None,
) -> Any:
    """Logarithm of the mean of exponentials over an axis, log(mean(b * exp(a))).

    Parameters
    ----------
    a : array_like
        Numbers of any shape; dtypes as for `logsumexp`.
    axis : None, int or tuple of ints, optional
        Axes over which the mean is taken; all of them by default.
    b : array_like, optional
        Weights of the exponentials, as for `logsumexp`. The sum is divided by the number of elements, whatever they
        weigh.
    keepdims : bool, optional
        Whether the reduced axes stay as axes of length 1.
    where : array_like of bool, optional
        Elements to include, of a shape that broadcasts to that of `a`; others are not counted either.
    {out and dtype}

    Returns
    -------
    ndarray or scalar
        Of the shape of `a` without the reduced axes; nan for the mean of nothing, and where the mean is negative. The
        masked elements of a masked array do not count.

    {raises}

    See Also
    --------
    logsumexp

    Notes
    -----
    log(n) joins `logsumexp` in two words, and results near 0 are computed again, as there. So the mean keeps its digits
    where logsumexp(a) and log(n) are nearly equal. The error is at most {ulp} ulp of max(1, abs(result)).

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import logmeanexp
    >>> logmeanexp(np.array([1000.0, 1000.0]))
    np.float64(1000.0)
    >>> logmeanexp(np.array([[0.0, np.log(3.0)], [1.0, 1.0]]), axis=1)
    array([0.69314718, 1.        ])
    """
    return _log_of_sum(True, a, axis, b, keepdims, False, where, out, dtype)


def _log_of_sum(
    mean: bool, a: Any, axis: Any, b: Any, keepdims: bool, return_sign: bool, where: Any, out: Any, dtype: Any
) -> Any:
    """Compute logsumexp or, with `mean`, logmeanexp, in all cases that the short way does not take."""
    name = "logmeanexp" if mean else "logsumexp"
    x, include = included(name, a, where, dtype)
    weights, result = (None, x.dtype) if b is None else as_weights(name, b, x.dtype)
    shape = x.shape if weights is None else broadcast_shape(name, x.shape, weights.shape)
    axes = as_axes(axis, len(shape))
    empty = None
    if weights is not None and not mean and is_bool(b):
        weights, include = None, joined(include, b)
    has_loops = working_dtype(result if weights is None else np.result_type(result, weights)) is not None
    if mean and not has_loops:
        weights, empty = _shares(weights, result, include, shape, axes, keepdims)
    if weights is None and include is None and not return_sign:
        y = sign = _plain_sum(_LOGMEANEXP if mean else _LOGSUMEXP, x, axes, keepdims)
    else:
        y, sign = weighted_sum(x, weights, include, result, shape, axes, keepdims, mean)
        if empty is not None:
            y[empty] = np.nan
        if not return_sign and y.dtype.kind != "c":
            if y.size != 1:
                with np.errstate(invalid="ignore"):  # Comparing bfloat16 with nan raises a flag.
                    y[sign < 0] = np.nan
            elif sign.item() < 0:
                y[...] = np.nan
    if return_sign:
        y = y.real
    if isinstance(a, np.ma.MaskedArray):
        y, sign = (masked_sum(part, a, shape, axes, keepdims) for part in (y, sign))
    first = deliver(y, out)
    return (first, deliver(sign, None)) if return_sign else first


def _shares(
    weights: np.ndarray | None,
    dtype: np.dtype,
    include: np.ndarray | None,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    keepdims: bool,
) -> tuple[np.ndarray, Any]:
    """Return weights, or ones, divided by the number of included elements; and which results have none.

    This is for longdouble and complex numbers.
    """
    ones = np.ones((), dtype) if weights is None else weights.astype(np.result_type(weights, dtype), copy=False)
    with np.errstate(all="ignore"):
        if include is None:
            number = math.prod([shape[k] for k in axes])
            return np.asarray(ones / (number or math.nan), ones.dtype), ... if number == 0 else None
        count = np.sum(np.broadcast_to(include, shape), axes, keepdims=True)
        return np.asarray(ones / count, ones.dtype), (count if keepdims else np.squeeze(count, axes)) == 0


def _plain_sum(function: int, x: np.ndarray, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """Return the logsumexp, or logmeanexp, of all elements, without weights."""
    working = working_dtype(x.dtype)
    if working is not None:
        return rounded(run(function, (in_memory(x, working),), x.shape, axes, keepdims)[0], x.dtype)
    y = _by_numpy.logsumexp(to_rows(x, axes), None)[0]
    return np.expand_dims(y, axes) if keepdims else np.asarray(y)


@of_any_array
@filled(_CLAIM)
def logcumsumexp(
    a: AnyArray,
    axis: Axis | None = None,
    *,
    reverse: bool = False,
    exclusive: bool = False,
    out: Out | None = None,
    dtype: DTypeLike | None = None,
) -> Any:
    """Logarithm of the cumulative sum of exponentials along an axis.

    Parameters
    ----------
    a : array_like
        Real numbers of any shape. float16, float32 and float64 keep their dtype; booleans and integers become float64.
    axis : int, optional
        Axis along which the sums run; by default `a` is flattened, as in `numpy.cumsum`.
    reverse : bool, optional
        Whether the sums run from the end: element i is the logsumexp of the elements from i on.
    exclusive : bool, optional
        Whether each element's own exponential is left out of its sum; the first result is -inf then.
    out : ndarray, optional
        Array for the result, of its shape and dtype.
    dtype : dtype, optional
        float16, float32 or float64: the dtype to convert `a` to, and so of the result.

    Returns
    -------
    ndarray
        Of the shape of `a`, or flat where `axis` is None. The masked elements of a masked array add nothing, and stay
        masked.

    Raises
    ------
    TypeError
        If `a` is ragged, or its dtype or `dtype` is not computed (longdouble, complex), or `axis` is not an int.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    ValueError
        If `out` has another shape.

    See Also
    --------
    logsumexp, logaddexp

    Notes
    -----
    Each result has the error of `logsumexp` of the elements up to it, {ulp} ulp of max(1, abs(result)), and nothing of
    its predecessors' rounding. nan reaches every result from it on.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import logcumsumexp
    >>> logcumsumexp(np.log([1.0, 2.0, 3.0]))
    array([0.        , 1.09861229, 1.79175947])
    >>> logcumsumexp(np.log([1.0, 2.0, 3.0]), reverse=True, exclusive=True)
    array([1.60943791, 1.09861229,       -inf])
    """
    x, include = included("logcumsumexp", a, None, dtype)
    if include is not None:
        x = np.where(include, x, x.dtype.type(-np.inf))
    if working_dtype(x.dtype) is None or x.dtype.char not in "efd":
        raise TypeError(f"logcumsumexp: computed for float16, float32 and float64, not for {x.dtype}")
    if axis is None:
        x, axis = x.reshape(-1), 0
    along = as_axis(axis, max(x.ndim, 1))
    x = np.atleast_1d(x)
    check_out(out)
    if out is None:
        y = np.empty(x.shape, x.dtype)
    elif out.shape != x.shape or out.dtype != x.dtype:
        raise ValueError(f"logcumsumexp: out must be an ndarray of the shape {x.shape} and of {x.dtype}")
    else:
        y = np.ma.getdata(out)
    before = (slice(None),) * along
    step = -1 if reverse else 1
    source, target = x[(*before, slice(None, None, step))], y[(*before, slice(None, None, step))]
    first = target[(*before, slice(0, 1))]
    if exclusive:
        source, target = source[(*before, slice(None, -1))], target[(*before, slice(1, None))]
    if source.size:
        _accumulate(source, axis=along, out=target)
        alone = target[(*before, slice(0, 1))]  # NumPy copies -0.0, but log(exp(-0.0)) is 0.0.
        np.add(alone, alone.dtype.type(0), out=alone)
    if exclusive:
        first[...] = -np.inf
    mask = np.ma.getmaskarray(a).reshape(x.shape) if isinstance(a, np.ma.MaskedArray) else None
    if isinstance(out, np.ma.MaskedArray):
        out.mask = False if mask is None else mask
    if out is not None:
        return out
    return y if mask is None else np.ma.array(y, mask=mask)
