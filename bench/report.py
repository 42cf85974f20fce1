"""Tables of results for the terminal, the README and the pages on speed and accuracy, and their JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.cases import CALLS, HEADLINE, MAIN
from bench.libraries import LIBRARIES, MAIN_LIBRARIES, WRITTEN_BY_HAND

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
DTYPES = ("float32", "float64")
DOCS = ROOT / "docs"
ACCURACY = DOCS / "accuracy.json"
# `write_page` writes the parts of pages that stand between marker comments of these names. The page on speed has a part
# for each instruction set; the README shows the one that most machines have.
SUMMARY, ERRORS, PREDICTED, THREADS = "bench", "accuracy", "speed predicted", "threads"
README_TARGET = "avx2"
ACCURACY_PICTURES = {dtype: DOCS / f"accuracy-{dtype}.png" for dtype in DTYPES}
LOOSE = "≠"
FASTER = 0.98  # another library is faster if it takes less than this part of fastlog's time
# Words that several tables and pages share.
TIMES_FASTER = "How many times faster fastlog is than other libraries"
PER_ELEMENT = "fastlog's nanoseconds per element, and how many times faster it is than the others"
BEGIN, END = "<!-- {}:begin -->", "<!-- {}:end -->"


def speed_part(target: str) -> str:
    """Return the name of the part of the page on speed that belongs to an instruction set."""
    return f"speed {target}"


def programs_part(target: str) -> str:
    """Return the name of the part of the page on the patch that belongs to an instruction set."""
    return f"programs {target}"


def page_of(part: str) -> Path:
    """Return the page that has a part."""
    pages = {SUMMARY: ROOT / "README.md", ERRORS: DOCS / "accuracy.md", THREADS: DOCS / "threads.md"}
    if part.startswith("programs"):
        return DOCS / "drop-in.md"
    return pages.get(part, DOCS / "speed.md")


def picture_of(part: str) -> Path:
    """Return the picture of speed in a part."""
    return DOCS / ("speed-main.png" if part == SUMMARY else f"{part.replace(' ', '-')}.png")


def save(results: dict[str, Any]) -> Path:
    """Write the results of a run to bench/results and return the file's path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{results['started'].replace(':', '-')}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def load_last() -> dict[str, dict[str, Any]]:
    """Read the results of the last run of each target that was not a quick one.

    Raises
    ------
    FileNotFoundError
        If there has been no such run.
    """
    runs = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    runs = [results for results in runs if not results["quick"]]
    if not runs:
        raise FileNotFoundError(f"no results in {RESULTS.relative_to(ROOT)}; run the benchmark first")
    return {results["target"]: results for results in runs}


def peers(results: dict[str, Any]) -> list[str]:
    """Return the names of the libraries that stand beside fastlog in these results, on the same instructions."""
    timed = {library for case in results["cases"] for library in case["seconds"]}
    left_out = {"fastlog", *results.get("unlimited", ())}
    return [library for library in LIBRARIES if library in timed and library not in left_out]


def ratios(case: dict[str, Any]) -> dict[str, float]:
    """Return how many times faster fastlog is than each of the other libraries."""
    own = case["seconds"]["fastlog"]
    return {library: seconds / own for library, seconds in case["seconds"].items() if library != "fastlog"}


def counted(results: dict[str, Any], case: dict[str, Any]) -> dict[str, float]:
    """Return the ratios of the libraries that count: ready-made ones, as exact as fastlog, on the same instructions."""
    left_out = {*WRITTEN_BY_HAND, *case["loose"], *results["unlimited"]}
    return {library: ratio for library, ratio in ratios(case).items() if library not in left_out}


def fastest(results: dict[str, Any], case: dict[str, Any]) -> tuple[float, str]:
    """Return the ratio and the name of the fastest library that counts; infinity if there is none."""
    found = counted(results, case)
    return min(((ratio, library) for library, ratio in found.items()), default=(math.inf, ""))


def behind(results: dict[str, Any]) -> list[tuple[float, str, dict[str, Any]]]:
    """List the cases in which a library that counts is faster: its ratio, its name and the case, worst first."""
    found = [(*fastest(results, case), case) for case in results["cases"]]
    return sorted((one for one in found if one[0] < FASTER), key=lambda one: one[0])


def score(results: dict[str, Any]) -> str:
    """Count the rows, and those in which another library is faster."""
    rows = len(results["cases"])
    return f"{rows} rows measured; in {len(behind(results))} of them a ready-made library is faster by more than 2 %."


