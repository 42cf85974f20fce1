"""Sums of exponentials by NumPy's functions, for longdouble and complex numbers, which have no kernel."""

from __future__ import annotations

import numpy as np

from fastlog._arrays import from_rows, to_rows


def logsumexp(rows: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the logsumexp over the last axis and the sign of the sum.

    An element of the largest real part is left out, so log(sum) = a + log(w) + log1p(rest / w), with w its weight.
    Where that is not finite, the sum's own logarithm follows C's rules for infinities.
    """
    shape = rows.shape[:-1]
    if rows.size == 0:
        return np.full(shape, -np.inf, rows.dtype), np.zeros(shape, rows.dtype)
    rows = rows.reshape(-1, rows.shape[-1])  # Some of NumPy's functions are limited to 32 axes.
    weights = None if weights is None else weights.reshape(rows.shape)
    with np.errstate(all="ignore"):
        if weights is None:  # The product of inf and the complex 1 has the imaginary part nan.
            weights, direct = np.ones_like(rows), np.sum(np.exp(rows), axis=-1)
        else:
            weights, rows = weights.astype(rows.dtype), np.where(weights == 0, -np.inf, rows)
            direct = np.sum(np.where(weights == 0, 0, weights * np.exp(rows)), axis=-1)
        at = np.argmax(rows.real, axis=-1)[..., np.newaxis]
        top, weight = np.take_along_axis(rows, at, -1), np.take_along_axis(weights, at, -1)
        others = weights * np.exp(rows - top)
        np.put_along_axis(others, at, 0, -1)
        ratio = np.sum(others, axis=-1) / weight[..., 0]
        total = weight[..., 0] * (1 + ratio)
        if rows.dtype.kind == "c":
            y = top[..., 0] + np.log(weight[..., 0]) + np.log1p(ratio)
            turns = np.ceil((y.imag - np.pi) / (2 * np.pi))  # The angle is above -pi, and at most pi.
            y = y - 1j * (2 * np.pi) * np.where(np.isfinite(turns), turns, 0)
            sign = np.sign(total) * np.exp(1j * top[..., 0].imag)
        else:
            size = np.where(ratio < -1, -2 - ratio, ratio)
            y, sign = top[..., 0] + np.log(np.abs(weight[..., 0])) + np.log1p(size), np.sign(total)
        finite = np.isfinite(y)
        magnitude = np.abs(direct) if rows.dtype.kind == "f" else direct
        y, sign = np.where(finite, y, np.log(magnitude)), np.where(finite, sign, np.sign(direct))
    return y.reshape(shape), sign.reshape(shape)


def normalized(
    x: np.ndarray, include: np.ndarray | None, axes: tuple[int, ...], divisor: float, logs: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return softmax or, with `logs`, log_softmax of x / divisor over the axes, and the logsumexp."""
    with np.errstate(all="ignore"):
        x = x / x.real.dtype.type(divisor) if divisor != 1 else x
        rows = to_rows(x if include is None else np.where(include, x, -np.inf), axes)
        lse = logsumexp(rows, None)[0]
        y = rows - lse[..., np.newaxis]
        y = np.ascontiguousarray(from_rows(y if logs else np.exp(y), x.shape, axes))
    return y.reshape(x.shape), lse
