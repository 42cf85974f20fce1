"""The hardest inputs ever found: tests/data/hardest.csv, which tools/accuracy.py extends and the tests replay."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from pathlib import Path

PATH = Path(__file__).parents[1] / "data" / "hardest.csv"
KEPT = 16  # per function and dtype
OF_A_BINADE = 4  # so many with the first argument in one binade: not all shall come from one corner

Point = tuple[float, ...]
Table = dict[tuple[str, str], list[tuple[float, Point]]]


def largest(worst: list[tuple[float, Point]]) -> list[tuple[float, Point]]:
    """Return the KEPT largest errors of different points, the largest first; the points decide between equal errors."""
    once: dict[Point, float] = {}
    for error, point in worst:
        once[point] = max(error, once.get(point, 0.0))
    kept: list[tuple[float, Point]] = []
    binades: Counter[tuple[tuple[bool, int], ...]] = Counter()
    for point, error in sorted(once.items(), key=lambda item: (-item[1], item[0])):
        binade = tuple((x < 0, math.frexp(x)[1]) for x in point[:1])
        binades[binade] += 1
        if binades[binade] <= OF_A_BINADE:
            kept.append((error, point))
    return kept[:KEPT]


def written(point: Point) -> str:
    """Write arguments in hexadecimal, without the zeros at the end."""
    return " ".join(re.sub(r"\.?0*p", "p", x.hex()) for x in point)


def read() -> Table:
    """Return the file's points and errors by function and dtype, the largest error first."""
    table: Table = {}
    with PATH.open(newline="") as file:
        for row in csv.DictReader(file):
            point = tuple(float.fromhex(x) for x in row["arguments"].split())
            table.setdefault((row["function"], row["dtype"]), []).append((float(row["ulp"]), point))
    return table


def write(table: Table, names: list[str]) -> None:
    """Write the file, functions in the order of `names`."""
    with PATH.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["function", "dtype", "ulp", "arguments"])
        for (name, dtype), worst in sorted(table.items(), key=lambda item: (names.index(item[0][0]), item[0][1])):
            writer.writerows([name, dtype, f"{e:.4f}", written(point)] for e, point in worst)
