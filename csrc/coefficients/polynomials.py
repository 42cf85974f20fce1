"""Regenerate every constant and polynomial of csrc/math: weighted minimax by the Remez exchange.

    python csrc/coefficients/polynomials.py            # rewrite f32.h and f64.h beside this file
    python csrc/coefficients/polynomials.py --check    # exit 1 if they differ from what it computes

Each polynomial p approximates g on [a, b] so that max |w(x) (p(x) - g(x))| is least; w is chosen so that
the weighted error is the relative error of the function which the polynomial serves. The coefficients are
rounded to the format one by one, from the constant upwards, and those that are still free are fitted anew
after each, so that they take up its rounding error. The error printed is that of the rounded polynomial.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mpmath import atanh, chop, cos, exp, expm1, fabs, floor, ldexp, log, log1p, lu_solve, matrix, mp, mpf, pi, sqrt

mp.dps = 45
HERE = Path(__file__).parent
LN2 = log(2)
GRID = 700  # points on which the error curve is searched for its extrema

Function = Callable[[mpf], mpf]


@dataclass(frozen=True)
class Polynomial:
    """One approximation problem; ``degrees`` maps the format's width to the degree."""

    name: str
    formula: str
    g: Function
    weight: Function
    interval: tuple[mpf, mpf]
    degrees: dict[int, int]


def series(f: Function, limit: mpf) -> Function:
    """Return f with its removable singularity at 0 filled in by its limit."""
    return lambda x: limit if x == 0 else f(x)


POLYNOMIALS = [
    Polynomial(
        "exp_tail",
        "exp(r) = 1 + r + r^2 p(r)",
        # A little more than ln2/2, because the quotient x/ln2 is rounded before it is rounded to an integer.
        series(lambda r: (expm1(r) - r) / r**2, mpf(1) / 2),
        lambda r: r**2 / exp(r),
        (-LN2 * mpf("0.5001"), LN2 * mpf("0.5001")),
        {32: 5, 64: 10},
    ),
    Polynomial(
        "expm1_tail",
        "exp(r) - 1 = r + r^2/2 + r^3 p(r)",
        series(lambda r: (expm1(r) - r - r**2 / 2) / r**3, mpf(1) / 6),
        series(lambda r: r**3 / expm1(r), mpf(0)),
        (-LN2 * mpf("0.5001"), LN2 * mpf("0.5001")),
        {32: 4, 64: 9},
    ),
    Polynomial(
        "log1p_tail",
        "log1p(w) = w - w^2/2 + w^3 p(w)",
        series(lambda w: (log1p(w) - w + w**2 / 2) / w**3, mpf(1) / 3),
        series(lambda w: w**3 / log1p(w), mpf(0)),
        (-mpf("0.25"), mpf("0.5")),
        {32: 8},
    ),
    Polynomial(
        "atanh_tail",
        "2 atanh(z) = 2 z + z^3 p(z^2)",
        series(lambda u: (2 * atanh(u**0.5) - 2 * u**0.5) / u**1.5, mpf(2) / 3),
        series(lambda u: u**1.5 / (2 * atanh(u**0.5)), mpf(0)),
        (mpf(0), mpf("0.04")),
        {64: 7},
    ),
    Polynomial(
        "log_tail",
        "2 atanh(z) = 2 z + z^3 p(z^2)",
        # |z| <= 0.2005: the nearest power of two, as the bit patterns tell it, leaves a quotient within 2^0.587 of 1.
        series(lambda u: (2 * atanh(sqrt(u)) - 2 * sqrt(u)) / sqrt(u) ** 3, mpf(2) / 3),
        series(lambda u: sqrt(u) ** 3 / (2 * atanh(sqrt(u))), mpf(0)),
        (mpf(0), mpf("0.2005") ** 2),
        {32: 3, 64: 7},
    ),
]


