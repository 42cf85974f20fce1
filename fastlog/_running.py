"""Running sums: a logsumexp grows chunk by chunk, out of core, over processes, over the blocks of a Dask array.

A sum of exponentials is kept as

    sum = sign * exp(max) + (high + low) * exp(unit),    unit = rint(max),

where one element of size max is left out of the second term, so that a sum that it dominates keeps its digits. high +
low is an unevaluated sum of two doubles. Sums add up in such double words, whose errors stay near 2^-104, and change
their unit by a power of e that is known to as many digits. An exponential is rounded once, to about 2^-59, when it
joins high + low, and never again: so no error grows with the number of sums, in whatever order they come.

An infinite or undefined sum (inf - inf, nan) has high = +-inf or nan, and keeps it by the rules for adding infinities.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import GenericAlias
from typing import Any, NamedTuple

import numpy as np

from fastlog._arrays import aligned, as_axes, broadcast_shape, cast, working_dtype
from fastlog._core import INDEX
from fastlog._rows import as_weights, included, run, weighted_sum
from fastlog._typing import AnyArray, Mask

__all__ = ["LogSumExp"]

_PARTITION = INDEX["partition"]

_Words = tuple[Any, Any]  # A double word is an array of high words, and one of low words.

# ---- double words of finite numbers ----


def _fast_two_sum(x: Any, y: Any) -> _Words:
    """Return x + y exactly, where abs(x) >= abs(y) or x is 0 (Dekker)."""
    total = x + y
    return total, y - (total - x)


def _two_sum(x: Any, y: Any) -> _Words:
    """Return x + y exactly (Knuth)."""
    total = x + y
    of_y = total - x
    return total, (x - (total - of_y)) + (y - of_y)


def _two_product(x: Any, y: Any) -> _Words:
    """Return x * y exactly, for factors of moderate size (Dekker)."""
    product = x * y
    (a, b), (c, d) = _halves(x), _halves(y)
    return product, ((a * c - product) + a * d + b * c) + b * d


def _halves(x: Any) -> _Words:
    """Return two numbers of 26 bits whose sum is x (Veltkamp)."""
    scaled = x * 134217729.0
    upper = scaled - (scaled - x)
    return upper, x - upper


def _plus(x: _Words, y: _Words) -> _Words:
    """Return x + y."""
    high, low = _two_sum(x[0], y[0])
    other, rest = _two_sum(x[1], y[1])
    high, low = _fast_two_sum(high, low + other)
    return _fast_two_sum(high, low + rest)


def _times(x: _Words, y: _Words) -> _Words:
    """Return x * y."""
    high, low = _two_product(x[0], y[0])
    return _fast_two_sum(high, low + (x[0] * y[1] + x[1] * y[0]))


def _over(x: _Words, y: _Words) -> _Words:
    """Return x / y, which is exactly 1 or -1 where the words are equal or opposite."""
    quotient = x[0] / y[0]
    high, low = _two_product(quotient, y[0])
    left = (x[0] - high) + (x[1] - low - quotient * y[1])
    return _fast_two_sum(quotient, left / y[0])


def _settled(words: _Words, plain: Any) -> _Words:
    """Return the double word; where the plain result is infinite or nan, the words are of no use, and that stands."""
    finite = np.isfinite(plain)
    return np.where(finite, words[0], plain), np.where(finite, words[1], 0.0)


# ---- exponentials ----

_STEPS = 64  # The table has the exponentials of fractions k / 64.
_LAST = 746  # The exponential of -746 is 0.


def _exp_words(numerators: range, denominator: int = 1) -> _Words:
    """Return the exponentials of fractions as double words."""
    from decimal import ROUND_HALF_EVEN, Context, Decimal  # This import is slow, and needed only here.

    # Neither the caller's context nor decimal.DefaultContext has a say: this context does all that can round or trap.
    context = Context(40, ROUND_HALF_EVEN, Emin=-9999, Emax=9999, capitals=1, clamp=0, flags=[], traps=[])
    exact = [context.exp(context.divide(k, denominator)) for k in numerators]
    high = [float(y) for y in exact]
    low = [float(context.subtract(y, Decimal.from_float(h))) for y, h in zip(exact, high, strict=True)]
    return np.array(high), np.array(low)


_made: list[tuple[_Words, _Words]] = []


def _tables() -> tuple[_Words, _Words]:
    """Return exp(k / 64) for k = -32 to 32, and exp(-k) for k = 0 to 746; made when they are first needed."""
    if not _made:
        half = _STEPS // 2
        fractions = _exp_words(range(-half, half + 1), _STEPS)
        ones, far = _exp_words(range(0, -32, -1)), _exp_words(range(0, -768, -32))
        k = np.arange(_LAST + 1)
        high, low = _times((ones[0][k % 32], ones[1][k % 32]), (far[0][k // 32], far[1][k // 32]))
        high[_LAST] = low[_LAST] = 0
        _made.append((fractions, (high, low)))
    return _made[0]


def _exp_of_fraction(x: Any) -> _Words:
    """Return exp(x) for abs(x) <= 1/2 with a relative error of about 2^-59; exp(0) is 1."""
    nearest = np.rint(x * _STEPS)
    high, low = (words[nearest.astype(np.intp) + _STEPS // 2] for words in _tables()[0])
    return _fast_two_sum(high, high * np.expm1(x - nearest / _STEPS) + low)


def _decay(k: Any) -> _Words:
    """Return exp(-k) for whole numbers k >= 0, and 1 for nan, which is the difference of equal infinities."""
    at = np.where(k >= 0, np.minimum(k, _LAST), 0).astype(np.intp)
    high, low = _tables()[1]
    return high[at], low[at]


def _log(x: _Words, from_one: _Words) -> _Words:
    """Return log(x) for x >= 0, given also x - 1, which keeps the digits near 1.

    A logarithm of one word is corrected by log(1 + c) = c, where 1 + c is x / exp(that logarithm). Near 1 that would
    cost digits, and far below 1 an exponential would be subnormal; there, the logarithm of one word is good enough.
    """
    log = np.where(x[0] < 0.5, np.log(x[0]), np.log1p(from_one[0]))
    corrected = (np.abs(log) > 1 / _STEPS) & (np.abs(log) < 600)
    whole = np.where(corrected, np.rint(log), 0.0)
    fraction = np.where(corrected, log - whole, 0.0)
    above, below = _decay(np.maximum(whole, 0)), _decay(np.maximum(-whole, 0))
    one = _over(_times(x, above), _times(_exp_of_fraction(fraction), below))
    return log, np.where(corrected, (one[0] - 1) + one[1], 0.0)


# ---- sums of exponentials ----

_BLOCK = 1 << 14  # So many sums, and their intermediate results, fit into the cache.


class Sums(NamedTuple):
    """Sums of exponentials, sign * exp(max) + (high + low) * exp(rint(max)), of some number of elements each.

    The fields are arrays of float64. The empty sum has max -inf, and 0 for all others; infinite and undefined ones have
    max inf or -inf and the sign 0.
    """

    max: Any
    sign: Any
    high: Any
    low: Any
    elements: Any


class Parts(NamedTuple):
    """Sums of exponentials as sign * exp(max) * (1 + rest), of some number of elements: arrays of float64.

    The empty sum has max -inf and rest -1, and the sign 0; where a sum is undefined, rest and sign are nan.
    """

    max: np.ndarray
    rest: np.ndarray
    sign: np.ndarray
    elements: np.ndarray


def _fraction(x: Any) -> Any:
    """Return x - rint(x), and 0 for infinities."""
    return np.where(np.isfinite(x), x - np.rint(x), 0.0)


def _by_blocks(function: Callable[..., Sums], *fields: np.ndarray) -> Sums:
    """Return a function of arrays of one shape; it gets as many elements at a time as fit into the cache."""
    if fields[0].size <= _BLOCK:
        return function(*fields)
    flat = [field.reshape(-1) for field in fields]
    parts = [function(*[field[k : k + _BLOCK] for field in flat]) for k in range(0, flat[0].size, _BLOCK)]
    return Sums(*[np.concatenate(field).reshape(fields[0].shape) for field in zip(*parts, strict=True)])


def _sums_of(top: Any, rest: Any, sign: Any, elements: Any) -> Sums:
    """Return sign * exp(top) * (1 + rest) as Sums; top = nan is an undefined sum, rest = nan another."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(top)
        high, low = _times(_exp_of_fraction(_fraction(top)), (sign * rest, np.zeros(np.shape(rest))))
        others = np.where(np.isnan(rest) | np.isnan(top), np.nan, np.where(top == np.inf, sign * np.inf, 0.0))
        return Sums(
            np.where(np.isnan(top), -np.inf, top),
            np.where(finite, sign, 0.0),
            np.where(finite, high, others),
            np.where(finite, low, 0.0),
            elements,
        )


