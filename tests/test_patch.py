"""fastlog.patch: what runs on fastlog then, what does not, and that all of it is put back."""

import functools
import importlib
import inspect
import pickle
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats
import sklearn.utils._array_api
import sklearn.utils.extmath
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import MultinomialNB

import fastlog
from fastlog import _patch

special, extmath, array_api = scipy.special, sklearn.utils.extmath, sklearn.utils._array_api
HELD = [(special, "logsumexp"), (special, "softmax"), (special, "log_softmax"), (special, "softplus"),
        (extmath, "softmax"), (array_api, "_logsumexp")]  # fmt: skip
HELD = [(module, name) for module, name in HELD if hasattr(module, name)]  # earlier versions lack two of them
FUNCTIONS = [getattr(module, name) for module, name in HELD]
CODES = [function.__code__ for function in FUNCTIONS]

# Calls whose results are fastlog's alone, and that result where one can be named: SciPy and NumPy flush these to 0, or
# lose their digits.
PAIR = np.array([0, -40.0])
MANY = np.random.default_rng(5).normal(0, 10, 5000).astype(np.float32)
OURS = {
    "expit": (lambda: special.expit(np.float64(-740.0)), float(fastlog.sigmoid(-740.0))),
    "expit, float32": (lambda: special.expit(np.float32(-95.0)), float(fastlog.sigmoid(np.float32(-95.0)))),
    "log_softmax": (lambda: special.log_softmax(PAIR)[0], -np.exp(-40.0)),
    "logaddexp": (lambda: np.logaddexp(np.float32(-1e-4), np.float32(-9.2103405)), None),
    "logaddexp.reduce": (lambda: np.logaddexp.reduce(np.zeros(2**25, np.float32)), np.log(2.0**25)),
    "softplus": (lambda: special.softplus(MANY).tobytes(), None),
    "softmax": (lambda: special.softmax(MANY).tobytes(), None),
    "extmath.softmax": (lambda: extmath.softmax(MANY[None]).tobytes(), None),
    "_logsumexp": (lambda: array_api._logsumexp(np.full((2**24 + 9, 1), -8.0, np.float32), axis=0).item(), None),
}


@pytest.fixture
def patched():
    with fastlog.patch() as handle:
        assert handle.targets == ("numpy", "scipy", "sklearn")
        yield
    assert not fastlog.is_patched()
    assert [getattr(module, name) for module, name in HELD] == FUNCTIONS
    assert [function.__code__ for function in FUNCTIONS] == CODES


