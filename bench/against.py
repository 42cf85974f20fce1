"""Two builds of fastlog, timed in turn: each has a process of its own, and the two take turns on one core."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from timeit import Timer
from typing import IO, Any

from bench.cases import CALLS, Case, all_cases

ROOT = Path(__file__).resolve().parent.parent
SECONDS, LONGEST = 200.0, 2.0  # for all rows; for one
SAME = 0.02  # ratios that are closer to 1 are not coloured
# The program of a process. What fastlog prints when an editable install is built again goes to stderr. A folder given
# to it comes before all other places from which modules are imported.
PROGRAM = """
import os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
folder, root = sys.argv[1:]
if folder:
    sys.path.insert(0, folder)
    sys.meta_path[:] = [finder for finder in sys.meta_path if isinstance(finder, type)]  # without editable installs
import fastlog._core
sys.path.insert(0, root)
from bench.against import serve
serve(answers)
"""


def serve(answers: IO[str]) -> None:
    """Do in a process what its parent asks for by lines: the index of a case and the number of its calls, or 0.

    The answer is the time of these calls. The first answer names the build. For 0 calls, the case is prepared and
    called once, and the answer is a checksum of the result, or null if this build lacks the function.
    """
    import numpy as np

    import fastlog
    from bench.arrays import make_arrays
    from bench.libraries import LIBRARIES
    from fastlog._core import active_target

    def tell(answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    tell(f"{Path(fastlog.__file__).parent}, {active_target()}, NumPy {np.__version__}")
    cases = all_cases()
    timer: Timer | None = None
    for line in sys.stdin:
        index, calls = map(int, line.split())
        if calls:
            assert timer is not None
            tell(timer.timeit(calls))
            continue
        case = cases[index]
        statement, names = LIBRARIES["fastlog"][1](make_arrays(case), case, case.function.calls["fastlog"])
        try:
            answer = np.asarray(eval(statement, names))
        except (AttributeError, TypeError, ValueError):  # no such function, argument, or dtype
            tell(None)
            continue
        timer = Timer(statement, globals=names)
        tell(zlib.crc32(np.ascontiguousarray(answer).tobytes()))


class Build:
    """A build of fastlog in a process of its own; `timeit` times the case that was prepared last.

    Parameters
    ----------
    place : Path, optional
        A checkout or a virtual environment that has it installed, or a folder of packages; by default, what is
        installed beside the running Python.
    """

    def __init__(self, place: Path | None = None) -> None:
        python, folder = Path(sys.executable), ""
        if place is not None:
            pythons = [place / inside / "python" for inside in (".venv/bin", "bin", ".venv/Scripts", "Scripts")]
            packages = place.parent if place.name == "fastlog" and list(place.glob("_core*")) else place
            if any(path.exists() for path in pythons):
                python = next(path for path in pythons if path.exists())
            elif list(packages.glob("fastlog/_core.*.so")) + list(packages.glob("fastlog/_core.*.pyd")):
                folder = str(packages.resolve())
            else:
                sys.exit(f"bench: {place} holds no fastlog that is built, and no virtual environment")
        self._process = subprocess.Popen(
            [python, "-P", "-c", PROGRAM, folder, ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.name: str = self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("bench: one of the two processes ended")
        return json.loads(line)

    def _ask(self, index: int, calls: int) -> Any:
        assert self._process.stdin is not None
        print(index, calls, file=self._process.stdin, flush=True)
        return self._answer()

    def prepare(self, index: int) -> int | None:
        """Prepare a case of `all_cases`; return a checksum of its result, or None if this build lacks the function."""
        return self._ask(index, 0)

    def timeit(self, number: int) -> float:
        """Return the time of a number of calls, as `timeit.Timer` does."""
        return self._ask(0, number)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def compare(place: Path, chosen: list[Case], report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Time the cases on the build at a place and on the installed one.

    Returns
    -------
    list of dict
        ``case``; ``old`` and ``new``: seconds of a call; ``same``: whether all bits of the results are equal. Cases
        that one of the builds lacks are left out.
    """
    from bench.measure import interleaved

    old, new = Build(place), Build()
    report(f"old: {old.name}\nnew: {new.name}")
    results = []
    index = {case.name: i for i, case in enumerate(all_cases())}
    for case in chosen:
        sums = [build.prepare(index[case.name]) for build in (old, new)]
        if None not in sums:
            best, _ = interleaved({"old": old, "new": new}, min(LONGEST, SECONDS / len(chosen)))
            results.append({"case": case, **best, "same": sums[0] == sums[1]})
    old.close()
    new.close()
    return results


def show(place: Path, quick: bool, only: str) -> None:
    """Compare the build at a place with the installed one and print a table, the least ratio of old to new first."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)
    results = compare(place, all_cases(quick, only), lambda text: console.print(text, highlight=False))
    if not results:
        sys.exit("bench: no row to compare")
    table = Table("function", "dtype", "size")
    for heading in ("old ns", "new ns", "old / new", "bits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in sorted(results, key=lambda result: result["old"] / result["new"]):
        case, ratio = result["case"], result["old"] / result["new"]
        units = 1e9 if case.size in CALLS else 1e9 / case.elements
        style = "red" if ratio < 1 - SAME else "green" if ratio > 1 + SAME else ""
        numbers = (f"{result['old'] * units:.3g}", f"{result['new'] * units:.3g}", f"{ratio:.2f}")
        words = (case.function.name, case.dtype, case.size)
        table.add_row(*words, *numbers, "same" if result["same"] else "other", style=style)
    console.print(table)
    ratios = [result["old"] / result["new"] for result in results]
    console.print(
        f"{len(ratios)} rows; old / new: median {statistics.median(ratios):.2f}, worst {min(ratios):.2f}, best "
        f"{max(ratios):.2f}. Nanoseconds are per element, or per call.",
        highlight=False,
    )
