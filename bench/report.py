"""Results as tables: for the terminal, for the README and the pages on speed and accuracy, and as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.cases import CALL, HEADLINE, LIBRARIES, MAIN, MAIN_LIBRARIES

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
DTYPES = ("float32", "float64")
DOCS = ROOT / "docs"
ACCURACY = DOCS / "accuracy.json"
# Parts of pages, between marker comments of these names, and the pictures in them.
SUMMARY, SPEED, ERRORS = "bench", "speed", "accuracy"
PAGES = {SUMMARY: ROOT / "README.md", SPEED: DOCS / "speed.md", ERRORS: DOCS / "accuracy.md"}
PICTURES = {SUMMARY: DOCS / "speed-main.png", SPEED: DOCS / "speed.png"}
ACCURACY_PICTURES = {dtype: DOCS / f"accuracy-{dtype}.png" for dtype in DTYPES}
DIFFERS = "≠"
BEGIN, END = "<!-- {}:begin -->", "<!-- {}:end -->"


def save(results: dict[str, Any]) -> Path:
    """Write the results of a run to bench/results and return the file's path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{results['started'].replace(':', '-')}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def load_last() -> dict[str, Any]:
    """Read the results of the last run.

    Raises
    ------
    FileNotFoundError
        If there was none.
    """
    paths = sorted(RESULTS.glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"no results in {RESULTS.relative_to(ROOT)}; run the benchmark first")
    return json.loads(paths[-1].read_text())


def peers(results: dict[str, Any]) -> list[str]:
    """Names of the libraries that stand beside fastlog in these results."""
    timed = {library for case in results["cases"] for library in case["seconds"]}
    return [library for library in LIBRARIES if library in timed and library != "fastlog"]


def ratios(case: dict[str, Any]) -> dict[str, float]:
    """How many times faster fastlog is than each of the other libraries."""
    own = case["seconds"]["fastlog"]
    return {library: seconds / own for library, seconds in case["seconds"].items() if library != "fastlog"}


def cell(case: dict[str, Any], library: str) -> str:
    """Write how many times faster fastlog is than a library; DIFFERS if that answers something else."""
    found = ratios(case)
    if library in found:
        return digits(found[library], "×")
    return DIFFERS if library in case["disagree"] else ""


def digits(value: float, unit: str = "") -> str:
    """Write a number with two digits, or all of those before the point."""
    return (f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2f}") + unit


def rounded_up(ulp: float) -> str:
    """Write an error in ulp, never too small: two digits after the point, or none, or two and the power of ten."""
    if ulp < 10:
        return f"{math.ceil(ulp * 100) / 100:.2f}"
    if ulp < 1000:
        return f"{math.ceil(ulp)}"
    power = math.floor(math.log10(ulp))
    digits = math.ceil(ulp / 10.0 ** (power - 1)) / 10
    if digits == 10:
        digits, power = 1, power + 1
    return f"{digits:g}·10{str(power).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def duration(seconds: float) -> str:
    """Write a time in the unit that fits it."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return digits(seconds * factor, " " + unit)
    return digits(seconds * 1e9, " ns")


def own_time(case: dict[str, Any]) -> str:
    """Write fastlog's time: per call for the shortest arrays, per element for others."""
    seconds = case["seconds"]["fastlog"]
    return digits(seconds * 1e9) if case["size"] == CALL else digits(seconds / case["elements"] * 1e9)