def sums_of_chunk(name: str, a: Any, b: Any, where: Any, axis: Any, keepdims: bool) -> tuple[Sums, np.dtype[Any]]:
    """Return the sums over the axes of a chunk, with logsumexp's arguments, and the dtype that results have."""
    x, include = included(name, a, where, None)
    weights, dtype = (None, x.dtype) if b is None else as_weights(name, b, x.dtype)
    working = working_dtype(dtype)
    if working is None:
        raise TypeError(f"{name}: computed for real numbers up to float64, not for {dtype}")
    shape = x.shape if weights is None else broadcast_shape(name, x.shape, weights.shape)
    axes = as_axes(axis, len(shape))
    ones = np.ones((), np.bool) if include is None else include
    count = np.asarray(np.sum(np.broadcast_to(ones, shape), axes, np.float64, keepdims=keepdims))
    if weights is None:
        x = aligned(x if include is None else np.where(include, x, x.dtype.type(-np.inf)), working)
        top, rest = (np.asarray(part, np.float64) for part in run(_PARTITION, (x,), shape, axes, keepdims))
        sign = np.ones(top.shape)
    else:
        top, sign = weighted_sum(x, weights, include, np.dtype(np.float64), shape, axes, keepdims)
        rest = np.zeros(top.shape)
    return _by_blocks(_sums_of, top, rest, sign, count), dtype


