"""Regenerate every constant, polynomial and table of csrc/math: weighted minimax by the Remez exchange.

    python csrc/coefficients/polynomials.py            # rewrite the headers beside this file
    python csrc/coefficients/polynomials.py --check    # exit 1 if they differ from what it computes

f32.h and f64.h hold constants and polynomials, logistic_f32.h and logistic_f64.h the tables of softplus and sigmoid,
fixed_point.h integers of several words.

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

from mpmath import (
    atanh,
    chop,
    cos,
    exp,
    expm1,
    fabs,
    factorial,
    floor,
    fsum,
    ldexp,
    log,
    log1p,
    lu_solve,
    matrix,
    mp,
    mpf,
    pi,
    sqrt,
    workdps,
)  # fmt: skip

mp.dps = 45
HERE = Path(__file__).parent
LN2 = log(2)
STEPS = {32: 32, 64: 16}  # of a power of two, in a register's table
ROWS = 256  # steps of a power of two, in a table in memory
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
    *(
        Polynomial(
            name,
            f"exp(r) = 1 + r + r^2 p(r){precision}",
            # A little more than ln2/2, because the quotient x/ln2 is rounded before it is rounded to an integer.
            series(lambda r: (expm1(r) - r) / r**2, mpf(1) / 2),
            lambda r: r**2 / exp(r),
            (-LN2 * mpf("0.5001"), LN2 * mpf("0.5001")),
            degrees,
        )
        for name, precision, degrees in (
            ("exp_tail", "", {32: 5, 64: 10}),
            ("exp_word", ", to about one word", {32: 4, 64: 9}),
        )
    ),
    *(
        Polynomial(
            name,
            f"exp(r) = 1 + r p(r) within half a step of ln2/{STEPS[width]}",
            series(lambda r: expm1(r) / r, mpf(1)),
            lambda r: r / exp(r),
            (-LN2 / STEPS[width] * mpf("0.5005"), LN2 / STEPS[width] * mpf("0.5005")),
            {width: degree},
        )
        for name, width, degree in (("exp_step", 32, 2), ("exp_step", 64, 5))
    ),
    *(
        Polynomial(
            f"exp_minus_{steps}",
            f"exp(-r) = 1 + r p(r) within half a step of ln2/{steps}",
            series(lambda r: expm1(-r) / r, -mpf(1)),
            lambda r: r,
            (-LN2 / steps * mpf("0.502"), LN2 / steps * mpf("0.502")),
            degrees,
        )
        for steps, degrees in ((8, {32: 3}), (16, {64: 5}), (32, {32: 2}), (ROWS, {32: 1, 64: 3}))
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
        "expm1_small",
        "exp(s) - 1 = s + s^2 p(s), as part of 1",
        series(lambda s: (expm1(s) - s) / s**2, mpf(1) / 2),
        lambda s: s**2,
        (-mpf(1) / 32, mpf(1) / 32),
        {32: 2, 64: 5},
    ),
    Polynomial(
        "log1p_small",
        "log1p(z) = z + z^2 p(z), as part of 1",
        series(lambda z: (log1p(z) - z) / z**2, -mpf(1) / 2),
        lambda z: z**2,
        (expm1(-mpf(1) / 32), expm1(mpf(1) / 32)),
        {32: 2, 64: 7},
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
    Polynomial(
        "logit_tail",
        "2 atanh(z) = 2 z + z^3 p(z^2) for quotients from 1/2 to 1:",
        series(lambda u: (2 * atanh(sqrt(u)) - 2 * sqrt(u)) / sqrt(u) ** 3, mpf(2) / 3),
        series(lambda u: sqrt(u) ** 3 / (2 * atanh(sqrt(u))), mpf(0)),
        (mpf(0), mpf("0.33334") ** 2),
        {32: 3, 64: 9},
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


def least_squares(problem: Polynomial, degree: int) -> list[mpf]:
    """Weighted least squares on Chebyshev points: close to minimax, at once, and without conditions on the error."""
    a, b = problem.interval
    points = [(a + b) / 2 - (b - a) / 2 * cos(pi * (2 * i + 1) / 80) for i in range(40)]
    rows = [[problem.weight(x) * x**k for k in range(degree + 1)] for x in points]
    values = [problem.weight(x) * problem.g(x) for x in points]
    normal = matrix(degree + 1, degree + 1)
    right = matrix(degree + 1, 1)
    for i in range(degree + 1):
        right[i] = fsum(row[i] * v for row, v in zip(rows, values, strict=True))
        for j in range(degree + 1):
            normal[i, j] = fsum(row[i] * row[j] for row in rows)
    solution = lu_solve(normal, right)
    return [solution[i] for i in range(degree + 1)]


def fit(
    problem: Polynomial, degree: int, width: int, method: Callable[[Polynomial, int], list[mpf]] = remez
) -> list[float]:
    """Coefficients rounded to the format, each fitted with those below it already rounded."""
    rounded: list[float] = []
    rest = problem
    for remaining in range(degree, -1, -1):
        c = to_format(method(rest, remaining)[0], width)
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
    points = [a + (b - a) * (i + mpf("0.25")) / 2000 for i in range(2000)]
    return max(fabs(problem.weight(x) * (evaluate(coefficients, x) - problem.g(x))) for x in points)


def constants(width: int) -> dict[str, mpf]:
    """Return ln 2 in three parts and its reciprocal.

    The high part is short enough for n * ln2_hi to be exact for every n that exp's reduction can meet:
    |n| < 2^10 with 24 bits, |n| < 2^12 with 53.
    """
    kept = {32: 24 - 10, 64: 53 - 12}[width]
    high = floor(ldexp(LN2, kept)) / mpf(2) ** kept
    low = LN2 - high
    return {
        "log2_e": 1 / LN2,
        "ln2_word": LN2,
        "ln2_error": (LN2 - to_format(LN2, width)) / LN2,  # of the word before
        "ln2_rest": LN2 - to_format(LN2, width),
        "ln2_hi": high,
        "ln2_lo": low,
        "ln2_third": low - to_format(low, width),
    }


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
    return "\n".join(lines + powers_of_two(width)) + "\n"


def powers(width: int, steps: int) -> list[tuple[float, float]]:
    """2^(j/steps), j taken from the upper end of the mantissa, and what it lost in rounding, relative to it.

    Adding j + steps n at that end gives 2^(j/steps + n).
    """
    code, bits, mantissa = ("f", "I", 23) if width == 32 else ("d", "Q", 52)
    table = []
    for j in range(steps):
        power = 2 ** (mpf(j) / steps)
        (pattern,) = struct.unpack(bits, struct.pack(code, power))
        (moved,) = struct.unpack(code, struct.pack(bits, pattern - j * 2**mantissa // steps))
        table.append((moved, to_format(power / to_format(power, width) - 1, width)))
    return table


def powers_of_two(width: int) -> list[str]:
    """Text of the tables of powers of two: a column for each word in registers, rows of both words in memory."""
    suffix = "f" if width == 32 else ""
    lines = ["", f"#define STEPS {STEPS[width]}"]
    for name, steps in (("exp_steps", STEPS[width]), *((("exp_eighths", 8),) if width == 32 else ())):
        table = powers(width, steps)
        lines += [
            "",
            f"/* 2^(j/{steps}), less j/{steps} of the exponent field's unit in its bit pattern. */",
            f"static const real {name}[] = {{",
            *(f"    {power.hex()}{suffix}," for power, _ in table),
            "};",
            "",
            "/* What the powers lost in rounding, relative to them. */",
            f"static const real {name}_lost[] = {{",
            *(f"    {lost.hex()}{suffix}," for _, lost in table),
            "};",
        ]
    return [
        *lines,
        "",
        f"#define EXP_ROWS {ROWS}",
        "",
        f"/* Both words of 2^(j/{ROWS}), in rows. */",
        "static const real exp_rows[][2] = {",
        *(f"    {{{power.hex()}{suffix}, {lost.hex()}{suffix}}}," for power, lost in powers(width, ROWS)),
        "};",
    ]


def octave(name: str, n: int) -> Polynomial:
    """Softplus or sigmoid of -(n ln2 + s), times 2^n, as a polynomial in s; n = 30 also stands for all above.

    For softplus, n = -1 is met by x in [ln2/2, 0.55] only. Next to s = 0 the constant's rounding error, up to half an
    ulp, cannot be made good. The weight asks that it be so soon, at the cost of larger s. How soon was found by trying
    all floats of each octave: only the constant of sigmoid's n = 5, half-way between floats, needs more.
    """
    reach = mpf("0.3") if (name, n) == ("sigmoid", 5) else mpf("0.4")
    scale = mpf(2) ** n
    value = {
        "softplus": lambda s: scale * log1p(exp(-s) / scale),
        "sigmoid": lambda s: exp(-s) / (1 + exp(-s) / scale),
    }[name]
    half = LN2 * mpf("0.5001")
    interval = (LN2 - mpf("0.551"), half) if n < 0 else (-half, half)
    return Polynomial(f"{name}_{n}", "", value, lambda s: 1 / value(s) / (1 + fabs(s) / reach), interval, {32: 6})


def split(x: mpf) -> list[float]:
    """Return x as two words of binary32."""
    high = to_format(x, 32)
    return [high, to_format(x - mpf(high), 32)]


def two_word_octave(n: int) -> tuple[list[float], mpf]:
    """Coefficients of softplus's octave with a constant and a slope in two words, and its error."""
    value = octave("softplus", n).g
    constant = split(value(mpf(0)))
    rest = replace(
        octave("softplus", n),
        g=lambda s: (value(s) - fsum(constant)) / s,
        weight=lambda s: s / value(s),
    )
    slope = split(least_squares(rest, 6)[0])
    curve = replace(rest, g=lambda s: (rest.g(s) - fsum(slope)) / s, weight=lambda s: s * rest.weight(s))
    others = fit(curve, 5, 32, least_squares)
    return [*constant, *slope, *others], worst(curve, [mpf(c) for c in others])