def cell(case: dict[str, Any], library: str) -> str:
    """Write how many times faster fastlog is than a library, with LOOSE if the library's answer is loose."""
    found = ratios(case)
    if library not in found:
        return ""
    return (LOOSE if library in case["loose"] else "") + digits(found[library], "×")


def digits(value: float, unit: str = "") -> str:
    """Write a number with two significant digits, or with all digits before the point."""
    return (f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2f}") + unit


def rounded_up(ulp: float) -> str:
    """Write an error in ulp, rounded up: with two digits after the point, with none, or with a power of ten."""
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
    """Write fastlog's nanoseconds: per call for the shortest arrays, per element for others."""
    seconds = case["seconds"]["fastlog"]
    return digits(seconds * 1e9) if case["size"] in CALLS else digits(seconds / case["elements"] * 1e9)


def machine(results: dict[str, Any]) -> str:
    """Say where, when and with which versions the numbers were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    limit = ""
    if results.get("limited"):
        limit = f" The other libraries were kept to {results['target']}, too, by their environment variables"
        limit += f", but for {', '.join(results['unlimited'])}, which has no column." if results["unlimited"] else "."
    return (
        f"The numbers are from {results['machine']['cpu']}, one thread, target {results['target']}, "
        f"{results['machine']['system']}, {results['started'][:10]}"
        f"{', quick run' if results.get('quick') else ''}, with {versions}.{limit} {results.get('note', '')}"
    ).rstrip()


def show(results: dict[str, Any], console: Console) -> None:
    """Print a table per function, then the pipelines, the machine, and the rows in which others are faster."""
    for function in dict.fromkeys(case["function"] for case in results["cases"]):
        cases = [case for case in results["cases"] if case["function"] == function]
        names = peers({"cases": cases})
        table = Table(title=f"[bold]{function}[/]", title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=0)
        table.add_column("", width=7)
        table.add_column("", width=21)
        table.add_column("ns", width=10, justify="right")
        for name in names:
            table.add_column(name, width=max(7, len(name) + 1), justify="right")
        previous = None
        for case in cases:
            if previous and previous != case["dtype"]:
                table.add_section()
            time = own_time(case) + ("/call" if case["size"] in CALLS else "")
            slower = {name for name, ratio in counted(results, case).items() if ratio < 1}
            cells = [f"[red]{cell(case, name)}[/]" if name in slower else cell(case, name) for name in names]
            table.add_row(case["dtype"] if case["dtype"] != previous else "", case["size"], time, *cells)
            previous = case["dtype"]
        console.print(table)
        console.print()
    console.print(
        f"The tables show {PER_ELEMENT}; a red number means that fastlog is slower. {LOOSE} means that the other "
        "library's answer is loose: it differs by more than a thousandth, and does not count.\n"
    )
    if results["pipelines"]:
        table = Table(title="[bold]Pipelines, most on scikit-learn's data[/]", title_justify="left", box=SIMPLE_HEAD)
        table.add_column("", no_wrap=True)
        for heading in ("usual", "fastlog", "faster", "difference"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, _, *numbers in pipeline_rows(results):
            table.add_row(name, *numbers)
        console.print(table)
    console.print(machine(results) + "\n", highlight=False)
    for ratio, library, case in behind(results):
        console.print(f"{ratio:5.2f} {library:12} {case['function']}, {case['dtype']}, {case['size']}", highlight=False)
    console.print(score(results), highlight=False, style="bold")


def pipeline_rows(results: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table of pipelines."""
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
    """Return the lines of a Markdown table; its first `left` columns are words, the others numbers."""
    rule = [":--" if i < left else "--:" for i in range(len(headings))]
    return ["| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows)]


def picture(part: str) -> str:
    """Write the picture of a part as its page links to it."""
    return f"![{TIMES_FASTER}]({picture_of(part).relative_to(page_of(part).parent)})"


def shown(case: dict[str, Any]) -> str:
    """Write a function's name in Markdown; words after a comma are not a part of the name."""
    name, comma, rest = case["function"].partition(",")
    return f"`{name}`{comma}{rest}"


def summary_markdown(results: dict[str, Any]) -> str:
    """Return the README's part about speed: a table of the main functions, a row for both dtypes."""
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
        f"The table shows {PER_ELEMENT} (`make bench`). Arrays have {' elements, or '.join(HEADLINE)} along the last "
        "axis.",
        "",
        *markdown_table(["function", *(f"{dtype} {name}" for dtype, name in columns)], rows, 1),
        "",
        machine(results),
    ]
    return "\n".join(lines)


