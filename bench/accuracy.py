"""Errors of fastlog and of other libraries at the same points, by the references and the measure of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import accuracy  # tests/accuracy.py
import hardest
import numpy as np
from points import arguments

from bench.cases import FUNCTIONS, LIBRARIES, Case, Function

COMPARED = ("fastlog", "SciPy", "NumPy", "PyTorch")
POINTS = {"float32": 4_000_000, "float64": 1_000_000}
SEED = 1  # not that of the tests
BINS = 90  # of each sign
LINEAR = 0.1  # the axis of x is linear up to here, then logarithmic
END = {"float32": 120.0, "float64": 900.0}  # beyond it results are 0, or the argument itself


def elementwise() -> list[Function]:
    """Functions of the benchmark that the tests have a reference for."""
    return [function for function in FUNCTIONS if function.row in accuracy.ELEMENTWISE]


def implementation(function: Function, library: str, dtype: str) -> Callable[..., np.ndarray]:
    """Return a library's function of NumPy arrays; AttributeError from it if the library is too old to have it."""

    def call(*x: np.ndarray) -> np.ndarray:
        arrays = dict(zip(function.arguments, x, strict=True), axis=None, out=np.empty_like(x[0]))
        case = Case(function, dtype, "", x[0].shape, None)
        statement, names = LIBRARIES[library][1](arrays, case, function.calls[library])
        with np.errstate(all="ignore"):
            return np.asarray(eval(statement, names))

    return call


def edges(dtype: str) -> np.ndarray:
    """Return the ends of the bins of the first argument."""
    positive = np.concatenate([np.linspace(0, LINEAR, BINS // 10), np.geomspace(LINEAR, END[dtype], BINS)[1:]])
    return np.concatenate([-positive[:0:-1], positive])


def measure(function: Function, dtype: str, libraries: list[str]) -> dict[str, Any]:
    """Measure the errors of the libraries in one function.

    Parameters
    ----------
    function : Function
    dtype : str
    libraries : list of str

    Returns
    -------
    dict
        ``function``, ``dtype``, ``points``; ``ulp``, ``at`` and ``wrong`` (infinities, nans, signs of zeros) by
        library; ``edges`` of the bins of the first argument, and ``curve``: the largest error in each of them by
        library, nan where there is no point.
    """
    x = arguments(function.row, len(function.arguments), np.dtype(dtype).type, POINTS[dtype], SEED)
    calls = {library: implementation(function, library, dtype) for library in libraries if library in function.calls}
    bins = edges(dtype)
    curve = {library: np.full(bins.size + 1, np.nan) for library in calls}
    total = {library: accuracy.Errors() for library in calls}
    for point, expected in accuracy.blocks(function.row, np.dtype(dtype).type, x):
        where = np.digitize(point[0], bins)
        for library, call in list(calls.items()):
            try:
                error = accuracy.errors(call(*point), expected)
            except AttributeError:
                if library == "fastlog":
                    raise
                del calls[library]
                continue
            total[library].add(accuracy.summarise(point, error))
            np.fmax.at(curve[library], where, np.where(error < np.inf, error, np.nan))
    return {
        "function": function.name,
        "row": function.row,
        "dtype": dtype,
        "points": total["fastlog"].count,
        "ulp": {library: total[library].largest for library in calls},
        "at": {library: hardest.written(total[library].at) for library in calls},
        "wrong": {library: total[library].wrong for library in calls},
        "edges": bins,
        "curve": {library: curve[library][1:-1] for library in calls},
    }


def measure_all(libraries: list[str], report: Callable[[str], None]) -> dict[str, Any]:
    """Measure every elementwise function in both dtypes.

    Parameters
    ----------
    libraries : list of str
        From `COMPARED`.
    report : callable
        Called with what comes next.

    Returns
    -------
    dict
        ``linear``: up to where the bins are equally wide; ``functions``: a list of what `measure` returns.
    """
    results = []
    for function in elementwise():
        for dtype in POINTS:
            report(f"errors of {function.name}, {dtype}")
            results.append(measure(function, dtype, libraries))
    return {"linear": LINEAR, "functions": results}
