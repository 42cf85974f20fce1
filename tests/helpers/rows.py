"""Errors of the functions along rows, by MPFR: logsumexp in ulp of max(1, |y|), softmax and log_softmax in ulp."""

from __future__ import annotations

from functools import cache

import gmpy2
import numpy as np

from helpers.errors import Expected, errors, from_mpfr
from helpers.reference import exact_logsumexp

ROWS = {
    "two": lambda rng: rng.normal(0, 5, (300, 2)),
    "ten": lambda rng: rng.normal(0, 3, (200, 10)),
    "hundred": lambda rng: rng.normal(0, 10, (20, 100)),
    "thousands": lambda rng: rng.normal(0, 2, (3, 5000)),
    "ascending": lambda rng: np.sort(rng.uniform(-100, 100, (3, 5000))),
    "equal": lambda rng: np.full((2, 4097), -7.25),
    "dominated": lambda rng: np.where(np.arange(40) == 7, 3.0, rng.uniform(-40, -10, (50, 40))),
    "near zero": lambda rng: np.log(rng.dirichlet(np.ones(6), 200)),
    "pairs far apart": lambda rng: rng.normal(0, 60, (300, 2)),
    "few": lambda rng: rng.normal(0, 3, (10, 700)),
    "holes": lambda rng: np.where(rng.random((40, 300)) < 0.3, -np.inf, rng.normal(0, 3, (40, 300))),
    "holes at first": lambda rng: np.where(
        np.arange(300) < rng.integers(1, 290, (40, 1)), -np.inf, rng.normal(0, 3, (40, 300))
    ),
}
NAMES = ("logsumexp", "softmax", "log_softmax")


@cache
def rows(kind: str, dtype: type) -> np.ndarray:
    """Return the rows of one kind."""
    return ROWS[kind](np.random.default_rng(5)).astype(dtype)


def compared(x: np.ndarray) -> np.ndarray:
    """Return some 40 of the rows, and for softmax and log_softmax some 25 of their columns."""
    x = x[:: max(1, len(x) // 40)]
    return x[:, np.unique(np.linspace(0, x.shape[1] - 1, 25).astype(int))] if x.ndim == 2 else x


@cache
def expected(kind: str, dtype: type) -> dict[str, Expected]:
    """Return the exact results of the elements that are compared."""
    x = rows(kind, dtype)
    total = [exact_logsumexp(row) for row in x[:: max(1, len(x) // 40)]]
    log = [gmpy2.mpfr(float(v)) - t for row, t in zip(compared(x), total, strict=True) for v in row]
    return {
        "logsumexp": from_mpfr(total, dtype, np.finfo(dtype).eps),
        "softmax": from_mpfr([gmpy2.exp(v) for v in log], dtype),
        "log_softmax": from_mpfr(log, dtype),
    }


def row_errors(name: str, kind: str, got: np.ndarray) -> np.ndarray:
    """Return the errors of a function's results on the rows of one kind."""
    return errors(np.ascontiguousarray(compared(got)).ravel(), expected(kind, got.dtype.type)[name])
