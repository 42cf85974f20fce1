"""The command ``python -m bench``, or ``QUICK=1 python -m bench`` for a short run; options measure other things."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

# Quick or not -> seconds for the functions and for the pipelines.
BUDGET = {False: (540.0, 30.0), True: (30.0, 5.0)}
# Target -> what keeps the other libraries to its instructions, too. onnxruntime has no such variable.
LIMITS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "NUMBA_CPU_NAME": "haswell",
        # Versions of NumPy have other names, and pass over those that they do not know.
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
    }
}


def add_to(variable: str, value: str) -> None:
    """Add words to a variable of the environment."""
    os.environ[variable] = f"{os.environ.get(variable, '')} {value}".strip()


def limit_libraries() -> None:
    """Keep all libraries to the target that FASTLOG_TARGET names; call it before they are imported."""
    for variable, value in LIMITS.get(os.environ.get("FASTLOG_TARGET", ""), {}).items():
        add_to(variable, value)


def use_one_thread() -> None:
    """Keep this process on one core, with one thread per library; call it before the libraries are imported."""
    for name in ("OMP", "MKL", "OPENBLAS", "BLIS", "NUMEXPR", "NUMBA", "VECLIB_MAXIMUM"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    add_to("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the first core often serves the interrupts


def require_packages(groups: str, *names: str) -> None:
    """Import fastlog's compiled core and the modules that a run needs, or exit and say what to install.

    Parameters
    ----------
    groups : str
        The dependency groups of pyproject.toml that list the packages, separated by spaces.
    *names : str
        The modules.
    """
    # In the repository root, the source folder fastlog/ would hide the installed package, which has the compiled core.
    root = Path(__file__).resolve().parent.parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != root]
    wanted = " ".join(f"--group {group}" for group in groups.split())
    for name in ("fastlog._core", *names):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            sys.exit(f"bench: {error}\nInstall fastlog and what this run needs: pip install . {wanted}")
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


def about(libraries: list[str]) -> dict[str, Any]:
    """Return where, when and with which versions the numbers are measured."""
    from bench.libraries import versions
    from fastlog._core import active_target, supported_targets

    limited = os.environ.get("FASTLOG_TARGET", "") in LIMITS and active_target() != supported_targets()[0]
    return {
        "started": datetime.now().isoformat(timespec="seconds"),
        "machine": {"cpu": cpu_name(), "system": f"{platform.system()} {platform.machine()}"},
        "versions": versions(libraries),
        "target": active_target(),
        "limited": limited,  # whether the other libraries could use more instructions, if they were not kept from it
        "unlimited": [library for library in libraries if limited and library == "onnxruntime"],
    }


def run(quick: bool, only: str, note: str) -> None:
    """Measure everything, show it, and write the JSON and the picture.

    Parameters
    ----------
    quick : bool
        Whether to measure fewer sizes.
    only : str
        A part of the names of the rows that are measured; then nothing is written, and no pipeline runs.
    note : str
        A sentence about the circumstances, which stays with the results.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from bench import cases, libraries, measure, picture, pipelines, report

    console = Console()
    begin = time.perf_counter()
    found = libraries.installed()
    results = about(found)
    chosen = cases.all_cases(quick, only)
    if not chosen:
        sys.exit(f"bench: no row has {only!r} in its name")
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("preparing", total=len(chosen))

        def tell(title: str, result: dict[str, Any] | None = None) -> None:
            progress.update(task, description=title)
            if result is not None:
                beaten = ", ".join(f"{report.digits(r)}× {name}" for name, r in report.ratios(result).items())
                progress.update(task, advance=1, description=f"{title}: {beaten}")

        for_functions, for_pipelines = BUDGET[quick]
        for_functions *= len(chosen) / len(cases.all_cases(quick))
        results |= {"quick": quick, "note": note}
        results["cases"] = measure.measure_all(chosen, found, for_functions, tell)
        results["pipelines"] = [] if only else pipelines.run_pipelines(for_pipelines, tell, quick)
    results["seconds"] = time.perf_counter() - begin
    report.show(results, console)
    took = f"Took {results['seconds']:.0f} s."
    if not only:
        path = report.save(results)
        picture.draw(results, path.with_suffix(".png"))
        took += f" Numbers and picture: {path.relative_to(report.ROOT)} and .png"
    console.print(took, highlight=False)


def run_accuracy() -> None:
    """Measure the errors of all libraries, and write the pictures and the table into docs/."""
    from rich.console import Console

    sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # the references
    from bench import accuracy, libraries, picture, report

    compared = [name for name in libraries.installed() if name in accuracy.COMPARED]
    results = about(compared)
    with Console().status("") as status:
        results |= accuracy.measure_all(compared, status.update)
    for dtype, path in report.ACCURACY_PICTURES.items():
        picture.draw_accuracy(results, dtype, path)
    report.save_accuracy(results)
    report.write_page(report.ERRORS, report.accuracy_markdown())
    print("docs/ holds the errors of", ", ".join(compared))