def lookup_tables() -> list[str]:
    """Coefficients of all octaves: row k for s^k, octave n in column (31 - n) mod 32."""
    lines = []
    for name, first, formula in (
        ("softplus", -1, "2^n softplus(-(n ln2 + s))"),
        ("sigmoid", 0, "2^n sigmoid(-(n ln2 + s))"),
        ("log1pexp", 0, "2^n softplus(-(n ln2 + s)), the constant (rows 0 and 1) and the slope (2 and 3) in two words"),
    ):
        columns: list[list[float]] = [[] for _ in range(32)]
        error = mpf(0)
        for n in range(first, 31):
            if name == "log1pexp":
                coefficients, largest = two_word_octave(n)
            else:
                problem = octave(name, n)
                coefficients = fit(problem, 6, 32, least_squares)
                largest = worst(problem, [mpf(c) for c in coefficients])
            columns[(31 - n) % 32] = coefficients
            error = max(error, largest)
        columns[0] = columns[0] or columns[1]
        lines += [
            "",
            f"/* {formula} on |s| <= 0.5001 ln2, n = {first} .. 30 in column (31 - n) mod 32.",
            f"   Relative error 2^{float(log(error, 2)):.1f}. */",
            f"static const real {name}_octaves[][32] = {{",
            *("    {" + ", ".join(column[k].hex() + "f" for column in columns) + "}," for k in range(len(columns[1]))),
            "};",
        ]
    return lines


