"""``python -m fastlog.bench``: the installed fastlog beside SciPy, NumPy and torch on this machine, within a minute."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from timeit import Timer
from typing import Any

import numpy as np

import fastlog
from fastlog import _core

__all__ = ["run"]

# Function -> library -> the expression that is timed. x and y are logits, p and q probabilities, z labels of rows; the
# column of NumPy has the usual formula where NumPy lacks the function.
ELEMENTWISE = {
    "softplus": {
        "fastlog": "fastlog.softplus(x)",
        "SciPy": "-special.log_expit(-x)",
        "NumPy": "np.logaddexp(0, x)",
        "torch": "F.softplus(x)",
    },
    "log_sigmoid": {
        "fastlog": "fastlog.log_sigmoid(x)",
        "SciPy": "special.log_expit(x)",
        "NumPy": "-np.logaddexp(0, -x)",
        "torch": "F.logsigmoid(x)",
    },
    "sigmoid": {
        "fastlog": "fastlog.sigmoid(x)",
        "SciPy": "special.expit(x)",
        "NumPy": "1 / (1 + np.exp(-x))",
        "torch": "torch.sigmoid(x)",
    },
    "logaddexp": {
        "fastlog": "fastlog.logaddexp(x, y)",
        "NumPy": "np.logaddexp(x, y)",
        "torch": "torch.logaddexp(x, y)",
    },
    "xlogy": {
        "fastlog": "fastlog.xlogy(p, q)",
        "SciPy": "special.xlogy(p, q)",
        "NumPy": "p * np.log(q)",
        "torch": "torch.xlogy(p, q)",
    },
    "binary_cross_entropy_with_logits": {
        "fastlog": "fastlog.binary_cross_entropy_with_logits(x, p)",
        "NumPy": "np.mean(np.logaddexp(0, x) - p * x)",
        "torch": "F.binary_cross_entropy_with_logits(x, p)",
    },
}
ROWS = {
    "logsumexp": {
        "fastlog": "fastlog.logsumexp(x, axis=1)",
        "SciPy": "special.logsumexp(x, axis=1)",
        "NumPy": "(m := x.max(axis=1)) + np.log(np.exp(x - m[:, None]).sum(axis=1))",
        "torch": "torch.logsumexp(x, 1)",
    },
    "softmax": {
        "fastlog": "fastlog.softmax(x, axis=1)",
        "SciPy": "special.softmax(x, axis=1)",
        "NumPy": "(e := np.exp(x - x.max(axis=1, keepdims=True))) / e.sum(axis=1, keepdims=True)",
        "torch": "torch.softmax(x, 1)",
    },
    "log_softmax": {
        "fastlog": "fastlog.log_softmax(x, axis=1)",
        "SciPy": "special.log_softmax(x, axis=1)",
        "NumPy": "(s := x - x.max(axis=1, keepdims=True)) - np.log(np.exp(s).sum(axis=1, keepdims=True))",
        "torch": "torch.log_softmax(x, 1)",
    },
    "cross_entropy": {
        "fastlog": "fastlog.cross_entropy(x, z)",
        "SciPy": "-special.log_softmax(x, axis=1)[i, z].mean()",
        "torch": "F.cross_entropy(x, z)",
    },
}
CASES = (
    (ELEMENTWISE, ((10,), (10_000,), (1_000_000,))),
    (ROWS, ((1, 10), (10_000, 10), (1_000, 1_000))),
)
LIBRARIES = {"SciPy": "scipy", "NumPy": "numpy", "torch": "torch"}
WIDTH = 110  # of the table, in characters, where the terminal is not wider
SHORTEST = 50e-6  # seconds that are timed at once: long beside the resolution of the clock


def run(seconds: float = 0.1) -> None:
    """Measure, and print a table: fastlog's time for each call, and how many times as long other libraries take.

    Parameters
    ----------
    seconds : float, optional
        How long each call is repeated; the shortest time counts. The default takes less than a minute in all.

    Examples
    --------
    >>> from fastlog import bench
    >>> bench.run(seconds=0.2)  # doctest: +SKIP
    """
    others = [name for name, module in LIBRARIES.items() if find_spec(module)]
    threads = None
    if "torch" in others:
        torch = import_module("torch")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
    try:
        with fastlog.num_threads(1):
            print("\n".join(_machine(others)))
            _show(("call", "dtype", "shape", "fastlog", *others), _measure(others, seconds))
    finally:
        if threads is not None:
            torch.set_num_threads(threads)


def _machine(others: Sequence[str]) -> list[str]:
    """Return lines that say what is measured, and where."""
    versions = ", ".join(f"{name} {import_module(LIBRARIES[name]).__version__}" for name in others)
    return [
        f"fastlog {fastlog.__version__}, target {_core.active_target()}, beside {versions}",
        f"{_processor()}, {platform.system()} {platform.machine()}, Python {platform.python_version()}; one thread",
        "fastlog: the time of a call; the others: how many times as long they take. NumPy is the usual formula.",
    ]


def _processor() -> str:
    """Return the name of the processor, where the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown processor"


