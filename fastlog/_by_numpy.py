"""Sums of exponentials by NumPy's functions, for longdouble and complex numbers, which have no kernel."""

from __future__ import annotations

import numpy as np

from fastlog._arrays import from_rows, to_rows


def logsumexp(rows: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the logsumexp over the last axis and the sign of the sum.

    The element a of the largest term is left out, so log(sum) = a + log(w) + log1p(rest / w), with w its weight. Where
    an element or a weight is not finite, the sum's own logarithm follows C's rules for infinities.
    """
    shape = rows.shape[:-1]
    if rows.size == 0:
        return np.full(shape, -np.inf, rows.dtype), np.zeros(shape, rows.dtype)
    rows = rows.reshape(-1, rows.shape[-1])  # Some of NumPy's functions are limited to 32 axes.
    with np.errstate(all="ignore"):
        if weights is None:  # The product of inf and the complex 1 has the imaginary part nan.
            at = np.argmax(rows.real, axis=-1)[:, np.newaxis]
            top = np.take_along_axis(rows, at, -1)
            weight = factor = np.ones_like(top)
            others, direct = np.exp(rows - top), np.sum(np.exp(_of_size_one(rows)), axis=-1)
        else:
            weights = weights.reshape(rows.shape).astype(rows.dtype, order="C")
            rows = np.where(weights == 0, -np.inf, rows)
            at, factors, shifts = _balanced(rows.real, weights)
            top, weight, factor = (np.take_along_axis(part, at, -1) for part in (rows, weights, factors))
            others = factors * np.exp(rows - top + shifts)
            direct = np.sum(np.where(weights == 0, 0, factors * np.exp(_of_size_one(rows))), axis=-1)
        np.put_along_axis(others, at, 0, -1)
        rest = np.sum(others, axis=-1)
        ratio, total = rest / factor[:, 0], factor[:, 0] + rest
        if rows.dtype.kind == "c":
            y = top[:, 0] + np.log(weight[:, 0]) + np.log1p(ratio)
            pi = np.arccos(y.real.dtype.type(-1))  # This has all digits of clongdouble.
            turns = np.ceil((y.imag - pi) / (2 * pi))  # The angle is above -pi, and at most pi.
            y = y - 1j * (2 * pi) * np.where(np.isfinite(turns), turns, 0)
            sign = np.sign(total) * np.exp(1j * top[:, 0].imag)
        else:
            size = np.where(ratio < -1, -2 - ratio, ratio)
            y, sign = top[:, 0] + np.log(np.abs(weight[:, 0])) + np.log1p(size), np.sign(total)
        cancels = total == 0  # The ratio is -1 then, or next to it, as complex quotients are rounded more than once.
        finite, direct = np.isfinite(y) & ~cancels, np.where(cancels, 0, direct)
        magnitude = np.abs(direct) if rows.dtype.kind == "f" else direct
        y, sign = np.where(finite, y, np.log(magnitude)), np.where(finite, sign, np.sign(direct))
    return y.reshape(shape), sign.reshape(shape)


def _of_size_one(rows: np.ndarray) -> np.ndarray:
    """Return finite elements without their real parts, so that no exponential overflows; others stay."""
    return np.where(np.isfinite(rows), rows - rows.real, rows)


def _balanced(exponents: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the index of the element of each row to leave out, factors, and shifts; the weights are in C order.

    The weights of a row are factors * exp(shifts), up to a power of 2. Factors are the weights and shifts are 0 if no
    weight is so large or small that it could overflow or underflow beside an exponential. Otherwise, the power of 2 is
    that of the weight of the largest term, and only weights far above or below it have shifts.
    """
    real, most = exponents.dtype, np.finfo(exponents.dtype).maxexp // 4
    sizes = np.maximum(np.abs(weights.real), np.abs(weights.imag))
    limit = np.ldexp(real.type(1), most)
    if np.max(sizes) < limit and np.min(sizes, where=sizes > 0, initial=1) > 1 / limit:
        return np.argmax(exponents, axis=-1)[:, np.newaxis], weights, np.zeros((), real)
    powers, log_2 = np.frexp(sizes)[1], np.log(real.type(2))
    at = np.argmax(exponents + powers.astype(real) * log_2, axis=-1)[:, np.newaxis]
    above = powers - np.take_along_axis(powers, at, -1)
    near = np.clip(above, -most, most)
    parts = weights.view(real).reshape(*weights.shape, -1)  # These are real parts and, if any, imaginary ones.
    factors = np.ldexp(parts, (near - powers)[..., np.newaxis]).reshape(len(weights), -1).view(weights.dtype)
    return at, factors, (above - near).astype(real) * log_2


def normalized(
    x: np.ndarray, include: np.ndarray | None, axes: tuple[int, ...], divisor: float, logs: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return softmax or, with `logs`, log_softmax of x / divisor over the axes, and the logsumexp."""
    with np.errstate(all="ignore"):
        x = x / x.real.dtype.type(divisor) if divisor != 1 else x
        rows = to_rows(x if include is None else np.where(include, x, -np.inf), axes)
        lse = logsumexp(rows, None)[0]
        y = rows - lse[..., np.newaxis]
        if not logs:  # Beside an infinite element, no probability is known.
            y = np.where(lse.real[..., np.newaxis] == np.inf, np.nan, np.exp(y)).astype(y.dtype, copy=False)
        y = np.ascontiguousarray(from_rows(y, x.shape, axes))
    return y.reshape(x.shape), lse