def everything():
    """Results that tell whose loops and functions run."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 5, 500)
    results = {}
    for dtype in "efd":
        a, p = x.astype(dtype), rng.random(500).astype(dtype)
        results["logaddexp", dtype] = np.logaddexp(a, a[::-1])
        results["reduce", dtype] = np.logaddexp.reduce(a)
        results["accumulate", dtype] = np.logaddexp.accumulate(a)
        if dtype != "e":
            for name in ("expit", "log_expit", "entr"):
                results[name, dtype] = getattr(special, name)(a)
            results["logit", dtype] = special.logit(p)
            for name in ("xlogy", "xlog1py", "rel_entr"):
                results[name, dtype] = getattr(special, name)(p, p[::-1])
            results["logsumexp", dtype] = special.logsumexp(a.reshape(50, 10), axis=1)
            results["softmax", dtype] = special.softmax(a)
            results["log_softmax", dtype] = special.log_softmax(a)
            results["extmath", dtype] = extmath.softmax(a.reshape(50, 10))
    return results


def test_everything_runs_on_fastlog_and_is_put_back():
    before = everything()
    with fastlog.patch():
        during = everything()
    after = everything()
    x = np.random.default_rng(0).normal(0, 5, 500)
    for (name, dtype), y in during.items():
        np.testing.assert_array_equal(after[name, dtype], before[name, dtype])
        np.testing.assert_allclose(y, before[name, dtype], rtol=1e-2 if dtype == "e" else 1e-4, atol=1e-3)
        assert y.dtype == before[name, dtype].dtype
    x32 = x.astype("f")
    np.testing.assert_array_equal(during["expit", "f"], fastlog.sigmoid(x32))
    np.testing.assert_array_equal(during["log_expit", "f"], fastlog.log_sigmoid(x32))
    np.testing.assert_array_equal(during["logaddexp", "e"], fastlog.logaddexp(x.astype("e"), x.astype("e")[::-1]))
    np.testing.assert_array_equal(during["logsumexp", "f"], fastlog.logsumexp(x32.reshape(50, 10), axis=1))


@pytest.mark.parametrize("call", OURS)
def test_results_that_are_fastlogs_alone(call):
    run, expected = OURS[call]
    before = run()
    with fastlog.patch():
        during = run()
    assert during != before
    if expected is not None:
        np.testing.assert_allclose(during, expected, rtol=1e-6)
    assert run() == before


def test_references_taken_before(patched):
    expit, lse, reduce = special.expit, special.logsumexp, np.logaddexp.reduce
    assert expit(-740.0) > 0
    assert lse(PAIR[None], axis=1) == fastlog.logsumexp(PAIR)
    assert reduce(np.zeros(2**25, np.float32)) == np.float32(np.log(2.0**25))
    assert scipy.stats.logistic.sf(740.0) > 0  # which calls expit


def test_all_that_a_ufunc_has(patched):
    x = np.random.default_rng(1).normal(size=(4, 6))
    np.testing.assert_array_equal(np.logaddexp.reduce(x, axis=0), fastlog.logaddexp.reduce(x, axis=0))
    np.testing.assert_array_equal(np.logaddexp.reduce(x, axis=(0, 1)), fastlog.logsumexp(x))
    np.testing.assert_array_equal(np.logaddexp.accumulate(x, axis=1), fastlog.logaddexp.accumulate(x, axis=1))
    np.testing.assert_array_equal(np.logaddexp.outer(x[0], x[1]), fastlog.logaddexp.outer(x[0], x[1]))
    np.testing.assert_array_equal(np.logaddexp.reduceat(x[0], [0, 2]), fastlog.logaddexp.reduceat(x[0], [0, 2]))
    at = x[0].copy()
    np.logaddexp.at(at, [0, 0], [1.0, 2.0])
    assert at[0] == np.logaddexp(np.logaddexp(x[0, 0], 1.0), 2.0)
    out = np.zeros_like(x)
    assert special.expit(x, out=out, where=x > 0) is out
    np.testing.assert_array_equal(out, np.where(x > 0, fastlog.sigmoid(x), 0))
    assert special.expit(x, dtype="f").dtype == np.float32
    assert special.expit(np.int8(3)) == fastlog.sigmoid(3.0)
    assert np.logaddexp(np.int8(0), np.int8(0)).dtype == np.float16
    x.setflags(write=False)
    np.testing.assert_array_equal(special.expit(x[:, ::-2].T), fastlog.sigmoid(x[:, ::-2].T))


def test_other_types_are_still_theirs():
    longs, complexes = np.arange(3, dtype="g"), np.array([1 + 1j, 2])
    before = special.expit(longs), special.xlogy(complexes, complexes), special.logsumexp(complexes)
    with fastlog.patch():
        during = special.expit(longs), special.xlogy(complexes, complexes), special.logsumexp(complexes)
    for one, other in zip(before, during, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-15)
        assert one.dtype == other.dtype


def test_scipys_poles_stay_silent(patched):
    zeros = np.zeros(50)
    with np.errstate(all="raise"):
        assert special.logit(1.0) == np.inf
        assert np.isnan(special.logit(np.full(3, 2.0))).all()
        assert special.xlogy(1.0, 0.0) == -np.inf
        np.testing.assert_array_equal(special.xlog1py(1 + zeros, zeros - 1), -np.inf)
        assert special.rel_entr(1.0, 0.0) == np.inf
        assert special.logsumexp([-np.inf, -np.inf]) == -np.inf
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        np.log(0.0)


def test_only_plain_arguments_are_taken():
    """Everything else gets what it got before."""
    x = np.random.default_rng(2).normal(size=(3, 4))
    for a in (pd.DataFrame(x), np.ma.array(x, mask=x > 0.5)):
        for name in ("softmax", "log_softmax", "logsumexp"):
            before = getattr(special, name)(a, axis=1)
            with fastlog.patch():
                during = getattr(special, name)(a, axis=1)
            assert type(during) is type(before)
            np.testing.assert_array_equal(np.asarray(during), np.asarray(before))


def test_plain_arguments(patched):
    assert special.logsumexp([[1, 2], [3, 4]], 1, b=[1, -1], return_sign=True)[1].tolist() == [-1, -1]
    assert special.logsumexp(a=3) == 3
    assert special.softmax((1, 2), axis=-1).sum() == 1
    np.testing.assert_array_equal(special.softplus(np.ones(2), out=np.zeros(2)), fastlog.softplus(np.ones(2)))
    x = np.ones((2, 3))
    assert extmath.softmax(x, copy=False) is x
    np.testing.assert_array_equal(x, 1 / 3)
    assert extmath.softmax(np.zeros((2, 2), np.int64) * 1.0).dtype == np.float64
    assert array_api._logsumexp(np.zeros((2, 3), np.float32), axis=1).dtype == np.float32
    assert array_api._logsumexp(np.zeros((2, 3), np.int64), axis=1).dtype == np.float64


def test_functions_remain_what_they_are():
    signatures = [inspect.signature(function) for function in FUNCTIONS]
    with fastlog.patch():
        for (module, name), function, code in zip(HELD, FUNCTIONS, CODES, strict=True):
            assert getattr(module, name) is function
            assert function.__code__ is not code
            assert pickle.loads(pickle.dumps(function)) is function
        assert [inspect.signature(function) for function in FUNCTIONS] == signatures
        assert pickle.loads(pickle.dumps(np.logaddexp.reduce)) is np.logaddexp.reduce
    assert [function.__code__ for function in FUNCTIONS] == CODES


def test_functions_in_closures_containers_and_defaults():
    def closure(f=special.log_softmax):
        held = [special.log_softmax], functools.partial(special.log_softmax)
        return lambda x: [f(x), held[0][0](x), held[1](x)]

    run = closure()
    with fastlog.patch():
        np.testing.assert_array_equal(run(PAIR), [fastlog.log_softmax(PAIR)] * 3)
    assert run(PAIR)[0][0] == 0


def test_nested_and_repeated():
    with fastlog.patch(["numpy"]) as outer:
        assert outer.targets == ("numpy",)
        with fastlog.patch() as inner:
            assert inner.targets == ("scipy", "sklearn")
            assert fastlog.is_patched("scipy")
            with fastlog.patch() as nothing:
                assert nothing.targets == ()
            assert fastlog.is_patched("sklearn")
        assert fastlog.is_patched("numpy")
        assert not fastlog.is_patched("scipy")
    assert not fastlog.is_patched()
    fastlog.unpatch()
    handle = fastlog.patch("scipy")
    assert repr(handle) == "<fastlog.patch of scipy>"
    fastlog.unpatch()
    with pytest.raises(RuntimeError, match="has been undone; call patch again"), handle:
        pass
    assert special.expit(-740.0) == 0
    with fastlog.patch("scipy"):  # is not the handle's
        handle.__exit__(None, None, None)
        assert fastlog.is_patched("scipy")


def test_an_exception_inside():
    with pytest.raises(KeyError), fastlog.patch():
        raise KeyError
    assert not fastlog.is_patched()


def test_verbose(capsys):
    with fastlog.patch(verbose=True):
        pass
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert "fastlog: scipy.special.expit, its loops on float32, float64" in lines
    assert any(line == "fastlog: sklearn.utils._array_api._logsumexp, its code" for line in lines)


def test_unknown_targets_and_versions(monkeypatch):
    with pytest.raises(ValueError, match="'torch'"):
        fastlog.patch(["torch"])
    with pytest.raises(ValueError, match="'torch'"):
        fastlog.is_patched("torch")
    monkeypatch.setitem(_patch._KNOWN, "sklearn", ("scikit-learn", (0, 1), (0, 9)))
    with pytest.raises(RuntimeError, match=r"this is scikit-learn .* knows 0\.1 to 0\.9; get a newer fastlog"):
        fastlog.patch()
    assert not fastlog.is_patched()
    monkeypatch.setitem(_patch._KNOWN, "sklearn", ("no-such-package", (0, 1), (0, 9)))
    with pytest.raises(ImportError, match="no-such-package is not installed"):
        fastlog.patch(["sklearn"])
    with fastlog.patch() as handle:
        assert handle.targets == ("numpy", "scipy")


def test_unknown_signatures(monkeypatch):
    def other(X, copy, more):
        return X

    monkeypatch.setattr(extmath, "softmax", other)
    with pytest.raises(RuntimeError, match=r"\(X, copy, more\) is not what fastlog knows"):
        fastlog.patch()
    assert not fastlog.is_patched()
    assert special.expit(-740.0) == 0


def test_a_failure_midway(monkeypatch):
    def fail():
        raise OSError("midway")

    plans = dict(_patch._PLANS, sklearn=lambda: iter([("something", fail)]))
    monkeypatch.setattr(_patch, "_PLANS", plans)
    with pytest.raises(OSError, match="midway"):
        fastlog.patch()
    assert not fastlog.is_patched()
    assert special.expit(-740.0) == 0
    assert special.logsumexp.__code__ is CODES[0]
    assert "reduce" not in np.logaddexp.__dict__


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


def test_scikit_learn_answers_the_same():
    rng = np.random.default_rng(4)
    x, counts = rng.normal(size=(300, 3)), rng.integers(0, 9, (300, 5))
    labels = rng.integers(0, 4, 300)
    before = GaussianMixture(3, random_state=0).fit(x).score_samples(x), MultinomialNB().fit(counts, labels)
    proba = before[1].predict_proba(counts)
    with fastlog.patch():
        np.testing.assert_allclose(GaussianMixture(3, random_state=0).fit(x).score_samples(x), before[0], rtol=1e-9)
        np.testing.assert_allclose(MultinomialNB().fit(counts, labels).predict_proba(counts), proba, rtol=1e-12)


# ---- python -m fastlog ----


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "fastlog", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


SCRIPT = """
    import sys
    import fastlog, scipy.special
    import beside
    print(__name__, sys.argv[1:], scipy.special.expit(-740.0) > 0, fastlog.is_patched(), beside.here)
    sys.exit(3)
