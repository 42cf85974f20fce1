"""Memory: nothing leaks, and where there is not enough of it, calls end in MemoryError and later ones are right."""

import gc
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from helpers import calls

import fastlog

pytestmark = pytest.mark.slow

resource = pytest.importorskip("resource", reason="this system has no limits of memory by process")


def run(code):
    """Run code in a process of its own, in this folder; glibc returns what large arrays held to the system there."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=os.path.dirname(__file__), env=env)
    assert done.returncode == 0, done.stderr[-2000:]


def run_all():
    return {name: [np.asarray(y) for y in call(calls.X, lambda a: a)] for name, call in calls.CALLS.items()}


def test_nothing_leaks():
    code = """
    from helpers.memory import leaked
    from test_resources import run_all

    for _ in range(3):
        run_all()
    grown = leaked(lambda: [run_all() for _ in range(25)])
    assert grown < 8 * 25, grown  # The least object of Python has 16 bytes.
    """
    run(code)


# Forms that need memory besides their arguments: x of float64, half of float16, weights, labels, and an array of bool.
FORMS = {
    "softplus": lambda x, half, w, labels, some: fastlog.softplus(x),
    "softplus of halves": lambda x, half, w, labels, some: fastlog.softplus(half),
    "outer": lambda x, half, w, labels, some: fastlog.logaddexp.outer(x[:, 0], w[0]),
    "reduce": lambda x, half, w, labels, some: fastlog.logaddexp.reduce(half, axis=0),
    "reduceat": lambda x, half, w, labels, some: fastlog.logaddexp.reduceat(x, np.arange(0, len(x), 2), axis=0),
    "logsumexp": lambda x, half, w, labels, some: fastlog.logsumexp(x, axis=1),
    "logsumexp of halves": lambda x, half, w, labels, some: fastlog.logsumexp(half),
    "logsumexp, transposed": lambda x, half, w, labels, some: fastlog.logsumexp(x.reshape(100, -1, 16), axis=(0, 2)),
    "logsumexp, weighted": lambda x, half, w, labels, some: fastlog.logsumexp(x, 1, w, where=some, return_sign=True),
    "logsumexp of long doubles": lambda x, half, w, labels, some: fastlog.logsumexp(x.astype("g"), axis=1),
    "logsumexp of complex numbers": lambda x, half, w, labels, some: fastlog.logsumexp(x * 1j, axis=1),
    "logmeanexp": lambda x, half, w, labels, some: fastlog.logmeanexp(x, 1, w),
    "logcumsumexp": lambda x, half, w, labels, some: fastlog.logcumsumexp(x, 0, reverse=True),
    "softmax": lambda x, half, w, labels, some: fastlog.softmax(x, 1, return_lse=True),
    "softmax of halves": lambda x, half, w, labels, some: fastlog.softmax(half, 1),
    "softmax, masked": lambda x, half, w, labels, some: fastlog.softmax(x, 1, where=some, temperature=2),
    "log_softmax": lambda x, half, w, labels, some: fastlog.log_softmax(x.T, 0),
    "masked array": lambda x, half, w, labels, some: fastlog.log_softmax(np.ma.array(x, mask=some), 1),
    "binary cross-entropy": lambda x, half, w, labels, some: fastlog.binary_cross_entropy_with_logits(
        x, some, w, w, label_smoothing=0.1, return_hess=True
    ),
    "focal": lambda x, half, w, labels, some: fastlog.focal_loss(x, some, return_grad=True),
    "KL divergence": lambda x, half, w, labels, some: fastlog.kl_divergence(x, w, reduction="none"),
    "cross-entropy": lambda x, half, w, labels, some: fastlog.cross_entropy(x, labels, return_hess=True),
    "cross-entropy of halves": lambda x, half, w, labels, some: fastlog.cross_entropy(half, labels, return_grad=True),
    "cross-entropy by probabilities": lambda x, half, w, labels, some: fastlog.cross_entropy(x, w, w[0]),
    "negative log-likelihood": lambda x, half, w, labels, some: fastlog.nll_loss(x, labels, reduction="none"),
    "LogSumExp": lambda x, half, w, labels, some: fastlog.LogSumExp(1).update(x, w, where=some).update(x).value,
}


def arguments(rows):
    rng = np.random.default_rng(0)
    x, some = rng.normal(size=(rows, 16)), rng.random((rows, 16)) < 0.5
    return x, x.astype("f2"), np.exp(x), rng.integers(0, 16, rows), some


def outcome(call, megabytes):
    """Return how a call ends that may take at most so many megabytes of address space more."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (megabytes << 20), -1))
    try:
        call()
    except MemoryError:
        return "MemoryError"
    except Exception as error:
        return repr(error)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    return "done"


def outcomes_under_limits():
    """Return how every form ends with little and with more room; small arrays give right results afterwards."""
    large, small = arguments(200_000), arguments(200)
    expected = {name: form(*small) for name, form in FORMS.items()}
    found = {}
    for name, form in FORMS.items():
        for megabytes in (0, 1, 4, 20, 40, 60, 120, 300):
            found[name, megabytes] = outcome(lambda form=form: form(*large), megabytes)
        for got, right in zip(form(*small), expected[name], strict=True) if type(expected[name]) is tuple else ():
            np.testing.assert_array_equal(got, right)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_too_little_memory_is_a_memory_error():
    code = """
    from test_resources import outcomes_under_limits

    found = outcomes_under_limits()
    wrong = {key: how for key, how in found.items() if how not in ("done", "MemoryError")}
    assert not wrong, wrong
    assert list(found.values()).count("MemoryError") > 50
    """
    run(code)
