"""The arrays on which functions are measured: normal numbers of spread 3, and what is made of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from bench.cases import CALLS, Case

LONGEST = 10_000_000  # numbers; a larger array repeats them


@cache
def _normal(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, LONGEST)


def _probability(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def _log_transitions(states: int) -> np.ndarray:
    chances = np.random.default_rng(3).uniform(0.1, 1, (states, states))
    return np.log(chances / chances.sum(axis=1, keepdims=True))


def make_arrays(case: Case) -> dict[str, Any]:
    """Return the arguments of a case as NumPy arrays, `axis`, the length `n` of that axis, `rng`, and `out`.

    `out` is None for the shortest calls, because making the result is a part of what a call costs.
    """
    u, v = (np.resize(_normal(seed), case.shape) for seed in (0, 1))
    x, y = u.astype(case.dtype), v.astype(case.dtype)
    axis = -1 if case.axis is None else case.axis
    n = x.shape[axis]
    rng = np.random.default_rng(2)
    makers = {
        "y": lambda: y,
        "high": lambda: np.maximum(x, y),  # of the two
        "low": lambda: np.minimum(x, y),
        "positive": lambda: np.abs(x),
        "negative": lambda: -np.abs(x),
        "p": lambda: _probability(u).astype(case.dtype),
        "q": lambda: _probability(v).astype(case.dtype),
        "log_p": lambda: np.log(_probability(u)).astype(case.dtype),
        "log_q": lambda: np.log(_probability(v)).astype(case.dtype),
        "z": lambda: (v > 0).astype(case.dtype),
        "mask": lambda: v > -3,  # five of six elements
        "labels": lambda: rng.integers(0, n, np.delete(x.shape, axis)),
        "shares": lambda: (np.exp(v) / np.sum(np.exp(v), axis=axis, keepdims=True)).astype(case.dtype),
        "of_rows": lambda: rng.uniform(0.5, 2, np.delete(x.shape, axis)).astype(case.dtype),
        # One positive weight stands for each place along the axis.
        "weights": lambda: np.moveaxis(rng.uniform(0.5, 2, (1,) * (x.ndim - 1) + (n,)), -1, axis).astype(case.dtype),
        "groups": lambda: rng.integers(0, 100, n),  # of 100 segments
        "start": lambda: np.full(n, -np.log(n), case.dtype),  # of a chain of n states
        "steps": lambda: _log_transitions(n).astype(case.dtype),
        "vector": lambda: rng.normal(0, 3, n).astype(case.dtype),
        "column": lambda: rng.normal(0, 3, len(x)).astype(case.dtype),
        "places": lambda: rng.integers(0, n, n),  # indices of `ufunc.at`
    }
    made = {name: make() for name, make in makers.items() if name in case.function.arguments}
    out = None if case.size in CALLS else np.empty_like(x)
    return {"x": x, "axis": case.axis, "n": n, "rng": rng, "out": out, **made}