"""


def test_scripts(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    (tmp_path / "beside.py").write_text("here = True")
    result = run(str(tmp_path / "script.py"), "--verbose", "-m", "x")
    assert result.stdout == "__main__ ['--verbose', '-m', 'x'] True True True\n"
    assert result.returncode == 3
    assert result.stderr == ""


def test_modules(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    (tmp_path / "beside.py").write_text("here = True")
    result = run("--verbose", "-m", "script", "-v", cwd=tmp_path)
    assert result.stdout == "__main__ ['-v'] True True True\n"
    assert "fastlog: scipy.special.logsumexp, its code" in result.stderr
    assert result.returncode == 3


def test_commands_and_what_cannot_run():
    result = run("-c", "import sys, scipy.special; print(sys.argv, scipy.special.expit(-740.) > 0)", "a")
    assert result.stdout == "['-c', 'a'] True\n"
    assert "nothing to run" in run().stderr
    assert run().returncode == 2
    missing = run("no_such_script.py")
    assert "there is no file 'no_such_script.py'" in missing.stderr
    assert missing.returncode == 1
    assert run("--version").stdout == f"fastlog {fastlog.__version__}\n"


LATE = """
    import atexit, os, pickle, threading, time
    class A: pass
    def later():
        time.sleep(0.2)
        print(len(pickle.dumps(A())) > 0, flush=True)
    atexit.register(later)
    threading.Thread(target=later).start()
    print(os.path.isabs(__file__), __spec__ is None, "patch" in globals())