def run_mca() -> None:
    """Predict the cycles of the inner loops, and write the table into docs/."""
    from rich.console import Console

    from bench import mca

    with Console(stderr=True).status("") as status:
        mca.run(status.update)


def run_patterns() -> None:
    """Measure and show how much the time depends on the data."""
    from rich.console import Console

    from bench import patterns

    with Console().status("") as status:
        patterns.show(status.update)


def run_threads(quick: bool) -> None:
    """Measure calls on one thread and on all, and write the table and the picture into docs/."""
    from rich.console import Console

    from bench import libraries, picture, report, threads
    from fastlog import usable_cpus

    results = about(libraries.installed()) | {"threads": usable_cpus()}
    if results["threads"] < 2:
        sys.exit("bench: threads need a second core, and this process may use one only")
    console = Console()
    with console.status("") as status:
        results["points"] = threads.measure_all(quick, results["threads"], status.update)
    content = threads.markdown(results)
    if quick:
        console.print(content, highlight=False, soft_wrap=True)
        return
    picture.draw_threads(results, report.DOCS / "threads.png")
    report.write_page(report.THREADS, content)
    print("docs/threads.md holds the numbers")


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


def run_programs(only: str, all_cores: bool) -> None:
    """Measure and show programs with the patch and without it, and write the table into docs/ if it is of all programs.

    Parameters
    ----------
    only : str
        A part of the titles that are measured.
    all_cores : bool
        Whether every library, and fastlog, may use all cores; then nothing is written.
    """
    from rich.console import Console
    from rich.table import Table

    import fastlog
    from bench import programs, report

    fastlog.set_num_threads(fastlog.usable_cpus() if all_cores else 1)
    results = about(["SciPy", "NumPy"])
    console = Console()
    with console.status("") as status:
        rows = programs.measure(only, status.update)
    table = Table(*programs.HEADINGS)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if not only and not all_cores:
        part = report.programs_part(results["target"])
        report.write_page(part, programs.markdown(results, rows))
        console.print(f"{report.page_of(part).name} holds the numbers for {results['target']}", highlight=False)


def write_results() -> None:
    """Put the last results of each target into docs/, and those of one into README.md."""
    from bench import cases, picture, report

    try:
        report.write_page(report.ERRORS, report.accuracy_markdown())  # docs/accuracy.json is always there
        for target, results in report.load_last().items():
            part = report.speed_part(target)
            report.write_page(part, report.speed_markdown(results))
            picture.draw(results, report.picture_of(part))
            if target == report.README_TARGET:
                report.write_page(report.SUMMARY, report.summary_markdown(results))
                picture.draw_variants(results, report.picture_of(report.SUMMARY), cases.MAIN)
            print(f"The pages hold the results for {target} of {results['started']}")
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"bench: {error}")


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure fastlog beside other libraries.")
    parser.add_argument("--quick", action="store_true", help="measure fewer sizes; QUICK=1 does the same")
    parser.add_argument("--only", default="", metavar="TEXT", help="measure the rows whose names have this text alone")
    parser.add_argument("--note", default="", metavar="TEXT", help="a sentence that stays with the results")
    parser.add_argument("--readme", action="store_true", help="put the last full run of each target into the pages")
    parser.add_argument("--accuracy", action="store_true", help="measure errors instead, for docs/")
    parser.add_argument("--against", type=Path, metavar="OLD", help="compare with the fastlog of a checkout or folder")
    parser.add_argument("--mca", action="store_true", help="predict the cycles of the inner loops on other processors")
    parser.add_argument("--patterns", action="store_true", help="measure how much the time depends on the data")
    parser.add_argument("--programs", action="store_true", help="measure programs with the patch and without it")
    parser.add_argument(
        "--threads",
        action="store_true",
        help="measure one thread and all cores, for docs/; with --programs, let every library use all cores",
    )
    parser.add_argument("--cluster", action="store_true", help="measure a Dask cluster, of which a process is killed")
    arguments = parser.parse_args()
    quick = arguments.quick or os.environ.get("QUICK", "0") not in ("", "0")
    limit_libraries()
    if not arguments.threads and not arguments.cluster:
        use_one_thread()
    if arguments.cluster:
        require_packages("bench test", "distributed", "rich")
        run_cluster(quick)
    elif arguments.against:
        require_packages("bench", "rich")
        from bench import against

        against.show(arguments.against, quick, arguments.only)
    elif arguments.programs:
        require_packages("programs", "rich")
        run_programs(arguments.only, arguments.threads)
    elif arguments.threads:
        require_packages("bench", "matplotlib", "rich")
        run_threads(quick)
    elif arguments.mca:
        require_packages("bench test", "cmake", "rich")
        run_mca()
    elif arguments.patterns:
        require_packages("bench", "rich")
        run_patterns()
    elif arguments.accuracy:
        require_packages("bench test", "gmpy2", "matplotlib", "rich", "scipy")
        run_accuracy()
    else:
        require_packages("bench", "matplotlib", "rich", "scipy", "sklearn")
        write_results() if arguments.readme else run(quick, arguments.only, arguments.note)


if __name__ == "__main__":
    main()