def merged(one: Sums, other: Sums) -> Sums:
    """Return the sums of two sums each."""
    return _by_blocks(_merged, *one, *other)


def _merged(*fields: Any) -> Sums:
    one, other = Sums(*fields[:5]), Sums(*fields[5:])
    with np.errstate(all="ignore"):
        first = one.max >= other.max
        larger, smaller = Sums(*np.where(first, one, other)), Sums(*np.where(first, other, one))
        cancel = (larger.max == smaller.max) & (larger.sign == -smaller.sign)
        kept, joins = np.where(cancel, 0.0, (larger.sign, smaller.sign))
        exp_high, exp_low = _exp_of_fraction(_fraction(smaller.max))
        others = _plus((smaller.high, smaller.low), (joins * exp_high, joins * exp_low))
        decay = _decay(np.rint(larger.max) - np.rint(smaller.max))
        high, low = _settled(
            _plus((larger.high, larger.low), _times(others, decay)), larger.high + smaller.high * decay[0]
        )
        # Terms that cancel altogether leave no maximum to measure other sums by.
        top = np.where((kept == 0) & (high == 0), -np.inf, larger.max)
        return Sums(top, kept, high, low, np.asarray(one.elements + other.elements))


def _measured(sums: Sums) -> tuple[Any, Any, _Words, _Words]:
    """Return max and sign, the size of the sum in units of exp(max), and that minus 1."""
    zero = np.zeros(np.shape(sums.sign))
    ratio = _over((sums.high, sums.low), _exp_of_fraction(_fraction(sums.max)))
    high, low = _settled(_plus((sums.sign, zero), ratio), sums.high)
    sign = np.sign(high)
    size = (np.abs(high), np.where(sign < 0, -low, low))
    return sums.max, sign, size, _settled(_plus(size, (zero - 1, zero)), size[0])