"""


def test_the_main_module_stays(tmp_path):
    (tmp_path / "late.py").write_text(textwrap.dedent(LATE))
    assert run("late.py", cwd=tmp_path).stdout == "True True False\nTrue\nTrue\n"
    assert run("-m", "late", cwd=tmp_path).stdout == "True False False\nTrue\nTrue\n"
    command = "def f(x: int): pass\nprint(f.__annotations__, 'patch' in globals(), __name__)"
    assert run("-c", command).stdout == "{'x': <class 'int'>} False __main__\n"


def test_ways_to_write_it(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    (tmp_path / "beside.py").write_text("here = True")
    assert run("-mscript", "x", cwd=tmp_path).stdout == "__main__ ['x'] True True True\n"
    assert run("--", "script.py", "x", cwd=tmp_path).stdout == "__main__ ['x'] True True True\n"
    assert run("-v", "-cprint(1)").stdout == "1\n"
    done = subprocess.run([sys.executable, "-m", "fastlog", "-", "a"], input="import sys; print(sys.argv)",
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stdout == "['-', 'a']\n"
    assert run("-m", "no_such.module").stderr == "fastlog: there is no module 'no_such.module' to run\n"
    assert "unknown option --fast" in run("--fast", "script.py").stderr


def test_nothing_is_imported_or_patched_by_itself():
    code = "import sys, fastlog; print([m for m in ('scipy', 'sklearn', 'pandas', 'dask') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"
    assert importlib.import_module("fastlog").is_patched() is False
