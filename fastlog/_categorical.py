"""Categorical distributions that are given by logits: entropy, importance weights, samples."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastlog._arrays import (
    as_array,
    as_axes,
    as_axis,
    as_divisor,
    deliver,
    in_memory,
    is_narrow,
    rounded,
    working_dtype,
)
from fastlog._core import INDEX, functions, short_way
from fastlog._libraries import of_any_array
from fastlog._rows import included, masked_sum, run
from fastlog._softmax import softmax
from fastlog._typing import AnyArray, Axes, Axis

__all__ = ["categorical_entropy", "importance_weights", "sample_categorical"]

_ENTROPY = INDEX["categorical_entropy"]
_DRAW = functions()["categorical_draw"]
_FEW_SQUARES = 256  # So many squares are added one after the other.


@short_way(_ENTROPY)
@of_any_array
def categorical_entropy(logits: AnyArray, axis: Axes | None = None, *, keepdims: bool = False) -> Any:
    """Entropy of softmax(logits), -sum(p * log(p)), in nats, from one pass over memory.

    Parameters
    ----------
    logits : array_like
        Real numbers of any shape: logarithms of probabilities, or of multiples of them. float16, float32 and float64
        keep their dtype (float16 is computed in float32); booleans and integers become float64.
    axis : None, int or tuple of ints, optional
        Axes over which a distribution runs; all of them by default.
    keepdims : bool, optional
        Whether these axes stay as axes of length 1.

    Returns
    -------
    ndarray or scalar
        The entropy, >= 0, of the shape of `logits` without the axes. nan in rows that hold nan or inf, or nothing but
        -inf, as their softmax is. Masked elements of a masked array count as -inf.

    Raises
    ------
    TypeError
        If the array is ragged, not numeric, longdouble or complex, or `axis` is neither None nor int nor tuple of ints.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    ValueError
        If an axis occurs twice.

    See Also
    --------
    entr : -x * log(x), of probabilities
    softmax, logsumexp

    Notes
    -----
    With M the largest element, r the sum of exp(x - M) over the others and G that of (M - x) exp(x - M), the entropy is
    log1p(r) + G / (1 + r). No term is negative, so results near 0 keep their digits, where one element dominates. The
    error is at most 3 ulp of results that are normal numbers, in float32 and float64. Elements of -inf add nothing. No
    floating-point exception is raised.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import categorical_entropy
    >>> categorical_entropy(np.zeros((2, 4)), axis=1)
    array([1.38629436, 1.38629436])
    >>> categorical_entropy([0.0, -50.0, -np.inf])
    np.float64(9.83662422461598e-21)
    """
    x, include = included("categorical_entropy", logits, None, None)
    working = working_dtype(x.dtype)
    if working is None:
        raise TypeError(f"categorical_entropy: computed for real numbers up to float64, not for {x.dtype}")
    axes = as_axes(axis, x.ndim)
    if include is not None:
        x = np.where(include, x, x.dtype.type(-np.inf))
    y = rounded(run(_ENTROPY, (in_memory(x, working),), x.shape, axes, keepdims)[0], x.dtype)
    if isinstance(logits, np.ma.MaskedArray):
        y = masked_sum(y, logits, x.shape, axes, keepdims)
    return deliver(y, None)


class ImportanceWeights(NamedTuple):
    """Normalised weights, the logarithm of the mean weight, and the effective sample size."""

    weights: Any
    log_mean: Any
    ess: Any


@of_any_array
def importance_weights(log_w: AnyArray, axis: Axis = -1) -> Any:
    """Normalised importance weights, the logarithm of their mean, and the effective sample size.

    Parameters
    ----------
    log_w : array_like
        Logarithms of weights, real numbers of any shape. float16, float32 and float64 keep their dtype; booleans and
        integers become float64.
    axis : int, optional
        The axis of the sample.

    Returns
    -------
    named tuple
        It has `weights`, softmax(log_w), which sum to 1, of the shape of `log_w`; `log_mean`, the logarithm
        of the mean of exp(log_w), an estimate of the evidence; and `ess`, 1 / sum(weights**2), from 1 to the length of
        the axis. The last two have the shape without the axis. Weights and `ess` are nan where there is nan or inf, or
        nothing but -inf; `ess` and `log_mean` are nan for nothing at all.

    Raises
    ------
    TypeError
        If the array is ragged, not numeric, longdouble or complex, or has masked elements, or `axis` is not an int.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    ValueError
        If the array has no axis.

    See Also
    --------
    softmax, logmeanexp

    Notes
    -----
    The weights have the error of `softmax`. The mean is the `logsumexp` of the same rows, less log(n). The sum of
    squares is taken in float64 of weights of at most 1, so that nothing overflows; it is 1/n at least. The error of
    `ess` is at most 30 ulp for 2**31 weights, and some 3 ulp in effect.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import importance_weights
    >>> weights, log_mean, ess = importance_weights(np.array([-1000.0, -1000.0, -1000.0, -2000.0]))
    >>> weights, log_mean.round(9), ess
    (array([0.33333333, 0.33333333, 0.33333333, 0.        ]), np.float64(-1000.287682072), np.float64(3.0))
    """
    x = _logarithms("importance_weights", log_w)
    if x.ndim == 0:
        raise ValueError("importance_weights: the weights need an axis")
    k = as_axis(axis, x.ndim)
    weights, lse = softmax(_widened(x), k, return_lse=True)
    n = x.shape[k]
    with np.errstate(all="ignore"):
        log_mean = np.asarray(lse, np.float64) - (math.log(n) if n else -math.inf)
        ess = np.asarray(1 / _sum_of_squares(weights, k)) if x.size else np.full(log_mean.shape, np.nan)
        return ImportanceWeights(rounded(weights, x.dtype), *[y.astype(x.dtype)[()] for y in (log_mean, ess)])


def _logarithms(name: str, a: Any) -> np.ndarray:
    """Return real numbers without a mask."""
    if isinstance(a, np.ma.MaskedArray) and np.ma.is_masked(a):
        raise TypeError(f"{name}: the argument has masked elements; fill them first, for example with -inf")
    x = as_array(name, np.ma.getdata(a) if isinstance(a, np.ma.MaskedArray) else a)
    if working_dtype(x.dtype) is None:
        raise TypeError(f"{name}: computed for real numbers up to float64, not for {x.dtype}")
    return x


def _widened(x: np.ndarray) -> np.ndarray:
    """Return float16 and bfloat16 as float32, so that probabilities, and their squares, keep their digits."""
    return x.astype(np.float32) if is_narrow(x.dtype) else x


def _sum_of_squares(a: np.ndarray, axis: int) -> np.ndarray:
    """Return the sum of squares along an axis, for float32 and float64.

    Neighbours in memory are added in the dtype, few at a time, as that has several sums side by side; all else in
    float64.
    """
    n = a.shape[axis]
    if n <= _FEW_SQUARES:
        rows = a if axis == a.ndim - 1 else np.moveaxis(a, axis, -1)
        return np.asarray(np.vecdot(rows, rows), np.float64)
    if axis == a.ndim - 1 and a.flags.c_contiguous:
        whole = n - n % _FEW_SQUARES
        blocks = a[..., :whole].reshape(*a.shape[:-1], -1, _FEW_SQUARES)
        sums = [np.einsum("...i,...i->...", blocks, blocks), np.vecdot(a[..., whole:], a[..., whole:])[..., np.newaxis]]
        return np.asarray(np.sum(np.concatenate(sums, axis=-1), axis=-1, dtype=np.float64))
    lines = np.moveaxis(a, axis, 0)
    parts = [lines[k : k + _FEW_SQUARES] for k in range(0, n, _FEW_SQUARES)]
    return np.asarray(np.sum([np.sum(np.square(part), axis=0, dtype=np.float64) for part in parts], axis=0))


@short_way(INDEX["categorical_draw"], INDEX["softmax"])
def sample_categorical(
    logits: AnyArray, rng: np.random.Generator | int | None = None, axis: Axis = -1, *, temperature: float = 1.0
) -> Any:
    """Draw one index from each categorical distribution that is given by logits.

    Parameters
    ----------
    logits : array_like
        Real numbers: logarithms of probabilities, or of multiples of them; -inf is a probability of 0.
    rng : numpy.random.Generator, int or None, optional
        What `numpy.random.default_rng` takes: a generator, a seed, or None for a new generator.
    axis : int, optional
        The axis of the classes.
    temperature : float, optional
        A positive number that the logits are divided by.

    Returns
    -------
    ndarray of int64, or scalar
        Indices along the axis, of the shape of `logits` without it.

    Raises
    ------
    ValueError
        If there is nothing to draw from: a distribution has no classes, nothing but -inf, inf or nan; or `temperature`
        is not positive, or the array has no axis.
    TypeError
        If the array is ragged, not numeric, longdouble or complex, or has masked elements, or `axis` is not an int.
    numpy.exceptions.AxisError
        If `axis` is out of range.

    See Also
    --------
    softmax
    numpy.random.Generator.choice : of probabilities, one distribution at a time

    Notes
    -----
    A distribution takes one random number u of float64, and its sample is the first class at which the cumulative sum
    of the `softmax` is above u times the whole sum. So a class of probability 0 is never drawn. Sums are in float64,
    those of blocks of 64 classes first, then those of all blocks, so that many small probabilities do not vanish
    beside a large one. A generator gives the same samples on every target unless u is within a rounding error of a
    border.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import sample_categorical
    >>> logits = np.array([[0.0, 2.0], [2.0, 0.0], [-np.inf, 0.0]])
    >>> sample_categorical(logits, np.random.default_rng(0))
    array([1, 0, 1])
    """
    name = "sample_categorical"
    x = _logarithms(name, logits)
    if x.ndim == 0:
        raise ValueError(f"{name}: the logits need an axis")
    k = as_axis(axis, x.ndim)
    x = _widened(x)
    if type(temperature) is not float or temperature != 1:
        temperature = as_divisor(name, temperature, x.dtype)
    p = softmax(x, k, temperature=temperature)
    # Where one probability is nan, the whole row is. A generator must not advance for a call that is refused.
    rows = x.shape[:k] + x.shape[k + 1 :]
    wrong = np.asarray(np.isnan(np.take(p, 0, k))) if x.shape[k] else np.ones(rows, np.bool)
    if wrong.any():
        row = tuple(int(i) for i in np.unravel_index(wrong.argmax(), rows))
        where = f"the row {row}" if row else "the array"
        raise ValueError(f"{name}: there is nothing to draw from, as {where} has no finite logit, or has nan or inf")
    return deliver(np.asarray(_DRAW(p, np.random.default_rng(rng).random(rows), axis=k)), None)