def machine(results: dict[str, Any]) -> str:
    """Say in a sentence where, when and with what the numbers were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return (
        f"{results['machine']['cpu']}, one thread, target {results['target']}, {results['machine']['system']}, "
        f"{results['started'][:10]}{', quick run' if results.get('quick') else ''}; {versions}."
    )


def show(results: dict[str, Any], console: Console) -> None:
    """Print a table per function, then the pipelines, then the machine."""
    names = peers(results)
    for function in dict.fromkeys(case["function"] for case in results["cases"]):
        table = Table(title=f"[bold]{function}[/]", title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=0)
        table.add_column("", width=7)
        table.add_column("", width=19)
        table.add_column("ns", width=10, justify="right")
        for name in names:
            table.add_column(name, width=7, justify="right")
        previous = None
        for case in (case for case in results["cases"] if case["function"] == function):
            if previous and previous != case["dtype"]:
                table.add_section()
            time = own_time(case) + ("/call" if case["size"] == CALL else "")
            cells = [f"[red]{cell(case, name)}[/]" if is_slower(case, name) else cell(case, name) for name in names]
            table.add_row(case["dtype"] if case["dtype"] != previous else "", case["size"], time, *cells)
            previous = case["dtype"]
        console.print(table)
        console.print()
    console.print(
        "ns: fastlog's nanoseconds per element. ×: how many times faster it is than the other library; "
        f"red: slower. {DIFFERS}: the other library's answer differs by more than a thousandth.\n"
    )
    table = Table(title="[bold]Pipelines on scikit-learn's digits[/]", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for heading in ("usual", "fastlog", "faster", "difference"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, _, *numbers in pipeline_rows(results):
        table.add_row(name, *numbers)
    console.print(table)
    console.print(machine(results), highlight=False)


def is_slower(case: dict[str, Any], library: str) -> bool:
    """Whether fastlog takes longer than a library."""
    return ratios(case).get(library, 1) < 1


def pipeline_rows(results: dict[str, Any]) -> list[list[str]]:
    """Cells of the table of pipelines."""
    return [
        [
            pipeline["name"],
            pipeline["replaced"],
            duration(pipeline["seconds"]["usual"]),
            duration(pipeline["seconds"]["fastlog"]),
            digits(pipeline["seconds"]["usual"] / pipeline["seconds"]["fastlog"], "×"),
            f"{pipeline['difference']:.1g}",
        ]
        for pipeline in results["pipelines"]
    ]


def markdown_table(headings: list[str], rows: list[list[str]], left: int) -> list[str]:
    """Lines of a Markdown table whose first `left` columns are words and whose others are numbers."""
    rule = [":--" if i < left else "--:" for i in range(len(headings))]
    return ["| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows)]


def picture(text: str, path: Path, part: str) -> str:
    """Write a picture as the page of a part links to it."""
    return f"![{text}]({path.relative_to(PAGES[part].parent)})"


def shown(case: dict[str, Any]) -> str:
    """Write a function's name in Markdown; what follows a comma is no part of it."""
    name, comma, rest = case["function"].partition(",")
    return f"`{name}`{comma}{rest}"


def summary_markdown(results: dict[str, Any]) -> str:
    """Return the README's part about speed: the picture and a table of the main functions, a row for both dtypes."""
    cases = {(c["function"], c["dtype"]): c for c in results["cases"] if c["size"] in HEADLINE}
    columns = [(dtype, name) for dtype in DTYPES for name in ("ns", *MAIN_LIBRARIES)]
    rows = [
        [shown(cases[function, DTYPES[0]])]
        + [
            own_time(cases[function, dtype]) if name == "ns" else cell(cases[function, dtype], name)
            for dtype, name in columns
        ]
        for function in MAIN
    ]
    lines = [
        picture("How many times faster fastlog is than other libraries", PICTURES[SUMMARY], SUMMARY),
        "",
        f"Arrays of {' elements, or '.join(HEADLINE)} along the last axis: fastlog's nanoseconds per element, and how "
        "many times faster it is than the others (`make bench`):",
        "",
        *markdown_table(["function", *(f"{dtype} {name}" for dtype, name in columns)], rows, 1),
        "",
        machine(results),
    ]
    return "\n".join(lines)


