"""Measure the errors of the elementwise functions on every supported target.

    python tests/accuracy.py [--points N]     float64, and functions of two arguments: N stratified points (4e6)
    python tests/accuracy.py --exhaustive     float32 functions of one argument: all 2^32 inputs

prints, for each function, dtype and target: the largest error in ulp, the input that has it, the share of results
that are not correctly rounded, and how many infinities and nans are wrong. The table in csrc/functions.def states the
largest of these figures. Runs on all processors.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from points import arguments
from reference import ELEMENTWISE, errors, exact, wide
from rich.progress import track

from fastlog._core import functions, supported_targets

CHUNK = 2**22


@dataclass
class Errors:
    """What was seen over some inputs."""

    worst: float = 0.0
    at: tuple[float, ...] = ()
    misrounded: int = 0
    wrong: int = 0
    count: int = 0

    def add(self, other: Errors) -> None:
        """Join what was seen over other inputs."""
        if other.worst > self.worst:
            self.worst, self.at = other.worst, other.at
        self.misrounded += other.misrounded
        self.wrong += other.wrong
        self.count += other.count


def claimed(name: str, x: tuple[np.ndarray, ...], expected: np.ndarray) -> np.ndarray:
    """Where the claim in ulp holds: everywhere, but for logaddexp and logsubexp only away from cancellation."""
    if name not in ("logaddexp", "logsubexp"):
        return np.ones(expected.shape, bool)
    return np.abs(expected) > np.maximum(np.abs(x[0]), np.abs(x[1])).astype(expected.dtype) / 16


def summarise(x: tuple[np.ndarray, ...], error: np.ndarray) -> Errors:
    """Largest finite error and counts."""
    finite = np.where(np.isfinite(error), error, 0)
    k = int(np.argmax(finite)) if error.size else 0
    return Errors(
        float(finite[k]) if error.size else 0.0,
        tuple(float(a[k]) for a in x) if error.size else (),
        int(np.count_nonzero(finite > 0.5)),
        int(np.count_nonzero(~np.isfinite(error))),
        error.size,
    )


def measure(name: str, dtype: type, x: tuple[np.ndarray, ...], targets: list[str]) -> dict[str, Errors]:
    """Errors of one function at the finite ones of the given arguments, on each target."""
    finite = np.all([np.isfinite(a) for a in x], axis=0)
    x = tuple(a[finite] for a in x)
    if dtype == np.float32:
        expected = wide(name, *x)
        keep = claimed(name, x, expected)
        x = tuple(a[keep] for a in x)
        expected = expected[keep]
    else:
        values = [exact(name, *point) for point in zip(*x, strict=True)]
        keep = claimed(name, x, np.array([float(v) for v in values]))
        x = tuple(a[keep] for a in x)
        expected = [v for v, k in zip(values, keep, strict=True) if k]
    with np.errstate(all="ignore"):
        return {target: summarise(x, errors(functions(target)[name](*x), expected)) for target in targets}


def all_floats(name: str, targets: list[str], first: int) -> dict[str, Errors]:
    """Errors over CHUNK consecutive bit patterns of float32; nan inputs must give nan."""
    x = np.arange(first, first + CHUNK, dtype=np.uint32).view(np.float32)
    numbers = x[~np.isnan(x)]
    found = measure(name, np.float32, (numbers,), targets)
    for target in targets:
        found[target].wrong += int(np.count_nonzero(~np.isnan(functions(target)[name](x[np.isnan(x)]))))
    return found


def some_points(name: str, nin: int, dtype: type, targets: list[str], count: int, seed: int) -> dict[str, Errors]:
    """Errors over `count` stratified points."""
    return measure(name, dtype, arguments(name, nin, dtype, count, seed), targets)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exhaustive", action="store_true")
    parser.add_argument("--points", type=float, default=4e6)
    parser.add_argument("--functions", nargs="*", default=list(ELEMENTWISE))
    options = parser.parse_args()
    targets = supported_targets()
    print(f"{'function':34}{'dtype':9}{'target':10}{'max ulp':>9}  {'misrounded':>10}  {'wrong':>6}  at")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name in options.functions:
            nin = functions()[name].nin
            for dtype in (np.float32, np.float64):
                all_inputs = dtype == np.float32 and nin == 1
                if all_inputs != options.exhaustive:
                    continue
                if all_inputs:
                    jobs = pool.map(partial(all_floats, name, targets), range(0, 2**32, CHUNK))
                    count = 2**32 // CHUNK
                else:
                    count = max(1, int(options.points) // 50_000)
                    jobs = pool.map(partial(some_points, name, nin, dtype, targets, 50_000), range(count))
                total = {target: Errors() for target in targets}
                for found in track(jobs, f"{name} {dtype.__name__}", count, transient=True):
                    for target in targets:
                        total[target].add(found[target])
                for target, e in total.items():
                    at = ", ".join(x.hex() for x in e.at)
                    print(
                        f"{name:34}{dtype.__name__:9}{target:10}{e.worst:9.4f}  {e.misrounded / e.count:10.3%}"
                        f"  {e.wrong:6}  {at}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