def headline_table(results: dict[str, Any]) -> list[str]:
    """Return the lines of the table of headline sizes, which has a column for each library."""
    names = peers(results)
    rows = [
        [shown(case), case["dtype"], own_time(case), *(cell(case, name) for name in names)]
        for case in results["cases"]
        if case["size"] in HEADLINE
    ]
    return markdown_table(["function", "dtype", "ns", *names], rows, 2)


def sizes_table(results: dict[str, Any]) -> list[str]:
    """Return the lines of the table of all sizes, which has the fastest library of each row beside fastlog."""
    lines: dict[tuple[str, str], dict[str, list[str]]] = {}
    for case in results["cases"]:
        ratio, library = fastest(results, case)
        time = own_time(case) + (" a call" if case["size"] in CALLS else "")
        cells = [time, f"{library} {digits(ratio, '×')}" if library else ""]
        lines.setdefault((shown(case), case["size"]), {})[case["dtype"]] = cells
    dtypes = [dtype for dtype in ("float16", *DTYPES) if any(dtype in cells for cells in lines.values())]
    rows = [[*words, *(c for dtype in dtypes for c in cells.get(dtype, ["", ""]))] for words, cells in lines.items()]
    headings = [heading for dtype in dtypes for heading in (f"{dtype} ns", "fastest other")]
    return markdown_table(["function", "size", *headings], rows, 2)


def behind_table(results: dict[str, Any]) -> list[str]:
    """Return the lines of the table of rows in which another library is faster."""
    rows = [
        [shown(case), case["dtype"], case["size"], library, digits(ratio, "×")]
        for ratio, library, case in behind(results)
    ]
    return markdown_table(["function", "dtype", "size", "library", "ratio"], rows, 4) if rows else []


def speed_markdown(results: dict[str, Any]) -> str:
    """Return an instruction set's part of the page on speed."""
    part = speed_part(results["target"])
    lines = [
        machine(results),
        "",
        f"**{score(results)}**",
        "",
        f"### Arrays of {' elements, or '.join(HEADLINE)}",
        "",
        f"Reductions work along the last axis. The table shows {PER_ELEMENT}.",
        "",
        picture(part),
        "",
        *headline_table(results),
        "",
        "### Where another library is faster",
        "",
        *behind_table(results),
        "",
        "### Whole computations",
        "",
        "Each pipeline ran once as it is, and once with fastlog's functions in place; most of the data come with "
        "scikit-learn.",
        "",
        *markdown_table(
            ["pipeline", "replaced", "without", "with", "times faster", "largest difference"], pipeline_rows(results), 2
        ),
        "",
        "### All sizes",
        "",
        "The table shows fastlog's nanoseconds per element or call, and how many times faster it is than the fastest "
        "ready-made library.",
        "",
        *sizes_table(results),
    ]
    return "\n".join(lines)


def save_accuracy(results: dict[str, Any]) -> None:
    """Write the numbers that the table of errors needs into docs/."""
    kept = [{k: v for k, v in one.items() if k not in ("edges", "curve")} for one in results["functions"]]
    ACCURACY.write_text(json.dumps(results | {"functions": kept}, indent=1) + "\n")


def accuracy_markdown() -> str:
    """Return the table of the page on accuracy: the claims of csrc/functions.def beside the errors of the others."""
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
        machine(results),
        "",
        *markdown_table(["function", *(f"{d} {n}" for d in DTYPES for n in ("fastlog", *names))], rows, 1),
        "",
        f"The figures of the other libraries are the largest errors at {points['float32'] / 1e6:g} million points in "
        f"float32 and {points['float64'] / 1e6:g} million in float64, or over the rows that are made to be hard "
        "(`make accuracy`). A figure of millions or more means that a result has lost all its digits, or is 0 where it "
        "should be a small number. If a library lacks a function, the short formula in `bench/cases.py` takes its "
        "place; an empty cell means that there is none.",
    ]
    for dtype, path in ACCURACY_PICTURES.items():
        lines += ["", f"## Where the errors are, in {dtype}", ""]
        lines += [f"![Largest errors over the first argument, {dtype}]({path.name})"]
    return "\n".join(lines)


def write_page(part: str, content: str) -> None:
    """Put text between the marker comments of a part of a page.

    Parameters
    ----------
    part : str
    content : str

    Raises
    ------
    ValueError
        If the page does not hold the markers of the part, once each and in order.
    """
    page, begin, end = page_of(part), BEGIN.format(part), END.format(part)
    before, found_begin, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end or begin in rest or end in after:
        raise ValueError(f"{page.name} needs the lines {begin} and {end}, once each and in this order")
    page.write_text(f"{before}{begin}\n\n{content}\n\n{end}{after}")
