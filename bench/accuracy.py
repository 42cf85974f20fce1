"""Errors of fastlog and of other libraries at the same points, measured by the references of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from helpers import errors, hardest, reference, rows  # of tests/
from helpers.points import arguments

from bench.cases import FUNCTIONS, Case, Function
from bench.libraries import LIBRARIES

COMPARED = ("fastlog", "SciPy", "NumPy", "PyTorch")
POINTS = {"float32": 4_000_000, "float64": 1_000_000}
SEED = 1  # the tests use another seed
BINS = 90  # for each sign
LINEAR = 0.1  # the axis of x is linear up to here, then logarithmic
END = {"float32": 120.0, "float64": 900.0}  # beyond it, a result is 0 or the argument itself


def implementation(function: Function, library: str, dtype: str) -> Callable[..., np.ndarray]:
    """Return a library's function of NumPy arrays; it raises AttributeError if the library is too old to have it."""
    axis = -1 if function.along_rows else None

    def call(*x: np.ndarray) -> np.ndarray:
        arrays = dict(zip(function.arguments, x, strict=True), axis=axis, out=np.empty_like(x[0]))
        case = Case(function, dtype, "", x[0].shape, axis)
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
        ``function``, ``row``, ``dtype``; ``points``: the number of results; ``ulp`` and ``wrong`` (infinities, nans,
        signs of zeros) by library. Elementwise functions have also ``at``: the worst arguments, by library; ``edges``
        of the bins of the first argument; and ``curve``: the largest error in each bin, by library, nan if it is empty.
    """
    calls = {library: implementation(function, library, dtype) for library in libraries if library in function.calls}
    total = {library: errors.Errors() for library in calls}
    found: dict[str, Any] = {"function": function.name, "row": function.row, "dtype": dtype}

    def seen(library: str, x: tuple[np.ndarray, ...], measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
        try:
            got = calls[library](*x)
        except AttributeError:
            if library == "fastlog":
                raise
            return None
        error = measure(got)
        total[library].add(errors.summarise(() if function.along_rows else x, error))
        return error

    if function.along_rows:
        for kind in rows.ROWS:
            x = rows.rows(kind, np.dtype(dtype).type)
            for library in calls:
                seen(library, (x,), lambda got, kind=kind: rows.row_errors(function.row, kind, got))
    else:
        x = arguments(function.row, len(function.arguments), np.dtype(dtype).type, POINTS[dtype], SEED)
        bins = edges(dtype)
        curve = {library: np.full(bins.size + 1, np.nan) for library in calls}
        for point, expected in errors.blocks(function.row, np.dtype(dtype).type, x):
            where = np.digitize(point[0], bins)
            for library in calls:
                error = seen(library, point, lambda got, expected=expected: errors.errors(got, expected))
                if error is not None:
                    np.fmax.at(curve[library], where, np.where(error < np.inf, error, np.nan))
        found["at"] = {library: hardest.written(e.at) for library, e in total.items() if e.count}
        found["edges"] = bins
        found["curve"] = {library: curve[library][1:-1] for library, e in total.items() if e.count}
    found["points"] = total["fastlog"].count
    found["ulp"] = {library: e.largest for library, e in total.items() if e.count}
    found["wrong"] = {library: e.wrong for library, e in total.items() if e.count}
    return found


def measure_all(libraries: list[str], report: Callable[[str], None]) -> dict[str, Any]:
    """Measure every function that the tests have a reference for, in both dtypes.

    Parameters
    ----------
    libraries : list of str
        From `COMPARED`.
    report : callable
        Gets the name of what is measured next.

    Returns
    -------
    dict
        ``linear``: the argument up to which bins are equally wide; ``functions``: a list of results of `measure`.
    """
    results = []
    for function in FUNCTIONS:
        for dtype in POINTS:
            if function.name == function.row in (rows.NAMES if function.along_rows else reference.ELEMENTWISE):
                report(f"errors of {function.name}, {dtype}")
                results.append(measure(function, dtype, libraries))
    return {"linear": LINEAR, "functions": results}
