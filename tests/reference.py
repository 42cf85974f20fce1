"""The mathematics that fastlog is held against: one line per elementwise function of the table, and the rows.

A line takes a namespace `m` (exp, log1p, maximum, minimum), so that it runs on MPFR numbers of 400 bits, the reference
for float64, and on NumPy arrays of double or long double, the reference for float32.
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
    "binary_cross_entropy_with_logits": lambda m, x, z: m.maximum(x, 0) - x * z + m.log1p(m.exp(-abs(x))),
}

MPFR = SimpleNamespace(exp=gmpy2.exp, log1p=gmpy2.log1p, maximum=max, minimum=min)


def exact(name: str, *arguments: float) -> gmpy2.mpfr:
    """Value of an elementwise function at finite numbers, to 400 bits."""
    return ELEMENTWISE[name](MPFR, *(gmpy2.mpfr(float(x)) for x in arguments))


def wide(name: str, *arguments: np.ndarray) -> np.ndarray:
    """Values of an elementwise function at float32 arrays: in double for one argument, long double for two.

    Two arguments may cancel, which costs double too many digits.
    """
    dtype = np.float64 if len(arguments) == 1 else np.longdouble
    with np.errstate(all="ignore"):
        return ELEMENTWISE[name](np, *(x.astype(dtype) for x in arguments))


def exact_logsumexp(row: np.ndarray) -> gmpy2.mpfr:
    """Logsumexp of finite numbers, to 400 bits."""
    return gmpy2.log(sum(gmpy2.exp(gmpy2.mpfr(float(x))) for x in row))
