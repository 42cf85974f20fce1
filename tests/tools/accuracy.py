"""Measure the errors of the elementwise functions on every supported target.

    python tests/tools/accuracy.py [--points N]   N stratified points (4e6) for float64, 100 N for float32
    python tests/tools/accuracy.py --exhaustive   float32 functions of one argument at all 2^32 inputs, others as above

Where not all inputs are measured, neighbours of the worst follow. For each function, dtype and target it prints the
largest error in ulp, the share of results that are not correctly rounded, how many infinities, nans and signs of zeros
are wrong, and the input that has the largest error; and what csrc/functions.def, the home of the claims, should say.
The worst inputs go into tests/data/hardest.csv, which the tests replay. Runs on all processors.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from fastlog._core import supported_targets

sys.path.append(str(Path(__file__).parents[1]))  # tests/, where the helpers are
from helpers import hardest
from helpers.elementwise import BCE, elementwise
from helpers.errors import REFERENCES, Errors, Function, by_numpy, measure, on_targets
from helpers.hardest import Point
from helpers.points import arguments
from helpers.reference import ELEMENTWISE

CHUNK = 2**22  # inputs of a job
POINTS = 50_000  # points of a job
CHEAPER = 100  # a point costs so much less in float32


def all_floats(name: str, targets: list[str], reference: Function, first: int) -> dict[str, Errors]:
    """Measure the errors over CHUNK consecutive bit patterns of float32."""
    x = np.arange(first, first + CHUNK, dtype=np.uint32).view(np.float32)
    return measure(name, np.float32, (x,), on_targets(name, targets), reference)


def some_points(name: str, dtype: type, targets: list[str], reference: Function, seed: int) -> dict[str, Errors]:
    """Measure the errors over POINTS stratified points."""
    x = arguments(name, elementwise()[name].nin, dtype, POINTS, seed)
    return measure(name, dtype, x, on_targets(name, targets), reference)


def neighbours(name: str, dtype: type, targets: list[str], reference: Function, point: Point) -> dict[str, Errors]:
    """Measure the errors over POINTS points around one, up to a hundredth away; a second argument in [0, 1] stays."""
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    factors = 1 + rng.normal(0, 1, (2, POINTS)) * np.exp2(rng.uniform(-info.nmant, -7, (2, POINTS)))
    if name == BCE:
        factors[1] = 1
    x = tuple((a * factor).astype(dtype) for a, factor in zip(point, factors, strict=False))
    return measure(name, dtype, x, on_targets(name, targets), reference)


def update_hardest(found: dict[tuple[str, str], list[tuple[float, Point]]], targets: list[str]) -> None:
    """Add worst inputs to those on file, all of them measured anew, and keep the worst."""
    table = hardest.read()
    for (name, dtype), worst in found.items():
        points = {point for _, point in worst + table.get((name, dtype), [])}
        x = {point: tuple(np.array([a], dtype) for a in point) for point in sorted(points)}
        anew = [
            (max(e.largest for e in measure(name, np.dtype(dtype).type, a, on_targets(name, targets)).values()), point)
            for point, a in x.items()
        ]
        table[name, dtype] = hardest.largest(anew)
    hardest.write(table, list(ELEMENTWISE))


def gather(pool: Executor, job: Callable, inputs: Sequence, title: str, total: dict[str, Errors]) -> dict[str, Errors]:
    """Add to `total` what a job finds for each of the inputs, in their order; show how far it is."""
    results = pool.map(job, inputs)
    for found in track(results, title, len(inputs), transient=True, disable=not sys.stdout.isatty()):
        for target, errors_there in found.items():
            total[target].add(errors_there)
    return total


def survey(pool: Executor, name: str, dtype: type, points: float | None, *how: Any) -> dict[str, Errors]:
    """Measure errors by target: at all inputs if `points` is None, else at so many points and around the worst."""
    targets, _ = how
    title = f"{name} {dtype.__name__}"
    total = {target: Errors() for target in targets}
    if points is None:
        return gather(pool, partial(all_floats, name, *how), range(0, 2**32, CHUNK), title, total)
    gather(pool, partial(some_points, name, dtype, *how), range(-int(-points // POINTS)), title, total)
    worst = sorted({point for e in total.values() for _, point in e.worst})
    around = {target: Errors() for target in targets}
    gather(pool, partial(neighbours, name, dtype, *how), worst, title, around)
    for target, e in around.items():  # their share of wrong roundings says nothing
        total[target].add(Errors(e.worst, wrong=e.wrong, wrong_at=e.wrong_at))
    return total


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exhaustive", action="store_true", help="all inputs of float32 functions of one argument")
    parser.add_argument("--points", type=float, default=4e6, help="for float64 (4e6)")
    parser.add_argument("--functions", nargs="*", default=list(ELEMENTWISE), help="instead of all")
    parser.add_argument("--dtypes", nargs="*", default=["float32", "float64"], help="instead of both")
    parser.add_argument("--targets", nargs="*", default=supported_targets(), help="instead of all; portable is slow")
    parser.add_argument("--independent", action="store_true", help="hold float32 against NumPy, not fastlog's float64")
    parser.add_argument("--output", type=Path, help="write the figures to this CSV file, too")
    options = parser.parse_args()
    headings = ["function", "dtype", "target", "inputs", "max ulp", "misrounded", "wrong", "at"]
    line = "{:34}{:9}{:10}{:>11}{:>9}  {:>10}  {:>6}  {}"
    print(line.format(*headings))
    rows, worst = [], {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, dtype in itertools.product(options.functions, options.dtypes):
            begin = time.perf_counter()
            single = dtype == "float32"
            points = options.points * CHEAPER if single else options.points
            if single and options.exhaustive and elementwise()[name].nin == 1:
                points = None
            reference = by_numpy if single and options.independent else REFERENCES[np.dtype(dtype).type]
            found = survey(pool, name, np.dtype(dtype).type, points, options.targets, reference)
            for target, e in found.items():
                figures = [e.count, f"{e.largest:.4f}", f"{e.misrounded / max(e.count, 1):.4%}", e.wrong]
                rows.append([name, dtype, target, *figures, hardest.written(e.at)])
                wrong_at = f" (wrong at {hardest.written(e.wrong_at)})" if e.wrong else ""
                print(line.format(*rows[-1]) + wrong_at, flush=True)
            top = max(found.values(), key=lambda e: e.largest)
            claim = f"{math.ceil(100 * top.largest) / 100:g}, {{{', '.join(map(hardest.written, zip(top.at)))}}}"
            row = f"FL_CLAIM({name}, {dtype.removeprefix('float')}, {claim})"
            print(f"{'':43}in {time.perf_counter() - begin:.0f} s; for the table: {row}", flush=True)
            worst[name, dtype] = [w for e in found.values() for w in e.worst]
    update_hardest(worst, options.targets)
    if options.output:
        with options.output.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([headings, *rows])


if __name__ == "__main__":
    main()
