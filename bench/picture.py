"""Pictures of how many times faster fastlog is than each library, and of the errors of all libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  the backend comes first
import numpy as np  # noqa: E402

from bench.cases import HEADLINE  # noqa: E402
from bench.libraries import LIBRARIES  # noqa: E402
from bench.report import DTYPES, digits, peers, ratios, rounded_up  # noqa: E402
from bench.threads import speed_up  # noqa: E402

# These are Okabe and Ito's colours, which colour-blind people can distinguish.
COLOURS = {
    "fastlog": "#000000", "SciPy": "#0072B2", "NumPy": "#56B4E9", "PyTorch": "#D55E00", "oneDNN": "#8C510A",
    "JAX": "#009E73", "onnxruntime": "#F0E442", "numexpr": "#E69F00", "numba": "#CC79A7",
}  # fmt: skip
# On dark pages, text and lines are light, and the ground is that of the documentation's theme.
_LIGHT, _GROUND = "#cfd0d0", "#131416"
DARK = {
    "text.color": _LIGHT, "axes.labelcolor": _LIGHT, "xtick.color": _LIGHT, "ytick.color": _LIGHT,
    "axes.edgecolor": _LIGHT, "grid.color": "#303335", "figure.facecolor": _GROUND, "axes.facecolor": _GROUND,
}  # fmt: skip
# The part that a variant adds to the name of a picture -> whether it is narrow, and its colours.
VARIANTS: dict[str, tuple[bool, dict[str, Any]]] = {
    "": (False, {}), "-dark": (False, DARK), "-narrow": (True, {}), "-narrow-dark": (True, DARK),
}  # fmt: skip
BAR = 0.9  # height of a bar, in lines
GAP = 1.1  # space between functions, in lines
# Errors below FLOOR ulp are drawn at FLOOR. Errors above TOP are drawn in a strip, where each library has a line of its
# own; STEP is the ratio of neighbouring lines.
FLOOR, TOP, STEP = 0.4, 20.0, 1.45


def plain(panel: Any) -> None:
    """Leave out the ticks of a panel, and all of its frame but the lower side."""
    panel.tick_params(axis="both", length=0)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)


def finish(figure: Any, path: Path, title: str, footer: str, layout: dict[str, Any], **legend: Any) -> None:
    """Give a figure its title, footer, layout and legend, and write it as a PNG."""
    height = figure.get_figheight()
    colour = plt.rcParams["text.color"]
    figure.suptitle(title, fontsize=14, fontweight="bold", y=1 - 0.12 / height)
    legend = {"ncols": len(legend["handles"])} | legend
    legend |= {"loc": "upper center", "bbox_to_anchor": (0.5, 1 - 0.33 / height)}
    figure.legend(frameon=False, **legend)
    figure.text(0.5, 0.06 / height, footer, ha="center", va="bottom", fontsize=8.5, color=colour, alpha=0.8)
    figure.tight_layout(**layout)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def origin(results: dict[str, Any]) -> str:
    """Name the processor, the target and the day of a run."""
    return f"{results['machine']['cpu']}, {results['target']}, {results['started'][:10]}"


def draw_variants(results: dict[str, Any], path: Path, functions: tuple[str, ...]) -> None:
    """Draw what `draw` draws for wide and narrow screens, on light and dark pages."""
    for suffix, (narrow, colours) in VARIANTS.items():
        with plt.rc_context(colours):
            draw(results, path.with_stem(path.stem + suffix), functions, narrow)


def draw(results: dict[str, Any], path: Path, functions: tuple[str, ...] | None = None, narrow: bool = False) -> None:
    """Draw the headline sizes of `results` as a PNG: a bar from 1 to the ratio for each library.

    Parameters
    ----------
    results : dict
    path : Path
    functions : tuple of str, optional
        The functions to draw; by default all.
    narrow : bool
        Whether to draw float32 alone.
    """
    cases = [case for case in results["cases"] if case["size"] in HEADLINE and case["dtype"] in DTYPES]
    cases = [case for case in cases if functions is None or case["function"] in functions]
    names = peers(results)
    lines: dict[str, int] = {}  # of a function: each has one for every library that has the function
    for case in cases:
        found = len(ratios(case).keys() & {*names})
        lines[case["function"]] = max(found, lines.get(case["function"], 0))
    top = {}  # function -> its first line
    height = 0.0
    for function, count in lines.items():
        top[function] = height
        height += count + GAP
    dtypes, width = (DTYPES[:1], 4.6) if narrow else (DTYPES, 11)
    size = (width, 0.155 * height + (2 if narrow else 1.5))
    figure, panels = plt.subplots(1, len(dtypes), figsize=size, sharex=True, sharey=True, squeeze=False)
    panels = panels[0]
    extremes = [1.0]
    for panel, dtype in zip(panels, dtypes, strict=True):
        for case in (case for case in cases if case["dtype"] == dtype):
            ratio = ratios(case)
            found = {name: ratio[name] for name in names if name in ratio}
            extremes += found.values()
            for line, name in enumerate(found):
                y = top[case["function"]] + line
                panel.barh(y, found[name] - 1, left=1, height=BAR, color=COLOURS[name], zorder=2)
                side, offset = ("left", 3) if found[name] >= 1 else ("right", -3)
                panel.annotate(
                    digits(found[name], "×"), (found[name], y), (offset, 0), textcoords="offset points",
                    ha=side, va="center_baseline", fontsize=7.5,
                )  # fmt: skip
        panel.axvline(1, color=plt.rcParams["axes.edgecolor"], linewidth=1, zorder=3)
        panel.set_title(dtype, fontsize=11, fontweight="bold", pad=4)
        panel.set_xlabel("time of the other library / time of fastlog" + ("" if narrow else ", log scale"), fontsize=9)
        panel.set_xscale("log")
        panel.grid(axis="x", alpha=0.5, zorder=0)
        plain(panel)
    # The axis leaves room for the numbers beside the bars.
    low, high = min(extremes) / (1.9 if min(extremes) < 1 else 1.1), max(extremes) * 1.5
    ticks = [t for t in (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300) if low <= t <= high]
    panels[0].set_xlim(low, high)
    panels[0].set_xticks(ticks, [f"{t:g}×" for t in ticks])
    for panel in panels:
        panel.minorticks_off()
    long_name = "binary_cross_entropy_with_logits"
    breaks = {long_name: "binary_cross_entropy\n_with_logits", ", mean": "\n(mean)"}
    if narrow:
        breaks = {long_name: "binary_cross\n_entropy\n_with_logits", ", ": ",\n", "and ": "and\n"}
    labels = list(top)
    for whole, parts in breaks.items():
        labels = [label.replace(whole, parts) for label in labels]
    panels[0].set_yticks([first + (lines[name] - 1) / 2 for name, first in top.items()], labels)
    panels[0].set_ylim(height - GAP, -1)
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[name], label=name) for name in names]
    elementwise, along_rows = HEADLINE
    footer = f"{elementwise} elements, or along the rows of {along_rows};" + ("\n" if narrow else " ")
    footer += f"one thread of {origin(results)}"
    above, below = (0.75, 0.35) if narrow else (0.35, 0.2)
    layout = {"rect": (0, below / figure.get_figheight(), 1, 1 - above / figure.get_figheight())}
    legend = {"handles": handles, "handlelength": 1, "handleheight": 1, "ncols": 3 if narrow else len(handles)}
    finish(figure, path, "How many times faster is fastlog?", footer, layout, **legend)


def draw_accuracy(results: dict[str, Any], dtype: str, path: Path) -> None:
    """Draw the largest errors of all libraries over the first argument as a PNG, a panel for each function."""
    measured = [one for one in results["functions"] if one["dtype"] == dtype and "curve" in one]
    names = [name for name in LIBRARIES if any(name in one["curve"] for one in measured)]
    columns = 3
    rows = -(-len(measured) // columns)
    height = 2.2 * rows + 1.1
    figure, panels = plt.subplots(rows, columns, figsize=(11, height), sharex=True, sharey=True, squeeze=False)
    bins = measured[0]["edges"]
    middle = (bins[:-1] + bins[1:]) / 2
    rank = {name: i for i, name in enumerate(name for name in names if name != "fastlog")}
    for panel, one in zip(panels.flat, measured, strict=False):
        panel.axhspan(TOP, TOP * STEP ** (len(rank) + 1), color="0.95", zorder=0)
        panel.axhline(0.5, color="0.5", linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        for name, curve in one["curve"].items():
            own = name == "fastlog"
            # The line of the first other library is wide, so that it is visible under equal lines.
            width = 2.0 if own else 2.8 if rank[name] == 0 else 1.2
            style = {"color": COLOURS[name], "linewidth": width, "zorder": 4 if own else 2 + rank[name] / len(rank)}
            panel.plot(middle, np.where(curve <= TOP, np.maximum(curve, FLOOR), np.nan), **style)
            above = np.flatnonzero(curve > TOP)
            if above.size:
                y = TOP * STEP ** (len(rank) - rank[name]) if not own else TOP
                # Each bin has a stroke of its own, at least as wide as it is high.
                panel.hlines(np.full(above.size, y), bins[above], bins[above + 1], color=COLOURS[name], linewidth=4)
                panel.plot(middle[above], np.full(above.size, y), "s", markersize=3.2, color=COLOURS[name])
                right = middle[above].mean() > 0
                panel.annotate(
                    rounded_up(np.nanmax(curve)), (middle[above[0 if right else -1]], y), (-6 if right else 6, -0.5),
                    textcoords="offset points", ha="right" if right else "left", va="center_baseline",
                    fontsize=7, color=COLOURS[name],
                )  # fmt: skip
        panel.set_title(one["function"], fontsize=10, fontweight="bold", pad=4)
        panel.grid(axis="both", color="0.92", zorder=0)
        panel.tick_params(axis="both", labelsize=8.5, labelbottom=True)
        plain(panel)
    for panel in panels.flat[len(measured) :]:
        panel.set_visible(False)
    first = panels[0, 0]
    first.set_xscale("symlog", linthresh=results["linear"], linscale=0.3)
    ticks = [t for t in (-1000, -100, -10, -1, 0, 1, 10, 100, 1000) if abs(t) <= bins[-1]]
    first.set_xticks(ticks, [f"{t:g}".replace("-", "−") for t in ticks])
    first.set_xlim(bins[0], bins[-1])
    first.set_yscale("log")
    first.set_ylim(FLOOR, TOP * STEP ** (len(rank) + 1))
    first.set_yticks([0.5, 1, 2, 5, 10, TOP], ["0.5", "1", "2", "5", "10", f"{TOP:g}"])
    for panel in panels.flat:
        panel.minorticks_off()
    handles = [plt.Line2D([], [], color=COLOURS[name], linewidth=2.5, label=name) for name in names]
    label = {"fontsize": 9, "ha": "center", "va": "center"}
    figure.text(0.011, 0.5, "error in ulp of the exact result (log scale)", rotation=90, **label)
    figure.text(0.5, 0.36 / height, "first argument (linear near 0, logarithmic beyond)", **label)
    footer = (
        f"The largest of the errors in each of {bins.size - 1} intervals; dotted: correctly rounded; grey: above "
        f"{TOP:g} ulp, with the largest; {origin(results)}"
    )
    layout = {"rect": (0.016, 0.42 / height, 1, 1 - 0.28 / height), "h_pad": 1.0}
    finish(figure, path, f"Largest errors, {dtype}", footer, layout, handles=handles)


def draw_threads(results: dict[str, Any], path: Path) -> None:
    """Draw how many times faster calls of float32 are on all threads, and their time per element, as a PNG."""
    threads = results["threads"]
    points = [one for one in results["points"] if one["dtype"] == "float32"]
    kinds = list(dict.fromkeys(one["kind"] for one in points))
    columns, height = 4, 6.4
    rows = -(-len(kinds) // columns)
    figure, panels = plt.subplots(2 * rows, columns, figsize=(11, 2 * height - 3), sharex=True, squeeze=False)
    for k, kind in enumerate(kinds):
        faster, cost = panels[2 * (k // columns), k % columns], panels[2 * (k // columns) + 1, k % columns]
        measured = [one for one in points if one["kind"] == kind]
        for library in ("PyTorch", "fastlog"):
            found = [one for one in measured if f"{library} 1" in one["seconds"]]
            n = [one["elements"] for one in found]
            style = {"color": COLOURS[library], "linewidth": 2 if library == "fastlog" else 1.4}
            faster.plot(n, [speed_up(one, library, threads) for one in found], **style)
            for number, dashes in ((1, (0, (2, 1.5))), (threads, "-")):
                seconds = [one["seconds"][f"{library} {number}"] for one in found]
                cost.plot(n, 1e9 * np.array(seconds) / n, linestyle=dashes, **style)
        found = [one for one in measured if f"JAX {threads}" in one["seconds"]]
        seconds = np.array([one["seconds"][f"JAX {threads}"] for one in found])
        n = np.array([one["elements"] for one in found])
        cost.plot(n, 1e9 * seconds / n, color=COLOURS["JAX"], linewidth=1.4)
        faster.axhline(1, color="0.4", linewidth=0.8, linestyle=(0, (1, 2)))
        faster.set_ylim(0.4, 1.3 * threads)
        faster.set_title(kind, fontsize=10, fontweight="bold", pad=4)
        cost.set_yscale("log")
        cost.set_ylim(0.03, 1e3)
        for panel in (faster, cost):
            panel.set_xscale("log")
            panel.grid(axis="both", color="0.92", zorder=0)
            panel.tick_params(axis="both", labelsize=8.5)
            panel.minorticks_off()
            plain(panel)
    for line in range(2 * rows):
        what = f"{threads} threads:\ntimes faster than 1" if line % 2 == 0 else "ns per element"
        panels[line, 0].set_ylabel(what, fontsize=9)
    names = ("fastlog", "PyTorch", "JAX")
    handles = [plt.Line2D([], [], color=COLOURS[name], linewidth=2.5, label=name) for name in names]
    handles.append(plt.Line2D([], [], color="0.3", linestyle=(0, (2, 1.5)), label="one thread"))
    footer = f"Horizontally: number of elements, float32. {origin(results)}"
    layout = {"rect": (0, 0.02, 1, 1 - 0.5 / figure.get_figheight())}
    finish(figure, path, "What threads bring", footer, layout, handles=handles)
