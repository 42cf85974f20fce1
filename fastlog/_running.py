"""A logsumexp that grows, chunk by chunk: out of core, over processes, over a Dask array's blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastlog._arrays import as_axes, cast, working_dtype
from fastlog._rows import aligned, as_weights, broadcast_shape, included, run, weighted_sum


class Parts(NamedTuple):
    """Sums of exponentials, sign * exp(max) * (1 + rest), of some number of elements: arrays of float64.

    The empty sum has max -inf and rest -1, and the sign 0; a nan among the elements makes rest nan.
    """

    max: np.ndarray
    rest: np.ndarray
    sign: np.ndarray
    elements: np.ndarray


def exp_of_difference(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return exp(x - y) with the digits that the rounding of x - y would cost; exp(0) for equal infinities.

    What the rounding of d = x - y leaves, e = (x - y) - d, is exactly a double (Moller's sum): exp(d) (1 + e).
    """
    with np.errstate(all="ignore"):
        d = np.where(x == y, 0.0, x - y)
        back = d - x
        e = (x - (d - back)) - (y + back)
        return np.asarray(np.exp(d) * (1 + np.where(np.isfinite(e), e, 0.0)))


def merged(one: Parts, other: Parts) -> Parts:
    """Return the sums of two sums each."""
    with np.errstate(all="ignore"):
        first = one.max >= other.max
        top, low = np.where(first, one.max, other.max), np.where(first, other.max, one.max)
        rest, low_rest = np.where(first, one.rest, other.rest), np.where(first, other.rest, one.rest)
        sign = np.where(first, one.sign, other.sign)
        rest = rest + one.sign * other.sign * (1 + low_rest) * exp_of_difference(low, top)
        turned = rest < -1
        gone = (rest == -1) & (top < np.inf)  # what cancels altogether is no sum that others can be measured by
        return Parts(
            np.where(gone, -np.inf, top),
            np.where(turned, -2 - rest, rest),
            np.where(gone, 0.0, np.where(turned, -sign, sign)),
            one.elements + other.elements,
        )


def finished(parts: Parts, what: str, dtype: np.dtype[Any]) -> np.ndarray:
    """Return what is asked of sums.

    Parameters
    ----------
    parts : Parts
    what : {'value', 'size', 'mean', 'sign'}
        The logarithm of the sum, nan if that is negative; of its absolute value; of its share of an element; its sign.
    dtype : dtype
    """
    top, rest, sign, n = parts
    with np.errstate(all="ignore"):
        if what == "sign":
            y = np.where(np.isnan(rest), np.nan, sign)
        elif what == "mean":
            share = (1 + rest) / n
            # Near 1, its distance from 1 keeps the digits that the sum 1 + rest has lost.
            y = top + np.where(share < 0.5, np.log(share), np.log1p((rest - (n - 1)) / n))
            y = np.where(n == 0, np.nan, y)
        else:
            y = top + np.log1p(rest)
        return cast(np.asarray(np.where(sign < 0, np.nan, y) if what in ("value", "mean") else y), dtype)