def _arrays(shape: tuple[int, ...], dtype: type) -> dict[str, Any]:
    """Return the arrays of the expressions."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {name: rng.normal(0, 3, shape).astype(dtype) for name in "xy"}
    arrays |= {name: rng.uniform(0.01, 1, shape).astype(dtype) for name in "pq"}
    return arrays | {"z": rng.integers(0, shape[-1], shape[0]), "i": np.arange(shape[0])}


def _names(library: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Return what an expression of a library may refer to."""
    if library == "torch":
        torch = import_module("torch")
        return {"torch": torch, "F": torch.nn.functional} | {k: torch.from_numpy(a) for k, a in arrays.items()}
    if library == "SciPy":
        return {"special": import_module("scipy.special"), **arrays}
    return {"np": np, "fastlog": fastlog, **arrays}


def _measure(others: Sequence[str], seconds: float) -> list[tuple[str, ...]]:
    """Return the rows of the table."""
    rows = []
    for functions, shapes in CASES:
        for function, calls in functions.items():
            for dtype in (np.float32, np.float64):
                for shape in shapes:
                    arrays = _arrays(shape, dtype)
                    timers = {
                        name: Timer(calls[name], globals=_names(name, arrays))
                        for name in ("fastlog", *others)
                        if name in calls
                    }
                    times = _interleaved(timers, seconds)
                    size = " × ".join(f"{n:,}".replace(",", " ") for n in shape)
                    ratios = [_ratio(times[name] / times["fastlog"]) if name in times else "" for name in others]
                    rows.append((function, dtype.__name__, size, _duration(times["fastlog"]), *ratios))
    return rows


def _interleaved(timers: dict[str, Timer], seconds: float) -> dict[str, float]:
    """Return the shortest time of each call. Calls take turns, so that a slow spell of the machine hits them all."""
    best, batch = {}, {}
    for name, timer in timers.items():
        timer.timeit(1)
        best[name] = timer.timeit(3) / 3
        batch[name] = max(1, round(SHORTEST / best[name]))
    end = time.perf_counter() + seconds * len(timers)
    while True:
        for name, timer in timers.items():
            best[name] = min(best[name], timer.timeit(batch[name]) / batch[name])
        if time.perf_counter() >= end:
            return best


def _duration(seconds: float) -> str:
    """Return a time with three digits."""
    for unit, size in (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _ratio(times: float) -> str:
    """Return how many times as long a library takes."""
    return f"{times:.1f}" if times < 9.95 else f"{times:.0f}"


def _show(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: rich's, or a plain one where rich is not installed. Numbers are on the right."""
    words = 2  # columns of words
    if find_spec("rich"):
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD)
        for k, name in enumerate(head):
            table.add_column(name, justify="left" if k < words else "right", no_wrap=True)
        before = rows[0][0]
        for row in rows:
            if row[0] != before:
                table.add_section()
            before = row[0]
            table.add_row(*(f"[red]{c}[/]" if k > words + 1 and c and float(c) < 1 else c for k, c in enumerate(row)))
        Console(width=max(Console().width, WIDTH)).print(table)
        return
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    for row in (head, *rows):
        cells = (c.ljust(w) if k < words else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True)))
        print("  ".join(cells).rstrip())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m fastlog.bench", description="Measure fastlog beside SciPy, NumPy and torch, one thread each."
    )
    parser.add_argument("--seconds", type=float, default=0.1, help="how long each call is repeated (default: 0.1)")
    given = parser.parse_args(arguments)
    if not given.seconds >= 0:
        parser.error("--seconds must not be negative")
    run(given.seconds)


if __name__ == "__main__":
    main()
