"""logsumexp of an array on disk that is larger than the memory of a Dask cluster's workers; one of them is killed."""

from __future__ import annotations

import logging
import os
import resource
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import fastlog

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 64
BLOCK = 31_250  # rows of a block, which has 16 MB
BLOCKS = {False: 160, True: 48}  # quick or not -> number of blocks
WORKERS = 2
LIMIT = 512 * 2**20  # bytes of memory of a worker
REPETITIONS = 3


def read(path: Path, block_id: tuple[int, ...]) -> np.ndarray:
    """Read a block from the file; Dask gives its position among the blocks."""
    size = BLOCK * COLUMNS
    return np.fromfile(path, np.float64, size, offset=block_id[0] * size * 8).reshape(BLOCK, COLUMNS)


def on_disk(path: Path, blocks: int) -> Any:
    """Return the file as a Dask array."""
    chunks = ((BLOCK,) * blocks, (COLUMNS,))
    return da.map_blocks(read, path, chunks=chunks, dtype=np.float64, meta=np.empty((0, 0)))


def write(path: Path, blocks: int) -> None:
    """Write the array, block by block."""
    rng = np.random.default_rng(0)
    block = rng.normal(-300, 8, (BLOCK, COLUMNS))
    with path.open("wb") as file:
        for k in range(blocks):
            (block + 0.01 * k).tofile(file)


def by_numpy(path: Path, blocks: int) -> np.ndarray:
    """Sum block by block, without Dask."""
    total = fastlog.LogSumExp(0)
    for k in range(blocks):
        total.update(read(path, (k,)))
    return total.value


def peak() -> int:
    """Return the largest number of bytes that this process has used at a time."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # getrusage would give the peak of the process that has started this one, if that was larger.
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024


def timed(run: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the shortest time of some runs, and the result."""
    best, y = np.inf, np.empty(0)
    for _ in range(REPETITIONS):
        begin = time.perf_counter()
        y = run()
        best = min(best, time.perf_counter() - begin)
    return best, y


def kill_one_after(client: Client, seconds: float) -> None:
    """Kill a worker after some time, as if its machine had failed."""
    victim = next(iter(client.run(os.getpid).values()))
    threading.Timer(seconds, os.kill, (victim, signal.SIGKILL)).start()


def run(quick: bool, report: Callable[[str], None]) -> list[list[str]]:
    """Measure, and return the rows of a table: name, seconds, rows per second, peak memory, largest difference.

    Parameters
    ----------
    quick : bool
        Whether to take a smaller array.
    report : callable
        Gets the name of what runs next.
    """
    blocks = BLOCKS[quick]
    rows = blocks * BLOCK
    table = []

    def add(name: str, seconds: float, y: np.ndarray, memory: list[int]) -> None:
        difference = np.max(np.abs(y - expected))
        used = ", ".join(f"{m / 2**20:.0f}" for m in memory)
        table.append([name, f"{seconds:.2f}", f"{rows / seconds / 1e6:.2f}", used, f"{difference:.1g}"])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbers"
        report(f"writing {rows * COLUMNS * 8 / 2**30:.1f} GiB")
        write(path, blocks)
        report("one process")
        seconds, expected = timed(lambda: by_numpy(path, blocks))
        add("one process, LogSumExp", seconds, expected, [peak()])
        lazy = fastlog.logsumexp(on_disk(path, blocks), axis=0)
        seconds, y = timed(lambda: lazy.compute(scheduler="synchronous"))
        add("one process, Dask", seconds, y, [peak()])
        report(f"{WORKERS} workers")
        settings = {"distributed.worker.memory.spill": False}
        find_bench = f"import sys; sys.path.append({str(ROOT)!r})"  # last, so that the installed fastlog comes first
        with (
            dask.config.set(settings),
            LocalCluster(
                n_workers=WORKERS,
                threads_per_worker=1,
                processes=True,
                memory_limit=LIMIT,
                dashboard_address=None,
                preload=[find_bench],
                silence_logs=logging.CRITICAL,  # the death of a worker is expected
            ) as cluster,
            Client(cluster) as client,
        ):
            seconds, y = timed(lambda: lazy.compute())
            add(f"{WORKERS} workers", seconds, y, list(client.run(peak).values()))
            report("one worker is killed")
            kill_one_after(client, seconds / 3)
            begin = time.perf_counter()
            y = lazy.compute()
            seconds = time.perf_counter() - begin
            client.wait_for_workers(WORKERS)
            add(f"{WORKERS} workers, one of them killed", seconds, y, list(client.run(peak).values()))
    return table
