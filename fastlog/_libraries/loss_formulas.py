"""Losses of any library's arrays: formulas in the words of `Library`."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from fastlog._arguments import check_reduction, label_error, one_hot_hint, row_weight_error
from fastlog._arrays import as_axes, fits
from fastlog._libraries.formulas import in_unit_interval, is_number, number_option, temperature_option
from fastlog._libraries.library import Library


def binary_cross_entropy_with_logits(
    lib: Library,
    logits: Any,
    targets: Any,
    weight: Any,
    pos_weight: Any,
    reduction: str,
    label_smoothing: Any,
    return_grad: bool,
    return_hess: bool,
) -> Any:
    name = "binary_cross_entropy_with_logits"
    x, z = _elements(lib, name, logits, targets)
    if not is_number(label_smoothing, 0):
        smoothing = in_unit_interval(lib, name, "label_smoothing", label_smoothing, x)
        z = (1 - smoothing) * z + smoothing / 2
    w = None if weight is None else _fitting(lib, name, "weight", weight, x)
    positive = None if pos_weight is None else _fitting(lib, name, "pos_weight", pos_weight, x)
    w, x, z, positive = _counted(lib, w, x, z, positive)
    yes, no = z if positive is None else _joint(lib, z, positive), 1 - z
    # There is one softplus for each side, instead of |x| and one, so that the derivative is right at 0.
    x_yes, x_no = _seen(lib, x, yes, w), _seen(lib, x, no, w)
    loss = _weighed(lib, w, _product(lib, yes, lib.softplus(-x_yes)) + _product(lib, no, lib.softplus(x_no)))
    if not (return_grad or return_hess):
        return _reduced(lib, loss, reduction)
    p, q = lib.sigmoid(x), lib.sigmoid(-x)
    grad = _weighed(lib, w, _product(lib, no, p) - _product(lib, yes, q))
    hess = _weighed(lib, w, _product(lib, yes + no, p * q)) if return_hess else None
    return _with_derivatives(lib, loss, reduction, grad, hess)


def focal_loss(
    lib: Library,
    logits: Any,
    targets: Any,
    alpha: Any,
    gamma: Any,
    reduction: str,
    weight: Any,
    return_grad: bool,
    return_hess: bool,
) -> Any:
    name = "focal_loss"
    x, z = _elements(lib, name, logits, targets)
    gamma = _focusing_power(lib, name, gamma, x)
    w = None if weight is None else _fitting(lib, name, "weight", weight, x)
    if alpha is not None:
        alpha = in_unit_interval(lib, name, "alpha", alpha, x)
        balance = z * alpha + (1 - z) * (1 - alpha)
        w = balance if w is None else _joint(lib, balance, w)
    w, x, z = _counted(lib, w, x, z)
    x_yes, x_no = _seen(lib, x, z, w), _seen(lib, x, 1 - z, w)
    p, q = lib.sigmoid(_with_constant_ends(lib, x_no)), lib.sigmoid(-_with_constant_ends(lib, x_yes))
    entropy = _product(lib, z, lib.softplus(-x_yes)) + _product(lib, 1 - z, lib.softplus(x_no))
    power, base = _power_of(lib, z * q + (1 - z) * p, gamma)
    loss = _weighed(lib, w, _product(lib, power, entropy))
    if not (return_grad or return_hess):
        return _reduced(lib, loss, reduction)
    p, q = lib.sigmoid(x), lib.sigmoid(-x)
    # m' = (1 - 2z) p q, m'' = m' (q - p); the entropy's derivatives are p - z and p q. Negative powers
    # of m have a factor m', which is of the order of m.
    slope = (1 - 2 * z) * p * q / base
    grad = _weighed(lib, w, _product(lib, power, _product(lib, gamma * slope, entropy) + p - z))
    hess = None
    if return_hess:
        curved = _product(lib, gamma * slope * ((gamma - 1) * slope + q - p), entropy)
        hess = _weighed(lib, w, _product(lib, power, curved + 2 * gamma * slope * (p - z) + p * q))
    return _with_derivatives(lib, loss, reduction, grad, hess)


def softmax_focal_loss(
    lib: Library,
    logits: Any,
    targets: Any,
    alpha: Any,
    gamma: Any,
    reduction: str,
    ignore_index: int | None,
    axis: int,
    return_grad: bool,
) -> Any:
    xp, name = lib.xp, "softmax_focal_loss"
    x = lib.floating(name, logits)
    (k,) = as_axes((axis,), x.ndim)
    _refuse_probabilities(lib, name, targets, x)
    gamma = _focusing_power(lib, name, gamma, x)
    parts, count = _class_parts(lib, name, x, targets, None, ignore_index, 0.0, k, None)
    weighted = parts if alpha is None else _class_parts(lib, name, x, targets, alpha, ignore_index, 0.0, k, None)[0]
    w = xp.sum(weighted, axis=k, keepdims=True)
    _, x = _counted(lib, w, x)
    log_p = _log_probabilities(lib, x, k)
    entropy = xp.expand_dims(_row_loss(lib, parts, log_p, k), axis=k)
    near = xp.where(entropy < 80, entropy, xp.full_like(entropy, 80.0))  # p = exp(-e) is negligible beyond.
    power, _ = _power_of(lib, -xp.expm1(-near), gamma)
    loss = xp.squeeze(_product(lib, w, _product(lib, entropy, power)), axis=k)
    if not return_grad:
        return _reduced(lib, loss, reduction, count)
    ratio = xp.where(near > 0, near / xp.where(near > 0, xp.expm1(near), xp.ones_like(near)), xp.ones_like(near))
    slope = _product(lib, w, power * (1 + gamma * ratio))
    grad = _product(lib, slope, _probabilities(lib, log_p, k) - parts)
    return _with_derivatives(lib, loss, reduction, grad, None, count)


def kl_divergence(lib: Library, log_q: Any, p: Any, *, log_target: bool, axis: Any, reduction: str) -> Any:
    xp = lib.xp
    log_q, p = _elements(lib, "kl_divergence", log_q, p, "log_q", "p")
    check_reduction("kl_divergence", reduction, ("mean", "batchmean", "sum", "none"))
    axes = as_axes(axis, log_q.ndim)
    none = (xp.exp(p) if log_target else p) == 0
    # Where p is 0, the term p log p is left out: its derivative by p would be infinite; the one by log p is 0.
    given = xp.where(none, xp.zeros_like(p) if log_target else xp.ones_like(p), p)
    mass, log_p = (xp.where(none, xp.zeros_like(p), xp.exp(given)), given) if log_target else (p, xp.log(given))
    each = _joint(lib, mass, log_p - log_q)
    if reduction == "none" and axes:
        return xp.sum(each, axis=axes)
    if reduction == "batchmean":
        return xp.sum(each) / next((n for k, n in enumerate(each.shape) if k not in axes), 1)
    return _reduced(lib, each, reduction)


def cross_entropy(
    lib: Library,
    logits: Any,
    targets: Any,
    weight: Any,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: Any,
    axis: int,
    sample_weight: Any,
    temperature: Any,
    return_grad: bool,
    return_hess: bool,
) -> Any:
    name = "cross_entropy"
    x = lib.floating(name, logits)
    (k,) = as_axes((axis,), x.ndim)
    divisor = None if temperature is None else temperature_option(lib, name, temperature, x)
    x = x if divisor is None else x / divisor
    of_rows = None if sample_weight is None else _of_rows(lib, name, sample_weight, x, k)
    parts, count = _class_parts(lib, name, x, targets, weight, ignore_index, label_smoothing, k, of_rows)
    _, x = _counted(lib, lib.xp.sum(lib.xp.abs(parts), axis=k, keepdims=True), x)
    log_p = _log_probabilities(lib, x, k)
    loss = _row_loss(lib, parts, log_p, k)
    # Several infinite logits have no known log p, but a class beside them that counts makes the loss infinite.
    unknown, never = lib.xp.isnan(log_p), (log_p == -math.inf) & (parts > 0)
    infinite = lib.xp.any(unknown, axis=k) & lib.xp.any(never, axis=k)
    loss = lib.xp.where(infinite, lib.xp.full_like(loss, math.inf), loss)
    if not (return_grad or return_hess):
        return _reduced(lib, loss, reduction, count)
    p, total = _probabilities(lib, log_p, k), lib.xp.sum(parts, axis=k, keepdims=True)
    grad = _product(lib, total, p) - parts
    hess = _product(lib, total, p * (1 - p)) if return_hess else None
    if divisor is None:
        return _with_derivatives(lib, loss, reduction, grad, hess, count)
    grad, hess = grad / divisor, None if hess is None else hess / divisor / divisor
    slope = lib.xp.sum(_product(lib, grad, _below_largest(lib, x, k)), axis=k)
    if reduction != "none":
        slope = lib.xp.sum(slope)
    if reduction == "mean":
        slope = _divided(lib, slope, loss, count, 0.0)
    return (*_with_derivatives(lib, loss, reduction, grad, hess, count), slope)


def nll_loss(
    lib: Library, log_probs: Any, targets: Any, weight: Any, ignore_index: int | None, reduction: str, axis: int
) -> Any:
    x = lib.floating("nll_loss", log_probs)
    (k,) = as_axes((axis,), x.ndim)
    _refuse_probabilities(lib, "nll_loss", targets, x)
    parts, count = _class_parts(lib, "nll_loss", x, targets, weight, ignore_index, 0.0, k, None)
    return _reduced(lib, _row_loss(lib, parts, x, k), reduction, count)


def _focusing_power(lib: Library, name: str, gamma: Any, x: Any) -> Any:
    must = "a finite number of at least 0"
    return number_option(lib, name, "gamma", gamma, x, must, lambda v: (v >= 0) & (v < math.inf))


def _power_of(lib: Library, missed: Any, gamma: Any) -> tuple[Any, Any]:
    """Return a power of m, and the base: m, or 1 where that is 0.

    Where m is 0, its powers and their derivatives are 0, except the power 0, which is 1 everywhere; the library would
    find other derivatives. Subnormal numbers count as 0, as their reciprocals may be infinite.
    """
    xp = lib.xp
    none = xp.abs(missed) < float(xp.finfo(missed.dtype).smallest_normal)
    base = xp.where(none, xp.ones_like(missed), missed)
    power = xp.where(none & (gamma > 0), xp.zeros_like(missed), base**gamma) + 0 * gamma  # It is nan where gamma is.
    return power, base


def _refuse_probabilities(lib: Library, name: str, targets: Any, x: Any) -> None:
    if lib.xp.isdtype(lib.array(name, targets, x).dtype, "real floating"):
        raise TypeError(f"{name}: targets must be integer class labels")


def _elements(
    lib: Library, name: str, x: Any, z: Any, first: str = "logits", second: str = "targets"
) -> tuple[Any, Any]:
    x = lib.floating(name, x)
    z = lib.xp.astype(lib.floating(name, z, like=x), x.dtype)
    if x.shape != z.shape:
        raise ValueError(
            f"{name}: {first} and {second} must have the same shape, not {tuple(x.shape)} and {tuple(z.shape)}"
        )
    return x, z


def _fitting(lib: Library, name: str, argument: str, a: Any, x: Any) -> Any:
    """Return a weight, which must broadcast to the shape of the logits, in their dtype."""
    w = lib.xp.astype(lib.floating(name, a, like=x), x.dtype)
    if tuple(lib.xp.broadcast_arrays(w, x)[0].shape) != tuple(x.shape):
        raise ValueError(f"{name}: {argument} has the shape {tuple(w.shape)}, which does not fit {tuple(x.shape)}")
    return w


def _product(lib: Library, weight: Any, x: Any) -> Any:
    """Return the product, in which a weight of 0 counts for more than an x that is infinite or nan.

    The derivative by a weight of 0 is x where that is a finite number, and 0 elsewhere.
    """
    xp = lib.xp
    weight, x = xp.broadcast_arrays(weight, x)
    return weight * xp.where((weight == 0) & ~xp.isfinite(x), xp.zeros_like(x), x)


def _joint(lib: Library, weight: Any, other: Any) -> Any:
    """Return the product of two factors: 0 times an infinite one is 0, but what is nan stays nan."""
    xp = lib.xp
    weight, other = xp.broadcast_arrays(weight, other)
    one = xp.where((other == 0) & xp.isinf(weight), xp.zeros_like(weight), weight)
    return one * xp.where((weight == 0) & xp.isinf(other), xp.zeros_like(other), other)


def _of_both(lib: Library, weight: Any, other: Any) -> Any:
    """Return the product of two weights, in which a 0 counts for more than what is infinite or nan."""
    xp = lib.xp
    weight, other = xp.broadcast_arrays(weight, other)
    return _product(lib, xp.where((other == 0) & ~xp.isfinite(weight), xp.zeros_like(weight), weight), other)


def _weighed(lib: Library, weight: Any, x: Any) -> Any:
    return x if weight is None else _product(lib, weight, x)


def _counted(lib: Library, weight: Any, *parts: Any) -> tuple[Any, ...]:
    """Return the weights and parts of elements. All are 0, without derivatives, where an element cannot count.

    Such an element weighs 0, and one of its parts is nan or infinite. A weight or a part may be None.
    """
    if weight is None:
        return (weight, *parts)
    xp, counts = lib.xp, weight != 0
    finite = [xp.isfinite(part) for part in parts if part is not None]
    counts = functools.reduce(operator.and_, finite) | counts
    return tuple([None if a is None else xp.where(counts, a, xp.zeros_like(a)) for a in (weight, *parts)])


def _seen(lib: Library, x: Any, side: Any, weight: Any) -> Any:
    """Return the logits of which one side of a loss is a function.

    An infinite weight times a side that weighs 0 is no number. So the logit of that side is a constant.
    """
    if weight is None:
        return x
    return lib.xp.where((side == 0) & lib.xp.isinf(weight), lib.xp.zeros_like(x), x)


def _with_constant_ends(lib: Library, x: Any) -> Any:
    """Return logits whose infinities are constants, as an infinite loss times the derivative 0 would be nan."""
    return lib.xp.where(lib.xp.isinf(x), 1000 * lib.xp.sign(x), x)


def _log_probabilities(lib: Library, x: Any, k: int) -> Any:
    """Return log_softmax; rows with one infinite logit get the limit, rows of nothing but -inf the derivative nan."""
    xp, zeros, is_infinite = lib.xp, lib.xp.zeros_like(x), x == math.inf
    largest = xp.max(x, axis=k, keepdims=True)
    single = (largest == math.inf) & (lib.count(is_infinite, (k,), keepdims=True) == 1)
    log_p = lib.log_softmax(xp.where(single, zeros, x), (k,))
    empty = largest == -math.inf
    log_p = xp.where(empty, xp.sum(xp.where(empty, x, zeros), axis=k, keepdims=True) * math.nan, log_p)
    infinite = xp.sum(xp.where(is_infinite, x, zeros), axis=k, keepdims=True)
    return xp.where(single, xp.where(is_infinite, zeros, x - infinite), log_p)


def _probabilities(lib: Library, log_p: Any, k: int) -> Any:
    """Return probabilities; all of a row are nan where one is, as beside several infinite logits."""
    p = lib.xp.exp(log_p)
    return p + 0 * lib.xp.sum(p, axis=k, keepdims=True)


def _below_largest(lib: Library, x: Any, k: int) -> Any:
    """Return how far the logits of a row are below its largest one."""
    largest = lib.xp.max(x, axis=k, keepdims=True)
    return lib.xp.where(x == largest, lib.xp.zeros_like(x), largest - x)


def _of_rows(lib: Library, name: str, weight: Any, x: Any, k: int) -> Any:
    """Return a weight for each row, in the dtype of the logits; the class axis has the length 1."""
    rows = tuple(x.shape[:k]) + tuple(x.shape[k + 1 :])
    given = np.asarray(weight, np.float64) if isinstance(weight, (bool, int, float)) else weight
    w = lib.xp.astype(lib.floating(name, given, like=x), x.dtype)
    if not fits(tuple(w.shape), rows):
        raise row_weight_error(name, tuple(w.shape), rows)
    return lib.xp.expand_dims(lib.xp.broadcast_to(w, rows), axis=k)


def _class_parts(
    lib: Library,
    name: str,
    x: Any,
    targets: Any,
    weight: Any,
    ignore_index: int | None,
    smoothing: Any,
    k: int,
    of_rows: Any,
) -> tuple[Any, Any]:
    """Return the weight of each class in each row, and the number that a mean divides by.

    The weights of the rows themselves, if any, are a factor of both.
    """
    xp, classes = lib.xp, x.shape[k]
    z = lib.array(name, targets, x)
    along: tuple[int, ...] = tuple([classes if i == k else 1 for i in range(x.ndim)])
    w = lib.floating(name, np.ones(classes, np.float32) if weight is None else weight, like=x)
    if tuple(w.shape) != (classes,):
        raise ValueError(f"{name}: weight must have the shape ({classes},), one per class, not {tuple(w.shape)}")
    w = xp.reshape(xp.astype(w, x.dtype), along)
    smooth = not is_number(smoothing, 0)
    smoothing = in_unit_interval(lib, name, "label_smoothing", smoothing, x)
    even = smoothing / max(classes, 1)
    if xp.isdtype(z.dtype, "real floating"):
        if z.shape != x.shape:
            raise ValueError(
                f"{name}: class probabilities must have the shape of the logits, {tuple(x.shape)}, "
                f"not {tuple(z.shape)}; class labels must be integers"
            )
        if ignore_index is not None and lib.known(ignore_index >= 0):
            raise ValueError(f"{name}: ignore_index is for labels; the targets are probabilities")
        w, z = _counted(lib, w, xp.astype(z, x.dtype))
        parts = _joint(lib, w, (1 - smoothing) * z + even if smooth else z)
        if of_rows is not None:
            return _of_both(lib, of_rows, parts), xp.sum(of_rows)
        return parts, math.prod(x.shape) // max(classes, 1)
    expected = tuple(x.shape[:k]) + tuple(x.shape[k + 1 :])
    if tuple(z.shape) != expected:
        hint = one_hot_hint(name, z.shape, x.shape)
        raise ValueError(f"{name}: labels must have the shape {expected}, not {tuple(z.shape)}{hint}")
    unsigned = xp.isdtype(z.dtype, "unsigned integer")
    z = xp.astype(z, xp.asarray(0).dtype)  # Bool and unsigned labels could not be compared with -100.
    counts = xp.ones_like(z, dtype=xp.bool) if ignore_index is None else z != ignore_index
    if unsigned:
        counts = counts | (z < 0)  # A large unsigned label has become negative.
    wrong = counts & ((z < 0) | (z >= classes))
    if lib.known(xp.any(wrong)):
        at = int(xp.argmax(xp.astype(xp.reshape(wrong, (-1,)), z.dtype)))
        where = tuple(int(i) for i in np.unravel_index(at, expected))
        label = int(xp.reshape(z, (-1,))[at])
        raise label_error(name, where, label % 2 ** xp.iinfo(z.dtype).bits if unsigned else label, classes)
    z, counts, wrong = (xp.expand_dims(part, axis=k) for part in (z, counts, wrong))
    is_label = xp.reshape(lib.array(name, np.arange(classes), x), along) == z
    of_label = xp.where(is_label & counts, w, xp.zeros_like(x))
    # Counts are integers, because float32 has no odd number above 2**24.
    parts = of_label
    if smooth:
        parts = _joint(
            lib, xp.where(counts, w, xp.zeros_like(x)), (1 - smoothing) * xp.astype(is_label, x.dtype) + even
        )
    if of_rows is not None:
        of_label, parts = _of_both(lib, of_rows, of_label), _of_both(lib, of_rows, parts)
    total = lib.count(counts & ~wrong) if weight is None and of_rows is None else xp.sum(of_label)
    return xp.where(wrong, xp.full_like(parts, math.nan), parts), total


def _row_loss(lib: Library, parts: Any, log_p: Any, k: int) -> Any:
    return lib.xp.sum(_product(lib, parts, -log_p), axis=k)


def _reduced(lib: Library, loss: Any, reduction: str, count: Any = None) -> Any:
    check_reduction("loss", reduction)
    if reduction == "none":
        return loss
    total = lib.xp.sum(loss)
    return total if reduction == "sum" else _divided(lib, total, loss, count, math.nan)


def _divided(lib: Library, y: Any, loss: Any, count: Any, empty: float) -> Any:
    """Divide by the number of losses, or `count`; the mean of nothing is `empty`."""
    if count is None or isinstance(count, int):
        n = math.prod(loss.shape) if count is None else count
        return y / n if n else lib.xp.full_like(y, empty)
    none = count == 0
    divisor = lib.xp.astype(lib.xp.where(none, lib.xp.ones_like(count), count), y.dtype)
    return lib.xp.where(none, lib.xp.full_like(y, empty), y / divisor)


def _with_derivatives(
    lib: Library, loss: Any, reduction: str, grad: Any, hess: Any | None, count: Any = None
) -> tuple[Any, ...]:
    wanted = [grad] if hess is None else [grad, hess]
    if reduction == "mean":
        wanted = [_divided(lib, part, loss, count, 0.0) for part in wanted]
    return (_reduced(lib, loss, reduction, count), *wanted)
