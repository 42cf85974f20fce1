"""Interleaved timing: every candidate runs once per round, and the shortest of many short repetitions counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from timeit import Timer
from typing import Any

import numpy as np

from bench.arrays import make_arrays
from bench.cases import Case
from bench.libraries import LIBRARIES

SHORTEST_BATCH = 50e-6  # seconds; long against the clock's resolution, short against the scheduler's time slice
FITS_CACHE = 1e-3  # seconds; a faster candidate is called once, untimed, to bring its data back into the cache
REHEARSAL = 20  # number of calls from which the batch of a short candidate is computed
FEWEST_ROUNDS = 3
# A library is loose that misses fastlog's results by more than this part of them and, in float16, by more than four
# units in the last place.
ACCURACY, UNITS = 1e-3, 4


def interleaved(candidates: dict[str, Timer], seconds: float) -> tuple[dict[str, float], int]:
    """Time candidates in turn, so that a slow spell of the machine hits all of them.

    Parameters
    ----------
    candidates : dict
        Name -> timer of one call.
    seconds : float
        The time after which no round begins; `FEWEST_ROUNDS` rounds are always made.

    Returns
    -------
    best : dict
        Name -> the shortest time of a call in seconds.
    rounds : int
    """
    end = time.perf_counter() + seconds
    best, batch = {}, {}
    for name, timer in candidates.items():
        once = timer.timeit(1)
        if once < SHORTEST_BATCH:  # the time of a single short call is inexact
            once = timer.timeit(REHEARSAL) / REHEARSAL
        best[name], batch[name] = once, max(1, round(SHORTEST_BATCH / once))
    rounds = 0
    while rounds < FEWEST_ROUNDS or time.perf_counter() < end:
        for name, timer in candidates.items():
            if best[name] < FITS_CACHE:
                timer.timeit(1)
            best[name] = min(best[name], timer.timeit(batch[name]) / batch[name])
        rounds += 1
    return best, rounds


def as_numpy(answer: Any) -> np.ndarray:
    """Return the answer of a library as a NumPy array of its own."""
    return np.asarray(answer.to_dense() if getattr(answer, "is_mkldnn", False) else answer).copy()


def is_loose(answer: np.ndarray, expected: np.ndarray, relative: bool) -> bool:
    """Return whether an answer misses the expected one by more than `ACCURACY`.

    Parameters
    ----------
    answer, expected : ndarray
    relative : bool
        Whether the error of each result is compared with that result; otherwise with the mean of all results, if that
        is greater.
    """
    limits = np.finfo(expected.dtype)
    tolerance, least = max(ACCURACY, UNITS * float(limits.eps)), UNITS * float(limits.smallest_subnormal)
    answer, expected = answer.astype(np.float64), expected.astype(np.float64)
    size = np.abs(expected)
    finite = np.isfinite(expected)
    if not relative and finite.any():
        size = np.maximum(size, np.mean(size[finite]))
    with np.errstate(invalid="ignore"):  # inf - inf
        close = np.abs(answer - expected) <= tolerance * size + least
    return not np.all(np.where(finite, close, (answer == expected) | (np.isnan(answer) & np.isnan(expected))))


def measure(case: Case, libraries: list[str], seconds: float) -> dict[str, Any]:
    """Compare the libraries' answers in a case with fastlog's, then time them.

    Parameters
    ----------
    case : Case
    libraries : list of str
        From `LIBRARIES`, fastlog first.
    seconds : float

    Returns
    -------
    dict
        The case; ``seconds``: library -> seconds per call; ``loose``: the libraries whose answers are not as exact as
        `is_loose` asks. A library that lacks the function is left out.
    """
    arrays = make_arrays(case)
    timers: dict[str, Timer] = {}
    expected, loose = None, []
    for library in libraries:
        if library not in case.function.calls:
            continue
        try:
            statement, names = LIBRARIES[library][1](arrays, case, case.function.calls[library])
            answer = as_numpy(eval(statement, names))
        except (AttributeError, NotImplementedError):
            if library == "fastlog":
                raise
            continue
        if expected is None:
            expected = answer
        if is_loose(answer, expected, case.function.relative):
            loose.append(library)
        timers[library] = Timer(statement, globals=names)
    best, rounds = interleaved(timers, seconds)
    return {
        "function": case.function.name,
        "row": case.function.row,
        "dtype": case.dtype,
        "size": case.size,
        "shape": list(case.shape),
        "axis": case.axis,
        "elements": case.elements,
        "rounds": rounds,
        "calls": {library: case.function.calls[library] for library in timers},
        "seconds": best,
        "loose": loose,
    }


def measure_all(
    cases: list[Case], libraries: list[str], seconds: float, report: Callable[[str, dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """Measure all cases within a time; the later cases share the time that one has not used.

    Parameters
    ----------
    cases, libraries
        See `measure`.
    seconds : float
        The time for all cases.
    report : callable
        Gets the name and the result of each case after it is measured.
    """
    end = time.perf_counter() + seconds
    results = []
    for i, case in enumerate(cases):
        share = max(0.0, end - time.perf_counter()) / (len(cases) - i)
        results.append(measure(case, libraries, share))
        report(case.name, results[-1])
    return results
