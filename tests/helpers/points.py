"""The points at which accuracy is measured. They are the same in every run."""

from __future__ import annotations

import numpy as np

LN2 = np.log(2.0)


def stratified(dtype: type, count: int, seed: int = 0) -> np.ndarray:
    """Return about `count` numbers: every binade of both signs, and the regions where the algorithms change.

    These regions are small arguments, multiples of ln 2 (where the reduction of exp changes n), half-way points between
    them (where it is longest), points midway between tabulated ones, thresholds, and the ends of the normal and the
    subnormal results.
    """
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    end = 106.0 if dtype == np.float32 else 750.0
    part = max(count // 8, 4)
    exponents = rng.uniform(np.log2(float(info.smallest_subnormal)), info.maxexp, part)
    special = np.array(
        [LN2, LN2 / 2, 1.0, 2.0, 87.0, 87.34, 103.28, 104.0, 708.0, 708.4, 745.13, 20.0, 40.0, 40.2, 0.25, 0.5, 0.55]
    )
    near = rng.choice(special, part) * (1 + rng.normal(0, 1e-3, part))
    multiples = (rng.integers(0, int(2 * end / LN2), part) / 2) * LN2
    between = (rng.integers(0, 640, part) + 0.5) / 16
    pieces = [
        np.exp2(exponents) * rng.choice([-1, 1], part),
        rng.uniform(-1, 1, part // 2),
        rng.uniform(0.5, 1, part // 2) * rng.choice([-1, 1], part // 2),
        rng.uniform(-3, 3, part),
        rng.uniform(-20, 20, part),
        rng.uniform(-end, end, part),
        near * rng.choice([-1, 1], part),
        (multiples + rng.normal(0, 1e-6, part)) * rng.choice([-1, 1], part),
        (between + rng.normal(0, 1e-6, part)) * rng.choice([-1, 1], part),
        rng.uniform(-end, -end * 0.8, part),
    ]
    return np.concatenate(pieces).astype(dtype)


def positive(dtype: type, count: int, seed: int = 0) -> np.ndarray:
    """Return about `count` numbers > 0: every binade, every distance from 1, and near the powers of 2^(1/2)."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    part = max(count // 4, 4)
    near_1 = 1 + np.exp2(-rng.uniform(0, info.nmant + 1, part)) * rng.choice([-1, 1], part)
    pieces = [
        np.exp2(rng.uniform(np.log2(float(info.smallest_subnormal)), info.maxexp, part)),
        near_1,
        rng.random(part),
        np.exp2(rng.integers(-20, 20, part) / 2) * (1 + rng.normal(0, 1e-4, part)),
    ]
    return np.concatenate(pieces).astype(dtype)


def inside(name: str, dtype: type, count: int, seed: int) -> np.ndarray:
    """Return arguments inside the domain of a function of one argument that is not defined everywhere."""
    rng = np.random.default_rng(seed)
    if name == "logit":
        p = positive(dtype, count, seed)
        p = np.where(p < 1, p, 1 / p)  # near 0, 1/2, 1 at every distance, and every binade
        third = p.size // 3
        p[:third] = (0.5 + (1 - p[:third].astype(np.float64)) * rng.choice([-0.5, 0.5], third)).astype(dtype)
        return p[(p > 0) & (p < 1)]
    if name == "entr":
        return positive(dtype, count, seed)
    x = np.abs(stratified(dtype, count, seed))
    third = x.size // 3
    x[:third] = LN2 * (1 + np.exp2(-rng.uniform(1, np.finfo(dtype).nmant + 2, third)) * rng.choice([-1, 1], third))
    x = x[x > 0]
    return -x if name == "log1mexp" else x


def factors(dtype: type, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return small and large numbers of both signs whose products with a logarithm are mostly finite and not 0."""
    info = np.finfo(dtype)
    top = info.maxexp
    exponents = np.where(
        rng.random(count) < 0.3, rng.uniform(info.minexp - info.nmant, top, count), rng.normal(0, 3, count)
    )
    return (np.exp2(exponents) * rng.choice([-1, 1], count)).astype(dtype)


def arguments(name: str, nin: int, dtype: type, count: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return arguments inside the domain of an elementwise function; two are independent numbers and neighbours.

    Targets lie in [0, 1].
    """
    with np.errstate(over="ignore"):
        return _arguments(name, nin, dtype, count, seed)


def _arguments(name: str, nin: int, dtype: type, count: int, seed: int) -> tuple[np.ndarray, ...]:
    if name in ("logit", "log1mexp", "logexpm1", "entr"):
        return (inside(name, dtype, count, seed),)
    rng = np.random.default_rng(seed + 1)
    if name in ("xlogy", "rel_entr"):
        y = positive(dtype, count, seed)
        x = factors(dtype, y.size, rng)
        if name == "xlogy":
            return x, y
        near = (y * np.exp(rng.choice([1e-6, 1e-2, 1.0, 1.0], y.size) * rng.normal(0, 1, y.size))).astype(dtype)
        return np.where(rng.random(y.size) < 0.5, near, np.abs(x)), y
    if name == "xlog1py":
        y = positive(dtype, count, seed)
        y = np.where(rng.random(y.size) < 0.3, -y, y)
        y = np.where(rng.random(y.size) < 0.3, y - dtype(1), y)
        y = y[y > -1]
        return factors(dtype, y.size, rng), y
    x = stratified(dtype, count, seed)
    if nin == 1:
        return (x,)
    if name == "logsubexp":
        return logsubexp_arguments(x, rng)
    if name.startswith("binary_cross_entropy"):
        return x, np.where(rng.random(x.size) < 0.3, rng.integers(0, 2, x.size), rng.random(x.size)).astype(dtype)
    scale = rng.choice([1e-6, 1e-2, 1.0, 1.0, 10.0, 100.0], x.size)
    y = (x + scale * rng.normal(0, 1, x.size)).astype(dtype)
    # An eighth lies on either side of e^x + e^y = 1, where the terms cancel: log(e^x + e^y) is up to a quarter of x.
    part = x.size // 8
    x[:part] = -np.exp(rng.uniform(-4, 1.5, part))
    result = x[:part].astype(np.float64) * rng.uniform(-0.25, 0.25, part)
    gap = np.maximum(np.expm1(result) - np.expm1(x[:part].astype(np.float64)), 1e-300)
    y[:part] = np.log(gap)
    # Another eighth are the closest neighbours of that curve.
    x[part : 2 * part], y[part : 2 * part] = next_to_cancellation(dtype, part, seed)
    return x, y


def logsubexp_arguments(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return independent numbers and neighbours at every distance; a quarter lies on either side of e^x - e^y = 1."""
    distance = np.exp2(rng.uniform(-60, 10, x.size)) * np.where(rng.random(x.size) < 0.5, 1, np.abs(x))
    y = (x - distance).astype(x.dtype)
    other = rng.permutation(x)
    y = np.where(rng.random(x.size) < 0.3, other, y)
    part = x.size // 4
    y[:part] = rng.uniform(-4, 4, part) * np.exp2(-rng.uniform(0, 30, part))
    x[:part] = np.log1p(np.exp(y[:part].astype(np.float64))) * (1 + rng.uniform(-0.25, 0.25, part))
    return np.maximum(x, y), np.where(x == y, -np.inf, np.minimum(x, y)).astype(x.dtype)


def next_to_cancellation(dtype: type, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return neighbours of the curve e^x + e^y = 1, y <= x, from its end at 0 to the middle, x = y = -ln 2."""
    rng = np.random.default_rng(seed + 2)
    least = np.log(2 * float(np.finfo(dtype).smallest_subnormal))
    x = -np.exp(rng.uniform(np.where(np.arange(count) % 2, -5, least), np.log(LN2), count)).astype(dtype)
    y = np.log(-np.expm1(x.astype(np.float64))).astype(dtype)
    return x, y + (rng.integers(-2, 3, count) * np.spacing(y)).astype(dtype)