class LogSumExp:
    """Running logarithm of a sum of exponentials: of chunks as they come, and of other such sums.

    Parameters
    ----------
    axis : None, int or tuple of ints, optional
        Axes of each chunk over which its sum is taken; all of them by default.
    keepdims : bool, optional
        Whether the reduced axes stay as axes of length 1.

    Raises
    ------
    TypeError
        If `axis` is neither None nor int nor tuple of ints.

    See Also
    --------
    logsumexp

    Notes
    -----
    The state is M, the largest element so far, and r, the sum of the other exponentials in units of exp(M): the sum is
    exp(M) (1 + r), as in `logsumexp`. Two such sums with M1 >= M2 add up to M = M1 and

        r = r1 + (1 + r2) exp(M2 - M1),

    where no term is negative and no logarithm has been rounded. So the error does not show how many chunks there were:
    it is that of `logsumexp`, 1 ulp of max(1, abs(result)), in float64 half as much again. The order of chunks shows
    in the last digit at most. Sums with weights have a sign, too; where terms cancel, their digits are lost.

    The state is float64, whatever the chunks are, and as large as the result. It can be pickled, and sent to where sums
    are merged.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import LogSumExp, logsumexp
    >>> x = np.arange(12.0).reshape(4, 3)
    >>> LogSumExp().update(x[:2]).update(x[2:]).value
    np.float64(11.458669001155853)
    >>> one, other = LogSumExp(axis=0).update(x[:1]), LogSumExp(axis=0).update(x[1:])
    >>> one.merge(other).value - logsumexp(x, axis=0)
    array([0., 0., 0.])
    >>> LogSumExp().update([1.0], b=1).update([2.0], b=-1).sign
    np.float64(-1.0)
    """

    def __init__(self, axis: None | int | tuple[int, ...] = None, *, keepdims: bool = False) -> None:
        as_axes(axis, 64)
        self._axis = axis
        self._keepdims = keepdims
        self._dtype: np.dtype[Any] | None = None
        # The empty sum, which fits any shape.
        self._parts = Parts(np.array(-np.inf), np.array(-1.0), np.array(0.0), np.array(0.0))

    def update(self, a: Any, b: Any = None, *, where: Any = None) -> LogSumExp:
        """Add a chunk.

        Parameters
        ----------
        a : array_like
            Real numbers, as for `logsumexp`; the chunk without the reduced axes must have the shape of the others.
        b : array_like, optional
            Weights of the exponentials, as for `logsumexp`.
        where : array_like of bool, optional
            Elements to include.

        Returns
        -------
        LogSumExp
            Itself.

        Raises
        ------
        TypeError
            If `a` is ragged, not numeric, or longdouble or complex.
        ValueError
            If shapes do not fit.
        """
        x, include = included("LogSumExp.update", a, where, None)
        weights = None if b is None else as_weights("LogSumExp.update", b, x.dtype)
        dtype = x.dtype if weights is None else np.result_type(x, weights)
        working = working_dtype(dtype)
        if working is None:
            raise TypeError(f"LogSumExp.update: computed for real numbers up to float64, not for {dtype}")
        shape = x.shape if weights is None else broadcast_shape("LogSumExp.update", x.shape, weights.shape)
        axes = as_axes(self._axis, len(shape))
        ones = np.ones((), np.bool) if include is None else include
        count = np.asarray(np.sum(np.broadcast_to(ones, shape), axes, np.float64, keepdims=self._keepdims))
        if weights is None:
            x = aligned(x if include is None else np.where(include, x, x.dtype.type(-np.inf)), working)
            top, rest = (np.asarray(part, np.float64) for part in run("partition", (x,), axes, self._keepdims))
            sign = np.where(top == -np.inf, 0.0, 1.0)
        else:
            top, sign = weighted_sum(x, weights, include, np.dtype(np.float64), shape, axes, self._keepdims)
            rest = np.zeros(top.shape)
        return self._add(Parts(top, rest, sign, count), dtype)

    def merge(self, other: LogSumExp) -> LogSumExp:
        """Add another sum, which stays as it is.

        Parameters
        ----------
        other : LogSumExp
            Of results of the same shape.

        Returns
        -------
        LogSumExp
            Itself.

        Raises
        ------
        TypeError
            If `other` is not a LogSumExp.
        ValueError
            If the shapes differ.
        """
        if not isinstance(other, LogSumExp):
            raise TypeError(f"LogSumExp.merge: another LogSumExp is needed, not {type(other).__name__}")
        return self if other._dtype is None else self._add(other._parts, other._dtype)

    def _add(self, parts: Parts, dtype: np.dtype[Any]) -> LogSumExp:
        if self._dtype is not None and self._parts.max.shape != parts.max.shape:
            raise ValueError(
                f"LogSumExp: sums of the shapes {self._parts.max.shape} and {parts.max.shape} do not add up"
            )
        self._dtype = np.result_type(self._dtype or dtype, dtype)
        self._parts = merged(self._parts, parts)
        return self

    @property
    def parts(self) -> Parts:
        """The sum so far as arrays of float64: ``sign * exp(max) * (1 + rest)``, and the number of elements."""
        return self._parts

    @property
    def value(self) -> Any:
        """The logarithm of the sum so far, in the chunks' dtype; nan where the sum is negative, -inf for none."""
        return self._finished("value")

    @property
    def mean(self) -> Any:
        """The logarithm of the mean of the exponentials so far: `logmeanexp` of all elements."""
        return self._finished("mean")

    @property
    def sign(self) -> Any:
        """The sign of the sum so far, 1, 0 or -1, in the chunks' dtype."""
        return self._finished("sign")

    def _finished(self, what: str) -> Any:
        return finished(self._parts, what, self._dtype or np.dtype(np.float64))[()]
