"""Cycles per element of the inner loops on processors that are not here, as llvm-mca predicts them."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import report

ROOT = Path(__file__).resolve().parent.parent
# Machine -> pairs of a processor, as LLVM calls it, and the target that it runs.
CORES = {
    "x86_64": (
        ("skylake-avx512", "avx512"), ("sapphirerapids", "avx512"), ("znver4", "avx512"),
        ("skylake-avx512", "avx2"), ("znver4", "avx2"), ("znver3", "avx2"),
    ),
    "aarch64": (("apple-m1", "neon"), ("neoverse-n1", "neon"), ("neoverse-v2", "neon")),
}  # fmt: skip
WIDTHS = {"float32": 32, "float64": 64}
Cycles = dict[tuple[str, str], str]  # loop and dtype -> what the table shows


def llvm_mca() -> str:
    """Return the name of the newest llvm-mca that is installed."""
    for name in (*(f"llvm-mca-{version}" for version in range(25, 13, -1)), "llvm-mca"):
        if shutil.which(name):
            return name
    sys.exit("mca: needs llvm-mca (Debian: apt install llvm-19)")


def cmake(*arguments: Any) -> None:
    """Run the cmake of this environment, or of the system; show what it says if it fails."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run([shutil.which("cmake", path=places) or "cmake", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mca: cmake failed\n{done.stdout}{done.stderr}")


def build(machine: str) -> Path | None:
    """Compile the loops for a machine to assembly; return the folder, or None if there is no compiler for it."""
    folder = ROOT / "build" / f"mca-{machine}"
    options = ["-DFASTLOG_PYTHON=OFF", "-DFASTLOG_MCA=ON"]
    own = machine == platform.machine()
    if not own:
        if not shutil.which(f"{machine}-linux-gnu-gcc"):
            return None
        options += [f"-DCMAKE_TOOLCHAIN_FILE={ROOT}/cmake/cross.cmake", f"-DFASTLOG_MACHINE={machine}"]
    # The build is fresh, as cmake refuses another compiler in an old one.
    cmake("--fresh", "-S", ROOT, "-B", folder, *options)
    targets = ["mca", "mca_cycles"] if own else ["mca"]
    cmake("--build", folder, "--parallel", "2", "--target", *targets)
    return folder


def predicted(folder: Path, machine: str, core: str, target: str) -> Cycles | None:
    """Return what llvm-mca says of all loops, cycles per element and what is busiest; None if it knows no such core."""
    cells = {}
    for dtype, width in WIDTHS.items():
        text = folder / "bench" / "mca" / "CMakeFiles" / f"mca_text_{target}_f{width}.dir" / "loops.c.o"
        command = [llvm_mca(), f"-mtriple={machine}-linux-gnu", f"-mcpu={core}", "--json", text]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return None
        answer = json.loads(done.stdout)
        for region in answer["CodeRegions"]:
            name, elements = region["Name"].rsplit(" ", 1)
            summary = region["SummaryView"]
            cycles = summary["TotalCycles"] / summary["Iterations"]
            cells[name, dtype] = f"{cycles / int(elements):.2f} ({busiest(region, answer['TargetInfo']['Resources'])})"
    return cells


def busiest(region: dict[str, Any], resources: list[str]) -> str:
    """Return the unit that works for the largest part of the time, or dispatch, and that part."""
    summary = region["SummaryView"]
    cycles = summary["TotalCycles"] / summary["Iterations"]
    rows = region["ResourcePressureView"]["ResourcePressureInfo"]
    totals = [row for row in rows if row["InstructionIndex"] == len(region["Instructions"])]
    busy = [(row["ResourceUsage"], resources[row["ResourceIndex"]].split(".")[0]) for row in totals]
    busy.append((summary["TotaluOps"] / summary["Iterations"] / summary["DispatchWidth"], "dispatch"))
    most, name = max(busy)
    return f"{name} {most / cycles:.0%}"


def measured(folder: Path, targets: list[str]) -> dict[str, Cycles]:
    """Time the loops on this machine; return the cycles per element by target."""
    program = folder / "bench" / "mca" / "mca_cycles"
    found: dict[str, Cycles] = {target: {} for target in targets}
    for line in subprocess.run([program, *targets], check=True, capture_output=True, text=True).stdout.splitlines():
        target, width, cycles, name = line.split(" ", 3)
        found[target][name, f"float{width}"] = f"{float(cycles):.2f}"
    return found


def run(tell: Callable[[str], None]) -> None:
    """Predict all, time the loops of this machine, and put the table into the page on speed."""
    from bench.__main__ import cpu_name
    from fastlog._core import supported_targets

    columns: dict[str, Cycles] = {}
    for machine, cores in CORES.items():
        tell(f"compiling for {machine}")
        folder = build(machine)
        if folder is None:
            print(f"mca: no compiler for {machine} (Debian: apt install gcc-{machine}-linux-gnu)")
            continue
        own = {}
        if machine == platform.machine():
            tell("timing")
            targets = [target for target in supported_targets() if target in {target for _, target in cores}]
            own = {f"measured here, {target}": cells for target, cells in measured(folder, targets).items()}
        for core, target in cores:
            tell(f"predicting for {core}")
            cells = predicted(folder, machine, core, target)
            if cells is None:
                print(f"mca: {llvm_mca()} does not know {core}")
            else:
                columns[f"{core}, {target}"] = cells
        columns |= own
    rows = [
        [f"{name}, {dtype}", *(cells[name, dtype] for cells in columns.values())]
        for dtype in WIDTHS
        for name in dict.fromkeys(name for name, _ in next(iter(columns.values())))
    ]
    rows.sort(key=lambda row: row[0])
    version = subprocess.run([llvm_mca(), "--version"], capture_output=True, text=True).stdout.split("version")[1]
    text = "\n".join(
        [
            f"llvm-mca of LLVM {version.split()[0]} predicts these numbers from the assembly of GCC; they are not "
            "measured. They are cycles per element where all data are in the innermost cache. In brackets stands what "
            "is busy for the largest part of the time: a unit of the core, or dispatch, which starts instructions. If "
            "that part is small, latencies bind. The columns of what was measured show how far predictions can be "
            f"trusted: {cpu_name()} ran the same loops.",
            "",
            *report.markdown_table(["loop", *columns], rows, 1),
        ]
    )
    report.write_page(report.PREDICTED, text)
    print(text)