def speed_markdown(results: dict[str, Any]) -> str:
    """Return the tables of the page on speed: headline sizes, calls, pipelines, all sizes."""
    names = peers(results)

    def rows(sizes: tuple[str, ...] | None, with_size: bool) -> list[list[str]]:
        return [
            [shown(case), case["dtype"]]
            + ([case["size"]] if with_size else [])
            + [own_time(case)]
            + [cell(case, name) for name in names]
            for case in results["cases"]
            if (case["size"] != CALL if sizes is None else case["size"] in sizes)
        ]

    lines = [
        f"{machine(results)} An empty place: the library has no such function; {DIFFERS}: its answer differs by more "
        "than a thousandth.",
        "",
        f"## Arrays of {' elements, or '.join(HEADLINE)}",
        "",
        "Along the last axis: fastlog's nanoseconds per element, and how many times faster it is than the others.",
        "",
        picture("How many times faster fastlog is than other libraries", PICTURES[SPEED], SPEED),
        "",
        *markdown_table(["function", "dtype", "ns", *names], rows(HEADLINE, False), 2),
        "",
        "## A call with 10 elements",
        "",
        "fastlog's nanoseconds per call, and how many times faster it is than the others.",
        "",
        *markdown_table(["function", "dtype", "ns", *names], rows((CALL,), False), 2),
        "",
        "## Whole computations",
        "",
        "On scikit-learn's digits, as they are and with fastlog's functions in place.",
        "",
        *markdown_table(
            ["pipeline", "replaced", "without", "with", "times faster", "largest difference"], pipeline_rows(results), 2
        ),
        "",
        "## All sizes",
        "",
        "fastlog's nanoseconds per element, and how many times faster it is than the others.",
        "",
        *markdown_table(["function", "dtype", "size", "ns", *names], rows(None, True), 3),
    ]
    return "\n".join(lines)


def save_accuracy(results: dict[str, Any]) -> None:
    """Write what the table of errors needs into docs/."""
    kept = [{k: v for k, v in one.items() if k not in ("edges", "curve")} for one in results["functions"]]
    ACCURACY.write_text(json.dumps(results | {"functions": kept}, indent=1) + "\n")


def accuracy_markdown() -> str:
    """Return the tables of the page on accuracy: the claims of csrc/functions.def, beside what others showed."""
    from fastlog._core import claims

    results = json.loads(ACCURACY.read_text())
    measured = {(one["row"], one["dtype"]): one["ulp"] for one in results["functions"]}
    names = [name for name in LIBRARIES if name != "fastlog" and any(name in ulp for ulp in measured.values())]
    points = {dtype: max(one["points"] for one in results["functions"] if one["dtype"] == dtype) for dtype in DTYPES}

    def cells(name: str, dtype: str, claim: float) -> list[str]:
        ulp = measured.get((name, dtype), {})
        return [f"**{claim:g}**", *(rounded_up(ulp[other]) if other in ulp else "" for other in names)]

    rows = [
        [f"`{name}`", *(cell for dtype in DTYPES for cell in cells(name, dtype, claim[dtype][0]))]
        for name, claim in sorted(claims().items())
    ]
    lines = [
        f"{machine(results)}",
        "",
        *markdown_table(["function", *(f"{d} {n}" for d in DTYPES for n in ("fastlog", *names))], rows, 1),
        "",
        f"The others' figures are the largest at {points['float32'] / 1e6:g} million points in float32 and "
        f"{points['float64'] / 1e6:g} million in float64, or over the rows of `tests/helpers/rows.py` "
        "(`make accuracy`). "
        "Millions and more mean that a result has lost all its digits, or is 0 where it should be a small number. "
        "Where a library lacks a function, the short formula in `bench/cases.py` stands for it; an empty place: there "
        "is none.",
    ]
    for dtype, path in ACCURACY_PICTURES.items():
        lines += ["", f"## Where the errors are, in {dtype}", ""]
        lines += [picture(f"Largest errors over the first argument, {dtype}", path, ERRORS)]
    return "\n".join(lines)


def write_pages(parts: dict[str, str]) -> None:
    """Put text between the marker comments of pages.

    Parameters
    ----------
    parts : dict
        What comes between the markers of each part of `PAGES`.

    Raises
    ------
    ValueError
        If a page does not hold the markers of its part, once each and in order.
    """
    for part, content in parts.items():
        page, begin, end = PAGES[part], BEGIN.format(part), END.format(part)
        before, found_begin, rest = page.read_text().partition(begin)
        _, found_end, after = rest.partition(end)
        if not found_begin or not found_end or begin in rest or end in after:
            raise ValueError(f"{page.name} needs the lines {begin} and {end}, once each and in this order")
        page.write_text(f"{before}{begin}\n\n{content}\n\n{end}{after}")
