"""Draw the pictures of docs/kernels.md: run ``python docs/pictures.py`` after `make bench test`.

The installed fastlog computes the curves. The references are float64 results for float32, and mpmath otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  the backend comes first
import mpmath  # noqa: E402
import numpy as np  # noqa: E402
import scipy.special  # noqa: E402
from matplotlib.patches import FancyBboxPatch, Rectangle  # noqa: E402

import fastlog  # noqa: E402

HERE = Path(__file__).parent
# These are Okabe and Ito's colours, which colour-blind people can distinguish.
BLACK, BLUE, SKY, ORANGE, GREEN, YELLOW = "#000000", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#E69F00"
LN2 = np.log(2)

plt.rcParams |= {
    "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11,
    "axes.titleweight": "bold", "legend.frameon": False, "svg.hashsalt": "fastlog",
}  # fmt: skip


def save(figure: Any, name: str) -> None:
    """Write a picture as SVG; the same picture always gives the same bytes."""
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.12)
    plt.close(figure)


def ulps(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return the errors of float32 results in units in the last place of the exact results."""
    return np.abs(got.astype(np.float64) - exact) / np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)


def largest(x: np.ndarray, error: np.ndarray, bins: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Return the middles of bins of sorted points, and the largest error in each."""
    parts = np.array_split(np.arange(x.size), bins)
    return np.array([x[p].mean() for p in parts]), np.array([error[p].max() for p in parts])


def softplus() -> None:
    """Draw the errors of two well-known formulas, and of fastlog, in float32."""
    x = np.linspace(-40, 40, 600_001).astype(np.float32)
    exact = fastlog.softplus(x.astype(np.float64))
    with np.errstate(over="ignore", divide="ignore"):
        curves = (
            ("log(1 + exp(x))", np.log(np.float32(1) + np.exp(x)), ORANGE, 1.5),
            ("max(x, 0) + log1p(exp(-|x|))", np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), SKY, 1.5),
            ("fastlog.softplus", fastlog.softplus(x), BLACK, 2.2),
        )
    figure, panel = plt.subplots(figsize=(8, 3.3))
    for name, got, colour, width in curves:
        panel.plot(*largest(x, np.maximum(ulps(got, exact), 1e-3)), color=colour, linewidth=width, label=name)
    panel.axhline(0.5, color="0.5", linewidth=0.8, linestyle=(0, (1, 2)))
    panel.annotate("correctly rounded", (40, 0.5), (0, 2), textcoords="offset points", ha="right", va="bottom",
                   fontsize=8.5, color="0.35")  # fmt: skip
    panel.annotate("every digit is lost", (-28, 2e7), (0, -10), textcoords="offset points", ha="center", va="top",
                   fontsize=9, color=ORANGE)  # fmt: skip
    panel.set(yscale="log", ylim=(0.2, 4e7), xlim=(-40, 40), xlabel="x", ylabel="largest error, ulp")
    panel.legend(loc="upper right")
    save(figure, "kernels-softplus")


def octaves() -> None:
    """Draw the functions that a polynomial gives in each octave, and the corrections beside tabulated points."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    s = np.linspace(-LN2 / 2, LN2 / 2, 100)
    for n in range(9):
        shade = plt.get_cmap("viridis")(n / 9.5)
        left.plot(s, 2.0**n * np.log1p(2.0**-n * np.exp(-s)), color=shade, linewidth=1.6)
        if n < 4:
            left.annotate(f"n = {n}", (s[0], 2.0**n * np.log1p(2.0**-n * np.exp(-s[0]))), (-4, 0), ha="right",
                          textcoords="offset points", va="center", fontsize=8.5, color=shade)  # fmt: skip
    left.plot(s, np.exp(-s), color=BLACK, linewidth=1, linestyle=(0, (3, 2)))
    left.annotate("exp(−s)", (s[0], np.exp(-s[0])), (-4, 2), ha="right", textcoords="offset points", va="center",
                  fontsize=8.5)  # fmt: skip
    left.set_title("One polynomial per octave")
    left.set_xticks([-LN2 / 2, 0, LN2 / 2], ["−ln2/2", "0", "ln2/2"])
    left.set(xlabel="s", ylabel="$2^n$ softplus(−(n ln2 + s))", xlim=(-0.5, LN2 / 2))
    x = np.linspace(-30, 20, 801)  # the points that are tabulated; the farthest arguments lie 1/32 below or above them
    for name, function, colour in (("softplus", fastlog.softplus, BLUE), ("sigmoid", fastlog.sigmoid, ORANGE)):
        beside = [np.abs(function(x + s) - function(x)) / function(x + s) for s in (-1 / 32, 1 / 32)]
        right.plot(x, np.max(beside, axis=0), color=colour, linewidth=1.8, label=name)
    right.axhline(2**-5, color="0.5", linewidth=0.8, linestyle=(0, (1, 2)))
    right.set_title("What is left beside the nearest point")
    right.set_yscale("log", base=2)
    right.set(ylim=(2**-12, 2**-4), xlim=(-30, 20), xlabel="x", ylabel="largest correction / result")
    right.legend(loc="lower left")
    figure.tight_layout(w_pad=2.5)
    save(figure, "kernels-octaves")


def sums() -> None:
    """Draw the errors of float32 sums of exponentials over their length."""
    generator = np.random.default_rng(1)
    sizes = np.unique(np.geomspace(10, 3e6, 23).astype(int))
    found: dict[str, list[float]] = {"one after the other": [], "scipy.special.logsumexp": [], "fastlog.logsumexp": []}
    for n in sizes:
        worst = dict.fromkeys(found, 0.0)
        for _ in range(5):
            x = generator.normal(0, 1, n).astype(np.float32)
            exact = fastlog.logsumexp(x.astype(np.float64))
            got = {
                "one after the other": np.logaddexp.reduce(x),
                "scipy.special.logsumexp": scipy.special.logsumexp(x),
                "fastlog.logsumexp": fastlog.logsumexp(x),
            }
            for name, value in got.items():
                worst[name] = max(worst[name], ulps(np.array([value]), np.array([exact]))[0])
        for name, error in worst.items():
            found[name].append(max(error, 0.1))
    figure, panel = plt.subplots(figsize=(8, 3.2))
    for (name, errors), colour, width in zip(found.items(), (ORANGE, SKY, BLACK), (1.5, 1.5, 2.2), strict=True):
        panel.plot(sizes, errors, color=colour, linewidth=width, label=name, marker="o", markersize=3)
    panel.axhline(0.5, color="0.5", linewidth=0.8, linestyle=(0, (1, 2)))
    panel.set(xscale="log", yscale="log", xlabel="number of elements, float32", ylabel="error, ulp")
    panel.legend(loc="upper left")
    save(figure, "kernels-sums")


def dominant() -> None:
    """Draw how many digits of the dominant entry of a log-softmax are right, over its distance from the other entry."""
    distance = np.linspace(0, 60, 241)
    with mpmath.workdps(60):
        exact = [-mpmath.log1p(mpmath.exp(-mpmath.mpf(float(d)))) for d in distance]
    figure, panel = plt.subplots(figsize=(8, 3))
    for name, function, colour, width in (
        ("scipy.special.log_softmax", scipy.special.log_softmax, SKY, 1.6),
        ("fastlog.log_softmax", fastlog.log_softmax, BLACK, 2.2),
    ):
        got = [float(function(np.array([0.0, -d]))[0]) for d in distance]
        error = [abs(float((mpmath.mpf(g) - e) / e)) for g, e in zip(got, exact, strict=True)]
        panel.plot(distance, -np.log10(np.maximum(error, 2.0**-53)), color=colour, linewidth=width, label=name)
    panel.set(xlabel="d, in log_softmax([0, −d])[0]", ylabel="correct decimal digits", ylim=(-0.5, 17), xlim=(0, 60))
    panel.legend(loc="center right", bbox_to_anchor=(1, 0.62))
    save(figure, "kernels-dominant")


def lanes() -> None:
    """Draw the three ways in which the lanes of a vector lie in a matrix."""
    figure, panels = plt.subplots(1, 3, figsize=(9, 3.1))
    tints = [SKY, YELLOW, GREEN, ORANGE]
    ways = (
        ("along", "the last axis, of long rows", lambda r, c: c % 4, lambda r, c: r == 1 and c < 4, (6, 8)),
        ("columns", "the first axis", lambda r, c: c % 4, lambda r, c: r == 1 and c < 4, (6, 8)),
        ("tiles", "the last axis, of short rows", lambda r, c: r % 4, lambda r, c: r < 4 and c == 1, (8, 3)),
    )
    for panel, (title, below, lane, in_vector, (rows, columns)) in zip(panels, ways, strict=True):
        for r in range(rows):
            for c in range(columns):
                mine = in_vector(r, c)
                panel.add_patch(
                    Rectangle((c, -r - 1), 0.92, 0.92, facecolor=tints[lane(r, c)] if mine else "0.9", edgecolor="none")
                )
                if mine:
                    panel.text(c + 0.46, -r - 0.54, str(lane(r, c)), ha="center", va="center", fontsize=9)
        first, width, height = ((0, -2), 4, 1) if columns > 3 else ((1, -4), 1, 4)
        panel.add_patch(
            FancyBboxPatch((first[0] - 0.04, first[1] - 0.04), width, height, boxstyle="round,pad=0.04",
                           facecolor="none", edgecolor=BLACK, linewidth=1.5)
        )  # fmt: skip
        arrow = {"arrowstyle": "-|>", "color": "0.25", "linewidth": 1.3}
        if title == "columns":
            panel.annotate("", (8.9, -rows), (8.9, 0), arrowprops=arrow)
            panel.text(9.15, -rows / 2, "sum", rotation=90, va="center", fontsize=9, color="0.25")
        else:
            panel.annotate("", (columns, -rows - 0.5), (0, -rows - 0.5), arrowprops=arrow)
            panel.text(columns / 2, -rows - 0.75, "sum", ha="center", va="top", fontsize=9, color="0.25")
        panel.set_title(title)
        panel.text(columns / 2, 0.55, below, ha="center", va="bottom", fontsize=8.5, color="0.3")
        middle = columns / 2
        panel.set(xlim=(middle - 5.6, middle + 5.6), ylim=(-9.8, 1.4), aspect="equal")
        panel.axis("off")
    figure.tight_layout(w_pad=0.5)
    save(figure, "kernels-lanes")


if __name__ == "__main__":
    softplus()
    octaves()
    sums()
    dominant()
    lanes()