def parts_of(sums: Sums) -> Parts:
    """Return the sums as Parts, whose `rest` is rounded to one word."""
    with np.errstate(all="ignore"):
        top, sign, _, rest = _measured(sums)
        empty = sign == 0
        elements = sums.elements.copy()  # Callers may write to all parts.
        return Parts(np.where(empty, -np.inf, top), np.where(empty, -1.0, rest[0]), np.asarray(sign), elements)


def log_of(sums: Sums, mean: bool = False) -> tuple[Any, _Words, Any]:
    """Return the logarithm of the absolute value of sums, or of their means, as max + a double word; and the sign."""
    with np.errstate(all="ignore"):
        top, sign, size, rest = _measured(sums)
        if mean:
            n, zero = sums.elements, np.zeros(np.shape(sums.elements))
            rest = _settled(_over(_plus(rest, (1 - n, zero)), (n, zero)), rest[0] / n)
            size = _settled(_over(size, (n, zero)), size[0] / n)
        return top, _log(size, rest), sign


def normalized(x: np.ndarray, sums: Sums, logs: bool) -> np.ndarray:
    """Return softmax, or its logarithms, of elements of float32 or float64, given the sums over their whole rows.

    The negative logarithm is (max - x) + log(sum / exp(max)), in two words, far + near. The word near is tiny wherever
    softmax is not 0, so softmax is exp(-far) * (1 - near). Both functions are computed in float64 for either dtype.

    A logarithm that underflows is -0.0; the logarithm of a row's only element is 0.0. To tell one from the other, the
    sums for the logarithms must have counted only the elements other than -inf.
    """
    top, (log, correction), _ = log_of(sums)
    if not logs:
        top = np.where(top == np.inf, np.nan, top)
    zero = np.where(sums.elements > 1, -0.0, 0.0)
    y = np.empty(x.shape, x.dtype)
    options: dict[str, Any] = {
        "flags": ["external_loop", "buffered", "zerosize_ok"],
        "op_flags": [["readonly"]] * 5 + [["writeonly"]],
        "op_dtypes": [np.float64] * 6,
        "casting": "same_kind",
        "buffersize": _BLOCK,
    }
    with np.errstate(all="ignore"), np.nditer([x, top, log, correction, zero, y], **options) as pieces:
        for of_x, of_top, of_log, of_correction, of_zero, of_y in pieces:
            far, near = _two_sum(of_top, -of_x)
            far, rest = _two_sum(far, of_log)
            near += rest + of_correction
            near[~np.isfinite(near)] = 0
            if logs:
                np.subtract(of_zero, far + near, out=of_y)
            else:
                np.exp(-far, out=of_y)
                of_y -= of_y * near
    return y


