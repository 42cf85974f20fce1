"""The command ``python -m bench``, or ``QUICK=1 python -m bench`` for a short run; options measure other things."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Quick or not -> seconds for the functions and for the pipelines.
BUDGET = {False: (180.0, 30.0), True: (22.0, 6.0)}


def use_one_thread() -> None:
    """Keep this process on one core, with one thread per library; call it before the libraries are imported."""
    for name in ("OMP", "MKL", "OPENBLAS", "BLIS", "NUMEXPR", "NUMBA", "VECLIB_MAXIMUM"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1".strip()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the first core often serves the interrupts


def require_packages(extra: str, *names: str) -> None:
    """Import fastlog's compiled core and the modules that a run needs, or exit and say what to install.

    Parameters
    ----------
    extra : str
        The extras of pyproject.toml that list the packages.
    *names : str
        The modules.
    """
    # In the repository root, the source folder fastlog/ would hide the installed package, which has the compiled core.
    root = Path(__file__).resolve().parent.parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != root]
    for name in ("fastlog._core", *names):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            sys.exit(f"bench: {error}\nInstall fastlog and the packages of this run: pip install '.[{extra}]'")
        except ImportError as error:
            sys.exit(f"bench: cannot import {name}: {error}")


def cpu_name() -> str:
    """Return the name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions(libraries: list[str]) -> dict[str, str]:
    """Return the versions of Python and the libraries."""
    from bench.cases import LIBRARIES

    found = {"Python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = version(LIBRARIES[name][0])
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def about(libraries: list[str]) -> dict[str, Any]:
    """Return where, when and with which versions the numbers are measured."""
    import fastlog._core

    return {
        "started": datetime.now().isoformat(timespec="seconds"),
        "machine": {"cpu": cpu_name(), "system": f"{platform.system()} {platform.machine()}"},
        "versions": versions(libraries),
        "target": fastlog._core.active_target(),
    }


def run(quick: bool) -> None:
    """Measure everything, show it, and write the JSON and the picture."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from bench import cases, measure, picture, pipelines, report

    console = Console()
    begin = time.perf_counter()
    libraries = cases.installed()
    results = about(libraries)
    chosen = cases.all_cases(quick)
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("preparing", total=len(chosen))

        def tell(title: str, result: dict[str, Any] | None = None) -> None:
            progress.update(task, description=title)
            if result is not None:
                beaten = ", ".join(f"{report.digits(r)}× {name}" for name, r in report.ratios(result).items())
                progress.update(task, advance=1, description=f"{title}: {beaten}")

        for_functions, for_pipelines = BUDGET[quick]
        measured = measure.measure_all(chosen, libraries, for_functions, tell)
        measured_pipelines = pipelines.run_pipelines(for_pipelines, tell, quick)
    results |= {
        "seconds": time.perf_counter() - begin,
        "quick": quick,
        "cases": measured,
        "pipelines": measured_pipelines,
    }
    path = report.save(results)
    picture.draw(results, path.with_suffix(".png"))
    report.show(results, console)
    console.print(
        f"Took {results['seconds']:.0f} s. Numbers and picture: {path.relative_to(report.ROOT)} and .png",
        highlight=False,
    )


def run_accuracy() -> None:
    """Measure the errors of all libraries, and write the pictures and the table into docs/."""
    from rich.console import Console

    sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # the references
    from bench import accuracy, cases, picture, report

    libraries = [name for name in cases.installed() if name in accuracy.COMPARED]
    results = about(libraries)
    with Console().status("") as status:
        results |= accuracy.measure_all(libraries, status.update)
    for dtype, path in report.ACCURACY_PICTURES.items():
        picture.draw_accuracy(results, dtype, path)
    report.save_accuracy(results)
    report.write_page(report.ERRORS, report.accuracy_markdown())
    print("docs/ holds the errors of", ", ".join(libraries))


def run_patterns() -> None:
    """Measure and show how much the time depends on the data."""
    from rich.console import Console

    from bench import patterns

    with Console().status("") as status:
        patterns.show(status.update)


def run_cluster(quick: bool) -> None:
    """Measure and show sums on a cluster of processes."""
    from rich.console import Console
    from rich.table import Table

    from bench import cluster

    console = Console()
    with console.status("") as status:
        rows = cluster.run(quick, status.update)
    table = Table("logsumexp of an array on disk", "seconds", "million rows/s", "peak MiB per process", "difference")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def write_results() -> None:
    """Put the last results into README.md and docs/."""
    from bench import cases, picture, report

    try:
        report.write_page(report.ERRORS, report.accuracy_markdown())  # docs/accuracy.json is always there
        results = report.load_last()
        report.write_page(report.SUMMARY, report.summary_markdown(results))
        report.write_page(report.SPEED, report.speed_markdown(results))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"bench: {error}")
    picture.draw(results, report.PICTURES[report.SUMMARY], cases.MAIN)
    picture.draw(results, report.PICTURES[report.SPEED])
    print(f"README.md and docs/ hold the results of {results['started']}")


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure fastlog beside other libraries.")
    parser.add_argument("--quick", action="store_true", help="measure fewer sizes; QUICK=1 does the same")
    parser.add_argument("--readme", action="store_true", help="put the last results into README.md and docs/")
    parser.add_argument("--accuracy", action="store_true", help="measure errors instead, for docs/")
    parser.add_argument("--patterns", action="store_true", help="measure how much the time depends on the data")
    parser.add_argument("--cluster", action="store_true", help="measure a Dask cluster, of which a process is killed")
    arguments = parser.parse_args()
    quick = arguments.quick or os.environ.get("QUICK", "0") not in ("", "0")
    if arguments.cluster:  # the only run on all cores
        require_packages("bench,test", "distributed", "rich")
        run_cluster(quick)
        return
    use_one_thread()
    if arguments.patterns:
        require_packages("bench", "rich")
        run_patterns()
    elif arguments.accuracy:
        require_packages("bench,test", "gmpy2", "matplotlib", "rich", "scipy")
        run_accuracy()
    else:
        require_packages("bench", "matplotlib", "rich", "scipy", "sklearn")
        write_results() if arguments.readme else run(quick)


if __name__ == "__main__":
    main()
