"""Points on which accuracy is measured: the same for every run."""

from __future__ import annotations

import numpy as np

LN2 = np.log(2.0)


def stratified(dtype: type, count: int, seed: int = 0) -> np.ndarray:
    """About `count` numbers: every binade of both signs, and the regions where the algorithms change.

    Those are small arguments, multiples of ln 2 (where the reduction of exp changes n), half-way points between them
    (where it is longest), the thresholds of log1p, the ends of the normal and the subnormal results.
    """
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    end = 106.0 if dtype == np.float32 else 750.0
    part = max(count // 8, 4)
    exponents = rng.uniform(np.log2(float(info.smallest_subnormal)), info.maxexp, part)
    special = np.array(
        [LN2, LN2 / 2, 1.0, 2.0, 87.0, 87.34, 103.28, 104.0, 708.0, 708.4, 745.13, 17.0, 37.0, 0.25, 0.5]
    )
    near = rng.choice(special, part) * (1 + rng.normal(0, 1e-3, part))
    multiples = (rng.integers(0, int(2 * end / LN2), part) / 2) * LN2
    pieces = [
        np.exp2(exponents) * rng.choice([-1, 1], part),
        rng.uniform(-1, 1, part // 2),
        rng.uniform(0.5, 1, part // 2) * rng.choice([-1, 1], part // 2),
        rng.uniform(-3, 3, part),
        rng.uniform(-20, 20, part),
        rng.uniform(-end, end, part),
        near * rng.choice([-1, 1], part),
        (multiples + rng.normal(0, 1e-6, part)) * rng.choice([-1, 1], part),
        rng.uniform(-end, -end * 0.8, part),
    ]
    return np.concatenate(pieces).astype(dtype)


def arguments(name: str, nin: int, dtype: type, count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Arguments for an elementwise function: for two, independent numbers and neighbours; targets lie in [0, 1]."""
    x = stratified(dtype, count, seed)
    if nin == 1:
        return (x,)
    rng = np.random.default_rng(seed + 1)
    if name.startswith("binary_cross_entropy"):
        return x, np.where(rng.random(x.size) < 0.3, rng.integers(0, 2, x.size), rng.random(x.size)).astype(dtype)
    scale = rng.choice([1e-6, 1e-2, 1.0, 1.0, 10.0, 100.0], x.size)
    y = (x + scale * rng.normal(0, 1, x.size)).astype(dtype)
    # An eighth on either side of e^x + e^y = 1, where the terms cancel: log(e^x + e^y) is up to a quarter of x.
    part = x.size // 8
    x[:part] = -np.exp(rng.uniform(-4, 1.5, part))
    result = x[:part].astype(np.float64) * rng.uniform(-0.25, 0.25, part)
    gap = np.maximum(np.expm1(result) - np.expm1(x[:part].astype(np.float64)), 1e-300)
    y[:part] = np.log(gap)
    # An eighth next to it.
    x[part : 2 * part], y[part : 2 * part] = next_to_cancellation(dtype, part, seed)
    return x, y


def next_to_cancellation(dtype: type, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of the curve e^x + e^y = 1, y <= x, from its end at 0 to the middle, x = y = -ln 2."""
    rng = np.random.default_rng(seed + 2)
    least = np.log(2 * float(np.finfo(dtype).smallest_subnormal))
    x = -np.exp(rng.uniform(np.where(np.arange(count) % 2, -5, least), np.log(LN2), count)).astype(dtype)
    y = np.log(-np.expm1(x.astype(np.float64))).astype(dtype)
    return x, y + (rng.integers(-2, 3, count) * np.spacing(y)).astype(dtype)
