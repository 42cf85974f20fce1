"""Threads: the same bits for every number of them, and nobody waits or hangs. docs/threads.md says more."""

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import fastlog
from fastlog import _core, _threads

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="there are no threads yet")


def run(code, **environment):
    """Run code in a process of its own, and return what it prints."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FASTLOG_NUM", "OMP_"))} | environment
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def own_number():
    """Every test begins with the number of the process, and leaves it so."""
    before = _core.set_threads(0)
    yield
    _core.set_threads(before)


# ---- the number of threads ----


def test_the_number_belongs_to_a_thread():
    assert fastlog.get_num_threads() == 1
    fastlog.set_num_threads(3)
    assert fastlog.get_num_threads() == 3
    with fastlog.num_threads(2):
        assert fastlog.get_num_threads() == 2
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            assert other.submit(fastlog.get_num_threads).result() == 1
    assert fastlog.get_num_threads() == 3
    with pytest.raises(RuntimeError), fastlog.num_threads(5):
        raise RuntimeError
    assert fastlog.get_num_threads() == 3
    for auto in ("auto", -1, np.int8(-1)):
        fastlog.set_num_threads(auto)
        assert fastlog.get_num_threads() == fastlog.usable_cpus()


def test_a_decorator_has_the_number():
    @fastlog.num_threads(4)
    def called():
        return fastlog.get_num_threads()

    assert [called(), called(), fastlog.get_num_threads()] == [4, 4, 1]


@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-2, ValueError), (257, ValueError), (1.5, TypeError), ("many", TypeError)]
)
def test_other_numbers_are_refused(n, error):
    with pytest.raises(error):
        fastlog.set_num_threads(n)
    with pytest.raises(error), fastlog.num_threads(n):
        pass
    assert fastlog.get_num_threads() == 1


@pytest.mark.parametrize(("value", "number"), [("", 1), ("1", 1), ("5", 5), ("auto", None)])
def test_the_environment_sets_the_number_of_all_threads(value, number):
    code = """
        import fastlog, threading
        print(fastlog.get_num_threads(), fastlog.usable_cpus())
        t = threading.Thread(target=lambda: print(fastlog.get_num_threads()))
        t.start(); t.join()
    """
    own, cpus, other = run(code, FASTLOG_NUM_THREADS=value).split()
    assert own == other == (cpus if number is None else str(number))


@pytest.mark.parametrize("value", ["0", "-3", "two", "1.5", "100000"])
def test_nonsense_in_the_environment_is_an_import_error(value):
    done = subprocess.run(
        [sys.executable, "-c", "import fastlog"],
        env=os.environ | {"FASTLOG_NUM_THREADS": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"ImportError: FASTLOG_NUM_THREADS={value}" in done.stderr


def test_the_configuration_shows_the_numbers():
    with fastlog.num_threads(3):
        config = fastlog.show_config(mode="dicts")
    assert (config["threads"], config["usable CPUs"]) == (3, fastlog.usable_cpus())


# ---- what auto means ----


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, 1.5),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            },
            3,
        ),
        ({"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/1\n1:name=systemd:/x\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/1\n",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "nonsense\n"}, None),
        ({"proc/self/cgroup": "nonsense\n\n::\n"}, None),
    ],
)
def test_control_groups(files, quota, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _threads._quota_of_groups(tmp_path) == quota


def test_auto_is_the_smallest_limit(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_threads, "_cpus_of_process", lambda: 16)
    monkeypatch.setattr(_threads, "_quota_of_groups", lambda root: None)
    assert fastlog.usable_cpus() == 16
    monkeypatch.setattr(_threads, "_quota_of_groups", lambda root: 4.2)
    assert fastlog.usable_cpus() == 5
    monkeypatch.setattr(_threads, "_quota_of_groups", lambda root: 0.5)
    assert fastlog.usable_cpus() == 1
    monkeypatch.setattr(_threads, "_quota_of_groups", lambda root: None)
    monkeypatch.setenv("OMP_THREAD_LIMIT", "6")
    assert fastlog.usable_cpus() == 6
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert fastlog.usable_cpus() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "nonsense")
    assert fastlog.usable_cpus() == 6
    monkeypatch.setattr(_threads, "_cpus_of_process", lambda: 1000)
    monkeypatch.delenv("OMP_THREAD_LIMIT")
    assert fastlog.usable_cpus() == _core.MOST_THREADS


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_auto_knows_the_affinity():
    code = "import os, fastlog; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(fastlog.usable_cpus())"
    assert run(code) == "1"


# ---- when threads start ----


@POSIX
def test_no_thread_starts_before_a_large_call():
    code = """
        import os, threading
        import numpy as np, fastlog
        from fastlog._core import pool_size

        def threads():
            return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else None

        large, small = np.ones(300_000), np.ones(3000)
        before = threads()
        fastlog.softplus(large)
        fastlog.set_num_threads(3)
        for f in fastlog.softplus, fastlog.logsumexp, fastlog.softmax:
            f(small)
        print(pool_size(), threads() == before)
        fastlog.softplus(large)
        print(pool_size(), before is None or threads() == before + 2)
        with fastlog.num_threads(2):
            fastlog.softplus(large)
        print(pool_size(), threading.active_count())
    """
    assert run(code).split("\n") == ["0 True", "2 True", "2 1"]


SHARED = {  # Each one asks for one thread more; columns and one row, which come first, have few pieces at a time.
    "columns": "fastlog.logsumexp(a, axis=0)",
    "one row": "fastlog.logsumexp(x)",
    "float16": "fastlog.softmax(a.astype(np.float16), axis=1)",
    "a temperature": "fastlog.log_softmax(a, axis=1, temperature=0.5)",
    "a mask": "fastlog.softmax(a, axis=1, where=a > 0)",
    "a loss of float16": "fastlog.binary_cross_entropy_with_logits(x.astype(np.float16), z)",
    "a ufunc": "fastlog.logaddexp(x, z)",
    "strides": "fastlog.softplus(np.repeat(x, 2)[::2])",
    "rows": "fastlog.logsumexp(a, axis=1)",
    "one row of softmax": "fastlog.softmax(x)",
    "one row of log_softmax": "fastlog.log_softmax(x)",
    "weights": "fastlog.logsumexp(a, axis=1, b=a * a)",
    "short rows": "fastlog.softmax(a.reshape(-1, 8), axis=1)",
    "a loss of elements": "fastlog.binary_cross_entropy_with_logits(x, z, return_grad=True)",
    "a loss of rows": "fastlog.cross_entropy(a, np.zeros(len(a), int), return_grad=True)",
    "segments": "fastlog.logaddexp.reduceat(x, np.arange(0, x.size, 10))",
}


@POSIX
def test_large_calls_are_shared():
    code = f"""
        import numpy as np, fastlog
        from fastlog._core import pool_size

        a = np.random.default_rng(0).normal(0, 5, (2000, 500))
        x, z = a.ravel(), (a.ravel() > 0).astype(a.dtype)
        for n, (name, call) in enumerate({SHARED!r}.items(), 2):
            with fastlog.num_threads(n):
                eval(call)
            if pool_size() != n - 1:
                print(name, pool_size(), "of", n - 1)
                break
    """
    assert run(code) == ""


@POSIX
def test_a_call_gets_no_more_threads_than_it_has_work_for():
    code = """
        import numpy as np, fastlog
        from fastlog._core import pool_size
        fastlog.set_num_threads(200)
        fastlog.softplus(np.ones(70_000, np.float32))
        print(pool_size())
    """
    assert run(code) == "1"


# ---- who else is there ----

X = np.linspace(-30, 30, 500_000)
SOFTPLUS = fastlog.softplus(X)
A = np.linspace(-30, 30, 400_000).reshape(1000, 400)
LSE = fastlog.logsumexp(A, axis=1)


def is_right(n=3):
    with fastlog.num_threads(n):
        return np.array_equal(fastlog.softplus(X), SOFTPLUS) and np.array_equal(fastlog.logsumexp(A, axis=1), LSE)


def test_calls_from_many_threads():
    with concurrent.futures.ThreadPoolExecutor(6) as others:
        assert all(others.map(lambda _: is_right(), range(60)))


def computing(stop):
    """Keep the pool busy until told to stop."""
    with fastlog.num_threads(2):
        while not stop.is_set():
            fastlog.softplus(X)


def fork_once():
    child = os.fork()
    if child == 0:
        os._exit(0 if is_right() and is_right(2) and _core.pool_size() == 2 else 1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "the child hangs"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # JAX warns, if other tests have imported it.
@pytest.mark.parametrize("rounds", [5, pytest.param(300, marks=pytest.mark.slow)])
def test_fork_in_the_middle_of_work(rounds):
    assert is_right()
    stop = threading.Event()
    others = [threading.Thread(target=computing, args=(stop,)) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for _ in range(rounds):
            assert fork_once() == 0
            assert is_right()
    finally:
        stop.set()
        for other in others:
            other.join()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # JAX warns, if other tests have imported it.
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(method):
    assert is_right()
    with multiprocessing.get_context(method).Pool(2) as children:
        assert all(children.map_async(is_right, [1, 2, 3, 8] * 4).get(100))
    assert is_right()


@pytest.mark.slow
def test_processes_of_concurrent_futures():
    assert is_right()
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as children:
        assert all(children.map(is_right, [1, 2, 3, 8] * 4, timeout=100))


@pytest.mark.slow
def test_auto_keeps_to_the_share_that_others_give():
    code = "import fastlog; print(fastlog.usable_cpus(), fastlog.get_num_threads())"
    assert run(code, FASTLOG_NUM_THREADS="auto", OMP_NUM_THREADS="1") == "1 1"


@pytest.mark.slow
def test_workers_of_loky():
    pytest.importorskip("joblib")
    code = """
        import joblib, numpy, fastlog
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            print(set(joblib.Parallel(n_jobs=2)(joblib.delayed(fastlog.get_num_threads)() for k in range(4))))
        x = numpy.linspace(-9, 9, 2**20)
        found = joblib.Parallel(n_jobs=2)(joblib.delayed(fastlog.logsumexp)(x) for k in range(4))
        print(set(found) == {fastlog.logsumexp(x)})
    """
    assert run(code, FASTLOG_NUM_THREADS="auto").split() == ["{1}", "True"]


@pytest.mark.slow
def test_workers_of_dask():
    pytest.importorskip("distributed")
    code = """
        import distributed, numpy, fastlog
        if __name__ == "__main__":
            with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
                print(set(client.run(fastlog.get_num_threads).values()))
                x = numpy.linspace(-9, 9, 2**20)
                found = client.gather([client.submit(fastlog.logsumexp, x, pure=False) for k in range(4)])
                print(set(found) == {fastlog.logsumexp(x)})
    """
    assert run(code, FASTLOG_NUM_THREADS="auto").split() == ["{1}", "True"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.parametrize("seconds", [0.3, pytest.param(10, marks=pytest.mark.slow)])
def test_a_signal_handler_may_call(seconds):
    results = []

    def handler(*_):
        results.append(is_right())
        signal.setitimer(signal.ITIMER_REAL, 0.002)  # Handlers do not interrupt each other.

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.002)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert is_right()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert results
    assert all(results)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system does not show its threads")
def test_threads_of_the_pool_take_no_signals():
    assert is_right()
    for task in os.listdir("/proc/self/task"):
        text = Path(f"/proc/self/task/{task}/status").read_text()
        status = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
        if status["Name"].strip() == "fastlog":
            blocked = int(status["SigBlk"], 16)
            assert blocked >> (signal.SIGINT - 1) & 1
            assert blocked >> (signal.SIGALRM - 1) & 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_an_interrupt_is_honoured_when_the_call_returns():
    """The call is not cut: its result is whole, and KeyboardInterrupt follows it."""
    x = np.linspace(-30, 30, 20_000_000)
    out = np.zeros_like(x)
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)
    fastlog.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012  the signal comes in the middle of the first call
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            fastlog.softplus(x, out=out)
            time.sleep(10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert out.tobytes() == fastlog.softplus(x).tobytes()


def test_the_process_ends_in_the_middle_of_work():
    code = """
        import threading, time
        import numpy as np, fastlog
        x = np.linspace(-30, 30, 300_000)

        def forever():
            fastlog.set_num_threads(3)
            while True:
                fastlog.softplus(x)

        for _ in range(2):
            threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.2)
    """
    run(code)


def test_wrong_labels_are_found_by_every_thread():
    a = np.zeros((2501, 70))
    labels = np.zeros(len(a), np.int64)
    labels[-1] = a.shape[1]
    with fastlog.num_threads(3), pytest.raises(ValueError, match="70"):
        fastlog.cross_entropy(a, labels)


# ---- the floating-point environment ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exceptions_of_all_pieces_are_raised(dtype):
    x = np.full(400_000, 0.25, dtype)
    with fastlog.num_threads(3), np.errstate(all="raise"):
        fastlog.logit(x)
        fastlog.softplus(np.linspace(-1000, 1000, 400_000).astype(dtype))  # It underflows, which is no exception.
        for at in (0, 200_000, -1):
            x[at] = 1
            with pytest.raises(FloatingPointError, match="divide by zero"):
                fastlog.logit(x)
            x[at] = 2
            with pytest.raises(FloatingPointError, match="invalid"):
                fastlog.logit(x)
            x[at] = 0.25
        fastlog.logit(x)


@pytest.mark.slow
def test_subnormal_numbers_are_those_of_the_caller():
    torch = pytest.importorskip("torch")
    x = np.linspace(5e-324, 1e-308, 400_000)
    with fastlog.num_threads(3):
        kept = fastlog.entr(x)
        if not torch.set_flush_denormal(True):
            pytest.skip("this CPU cannot do without subnormal numbers")
        try:
            flushed = fastlog.entr(x)
            with fastlog.num_threads(1):
                alone = fastlog.entr(x)
        finally:
            torch.set_flush_denormal(False)
        again = fastlog.entr(x)
    assert flushed.tobytes() == alone.tobytes()
    assert flushed.tobytes() != kept.tobytes()
    assert again.tobytes() == kept.tobytes()


# ---- who sets the number for others ----


def test_threadpoolctl():
    pytest.importorskip("threadpoolctl")
    code = """
        import numpy, fastlog
        fastlog.set_num_threads(4)
        import threadpoolctl
        found = [one for one in threadpoolctl.threadpool_info() if one["user_api"] == "fastlog"]
        print(len(found), found[0]["num_threads"], found[0]["version"] == fastlog.__version__)
        with threadpoolctl.threadpool_limits(1):
            print(fastlog.get_num_threads())
        with threadpoolctl.threadpool_limits({"fastlog": 2}):
            print(fastlog.get_num_threads())
        print(fastlog.get_num_threads())
    """
    assert run(code).split() == ["1", "4", "True", "1", "2", "4"]


@pytest.mark.slow
def test_the_command_line_sets_the_number():
    def command(*words):
        return subprocess.run([sys.executable, "-m", "fastlog", *words], capture_output=True, text=True, check=False)

    code = "import fastlog; print(fastlog.get_num_threads(), fastlog.usable_cpus())"
    assert command("--threads", "3", "-c", code).stdout.split()[0] == "3"
    assert len(set(command("--threads=auto", "-c", code).stdout.split())) == 1
    assert command("-c", code).stdout.split()[0] == "1"
    for wrong in ("none", "0", "2.5"):
        refused = command("--threads", wrong, "-c", code)
        assert refused.returncode == 2
        assert f"--threads must be an integer or auto, not {wrong}" in refused.stderr
