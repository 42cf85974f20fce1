"""fastlog.patch and unpatch as one step: interrupted, in several blocks, by many threads, and across a fork."""

import gc
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from helpers.memory import leaked
from helpers.patched import PAIR, PATCHED, UNPATCHED, snapshot, special

import fastlog
from fastlog import _patch, _plans, _replace


@pytest.fixture(autouse=True)
def nothing_remains():
    yield
    fastlog.unpatch()


def test_a_failure_midway(monkeypatch):
    def fail():
        raise OSError("midway")

    broken = {"numpy": {"something": lambda _, name: _replace.Change(name, "its life", fail, [(fail,)], list)}}
    monkeypatch.setitem(_plans.PLANS, "sklearn", {**_plans.PLANS["sklearn"], **broken})
    with pytest.raises(OSError, match="midway"):
        fastlog.patch()
    assert not fastlog.is_patched()
    assert snapshot() == UNPATCHED


class Interruption(Exception):
    """An exception that is raised between two lines or two instructions, as the handler of a signal may do."""


def interrupt(function, at, opcodes):
    """Run the function, and raise before its event number `at` in these modules; return whether it has come so far."""
    events = itertools.count()

    def trace(frame, event, argument):
        if frame.f_code.co_filename not in (_patch.__file__, _plans.__file__, _replace.__file__):
            return None
        frame.f_trace_opcodes = opcodes
        if event == ("opcode" if opcodes else "line") and next(events) == at:
            raise Interruption
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except Interruption:
        return True
    finally:
        sys.settrace(before)
    return False


def is_whole():
    """Tell whether all is replaced, and known, or nothing is."""
    return snapshot() == (PATCHED if fastlog.is_patched() else UNPATCHED)


def overlapping():
    outer = fastlog.patch()
    with fastlog.patch():
        outer.__exit__(None, None, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "patched_before", "opcodes"),
    [(fastlog.patch, False, False), (fastlog.patch, True, False), (fastlog.patch, True, True),
     (fastlog.unpatch, True, False), (fastlog.unpatch, True, True), (overlapping, False, False),
     (lambda: fastlog.patch(["numpy", "scipy", "sklearn"]), False, False)],
)  # fmt: skip
def test_whatever_interrupts(function, patched_before, opcodes):
    for at in itertools.count():
        if patched_before:
            fastlog.patch()
        interrupted = interrupt(function, at, opcodes)
        assert is_whole(), at
        fastlog.unpatch()
        assert not fastlog.is_patched(), at
        assert snapshot() == UNPATCHED, at
        if not interrupted:
            break
    assert at > 20


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of POSIX")
def test_signals_interrupt():
    armed = []

    def handler(*_):
        if armed:
            raise Interruption

    before = signal.signal(signal.SIGALRM, handler)
    gc.disable()  # hypothesis has a callback of the collector, in which an exception would be lost
    try:
        struck = 0
        for delay in np.random.default_rng(7).uniform(1e-5, 2e-3, 300):
            try:
                armed.append(True)
                signal.setitimer(signal.ITIMER_REAL, delay)
                for _ in range(3):
                    fastlog.patch()
                    fastlog.unpatch()
                armed.clear()
            except Interruption:
                armed.clear()
                struck += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert is_whole()
            fastlog.unpatch()
            assert snapshot() == UNPATCHED
        assert struck > 10
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, before)


def test_blocks_overlap():
    """The block that ends last puts back, in whatever thread and order, and calls outside of blocks last."""
    first, second = fastlog.patch(), fastlog.patch()
    assert (first.targets, second.targets) == (("numpy", "scipy", "sklearn"), ())
    with second:
        with first:
            pass
        assert snapshot() == PATCHED
    assert snapshot() == UNPATCHED
    inside, go_on = threading.Event(), threading.Event()
    seen = []

    def other():
        with fastlog.patch():
            inside.set()
            go_on.wait(30)
            seen.append(snapshot())

    thread = threading.Thread(target=other)
    with fastlog.patch(["scipy", "numpy"]):
        thread.start()
        assert inside.wait(30)
    go_on.set()
    thread.join()
    assert seen == [PATCHED]
    assert snapshot() == UNPATCHED
    with fastlog.patch():
        fastlog.patch()
    assert snapshot() == PATCHED
    fastlog.unpatch()
    first.__exit__(None, None, None)  # which holds nothing any more
    assert snapshot() == UNPATCHED


@pytest.mark.slow
def test_calls_without_end_cost_nothing():
    def patch_often():
        for _ in range(500):
            fastlog.patch()

    assert leaked(patch_often) < 8 * 500  # A handle has more than 400 bytes, and the least object 16.
    fastlog.unpatch()
    assert snapshot() == UNPATCHED


def test_many_threads_patch():
    def work():
        for _ in range(30):
            with fastlog.patch():
                if special.expit(-740.0) == 0 or special.log_softmax(PAIR)[0] == 0:
                    wrong.append(1)

    wrong = []
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not fastlog.is_patched()
    assert snapshot() == UNPATCHED


FORK = """
    import os, threading
    import fastlog
    from fastlog import _plans
    inside, go_on = threading.Event(), threading.Event()
    def wait(module, name):
        inside.set()
        go_on.wait()
    fastlog.patch(["numpy"])
    _plans.PLANS["scipy"] = {"numpy": {"something": wait}}
    thread = threading.Thread(target=fastlog.patch)
    thread.start()
    inside.wait()
    if os.fork() == 0:
        fastlog.unpatch()
        os._exit(int(fastlog.is_patched()))
    print(os.wait()[1], fastlog.is_patched("numpy"))
    go_on.set()
    thread.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes of POSIX")
def test_a_fork_while_a_thread_patches():
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORK)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0 True\n"


def test_calls_go_on_in_threads_meanwhile():
    x = np.random.default_rng(3).normal(size=(200, 10))
    expected, stop, wrong = special.logsumexp(x, axis=1), threading.Event(), []

    def call():
        while not stop.is_set():
            if not np.allclose(special.logsumexp(x, axis=1), expected) or not 0 < special.expit(0.5) < 1:
                wrong.append(1)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        with fastlog.patch():
            pass
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