def evaluate(coefficients: list[mpf], x: mpf) -> mpf:
    """Horner's rule; ``coefficients`` from the constant upwards."""
    total = mpf(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def remez(problem: Polynomial, degree: int) -> list[mpf]:
    """Weighted minimax polynomial of the given degree, coefficients from the constant upwards."""
    a, b = problem.interval
    count = degree + 2
    grid = [(a + b) / 2 - (b - a) / 2 * cos(pi * i / GRID) for i in range(GRID + 1)]
    g = [problem.g(x) for x in grid]
    w = [fabs(problem.weight(x)) for x in grid]
    # Start from Chebyshev points, kept away from the zeros of the weight.
    eligible = [i for i, weight in enumerate(w) if weight > max(w) / 10**4]
    nodes = [eligible[round((len(eligible) - 1) * mpf(i) / (count - 1))] for i in range(count)]
    for _ in range(40):
        system = matrix(count, count)
        rhs = matrix(count, 1)
        for row, node in enumerate(nodes):
            for column in range(degree + 1):
                system[row, column] = w[node] * grid[node] ** column
            system[row, degree + 1] = (-1) ** row
            rhs[row] = w[node] * g[node]
        solution = lu_solve(system, rhs)
        coefficients = [solution[i] for i in range(degree + 1)]
        error = [w[i] * (evaluate(coefficients, x) - g[i]) for i, x in enumerate(grid)]
        # The new reference: the largest error within each run of equal sign.
        runs: list[int] = []
        for i, e in enumerate(error):
            if chop(e) == 0 and fabs(e) < mpf(10) ** -40:
                continue
            if runs and error[runs[-1]] * e > 0:
                if fabs(e) > fabs(error[runs[-1]]):
                    runs[-1] = i
            else:
                runs.append(i)
        while len(runs) > count:  # drop the least, with a neighbour if it stood between two, so that signs alternate
            least = min(range(len(runs)), key=lambda k: fabs(error[runs[k]]))
            if least in (0, len(runs) - 1):
                runs.pop(least)
            elif len(runs) == count + 1:
                runs.pop(0 if fabs(error[runs[0]]) < fabs(error[runs[-1]]) else -1)
            else:
                left, right = (fabs(error[runs[k]]) for k in (least - 1, least + 1))
                first = least - 1 if left < right else least
                del runs[first : first + 2]
        if len(runs) < count:
            raise ArithmeticError(f"{problem.name}: the error has {len(runs)} extrema, not {count}")
        if max(fabs(e) for e in error) < fabs(solution[degree + 1]) * mpf("1.001"):
            return coefficients
        nodes = runs
    raise ArithmeticError(f"{problem.name}: no convergence")


def fit(problem: Polynomial, degree: int, width: int) -> list[float]:
    """Coefficients rounded to the format, each fitted with those below it already rounded."""
    rounded: list[float] = []
    rest = problem
    for remaining in range(degree, -1, -1):
        c = to_format(remez(rest, remaining)[0], width)
        rounded.append(c)
        # What is left: (g - c) / x, to be weighted by w x.
        rest = replace(
            rest,
            g=lambda x, g=rest.g, c=c: (g(x) - c) / x if x else mpf(0),
            weight=lambda x, w=rest.weight: w(x) * x,
        )
    return rounded


def to_format(x: mpf, width: int) -> float:
    """Round to binary32 or binary64."""
    return struct.unpack("f", struct.pack("f", x))[0] if width == 32 else float(x)


def worst(problem: Polynomial, coefficients: list[mpf]) -> mpf:
    """Largest weighted error on a grid of the interval."""
    a, b = problem.interval
    points = [a + (b - a) * i / 2000 for i in range(2001)]
    return max(fabs(problem.weight(x) * (evaluate(coefficients, x) - problem.g(x))) for x in points)


def constants(width: int) -> dict[str, mpf]:
    """Return ln 2 in three parts and its reciprocal.

    The high part is short enough for n * ln2_hi to be exact for every n that exp's reduction can meet:
    |n| < 2^8 with 24 bits, |n| < 2^12 with 53.
    """
    kept = {32: 24 - 8, 64: 53 - 12}[width]
    high = floor(ldexp(LN2, kept)) / mpf(2) ** kept
    low = LN2 - high
    return {"log2_e": 1 / LN2, "ln2_hi": high, "ln2_lo": low, "ln2_third": low - to_format(low, width)}


def header(width: int) -> str:
    """Text of the header that holds all constants and polynomials of one format."""
    suffix = "f" if width == 32 else ""
    written = f"/* Written by polynomials.py, which says what each one minimises. Format: binary{width}. */"
    lines = [written, "/* clang-format off */", ""]
    lines += [
        f"static const real {name} = {to_format(value, width).hex()}{suffix};"
        for name, value in constants(width).items()
    ]
    for problem in POLYNOMIALS:
        if width not in problem.degrees:
            continue
        rounded = fit(problem, problem.degrees[width], width)
        error = float(log(worst(problem, [mpf(c) for c in rounded]), 2))
        a, b = (float(end) for end in problem.interval)
        lines += [
            "",
            f"/* {problem.formula} on [{a:.6g}, {b:.6g}]; relative error 2^{error:.1f}. */",
            f"static const real {problem.name}[] = {{",
            *(f"    {c.hex()}{suffix}," for c in rounded),
            "};",
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the headers, or compare them."""
    check = "--check" in sys.argv[1:]
    stale = []
    for width in (32, 64):
        path = HERE / f"f{width}.h"
        text = header(width)
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            stale.append(path.name)
    if stale:
        print(f"{', '.join(stale)}: not what polynomials.py computes; run it without --check")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
