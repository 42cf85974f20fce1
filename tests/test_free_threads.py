"""Python without a global lock: fastlog leaves the lock off, and threads that call it at once get the right answers."""

import subprocess
import sys
import sysconfig
import threading
from functools import partial

import numpy as np
import pytest
from helpers import calls as every

import fastlog
from fastlog import _core

WITHOUT_LOCK = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.mark.skipif(not WITHOUT_LOCK, reason="this Python has a global lock")
def test_the_lock_stays_off():
    code = "import sys, numpy, fastlog; print(sys._is_gil_enabled())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def several(call):
    """Return all numbers of a call's results in one array."""
    with np.errstate(invalid="ignore"):  # some functions are not defined everywhere
        return np.concatenate([np.ravel(y) for y in call(every.X, lambda a: a)])


def calls():
    """Return calls of every kind, and their results."""
    rng = np.random.default_rng(3)
    x, narrow = rng.normal(0, 9, (40, 60)), rng.normal(0, 9, (40, 60)).astype(np.float16)
    large = rng.normal(0, 9, 300_000).astype(np.float32)
    labels, z = rng.integers(0, 60, 40), (x > 0) * 1.0
    made = [
        lambda: fastlog.softplus(x),
        lambda: fastlog.softplus(narrow),
        lambda: fastlog.softplus(large),
        lambda: fastlog.logaddexp(x, x.T[:1, :1]),
        lambda: fastlog.logaddexp.reduce(x, axis=0),
        lambda: fastlog.logaddexp.accumulate(large),
        lambda: fastlog.logsumexp(x, axis=1, b=np.abs(x)),
        lambda: fastlog.logsumexp(large),
        lambda: fastlog.softmax(narrow, axis=0),
        lambda: fastlog.log_softmax(x, axis=1, temperature=2.0),
        lambda: fastlog.cross_entropy(x, labels, return_grad=True)[1],
        lambda: fastlog.binary_cross_entropy_with_logits(x, z, return_hess=True)[2],
        lambda: fastlog.focal_loss(x, z),
        lambda: fastlog.kl_divergence(x, fastlog.softmax(x, axis=1), axis=1),
        lambda: fastlog.LogSumExp(axis=0).update(x).merge(fastlog.LogSumExp(axis=0).update(x)).value,
        lambda: _core.functions("portable")["softplus"](x),
    ]
    made += [partial(several, call) for call in (every.CALLS | every.OF_NUMPY).values()]
    return [(call, np.asarray(call()).copy()) for call in made]


def test_many_threads_call_at_once():
    made = calls()
    failed = []
    start = threading.Barrier(8)

    def work(seed):
        order = np.random.default_rng(seed).permutation(len(made))
        fastlog.set_num_threads(1 + seed % 3)
        start.wait()
        for k in np.tile(order, 20):
            call, expected = made[k]
            if np.asarray(call()).tobytes() != expected.tobytes():
                failed.append(k)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failed


def test_targets_are_built_once_for_all_threads():
    code = """if True:
        import threading
        from fastlog import _core
        start = threading.Barrier(8)
        found = []
        def build():
            start.wait()
            for target in _core.supported_targets():
                found.append((target, id(_core.functions(target))))
        threads = [threading.Thread(target=build) for _ in range(8)]
        for one in threads: one.start()
        for one in threads: one.join()
        print(len(set(found)) == len(_core.supported_targets()))
    """
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="older versions have other names for subinterpreters")
def test_other_interpreters_of_a_process_are_refused():
    code = """if True:
        import _interpreters
        import fastlog
        failure = _interpreters.exec(_interpreters.create(), "import fastlog")
        print(failure.type.__name__, failure.msg)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ImportError")
    assert "subinterpreters" in done.stdout
