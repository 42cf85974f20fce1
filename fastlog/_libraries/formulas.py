"""Elementwise functions, sums and normalisations of any library's arrays: formulas in the words of `Library`.

Formulas get all arguments of the public functions by name, except `out`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastlog._arrays import as_axes
from fastlog._categorical import ImportanceWeights
from fastlog._libraries.library import Library
from fastlog._segments import checked_count, refuse_index, refuse_shapes


def is_number(option: Any, number: int) -> bool:
    """Tell whether an option is the number; an array never is, as it may have derivatives."""
    return isinstance(option, (int, float)) and option == number


def number_option(
    lib: Library, name: str, option: str, value: Any, x: Any, must: str = "", fits: Callable[[Any], Any] | None = None
) -> Any:
    """Return the number that an option is, in the dtype of `x` if it is an array.

    A number that does not fit raises ValueError, or becomes nan where a compiler does not know its value.
    """
    if not isinstance(value, (int, float)):
        value = lib.xp.astype(lib.floating(name, value, like=x), x.dtype)
        if value.shape != ():
            raise TypeError(f"{name}: {option} must be a number, not an array of shape {tuple(value.shape)}")
    if fits is None:
        return value
    known = lib.known(fits(value))
    if known is None:
        return lib.xp.where(fits(value), value, lib.xp.full_like(value, math.nan))
    if not known:
        raise ValueError(f"{name}: {option} must be {must}, not {value}")
    return value


def in_unit_interval(lib: Library, name: str, option: str, value: Any, x: Any) -> Any:
    return number_option(lib, name, option, value, x, "between 0 and 1", lambda v: (v >= 0) & (v <= 1))


# ---- elementwise ----


def softplus(lib: Library, x: Any, beta: Any) -> Any:
    x = lib.floating("softplus", x)
    if is_number(beta, 1):
        return lib.softplus(x)
    xp, beta = lib.xp, number_option(lib, "softplus", "beta", beta, x)
    scaled = _clipped(lib, x) * _finite(lib, beta, x)
    far = scaled > 800  # There, softplus is the identity, to the last bit of its derivatives.
    return xp.where(far, x, lib.softplus(xp.where(far, xp.zeros_like(x), scaled)) / beta)


def log_sigmoid(lib: Library, x: Any) -> Any:
    return lib.log_sigmoid(lib.floating("log_sigmoid", x))


def sigmoid(lib: Library, x: Any) -> Any:
    return lib.sigmoid(lib.floating("sigmoid", x))


def silu(lib: Library, x: Any, beta: Any) -> Any:
    x = lib.floating("silu", x)
    factor = _finite(lib, number_option(lib, "silu", "beta", beta, x), x)
    return _gated(lib, x, lambda y: lib.sigmoid(y * factor))


def mish(lib: Library, x: Any) -> Any:
    return _gated(lib, lib.floating("mish", x), lambda y: lib.xp.tanh(lib.softplus(y)))


def _gated(lib: Library, x: Any, gate: Callable[[Any], Any]) -> Any:
    """Return x gate(x), by the limit at both infinities, where a gate is either 0 or 1."""
    finite = _clipped(lib, x)
    share = gate(finite)
    return lib.xp.where(lib.xp.isinf(x) & (share > 0), x, finite * share)


def _clipped(lib: Library, x: Any) -> Any:
    """Return `x` with the largest numbers in place of infinities, so that 0 times them is 0."""
    largest = float(lib.xp.finfo(x.dtype).max)
    return lib.xp.clip(x, -largest, largest)


def _finite(lib: Library, beta: Any, x: Any) -> Any:
    """Return a factor that is finite in the dtype of `x`, so that 0 times it is 0."""
    largest = float(lib.xp.finfo(x.dtype).max)
    return math.copysign(largest, beta) if isinstance(beta, (int, float)) and abs(beta) > largest else beta


def xlogy(lib: Library, x: Any, y: Any) -> Any:
    return _xlog(lib, "xlogy", lib.xp.log, 1, x, y)


def xlog1py(lib: Library, x: Any, y: Any) -> Any:
    return _xlog(lib, "xlog1py", lib.xp.log1p, 0, x, y)


def _xlog(lib: Library, name: str, logarithm: Callable[..., Any], harmless: int, x: Any, y: Any) -> Any:
    xp = lib.xp
    if isinstance(y, (bool, int, float)) or not xp.isdtype(lib.array(name, y, x).dtype, "real floating"):
        x = lib.floating(name, x)
        y = lib.floating(name, y, like=x)
    else:
        y = lib.floating(name, y, like=x)
        x = lib.floating(name, x, like=y)
    zero = (x == 0) & ~xp.isnan(y)
    # The derivatives are 0 where x is and y has no finite logarithm.
    none = zero & ~xp.isfinite(logarithm(y))
    product = x * logarithm(xp.where(none, xp.full_like(y, harmless), y))
    # The value at 0 is +0, whatever the signs; the derivative by x is that of the product.
    return xp.where(zero, product - lib.constant(product), product)


# ---- reductions ----


def logsumexp(
    lib: Library, a: Any, axis: Any, b: Any, keepdims: bool, return_sign: bool, where: Any, dtype: Any
) -> Any:
    xp, x = lib.xp, lib.floating("logsumexp", a, dtype)
    if b is None and not return_sign:
        if where is not None:
            x = xp.where(lib.mask("logsumexp", where, x), x, xp.full_like(x, -math.inf))
        axes = as_axes(axis, x.ndim)
        if not axes:
            return x + 0  # Adding 0 makes a new array, with 0.0 for -0.0, as log(exp(-0.0)) is 0.0.
        if 0 in [x.shape[k] for k in axes]:
            return xp.sum(x, axis=axes, keepdims=keepdims) - math.inf
        return lib.logsumexp(x, axes, keepdims)
    weights = xp.ones_like(x) if b is None else lib.floating("logsumexp", b, like=x)
    x, weights = xp.broadcast_arrays(x, weights)
    if where is not None:
        weights = xp.where(lib.mask("logsumexp", where, x), weights, xp.zeros_like(weights))
    y, total = _weighted_sum(lib, x, weights, as_axes(axis, x.ndim), keepdims)
    return (y, xp.sign(total)) if return_sign else xp.where(total < 0, xp.full_like(y, math.nan), y)


def _weighted_sum(lib: Library, x: Any, weights: Any, axes: tuple[int, ...], keepdims: bool) -> tuple[Any, Any]:
    """Return log|sum of weights * exp(x)| and the sum in units of the largest term; log|weight| joins the exponent."""
    xp = lib.xp
    none = weights == 0
    size = xp.log(xp.abs(xp.where(none, xp.ones_like(weights), weights)))
    nowhere = xp.full_like(x, -math.inf)
    term = xp.where(none, nowhere, xp.where(none, xp.zeros_like(x), x) + size)
    if not axes or 0 in [x.shape[k] for k in axes]:
        if axes:
            total = xp.sum(x, axis=axes, keepdims=keepdims)
            return total - math.inf, total
        nothing = term == -math.inf
        sign = xp.where(nothing, xp.zeros_like(term), xp.sign(weights))
        return term, xp.where(xp.isnan(term), xp.full_like(term, math.nan), sign)
    top = lib.constant(xp.max(term, axis=axes, keepdims=True))
    empty = top == -math.inf
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    # A weight of 0 multiplies its exponential, for the derivative by it, unless that is no finite number.
    tame = none & (x - top < math.log(float(xp.finfo(x.dtype).max)) - 1)
    exponent = xp.where(tame, xp.where(tame, x, xp.zeros_like(x)), term) - top
    total = xp.sum(xp.where(none, weights, xp.sign(weights)) * xp.exp(exponent), axis=axes, keepdims=True)
    y = xp.log(xp.abs(xp.where(empty, xp.ones_like(total), total))) + top
    y = xp.where(empty, xp.full_like(y, -math.inf), y)
    return (y, total) if keepdims else (xp.squeeze(y, axis=axes), xp.squeeze(total, axis=axes))


def logmeanexp(lib: Library, a: Any, axis: Any, b: Any, keepdims: bool, where: Any, dtype: Any) -> Any:
    y = logsumexp(lib, a, axis, b, keepdims, False, where, dtype)
    xp, x = lib.xp, lib.floating("logmeanexp", a, dtype)
    counted = xp.ones_like(x, dtype=xp.bool)
    if b is not None:  # Elements count whatever they weigh.
        counted, _ = xp.broadcast_arrays(counted, lib.floating("logmeanexp", b, like=x))
    if where is not None:
        counted = counted & lib.mask("logmeanexp", where, x)
    axes = as_axes(axis, counted.ndim)
    n = lib.count(counted, axes, keepdims) if axes else counted
    return y - xp.log(xp.astype(n, y.dtype))


def logcumsumexp(lib: Library, a: Any, axis: Any, reverse: bool, exclusive: bool, dtype: Any) -> Any:
    xp, x = lib.xp, lib.floating("logcumsumexp", a, dtype)
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    (k,) = as_axes((axis,), max(x.ndim, 1))
    x = xp.reshape(x, (1,)) if x.ndim == 0 else x
    y = lib.logcumsumexp(xp.flip(x, axis=k) if reverse else x, k)
    if exclusive and y.shape[k]:
        before: tuple[slice, ...] = (slice(None),) * k
        nothing = xp.full_like(y[(*before, slice(0, 1), ...)], -math.inf)
        y = xp.concat([nothing, y[(*before, slice(0, y.shape[k] - 1), ...)]], axis=k)
    return xp.flip(y, axis=k) if reverse else y


def logmatmulexp(lib: Library, a: Any, b: Any) -> Any:
    """Return the sums over an axis of all pairs, which are as many as the products that a matrix product adds up."""
    xp, x = lib.xp, lib.floating("logmatmulexp", a)
    y = lib.floating("logmatmulexp", b, like=x)
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError("logmatmulexp: both arguments need an axis at least")
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise ValueError(f"logmatmulexp: the shapes {tuple(x.shape)} and {tuple(y.shape)} do not fit")
    if x.ndim == 1 or y.ndim == 1:  # A column is a row of what is added to every row.
        pairs = x + y if y.ndim == 1 else xp.expand_dims(x, axis=-1) + y
        return logsumexp(lib, pairs, -1 if y.ndim == 1 else -2, None, False, False, None, None)
    pairs = xp.expand_dims(x, axis=-1) + xp.expand_dims(y, axis=-3)
    return logsumexp(lib, pairs, -2, None, False, False, None, None)


def softmax(lib: Library, x: Any, axis: Any, where: Any, dtype: Any, temperature: Any, return_lse: bool) -> Any:
    x = _tempered(lib, "softmax", lib.floating("softmax", x, dtype), temperature)
    y = _normalize(lib, "softmax", lib.softmax, 0.0, x, axis, where)
    return (y, logsumexp(lib, x, axis, None, False, False, where, None)) if return_lse else y


def log_softmax(lib: Library, x: Any, axis: Any, where: Any, dtype: Any, temperature: Any, return_lse: bool) -> Any:
    x = _tempered(lib, "log_softmax", lib.floating("log_softmax", x, dtype), temperature)
    y = _normalize(lib, "log_softmax", lib.log_softmax, -math.inf, x, axis, where)
    return (y, logsumexp(lib, x, axis, None, False, False, where, None)) if return_lse else y


def categorical_entropy(lib: Library, logits: Any, axis: Any, keepdims: bool) -> Any:
    xp, x = lib.xp, lib.floating("categorical_entropy", logits)
    axes = as_axes(axis, x.ndim)
    log_p = _normalize(lib, "categorical_entropy", lib.log_softmax, -math.inf, x, axis, None)
    # Where p is 0, so is p log p, and its derivative by the logit.
    product = xp.exp(log_p) * xp.where(log_p == -math.inf, xp.zeros_like(log_p), log_p)
    if not axes:
        return -product
    empty = math.prod(x.shape[k] for k in axes) == 0
    return xp.sum(-product, axis=axes, keepdims=keepdims) + (math.nan if empty else 0)


def importance_weights(lib: Library, log_w: Any, axis: Any) -> Any:
    xp, x = lib.xp, lib.floating("importance_weights", log_w)
    weights, lse = softmax(lib, x, axis, None, None, 1.0, True)
    axes = as_axes(axis, x.ndim)
    n = math.prod(x.shape[k] for k in axes)
    squares = xp.sum(weights * weights, axis=axes) if axes else weights * weights
    return ImportanceWeights(weights, lse - math.log(n) if n else lse + math.nan, (1 if n else math.nan) / squares)


def _tempered(lib: Library, name: str, x: Any, temperature: Any) -> Any:
    return x if is_number(temperature, 1) else x / temperature_option(lib, name, temperature, x)


def temperature_option(lib: Library, name: str, temperature: Any, x: Any) -> Any:
    return number_option(
        lib, name, "temperature", temperature, x, "a positive number", lambda t: (t > 0) & (t < math.inf)
    )


def _normalize(
    lib: Library, name: str, normalized: Callable[..., Any], of_nothing: float, x: Any, axis: Any, where: Any
) -> Any:
    """Return a normalisation by the library; elements that do not count become `of_nothing`."""
    xp, axes = lib.xp, as_axes(axis, x.ndim)
    if math.prod(x.shape) == 0:
        return x * 1  # This is a new array.
    include = None if where is None else lib.mask(name, where, x)
    if not axes:  # Each element is a row of its own.
        x = xp.expand_dims(x, axis=-1)
        include = None if include is None else xp.expand_dims(include, axis=-1)
    along = axes or (x.ndim - 1,)
    if include is None:
        y = normalized(x, along)
    else:
        include = xp.broadcast_to(include, x.shape)
        y = normalized(xp.where(include, x, xp.full_like(x, -math.inf)), along)
        y = xp.where(include, y, xp.full_like(y, of_nothing))
    return y if axes else xp.squeeze(y, axis=-1)


# ---- segments ----


def segment_logsumexp(lib: Library, data: Any, segment_ids: Any, num_segments: Any) -> Any:
    x, ids, n = _segments(lib, "segment_logsumexp", data, segment_ids, num_segments)
    return _segment_sums(lib, x, ids, n)[0]


def segment_softmax(lib: Library, data: Any, segment_ids: Any, num_segments: Any) -> Any:
    x, ids, n = _segments(lib, "segment_softmax", data, segment_ids, num_segments)
    _, top, total = _segment_sums(lib, x, ids, n)
    finite = lib.xp.where(lib.xp.isfinite(top), top, lib.xp.full_like(top, math.nan))
    return lib.xp.reshape(lib.xp.exp(x - lib.of_segments(finite, ids)) / lib.of_segments(total, ids), data.shape)


def segment_log_softmax(lib: Library, data: Any, segment_ids: Any, num_segments: Any) -> Any:
    x, ids, n = _segments(lib, "segment_log_softmax", data, segment_ids, num_segments)
    _, top, total = _segment_sums(lib, x, ids, n)
    y = (x - lib.of_segments(top, ids)) - lib.of_segments(lib.xp.log(total), ids)
    return lib.xp.reshape(y, data.shape)


def _segments(lib: Library, name: str, data: Any, segment_ids: Any, num_segments: Any) -> tuple[Any, Any, int]:
    """Return the elements with one axis for those of all segments, their indices, and the number of segments.

    A compiler that knows no values has to be told that number; it cannot find indices that are out of range.
    """
    xp, x, ids = lib.xp, lib.floating(name, data), lib.array(name, segment_ids, data)
    if not xp.isdtype(ids.dtype, "integral"):
        raise TypeError(f"{name}: segment_ids must be an array of integers, not of {ids.dtype}")
    refuse_shapes(name, tuple(x.shape), tuple(ids.shape))
    x, ids = xp.reshape(x, (-1, *x.shape[ids.ndim :])), xp.reshape(ids, (-1,))
    if ids.shape[0] == 0:
        return x, ids, 0 if num_segments is None else checked_count(name, num_segments)
    is_known = lib.known(xp.min(ids) >= 0) is not None
    if num_segments is None and not is_known:
        raise ValueError(f"{name}: num_segments must be given to a compiler, which does not know the largest index")
    n = int(xp.max(ids)) + 1 if num_segments is None else checked_count(name, num_segments)
    if is_known:
        refuse_index(name, int(xp.min(ids)), int(xp.max(ids)), n)
    return x, ids, n


def _segment_sums(lib: Library, x: Any, ids: Any, n: int) -> tuple[Any, Any, Any]:
    """Return the logsumexp of segments, their largest elements, and the sums of exponentials in units of these."""
    xp = lib.xp
    top = lib.segment_max(lib.constant(x), ids, n)
    finite = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = lib.segment_sum(xp.exp(x - lib.of_segments(finite, ids)), ids, n)
    empty = total == 0
    y = finite + xp.log(xp.where(empty, xp.ones_like(total), total))
    return xp.where(empty, xp.full_like(y, -math.inf), y), top, total