def sign_of(sums: Sums, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the signs of sums: 1, 0 or -1."""
    return cast(np.asarray(log_of(sums)[2]), dtype)


def size_of(sums: Sums, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the logarithms of the absolute values of sums."""
    return cast(_rounded_log(sums)[0], dtype)


def value_of(sums: Sums, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the logarithms of sums, nan for those below 0."""
    y, sign = _rounded_log(sums)
    return cast(np.asarray(np.where(sign < 0, np.nan, y)), dtype)


def mean_of(sums: Sums, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the logarithms of means of exponentials, nan for those below 0 and those of nothing."""
    y, sign = _rounded_log(sums, mean=True)
    return cast(np.asarray(np.where((sign < 0) | (sums.elements == 0), np.nan, y)), dtype)


def _rounded_log(sums: Sums, mean: bool = False) -> tuple[np.ndarray, Any]:
    """Return what log_of returns, with the logarithm rounded to one word."""
    top, (log, correction), sign = log_of(sums, mean)
    with np.errstate(all="ignore"):
        high, low = _two_sum(top, log)
        return np.asarray(np.where(np.isfinite(high), high + (low + correction), high)), sign


NOTHING = Sums(np.array(-np.inf), *[np.array(0.0) for _ in range(4)])

# This lock is held for the moment in which an update exchanges the old state for a new one.
_exchange = threading.Lock()
if hasattr(os, "register_at_fork"):  # Else a fork could copy the lock held, without its holder.
    os.register_at_fork(before=_exchange.acquire, after_in_parent=_exchange.release, after_in_child=_exchange.release)


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
    The state is M, the largest element so far, and the sum of the other exponentials, in units of the power of e that
    is next to exp(M): as in `logsumexp`, one element of size M is left out. That sum is carried in two words, and each
    exponential is rounded once, when it joins it. So the error does not show how many chunks there were, nor their
    order: it is that of `logsumexp`, 1 ulp of max(1, abs(result)), half as much again in float64 and with weights.

    Sums with weights have a sign, too; where terms cancel, their digits are lost. The sum of infinities of both signs
    is undefined, and stays so: value, mean and sign are nan.

    Threads may share a sum: each update or merge is one step, and none is lost.

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

    __class_getitem__: Any = classmethod(GenericAlias)  # The stub says of what type its values are.

    def __init__(self, axis: None | int | tuple[int, ...] = None, *, keepdims: bool = False) -> None:
        as_axes(axis, 64)
        self._axis = axis
        self._keepdims = keepdims
        # The state is the sums, and the dtype of results. It is exchanged for a new one, never changed.
        self._state: tuple[Sums, np.dtype[Any]] | None = None

    def __repr__(self) -> str:
        keepdims = ", keepdims=True" if self._keepdims else ""
        return f"<LogSumExp(axis={self._axis!r}{keepdims}), value {self.value!r}>"

    def update(self, a: AnyArray, b: AnyArray | None = None, *, where: Mask | None = None) -> LogSumExp:
        """Add a chunk.

        Parameters
        ----------
        a : array_like
            Real numbers, as for `logsumexp`; the chunk without the reduced axes must have the shape of the others.
            Masked elements do not count.
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
            If `a` is ragged, not numeric, or longdouble or complex, or another argument has masked elements.
        ValueError
            If shapes do not fit.
        """
        return self._add(*sums_of_chunk("LogSumExp.update", a, b, where, self._axis, self._keepdims))

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
        return self if other._state is None else self._add(*other._state)

    def _add(self, sums: Sums, dtype: np.dtype[Any]) -> LogSumExp:
        while True:
            state = self._state
            new = sums, dtype
            if state is not None:
                shape = state[0].max.shape
                if shape != sums.max.shape:
                    raise ValueError(f"LogSumExp: sums of the shapes {shape} and {sums.max.shape} do not add up")
                new = merged(state[0], sums), np.result_type(state[1], dtype)
            with _exchange:
                if self._state is state:  # Else another thread was quicker, and this one starts again.
                    self._state = new
                    return self

    @property
    def parts(self) -> Parts:
        """The sum so far as arrays of float64: ``sign * exp(max) * (1 + rest)``, and the number of elements."""
        return parts_of(NOTHING if self._state is None else self._state[0])

    @property
    def value(self) -> Any:
        """The logarithm of the sum so far, in the chunks' dtype; nan where the sum is negative, -inf for none."""
        return self._finished(value_of)

    @property
    def mean(self) -> Any:
        """The logarithm of the mean of the exponentials so far: `logmeanexp` of all elements."""
        return self._finished(mean_of)

    @property
    def sign(self) -> Any:
        """The sign of the sum so far, 1, 0 or -1, in the chunks' dtype."""
        return self._finished(sign_of)

    def _finished(self, result_of: Callable[[Sums, np.dtype[Any]], np.ndarray]) -> Any:
        sums, dtype = (NOTHING, np.dtype(np.float64)) if self._state is None else self._state
        return result_of(sums, dtype)[()]
