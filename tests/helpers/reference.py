"""The mathematics that fastlog is held against: one line per elementwise function of the table, and the rows.

A line takes a namespace `m`, so that it runs on MPFR numbers of 400 bits, the reference for float64, and on NumPy
arrays of double or long double, the reference for float32. `select(c, a, b)` is a where c is true and b elsewhere;
`minus_log2(x)` is x - log 2, right to the last digits even where both are close. The formulas keep double's digits.
"""

from __future__ import annotations

from types import SimpleNamespace

import gmpy2
import numpy as np

gmpy2.get_context().precision = 400
gmpy2.get_context().emin = -(2**40)

ELEMENTWISE = {
    "softplus": lambda m, x: m.maximum(x, 0) + m.log1p(m.exp(-abs(x))),
    "log_sigmoid": lambda m, x: m.minimum(x, 0) - m.log1p(m.exp(-abs(x))),
    "sigmoid": lambda m, x: m.exp(m.minimum(x, 0)) / (1 + m.exp(-abs(x))),
    "silu": lambda m, x: x * m.exp(m.minimum(x, 0)) / (1 + m.exp(-abs(x))),
    "logaddexp": lambda m, a, b: m.maximum(a, b) + m.log1p(m.exp(-abs(a - b))),
    "logaddexp2": lambda m, a, b: m.maximum(a, b) + m.log1p(m.exp(-abs(a - b) * m.log1p(1))) / m.log1p(1),
    "mish": lambda m, x: x * mish_fraction(m, m.exp(-abs(x)), x < 0),
    "logsubexp": lambda m, a, b: m.select(a < b, m.nan, a + log1mexp(m, b - a)),
    "logit": lambda m, p: m.select(p < 0.25, m.log(p) - m.log1p(-p), m.log1p((2 * p - 1) / (1 - p))),
    "log1mexp": lambda m, x: log1mexp(m, x),
    "logexpm1": lambda m, x: m.select(
        abs(x - 0.75) < 0.25, m.log1p(2 * m.expm1(m.minus_log2(x))), m.maximum(x, 0) + log1mexp(m, -x)
    ),
    "xlogy": lambda m, x, y: m.select(x == 0, 0, x * m.log(y)),
    "xlog1py": lambda m, x, y: m.select(x == 0, 0, x * m.log1p(y)),
    "entr": lambda m, x: m.select(x < 0, -m.inf, m.select(x == 0, 0, -x * m.log(x))),
    "rel_entr": lambda m, x, y: rel_entr(m, x, y),
    "binary_cross_entropy_with_logits": lambda m, x, z: m.maximum(x, 0) - x * z + m.log1p(m.exp(-abs(x))),
}


def mish_fraction(m, t, negative):
    """Return ((1 + e^x)^2 - 1) / ((1 + e^x)^2 + 1), given t = e^-|x|."""
    n = m.select(negative, t * (t + 2), 1 + 2 * t)
    return n / m.select(negative, n + 2, n + 2 * t * t)


def log1mexp(m, x):
    """Return log(1 - e^x)."""
    return m.select(x > -0.7, m.log(-m.expm1(x)), m.log1p(-m.exp(x)))


def rel_entr(m, x, y):
    """Return x log(x/y), or the value of scipy.special's convention where that is not defined."""
    inside = (x > 0) & (y > 0)
    y = m.select(inside, y, 1)
    log = m.select(abs(x - y) < y / 2, m.log1p((x - y) / y), m.log(x / y))
    return m.select(inside, x * log, m.select((x == 0) & (y >= 0), 0, m.inf))


def chosen(condition, a, b):
    """Return `a` or `b`, as an MPFR number."""
    return gmpy2.mpfr(a if condition else b)


def minus_log2(x):
    """Return x - log 2; log 2 is known in two words."""
    high = float(gmpy2.const_log2())
    return (x - high) - float(gmpy2.const_log2() - gmpy2.mpfr(high))


MPFR = SimpleNamespace(
    exp=gmpy2.exp, expm1=gmpy2.expm1, log=gmpy2.log, log1p=gmpy2.log1p, maximum=max, minimum=min, select=chosen,
    minus_log2=lambda x: x - gmpy2.const_log2(), inf=gmpy2.inf(), nan=gmpy2.nan(),
)  # fmt: skip
NUMPY = SimpleNamespace(
    exp=np.exp, expm1=np.expm1, log=np.log, log1p=np.log1p, maximum=np.maximum, minimum=np.minimum, select=np.where,
    minus_log2=minus_log2, inf=np.inf, nan=np.nan,
)  # fmt: skip


def exact(name: str, *arguments: float) -> gmpy2.mpfr:
    """Return the value of an elementwise function at finite numbers, to 400 bits."""
    return ELEMENTWISE[name](MPFR, *(gmpy2.mpfr(float(x)) for x in arguments))


def wide(name: str, *arguments: np.ndarray) -> np.ndarray:
    """Return the values of an elementwise function at float32 arrays, in double for one argument, long double for two.

    Two arguments may cancel, and then double has too few digits.
    """
    dtype = np.float64 if len(arguments) == 1 else np.longdouble
    with np.errstate(all="ignore"):
        return ELEMENTWISE[name](NUMPY, *(x.astype(dtype) for x in arguments))


def exact_logsumexp(row: np.ndarray) -> gmpy2.mpfr:
    """Return the logsumexp of finite numbers, to 400 bits."""
    return gmpy2.log(sum(gmpy2.exp(gmpy2.mpfr(float(x))) for x in row))


# Arrays of MPFR numbers, and functions of such arrays. They add, multiply and compare as other arrays do.
exact_numbers = np.frompyfunc(lambda x: gmpy2.mpfr(float(x)), 1, 1)
exact_exp = np.frompyfunc(gmpy2.exp, 1, 1)
exact_log1p = np.frompyfunc(gmpy2.log1p, 1, 1)


def in_two_words(exactly: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return MPFR numbers as the sums of two doubles."""
    high = np.asarray(exactly, np.float64)
    return high, np.asarray(exactly - high, np.float64)


def distance(got: np.ndarray, expected: tuple[np.ndarray, np.ndarray], size: np.ndarray) -> float:
    """Return the largest error of floats beside results in two words, in ulp of `size` in the floats' dtype."""
    got, (high, low) = np.asarray(got), expected
    return float(np.max(np.abs(got - high - low) / np.spacing(np.abs(size).astype(got.dtype)), initial=0))
