"""Interleaved timing: every candidate runs once per round, and the shortest of many short repetitions counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from timeit import Timer
from typing import Any

import numpy as np

from bench.cases import LIBRARIES, Case, make_arrays

SHORTEST_BATCH = 50e-6  # seconds; long against the clock's resolution, short against the scheduler's time slice
FITS_CACHE = 1e-3  # seconds; a faster candidate is called once, untimed, to bring its data back into the cache
REHEARSAL = 20  # number of calls from which the batch of a short candidate is computed
FEWEST_ROUNDS = 3
COMPARED = 100_000  # number of elements that are compared with fastlog's


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


def measure(case: Case, libraries: list[str], seconds: float) -> dict[str, Any]:
    """Compare the libraries' answers in a case, then time those that agree with fastlog's.

    Parameters
    ----------
    case : Case
    libraries : list of str
        From `LIBRARIES`, fastlog first.
    seconds : float

    Returns
    -------
    dict
        The case; ``seconds``: library -> seconds per call; ``disagree``: the libraries that give another answer than
        fastlog, and are not timed. A library that is too old to have the function is left out.
    """
    arrays = make_arrays(case)
    timers: dict[str, Timer] = {}
    expected, disagree = None, []
    for library in libraries:
        if library not in case.function.calls:
            continue
        statement, names = LIBRARIES[library][1](arrays, case, case.function.calls[library])
        try:
            answer = np.ravel(np.asarray(eval(statement, names)))[:COMPARED]
        except AttributeError:
            if library == "fastlog":
                raise
            continue
        if expected is None:
            expected = answer.copy()  # the next library writes into the same `out`
        # The tolerances are wide, because they must notice another function, not another rounding.
        if np.allclose(answer, expected, rtol=1e-3, atol=1e-4):
            timers[library] = Timer(statement, globals=names)
        else:
            disagree.append(library)
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
        "disagree": disagree,
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
        report(f"{case.function.name} {case.dtype} {case.size}", results[-1])
    return results
