"""Calls that fail say why, change nothing, leak nothing, and touch no memory but that of their arrays."""

import ctypes
import mmap
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from helpers import calls

import fastlog
from fastlog import _core

X = np.random.default_rng(0).normal(size=(6, 8))
HALF, LABELS, WIDE = X.astype(np.float16), np.arange(6), np.random.default_rng(1).normal(size=(6, 9))


def out(*shape, dtype=np.float64):
    return np.full(shape, 7, dtype)


# Calls that are refused, and arrays that they could have written to.
REFUSED = {
    "shapes": lambda o: fastlog.softplus(X, out=o),
    "shapes of two": lambda o: fastlog.logaddexp(X, WIDE, out=o),
    "a type of the result": lambda o: fastlog.softplus(X, out=o.view("i8")),
    "a dtype": lambda o: fastlog.softmax(X, axis=1, dtype="i4", out=o),
    "an axis": lambda o: fastlog.logsumexp(X, axis=2, out=o),
    "two axes": lambda o: fastlog.logsumexp(X, axis=(0, 0), out=o),
    "weights": lambda o: fastlog.logsumexp(X, axis=1, b=WIDE, out=o),
    "a mask": lambda o: fastlog.logsumexp(X, axis=1, where=WIDE > 0, out=o),
    "a temperature": lambda o: fastlog.softmax(X, axis=1, temperature=0, out=o),
    "halves": lambda o: fastlog.log_softmax(HALF, axis=1, out=o.view("f4")),
    "a running sum": lambda o: fastlog.logcumsumexp(X, axis=5, out=o),
    "a reduction": lambda o: fastlog.cross_entropy(X, LABELS, reduction="all"),
    "labels of floats": lambda o: fastlog.cross_entropy(X, LABELS + 0.5),
    "labels": lambda o: fastlog.cross_entropy(X, LABELS + 5),
    "class weights": lambda o: fastlog.cross_entropy(X, LABELS, WIDE[0]),
    "targets": lambda o: fastlog.binary_cross_entropy_with_logits(X, WIDE, reduction="none", out=o),
    "smoothing": lambda o: fastlog.binary_cross_entropy_with_logits(X, X, label_smoothing=2, reduction="none", out=o),
    "a keyword": lambda o: fastlog.softmax(X, axes=1),
    "an object": lambda o: fastlog.logsumexp(np.array([{}, []], dtype=object)),
    "text": lambda o: fastlog.softplus("one"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_refused_calls_change_nothing(why):
    arrays = [X, HALF, LABELS, WIDE, out(5, 8)]
    before = [a.copy() for a in arrays]
    with pytest.raises((TypeError, ValueError, IndexError)) as info:
        REFUSED[why](arrays[-1])
    assert len(str(info.value)) > 20, "the message says what is wrong"
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def run(code):
    """Run code in a process of its own, in this folder."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=os.path.dirname(__file__), env=env)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"


@pytest.mark.slow
def test_refused_calls_leak_nothing():
    """Over 1e5 refused calls no count of references moves, and neither Python's memory nor the process's grows."""
    code = """
    import sys
    from helpers.memory import leaked
    from test_failures import HALF, LABELS, REFUSED, WIDE, X, out

    given = out(5, 8)

    def refuse(times):
        for _ in range(times):
            for call in REFUSED.values():
                try:
                    call(given)
                except (TypeError, ValueError, IndexError):
                    continue
                raise AssertionError

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    watched = (X, HALF, LABELS, WIDE, given, X.dtype, HALF.dtype)
    refuse(50)
    before = [sys.getrefcount(one) for one in watched]
    grown = leaked(lambda: refuse(200))
    assert grown < 8 * 200, grown  # The least object of Python has 16 bytes.
    held = resident() if sys.platform == "linux" else 0
    refuse(100_000 // len(REFUSED))
    after = [sys.getrefcount(one) for one in watched]
    assert after == before, (before, after)
    if sys.platform == "linux":
        assert resident() - held < 1_000_000, resident() - held
    """
    run(code)


# Calls that need memory besides their arguments, with results of the caller's: arrays of float64 and of float16.
WRITING = {
    "softmax of halves": lambda x, half: (fastlog.softmax, (half, 0), out(*half.shape, dtype="f2")),
    "softmax over two axes": lambda x, half: (
        fastlog.softmax,
        (x.reshape(100, -1, 16), (0, 2)),
        out(100, len(x) // 100, 16),
    ),
    "log_softmax of long doubles": lambda x, half: (fastlog.log_softmax, (x.astype("g"), 1), out(*x.shape, dtype="g")),
    "logsumexp, weighted": lambda x, half: (fastlog.logsumexp, (x.T.astype("f2"), 0, x.T), out(len(x))),
    "logcumsumexp of halves": lambda x, half: (fastlog.logcumsumexp, (half, 0), out(*half.shape, dtype="f2")),
    "a cast": lambda x, half: (fastlog.softplus, (x > 0,), out(*x.shape)),
    "overlap": lambda x, half: (fastlog.logaddexp, (x, x[::-1]), x),
}


def failures_that_change_something():
    """Return which calls changed an array before they ended in a MemoryError, and how many ended so."""
    from test_resources import arguments, outcome

    changed, failed = [], 0
    for form in WRITING.values():  # The stack grows before memory is limited; where it cannot, there is a crash.
        function, given, result = form(*arguments(200)[:2])
        function(*given, out=result)
    for name, form in WRITING.items():
        x, half, *_ = arguments(200_000)
        function, given, result = form(x, half)
        before = [np.array(a, copy=True) for a in (*given, result) if isinstance(a, np.ndarray)]
        for megabytes in (0, 1, 2, 4, 8, 16, 32):
            if outcome(lambda f=function, g=given, r=result: f(*g, out=r), megabytes) != "MemoryError":
                break
            failed += 1
            after = [a for a in (*given, result) if isinstance(a, np.ndarray)]
            if not all(np.array_equal(a, b) for a, b in zip(after, before, strict=True)):
                changed.append((name, megabytes))
    return changed, failed


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_no_memory_changes_nothing():
    code = """
    from test_failures import failures_that_change_something

    changed, failed = failures_that_change_something()
    assert not changed, changed
    assert failed > 5, failed
    """
    run(code)


def fenced(a, at_end):
    """Return a copy of an array of which the first, or the last, byte lies at the edge of memory that may be read."""
    a, page = np.asarray(a), mmap.PAGESIZE
    size = -(-max(a.nbytes, 1) // page) * page
    memory = mmap.mmap(-1, size + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for fence in (start, start + page + size):
        assert libc.mprotect(fence, page, 0) == 0
    offset = page + (size - a.nbytes if at_end else 0)
    copy = np.frombuffer(memory, a.dtype, a.size, offset).reshape(a.shape)
    copy[...] = a
    return copy


def call_within_fences():
    """Make the calls of all public functions on arrays between fences; reading or writing beyond them is a crash.

    No call may change its arguments, either.
    """
    for at_end in (False, True):
        given = []

        def fence(a, at_end=at_end, given=given):
            given.append((fenced(a, at_end), np.array(a)))
            return given[-1][0]

        for name, call in (calls.CALLS | calls.OF_NUMPY).items():
            with np.errstate(invalid="ignore"):  # some functions are not defined everywhere
                for y in call(fence(calls.X), fence):
                    assert y is not None, name
            for copy, original in given:
                np.testing.assert_array_equal(copy, original, name)
            given.clear()
    for dtype in ("f2", "f4", "f8"):
        for shape in ((1, 1), (3, 5), (7, 33), (130, 3), (2, 1000)):
            x = (10 * np.random.default_rng(0).normal(size=shape)).astype(dtype)
            for at_end in (False, True):
                for target in _core.supported_targets():
                    for f in _core.functions(target).values():
                        write_within_fences(f, x, at_end)


def write_within_fences(f, x, at_end):
    """Call an elementwise function, or one of rows, on the array, its transpose and parts of it, into fenced memory."""
    if f.signature not in (None, "(n)->()", "(n)->(n)"):
        return
    for view in (fenced(x, at_end), fenced(np.ascontiguousarray(x.T), at_end).T, fenced(x, at_end)[::-1, ::-1]):
        shape = view.shape[:-1] if f.signature == "(n)->()" else view.shape
        f(*[view] * f.nin, out=fenced(np.zeros(shape, x.dtype), at_end))


linux = pytest.mark.skipif(sys.platform != "linux", reason="the fences are calls of Linux")


@pytest.mark.slow
@linux
def test_no_call_reads_or_writes_beyond_its_arrays():
    run("from test_failures import call_within_fences; call_within_fences()")


@linux
def test_a_fence_ends_who_goes_beyond_it():
    code = "from test_failures import *; a = fenced(X, {}); ctypes.string_at(a.ctypes.data {}, 1)"
    for at_end, beyond in ((True, f"+ {X.nbytes}"), (False, "- 1")):
        command = [sys.executable, "-c", code.format(at_end, beyond)]
        done = subprocess.run(command, cwd=os.path.dirname(__file__), capture_output=True, check=False)
        assert done.returncode < 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("qemu-x86_64-static"), reason="needs an emulator of a CPU without AVX")
@pytest.mark.skipif("avx512" not in _core.compiled_targets(), reason="this build is for another processor")
def test_a_target_that_the_cpu_lacks():
    command = ["qemu-x86_64-static", "-cpu", "Nehalem", sys.executable, "-c", "import fastlog"]
    env = os.environ | {"FASTLOG_TARGET": "avx512"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: FASTLOG_TARGET=avx512: "), last
    assert "portable" in last


def test_a_broken_extension(tmp_path):
    package = Path(fastlog.__file__).parent
    shutil.copytree(package, tmp_path / "fastlog", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    broken = tmp_path / "fastlog" / Path(_core.__file__).name
    broken.write_bytes(b"This is no library.")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import fastlog"
    done = subprocess.run([sys.executable, "-S", "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ImportError: " in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{broken} is damaged, or made for another system; install fastlog")
