"""Does the time depend on the data? Ratios to the time on normal numbers, on every instruction set."""

from __future__ import annotations

from collections.abc import Callable
from timeit import Timer
from typing import Any

import numpy as np

from bench.measure import interleaved

SIZE = 10_000
SECONDS = 0.3  # of one function with one dtype on one instruction set
LIMIT = 3.0  # what is more is shown in red
FUNCTIONS = ("softplus", "log_sigmoid", "sigmoid", "silu", "logaddexp", "binary_cross_entropy_with_logits")


def patterns(dtype: str) -> dict[str, np.ndarray]:
    """Name -> array; the first is what the others are compared with."""
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
    return {name: x.astype(dtype) for name, x in made.items()}


def measure(name: str, dtype: str, functions: dict[str, Any]) -> dict[str, float]:
    """Seconds of one call for each pattern; logaddexp takes the numbers in another order too, targets are in 0..1."""
    ufunc, out = functions[name], np.empty(SIZE, dtype)
    rng = np.random.default_rng(1)
    timers = {}
    for pattern, x in patterns(dtype).items():
        arguments = [x]
        if ufunc.nin == 2:
            arguments.append(rng.permutation(x) if name == "logaddexp" else rng.random(SIZE).astype(dtype))
        timers[pattern] = Timer("ufunc(*arguments, out)", globals={"ufunc": ufunc, "arguments": arguments, "out": out})
    return interleaved(timers, SECONDS)[0]


def show(tell: Callable[[str], None]) -> None:
    """Measure all and print the table."""
    from rich.console import Console
    from rich.table import Table

    from fastlog._core import functions, supported_targets

    table = Table("function", "dtype", "target", "ns", *list(patterns("float32"))[1:], title="times the normal time")
    for target in supported_targets():
        for name in FUNCTIONS:
            for dtype in ("float32", "float64"):
                tell(f"{name} {dtype} {target}")
                first, *others = measure(name, dtype, functions(target)).values()
                ratios = [f"{t / first:.1f}" if t < LIMIT * first else f"[red]{t / first:.1f}[/]" for t in others]
                table.add_row(name, dtype, target, f"{first / SIZE * 1e9:.2f}", *ratios)
    Console(width=200).print(table)