def logistic_header(width: int) -> str:
    """Text of the header that holds softplus and sigmoid at the points that they are expanded around."""
    suffix = "f" if width == 32 else ""
    end, step = {32: 20, 64: 40}[width], 16
    lines = [
        f"/* Written by polynomials.py. Format: binary{width}. */",
        "/* clang-format off */",
        "",
        f"#define LOGISTIC_END {end}",
        f"#define LOGISTIC_STEPS {step} /* per 1 */",
        "",
        f"/* softplus(a) and sigmoid(a), each in two words, for a = -{end}, -{end} + 1/{step}, ... {end}. */",
        "static const real logistic_rows[][4] = {",
    ]
    for k in range(-end * step, end * step + 1):
        a = mpf(k) / step
        row = []
        for value in (log1p(exp(a)), 1 / (1 + exp(-a))):
            high = to_format(value, width)
            row += [high, to_format(value - mpf(high), width)]
        lines.append("    {" + ", ".join(x.hex() + suffix for x in row) + "},")
    lines.append("};")
    if width == 32:
        lines += lookup_tables()
    return "\n".join(lines) + "\n"


def words(x: mpf, count: int) -> str:
    """Return x in [0, 2^64) as integral words, cut off, the least first."""
    return ", ".join(f"0x{int(floor(x)) >> (64 * k) & (2**64 - 1):016x}" for k in range(count))


def fixed_point_header() -> str:
    """Text of the header that holds ln 2 and the coefficients of (1 - e^-x)/x to several words."""
    count, terms = 3, 44
    with workdps(90):
        ln2 = words(ldexp(log(2), 64 * (count + 1)), count + 1)
        factors = [words(ldexp(1 / factorial(k + 1), 64 * count - 1), count) for k in range(terms)]
    lines = [
        "/* Written by polynomials.py. Words of 64 bits, the least first. */",
        "/* clang-format off */",
        "",
        f"#define FIXED_WORDS {count}",
        "",
        f"/* 2^{64 * (count + 1)} ln2. */",
        f"static const uint64_t ln2_words[] = {{{ln2}}};",
        "",
        f"/* 2^{64 * count - 1}/(k+1)! for k = 0, 1, ... */",
        f"static const uint64_t reciprocal_factorials[][{count}] = {{",
        *(f"    {{{factor}}}," for factor in factors),
        "};",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the headers, or compare them."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, text in [
        *((f"f{width}.h", header(width)) for width in (32, 64)),
        *((f"logistic_f{width}.h", logistic_header(width)) for width in (32, 64)),
        ("fixed_point.h", fixed_point_header()),
    ]:
        path = HERE / name
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            stale.append(path.name)
    if stale:
        print(f"{', '.join(stale)}: not what polynomials.py computes; run it without --check")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
