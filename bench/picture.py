"""The picture: how many times faster fastlog is than each library, per function and dtype."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  the backend comes first

from bench.cases import HEADLINE  # noqa: E402
from bench.report import digits, peers, ratios  # noqa: E402

# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = {"SciPy": "#0072B2", "NumPy": "#56B4E9", "PyTorch": "#D55E00", "JAX": "#009E73", "numexpr": "#E69F00"}
BAR = 0.9  # of a line
GAP = 1.1  # lines between functions


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the headline sizes of `results` as a PNG: a bar from 1 to the ratio for each library."""
    cases = [case for case in results["cases"] if case["size"] in HEADLINE]
    names = peers(results)
    top = {}  # function -> its first line; each has a line for every library that has the function
    height = 0.0
    for case in cases:
        if case["function"] not in top:
            top[case["function"]] = height
            height += len(ratios(case)) + GAP
    figure, panels = plt.subplots(1, 2, figsize=(11, 0.155 * height + 1.5), sharex=True, sharey=True)
    extremes = [1.0]
    for panel, dtype in zip(panels, ("float32", "float64"), strict=True):
        for case in (case for case in cases if case["dtype"] == dtype):
            found = ratios(case)
            extremes += found.values()
            for line, name in enumerate(name for name in names if name in found):
                y = top[case["function"]] + line
                panel.barh(y, found[name] - 1, left=1, height=BAR, color=COLOURS[name], zorder=2)
                label = dict(textcoords="offset points", va="center_baseline", fontsize=7.5, color="0.2")
                if found[name] >= 1:
                    panel.annotate(digits(found[name], "×"), (found[name], y), (3, 0), ha="left", **label)
                else:
                    panel.annotate(digits(found[name], "×"), (found[name], y), (-3, 0), ha="right", **label)
        panel.axvline(1, color="0.2", linewidth=1, zorder=3)
        panel.set_title(dtype, fontsize=11, fontweight="bold", pad=4)
        panel.set_xlabel("time of the other library / time of fastlog (ratio, log scale)", fontsize=9)
        panel.set_xscale("log")
        panel.grid(axis="x", color="0.9", zorder=0)
        panel.tick_params(axis="both", length=0)
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
    # Room for the numbers beside the bars.
    low, high = min(extremes) / (1.9 if min(extremes) < 1 else 1.1), max(extremes) * 1.5
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= t <= high]
    panels[0].set_xlim(low, high)
    panels[0].set_xticks(ticks, [f"{t:g}×" for t in ticks])
    for panel in panels:
        panel.minorticks_off()
    counts = {case["function"]: len(ratios(case)) for case in cases}
    labels = [name.replace("entropy_with", "entropy\n_with").replace(", mean", "\n(mean)") for name in top]
    panels[0].set_yticks([first + (counts[name] - 1) / 2 for name, first in top.items()], labels)
    panels[0].set_ylim(height - GAP, -1)
    figure.suptitle("How many times faster is fastlog?", fontsize=14, fontweight="bold")
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[name], label=name) for name in names]
    figure.legend(
        handles=handles, ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, 1 - 0.33 / figure.get_figheight()),
        frameon=False, handlelength=1, handleheight=1,
    )  # fmt: skip
    elementwise, along_rows = HEADLINE
    where = f"one thread of {results['machine']['cpu']}, {results['target']}, {results['started'][:10]}"
    figure.text(
        0.5, 0.06 / figure.get_figheight(), f"{elementwise} elements, or along the rows of {along_rows}; {where}",
        ha="center", va="bottom", fontsize=8.5, color="0.35",
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0.2 / figure.get_figheight(), 1, 1 - 0.22 / figure.get_figheight()))
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
