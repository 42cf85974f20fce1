"""The time of functions on unusual data, as ratios to the time on normal numbers, on every instruction set."""

from __future__ import annotations

from collections.abc import Callable
from timeit import Timer
from typing import Any

import numpy as np

from bench.measure import interleaved

SIZE = 10_000
SECONDS = 0.3  # for one function with one dtype on one instruction set
LIMIT = 3.0  # larger ratios are red
ROWS = {"logsumexp": (10, 1000), "logsumexp of ten": (1000, 10), "softmax": (10, 1000), "log_softmax": (10, 1000)}
LOSS = "binary_cross_entropy_with_logits"
FUNCTIONS = ("softplus", "log_sigmoid", "sigmoid", "silu", "logaddexp", LOSS)


def patterns(dtype: str) -> dict[str, np.ndarray]:
    """Return arrays by name; the times of the others are compared with that of the first."""
    rng = np.random.default_rng(0)
    end = 100 if dtype == "float32" else 740  # e^-end is subnormal
    made = {
        "normal(0, 3)": rng.normal(0, 3, SIZE),
        "-inf": np.full(SIZE, -np.inf),
        "inf": np.full(SIZE, np.inf),
        "nan": np.full(SIZE, np.nan),
        "0": np.zeros(SIZE),
        "subnormal results": rng.normal(-end, 1, SIZE),
        "subnormal arguments": np.full(SIZE, 5 * float(np.finfo(dtype).smallest_subnormal)),
        "1e30, -1e-30, ...": np.where(np.arange(SIZE) % 2, 1e30, -1e-30),
        "uniform(-100, 100)": rng.uniform(-100, 100, SIZE),
        "uniform(-750, 750)": rng.uniform(-750, 750, SIZE),
    }
    made["one dominant of ten"] = np.where(np.arange(SIZE) % 10 == 3, 60, made["normal(0, 3)"])
    sums = np.log(np.exp(made["normal(0, 3)"].reshape(-1, 10)).sum(1))
    made["normalised tens"] = made["normal(0, 3)"] - np.repeat(sums, 10)
    return {name: x.astype(dtype) for name, x in made.items()}


def losses_on(target: str) -> Callable[..., np.ndarray]:
    """Return the function that writes the loss of every element by the loop of a target."""
    from fastlog._core import INDEX, run_loss

    def losses(x: np.ndarray, z: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        y = np.empty_like(x) if out is None else out
        run_loss(INDEX[LOSS], (x, z, None, None, y, None, None, None), target=target)
        return y

    return losses


def measure(name: str, dtype: str, functions: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of one call for each pattern.

    The second argument of logaddexp has the same numbers in another order; other second arguments lie between 0 and 1.
    """
    function, rng, timers = functions[name.split()[0]], np.random.default_rng(1), {}
    for pattern, x in patterns(dtype).items():
        arguments = [x.reshape(ROWS.get(name, SIZE))]
        if name in ("logaddexp", LOSS):
            arguments.append(rng.permutation(x) if name == "logaddexp" else rng.random(SIZE).astype(dtype))
        names = {"function": function, "arguments": arguments, "out": function(*arguments)}
        timers[pattern] = Timer("function(*arguments, out=out)", globals=names)
    return interleaved(timers, SECONDS)[0]


def show(report: Callable[[str], None]) -> None:
    """Measure everything and print the table; `report` gets the name of what is measured next."""
    from rich.console import Console
    from rich.table import Table

    from fastlog._core import functions, supported_targets

    table = Table("function", "dtype", "target", "ns", *list(patterns("float32"))[1:], title="times the normal time")
    for target in supported_targets():
        for name in (*FUNCTIONS, *ROWS):
            for dtype in ("float32", "float64"):
                report(f"{name} {dtype} {target}")
                first, *others = measure(name, dtype, {**functions(target), LOSS: losses_on(target)}).values()
                ratios = [f"{t / first:.1f}" if t < LIMIT * first else f"[red]{t / first:.1f}[/]" for t in others]
                table.add_row(name, dtype, target, f"{first / SIZE * 1e9:.2f}", *ratios)
    Console(width=200).print(table)
