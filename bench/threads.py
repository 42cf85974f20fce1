"""How the time of a call falls with the number of threads, from 10 elements to 100 million."""

from __future__ import annotations

from collections.abc import Callable
from timeit import Timer
from typing import Any

import numpy as np

import fastlog
from bench import arrays, cases
from bench.libraries import LIBRARIES, installed
from bench.measure import interleaved

# What is measured: a title -> the function's name in bench/cases.py, and the shape and the axis for n elements.
KINDS: dict[str, tuple[str, Callable[[int], tuple[int, ...]], int | None]] = {
    "softplus": ("softplus", lambda n: (n,), None),
    "logaddexp": ("logaddexp", lambda n: (n,), None),
    "logsumexp of one row": ("logsumexp", lambda n: (1, n), 1),
    "logsumexp of rows": ("logsumexp", lambda n: (max(n // 1000, 1), min(n, 1000)), 1),
    "logsumexp along axis 0": ("logsumexp", lambda n: (min(n, 1000), max(n // 1000, 1)), 0),
    "softmax of rows": ("softmax", lambda n: (max(n // 1000, 1), min(n, 1000)), 1),
    "binary cross-entropy": ("binary_cross_entropy_with_logits, mean", lambda n: (n,), None),
    "cross-entropy with gradient": (
        "cross_entropy, loss and gradient",
        lambda n: (max(n // 1000, 1), min(n, 1000)),
        1,
    ),
}
LIBRARY_SETUPS = {
    "fastlog": "fastlog.set_num_threads({})",
    "PyTorch": "torch.set_num_threads({})",
}
CURVE = tuple(10**k for k in range(1, 9))
SHORT = (1_000_000, 10_000_000)  # of a quick run, and of the table
DTYPES = ("float32", "float64")
SECONDS = {False: 1.2, True: 0.6}  # for each point
LARGEST_OF_OTHERS = 10_000_000  # Larger arrays would not fit beside fastlog's own.


def timers(case: cases.Case, threads: int) -> dict[str, Timer]:
    """Return what is timed: ``"fastlog 1"`` and so on, for one thread and for `threads`.

    JAX has one number for the whole process, so it has a single timer.
    """
    made = {}
    values = arrays.make_arrays(case)
    for library in installed():
        call = case.function.calls.get(library)
        if call is None or library not in (*LIBRARY_SETUPS, "JAX"):
            continue
        if library != "fastlog" and case.elements > LARGEST_OF_OTHERS:
            continue
        statement, names = LIBRARIES[library][1](values, case, call)
        setup = LIBRARY_SETUPS.get(library)
        for n in (1, threads) if setup else (threads,):
            made[f"{library} {n}"] = Timer(statement, setup.format(n) if setup else "pass", globals=names)
    return made


def measure(title: str, dtype: str, n: int, threads: int, seconds: float) -> dict[str, Any]:
    """Measure a kind of call on n elements."""
    name, shape, axis = KINDS[title]
    function = next(f for f in cases.FUNCTIONS if f.name == name)
    case = cases.Case(function, dtype, f"{n}", shape(n), axis)
    best, _ = interleaved(timers(case, threads), seconds)
    return {"kind": title, "dtype": dtype, "elements": case.elements, "seconds": best}


def measure_all(quick: bool, threads: int, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Measure all kinds of calls on all sizes."""
    before = fastlog.get_num_threads()
    results = []
    try:
        for title in KINDS:
            for dtype in DTYPES:
                sizes = CURVE if dtype == "float32" and not quick else SHORT
                for n in sizes:
                    report(f"{title}, {dtype}, {n:,} elements")
                    results.append(measure(title, dtype, n, threads, SECONDS[quick]))
    finally:
        fastlog.set_num_threads(before)
    return results


def speed_up(result: dict[str, Any], library: str, threads: int) -> float:
    """Return how many times faster the threads of a library are than one of them; nan if it was not measured."""
    seconds = result["seconds"]
    if f"{library} 1" not in seconds:
        return np.nan
    return float(seconds[f"{library} 1"] / seconds[f"{library} {threads}"])


def markdown(results: dict[str, Any]) -> str:
    """Return the table of the page on threads, and what the curve shows."""
    threads = results["threads"]
    lines = [
        f"The numbers are from {results['machine']['cpu']}, {threads} threads, target {results['target']}, "
        f"{results['started'][:10]}, with PyTorch {results['versions'].get('PyTorch', '(not installed)')} and JAX "
        f"{results['versions'].get('JAX', '(not installed)')}; `python -m bench --threads` measures them.",
        "",
        "![How many times faster calls are on all threads, and nanoseconds per element](threads.png)",
        "",
        f"| call | dtype | elements | ns on 1 thread | ns on {threads} | times faster | PyTorch's, times faster "
        "| fastlog / PyTorch | fastlog / JAX |",
        "| :-- | :-- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for one in results["points"]:
        if one["elements"] not in SHORT:
            continue
        own, seconds, n = one["seconds"][f"fastlog {threads}"], one["seconds"], one["elements"]
        others = [seconds.get(f"{library} {threads}", np.nan) / own for library in ("PyTorch", "JAX")]
        lines.append(
            f"| {one['kind']} | {one['dtype']} | {n:,} | {1e9 * seconds['fastlog 1'] / n:.2f} | {1e9 * own / n:.2f} "
            f"| {speed_up(one, 'fastlog', threads):.2f} | {speed_up(one, 'PyTorch', threads):.2f} "
            f"| {others[0]:.1f}× | {others[1]:.1f}× |"
        )
    lines += ["", "The last two columns tell how many times faster fastlog is than the other library on all threads."]
    return "\n".join(lines)
