"""logsumexp, softmax and their family, with SciPy's signatures."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlog._arrays import as_axes, working_dtype
from fastlog._core import INDEX, functions, short_way
from fastlog._other import of_any_array
from fastlog._rows import included, normalize, sum_of_exponentials

_accumulate = functions()["logaddexp"].accumulate


@short_way(INDEX["logsumexp"])
@of_any_array
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
        weight is 0 does not count, even if it is infinite or nan. Python's numbers and bools do not widen float32, and
        count in full where they are beyond its range.
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
        If `a` is ragged or not numeric, another argument has masked elements, or `axis` is neither None nor int nor
        tuple of ints.
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

    Weighted sums, and those with `where`, are computed in float64. A weight's power of two joins the exponent of its
    exponential, so weights of any size neither overflow nor lose digits. Terms are double words. Where positive and
    negative terms cancel, the digits that cancel are lost. Equal elements cancel exactly, and leave -inf with the sign
    0, if they are two with opposite weights, or if the weights are whole numbers up to 2**24 (or such numbers times one
    power of two) that add up to 0; of other terms that ought to cancel, some 1e-16 of the largest may be left. The sum
    of infinities of both signs is nan, and so is its sign.

    The masked elements of a masked array do not count, and the result is masked where all of them are. A masked `out`
    gets that mask, too. Masks of other arguments are refused.

    Temporary arrays are needed, of the size of `a`, where its dtype is neither float32 nor float64, where `b` changes
    the dtype or `axis` names several axes that are not neighbours in memory (of `a`, or of `b` or `where` as they are
    broadcast), and for longdouble and complex numbers. Weighted sums and those with `where` have their signs beside
    them. Nothing else is copied.

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
    x, include = included("logsumexp", a, where, dtype)
    return sum_of_exponentials("logsumexp", a, x, include, b, axis, keepdims, return_sign, out, mean=False)


@short_way(INDEX["softmax"])
@of_any_array
def softmax(
    x: Any,
    axis: Any = None,
    *,
    where: Any = None,
    out: np.ndarray | None = None,
    dtype: Any = None,
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
    out : ndarray, optional
        Array for the result.
    dtype : dtype, optional
        The dtype to convert `x` to, and so of the result.
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

    Raises
    ------
    TypeError
        If `x` is ragged or not numeric, another argument has masked elements, or `axis` is neither None nor int nor
        tuple of ints.
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
    return normalize("softmax", x, axis, where, out, dtype, temperature, return_lse)


@short_way(INDEX["log_softmax"])
@of_any_array
def log_softmax(
    x: Any,
    axis: Any = None,
    *,
    where: Any = None,
    out: np.ndarray | None = None,
    dtype: Any = None,
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
    out : ndarray, optional
        Array for the result.
    dtype : dtype, optional
        The dtype to convert `x` to, and so of the result.
    temperature : float, optional
        A positive number that `x` is divided by, as in ``log_softmax(x / temperature)`` and to the same bits, but
        without another array where `x` is in C order; for rows of up to some ten thousand elements also without another
        pass over memory.

    Returns
    -------
    ndarray or scalar
        Of the shape of `x`, in C order, and masked where `x` is. nan in rows that hold nan or nothing but -inf.

    Raises
    ------
    TypeError
        If `x` is ragged or not numeric, another argument has masked elements, or `axis` is neither None nor int nor
        tuple of ints.
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
    of nearly equal numbers, and -0.0 where that underflows; of the only element above -inf it is log(1) = 0.0. The
    error is at most 2 ulp, in float32 and float64, on every target. No floating-point exception is raised.

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
    return normalize("log_softmax", x, axis, where, out, dtype, temperature, False)


@of_any_array
def logmeanexp(
    a: Any,
    axis: Any = None,
    b: Any = None,
    keepdims: bool = False,
    *,
    where: Any = None,
    out: np.ndarray | None = None,
    dtype: Any = None,
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
    out : ndarray, optional
        Array for the result.
    dtype : dtype, optional
        The dtype to convert `a` to, and so of the result.

    Returns
    -------
    ndarray or scalar
        Of the shape of `a` without the reduced axes; nan for the mean of nothing, and where the mean is negative. The
        masked elements of a masked array do not count.

    Raises
    ------
    TypeError
        If `a` is ragged or not numeric, another argument has masked elements, or `axis` is neither None nor int nor
        tuple of ints.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    ValueError
        If an axis occurs twice, or shapes do not fit.

    See Also
    --------
    logsumexp

    Notes
    -----
    log(sum(b/n * exp(a))) for n elements, by `logsumexp` with weights: it is not a difference of logsumexp(a) and
    log(n), and keeps its digits where these are nearly equal. The error is at most 1 ulp of max(1, abs(result)).

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import logmeanexp
    >>> logmeanexp(np.array([1000.0, 1000.0]))
    np.float64(1000.0)
    >>> logmeanexp(np.array([[0.0, np.log(3.0)], [1.0, 1.0]]), axis=1)
    array([0.69314718, 1.        ])
    """
    x, include = included("logmeanexp", a, where, dtype)
    return sum_of_exponentials("logmeanexp", a, x, include, b, axis, keepdims, False, out, mean=True)


@of_any_array
def logcumsumexp(
    a: Any,
    axis: Any = None,
    *,
    reverse: bool = False,
    exclusive: bool = False,
    out: np.ndarray | None = None,
    dtype: Any = None,
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
    Each result has the error of `logsumexp` of the elements up to it, 1 ulp of max(1, abs(result)), and nothing of its
    predecessors' rounding. nan reaches every result from it on.

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
    (along,) = as_axes((axis,), max(x.ndim, 1))
    x = np.atleast_1d(x)
    if out is None:
        y = np.empty(x.shape, x.dtype)
    elif not isinstance(out, np.ndarray) or out.shape != x.shape or out.dtype != x.dtype:
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
        alone = target[(*before, slice(0, 1))]  # NumPy copies it; the sum of exp(-0.0) has the logarithm 0.0
        np.add(alone, alone.dtype.type(0), out=alone)
    if exclusive:
        first[...] = -np.inf
    mask = np.ma.getmaskarray(a).reshape(x.shape) if isinstance(a, np.ma.MaskedArray) else None
    if isinstance(out, np.ma.MaskedArray):
        out.mask = False if mask is None else mask
    if out is not None:
        return out
    return y if mask is None else np.ma.array(y, mask=mask)
