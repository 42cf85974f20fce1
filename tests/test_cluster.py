"""A cluster of several processes, an array larger than all their memory, and a worker that is killed meanwhile."""

import math
import os
import signal
import time

import dask
import dask.array as da
import numpy as np
import pytest

import fastlog
from fastlog import LogSumExp

pytestmark = pytest.mark.slow

distributed = pytest.importorskip("distributed")

ROWS, COLUMNS, BLOCKS = 1_250_000, 64, 80
LIMIT = 280 * 2**20  # bytes for each of two workers, some half of which Python and its libraries take


def read(path, marks, block_info=None):
    """Read the rows of one block from the file, and leave a mark that it has been read."""
    (first, last), _ = block_info[None]["array-location"]
    block = np.fromfile(path, np.float64, (last - first) * COLUMNS, offset=first * COLUMNS * 8)
    (marks / f"{first}-{os.getpid()}").touch()
    return block.reshape(last - first, COLUMNS)


def on_disk(path, marks):
    marks.mkdir(exist_ok=True)
    chunks = ((ROWS // BLOCKS,) * BLOCKS, (COLUMNS,))
    return da.map_blocks(read, path, marks, chunks=chunks, dtype=np.float64, meta=np.empty((0, 0)))


def blocks(path):
    """Yield the blocks of the file, one at a time."""
    size = ROWS // BLOCKS * COLUMNS
    for k in range(BLOCKS):
        yield np.fromfile(path, np.float64, size, offset=k * size * 8).reshape(-1, COLUMNS)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """An array of 640 MB, as a file of numbers."""
    path = tmp_path_factory.mktemp("array") / "numbers"
    rng = np.random.default_rng(0)
    block = rng.normal(-300, 8, (ROWS // BLOCKS, COLUMNS))
    with path.open("wb") as file:
        for k in range(BLOCKS):
            (block + 0.01 * k).tofile(file)
    assert path.stat().st_size > 2 * LIMIT
    return path


@pytest.fixture(scope="module")
def client():
    with (
        dask.config.set({"distributed.worker.memory.spill": False, "distributed.comm.timeouts.connect": "60s"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, memory_limit=LIMIT, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def expected(path):
    """The sums over rows and over all, by one process, block by block."""
    over_rows, over_all = LogSumExp(0), LogSumExp()
    for block in blocks(path):
        over_rows.update(block)
        over_all.update(block)
    return over_rows.value, over_all.value


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of sockets to the killed worker
def test_a_worker_is_killed_in_the_middle(client, path, expected, tmp_path):
    x = on_disk(path, tmp_path / "marks")
    whole = client.compute(fastlog.logsumexp(x, axis=0))
    while len(list((tmp_path / "marks").iterdir())) < BLOCKS // 4:
        time.sleep(0.002)
    victim = next(iter(client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    read_so_far = len({mark.name.split("-")[0] for mark in (tmp_path / "marks").iterdir()})
    np.testing.assert_allclose(whole.result(timeout=120), expected[0], rtol=2e-15)
    assert read_so_far < BLOCKS
    readers = {int(mark.name.split("-")[1]) for mark in (tmp_path / "marks").iterdir()}
    assert victim in readers
    assert len(readers) > 1


def test_larger_than_memory(client, path, expected, tmp_path):
    x = on_disk(path, tmp_path / "marks")
    np.testing.assert_allclose(fastlog.logsumexp(x).compute(), expected[1], rtol=2e-15)
    # Results do not depend on which worker did what.
    by_cluster = fastlog.logsumexp(x, axis=0).compute()
    np.testing.assert_array_equal(by_cluster, fastlog.logsumexp(x, axis=0).compute(scheduler="synchronous"))
    along = fastlog.softmax(x, axis=1)  # rows are in one block: nothing is kept
    np.testing.assert_allclose(along.sum(axis=0).sum().compute(), ROWS, rtol=1e-12)


def test_losses_and_gradients(client, path, tmp_path):
    x = on_disk(path, tmp_path / "marks")
    labels = da.arange(ROWS, chunks=ROWS // BLOCKS) % COLUMNS
    loss, gradient = fastlog.cross_entropy(x, labels, return_grad=True)
    loss, norm = dask.compute(loss, (gradient * gradient).sum())
    by_block = [
        fastlog.cross_entropy(block, np.arange(k * len(block), (k + 1) * len(block)) % COLUMNS, reduction="sum",
                              return_grad=True)
        for k, block in enumerate(blocks(path))
    ]  # fmt: skip
    np.testing.assert_allclose(loss, math.fsum(one for one, _ in by_block) / ROWS, rtol=1e-15)
    norms = math.fsum(float(np.sum(one * one)) for _, one in by_block)
    np.testing.assert_allclose(norm, norms / ROWS**2, rtol=1e-14)
    rows = ROWS // BLOCKS
    first = fastlog.cross_entropy(x[:rows], labels[:rows])
    np.testing.assert_allclose(first.compute(), by_block[0][0] / rows, rtol=1e-14)


def test_normalising_a_chunked_axis(client):
    x = np.random.default_rng(1).normal(0, 5, (4000, 30))
    lazy = da.from_array(x, chunks=(1000, 7))
    for f in (fastlog.softmax, fastlog.log_softmax):
        for axis in (0, 1, None):
            np.testing.assert_allclose(f(lazy, axis).compute(), f(x, axis), rtol=4e-15)
