"""fastlog.patch: packages that are imported later, functions that the user names, and child processes."""

import multiprocessing
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import fastlog
from fastlog import _patch


@pytest.fixture(autouse=True)
def nothing_remains():
    yield
    fastlog.unpatch()
    assert _patch._finder not in sys.meta_path


def run(*arguments, cwd=None):
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_nothing_is_imported_that_the_program_does_not_use():
    code = "import sys; print([m for m in ('scipy', 'sklearn', 'pandas', 'joblib') if m in sys.modules])"
    assert run("-m", "fastlog", "-c", code) == "[]"
    assert run("-c", f"import fastlog; fastlog.patch(); {code}") == "[]"


LATE = """
    import sys, threading
    import fastlog
    handle = fastlog.patch(["scipy"])
    held = fastlog.is_patched("scipy")
    answers = []
    def work():
        import scipy.special
        answers.append(scipy.special.expit(-740.0) > 0)
    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    import scipy.special
    loaders = scipy.special.__loader__ is scipy.special.__spec__.loader, type(scipy.special.__loader__).__name__
    before = [type(finder).__name__ for finder in sys.meta_path]
    fastlog.unpatch()
    print(held, handle.targets, [bool(a) for a in answers], *loaders, "_Finder" in before, scipy.special.expit(-740.0))
"""


@pytest.mark.slow
def test_a_package_is_patched_when_it_is_imported():
    expected = "True ('scipy',) [True, True, True, True] True SourceFileLoader False 0.0"
    assert run("-c", textwrap.dedent(LATE)) == expected


@pytest.mark.slow
def test_a_package_that_is_imported_after_unpatch_is_left_alone():
    code = "import fastlog\nwith fastlog.patch(): pass\nimport scipy.special; print(scipy.special.expit(-740.0))"
    assert run("-c", code) == "0.0"


OWN = """
    import numpy as np

    def lse(values, axis=0, *, keepdims=False):
        return "theirs"

    def weighted(values, weights):
        return "theirs"

    def plus(left, right):
        return "theirs"

    def anything(*values):
        return "theirs"

    def closure():
        held = 1
        def inner(a, axis=None):
            return held
        return inner

    closed = closure()
    alias = lse
    number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Import a module of functions that fastlog does not know."""
    (tmp_path / "fastlog_own.py").write_text(textwrap.dedent(OWN))
    monkeypatch.syspath_prepend(tmp_path)
    import fastlog_own

    yield fastlog_own
    del sys.modules["fastlog_own"]


def test_functions_that_the_user_names(own):
    x = np.random.default_rng(1).normal(size=(3, 4))
    held = own.lse
    with fastlog.patch([], functions={"fastlog_own.lse": "logsumexp", "fastlog_own.plus": "logaddexp"}) as handle:
        assert handle.targets == ("fastlog_own.lse", "fastlog_own.plus")
        assert fastlog.is_patched("fastlog_own.lse")
        assert not fastlog.is_patched("numpy")
        np.testing.assert_array_equal(held(x), fastlog.logsumexp(x, axis=0))  # The default is that of the function.
        np.testing.assert_array_equal(held(values=x, axis=1), fastlog.logsumexp(x, axis=1))
        assert held(x, keepdims=True).shape == (1, 4)
        np.testing.assert_array_equal(own.plus(x, right=1.0), fastlog.logaddexp(x, 1.0))
        assert held(np.ma.array(x)) == "theirs"
        assert held("abc", keepdims=True) == "theirs"
        with pytest.raises(TypeError, match="unexpected keyword"):
            held(x, weights=1)
        with fastlog.patch([], functions={"fastlog_own.lse": "logsumexp"}) as again:
            assert again.targets == ()
        with pytest.raises(ValueError, match="replaced already, by fastlog.logsumexp; unpatch it first"):
            fastlog.patch([], functions={"fastlog_own.lse": "logmeanexp"})
    assert held(x) == own.plus(x, x) == "theirs"
    assert not fastlog.is_patched()


WRONG = {
    "no such function": ({"fastlog_own.nothing": "logsumexp"}, ValueError, "fastlog_own.nothing: it is not there"),
    "no such module": ({"fastlog_own_.lse": "logsumexp"}, ImportError, "fastlog_own_, the module of fastlog_own_.lse"),
    "no module": ({"lse": "logsumexp"}, ValueError, "named as 'package.module.function', not 'lse'"),
    "no stand-in": ({"fastlog_own.lse": "patch"}, ValueError, "'patch' cannot stand in for fastlog_own.lse; these can"),
    "a known one": ({"scipy.special.softmax": "softmax"}, ValueError, "one of the functions of the target 'scipy'"),
    "no function": ({"fastlog_own.number": "logsumexp"}, ValueError, "it is no Python function, but int"),
    "other names": ({"fastlog_own.weighted": "logsumexp"}, ValueError, r"\(values, weights\), and fastlog.logsumexp"),
    "too many": ({"fastlog_own.plus": "softplus"}, ValueError, "fastlog.softplus takes 1 array$"),
    "too few": ({"fastlog_own.alias": "xlogy", "fastlog_own.closed": "xlogy"}, ValueError, "takes 2 arrays"),
    "no names": ({"fastlog_own.anything": "logsumexp"}, ValueError, "does not name its parameters"),
    "a closure": ({"fastlog_own.closed": "logsumexp"}, ValueError, "it is a closure"),
    "twice": ({"fastlog_own.lse": "logsumexp", "fastlog_own.alias": "logsumexp"}, ValueError,
              "fastlog_own.alias: it is fastlog_own.lse, which is replaced already"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_names(case, own):
    functions, kind, message = WRONG[case]
    with pytest.raises(kind, match=message):
        fastlog.patch([], functions=functions)
    assert not fastlog.is_patched()
    assert own.lse(1.0) == "theirs"


def test_other_copies_of_logsumexp():
    """pymbar's and ArviZ's answers stay theirs, where these packages are installed."""
    found = []
    rng = np.random.default_rng(3)
    for name in ("pymbar.utils", "arviz.stats.stats_utils", "arviz_stats.base.stats_utils"):
        try:
            module = __import__(name, fromlist=["logsumexp"])
        except ImportError:
            continue
        found.append(name)
        calls = []
        for dtype in "fd":
            x = rng.normal(0, 9, (5, 7)).astype(dtype)
            for axis in (None, 0, 1, -1):
                calls.append(((x,), {"axis": axis}))
                if name == "pymbar.utils":
                    calls += [((x,), {"axis": axis, "b": rng.random((5, 7)) + 0.1}),
                              ((x,), {"axis": axis, "b": np.arange(1, 8)})]  # fmt: skip
                else:
                    scales = ({"b": 0.25}, {"b_inv": 7}, {"b_inv": 0}, {"b": 0}, {"keepdims": True, "b": 2})
                    calls += [((x.copy(),), {"axis": axis, **more}) for more in scales]
        with np.errstate(all="ignore"):
            before = [module.logsumexp(*args, **options) for args, options in calls]
            with fastlog.patch([name.partition(".")[0]]) as handle:
                assert handle.refused == {}
                during = [module.logsumexp(*args, **options) for args, options in calls]
        for one, other in zip(before, during, strict=True):
            np.testing.assert_allclose(one, other, rtol=3e-6)
            assert (np.shape(one), np.asarray(one).dtype) == (np.shape(other), np.asarray(other).dtype)
    if not found:
        pytest.skip("neither pymbar nor ArviZ is installed")


def ask(_):
    import scipy.special

    return bool(scipy.special.expit(-740.0) > 0)


def test_workers_of_loky():
    joblib = pytest.importorskip("joblib")
    with joblib.parallel_config(backend="loky", initializer=fastlog.patch):
        assert joblib.Parallel(2)(joblib.delayed(ask)(k) for k in range(2)) == [True, True]


CHILDREN = """
    import multiprocessing, subprocess, sys
    import sitecustomize
    def ask(_):
        import scipy.special
        return bool(scipy.special.expit(-740.0) > 0)
    if __name__ == "__main__":
        answers = []
        for way in sys.argv[1:]:
            with multiprocessing.get_context(way).Pool(1) as pool:
                answers += pool.map(ask, [1])
        code = "import sys, sitecustomize, scipy.special as s; print(sitecustomize.mine, s.expit(-740.0) > 0, sys.argv)"
        done = subprocess.run([sys.executable, "-c", code, "a"], capture_output=True, text=True, check=True)
        print(*answers, done.stdout.splitlines()[-1])
"""


@pytest.mark.slow
def test_processes_that_a_program_starts(tmp_path, monkeypatch):
    """They are patched, and the user's own sitecustomize runs, too."""
    (tmp_path / "sitecustomize.py").write_text("mine = True")
    (tmp_path / "children.py").write_text(textwrap.dedent(CHILDREN))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ways = [way for way in ("spawn", "forkserver") if way in multiprocessing.get_all_start_methods()]
    told = run("-m", "fastlog", "--processes", str(tmp_path / "children.py"), *ways)
    assert told == " ".join(["True"] * len(ways)) + " True True ['-c', 'a']"
    alone = run("-m", "fastlog", str(tmp_path / "children.py"), *ways)
    assert alone == " ".join(["False"] * len(ways)) + " True False ['-c', 'a']"


def test_threads_patch_while_others_import(tmp_path, monkeypatch):
    (tmp_path / "fastlog_slow.py").write_text("import time\ntime.sleep(0.2)\ndef lse(a, axis=None): return 'theirs'\n")
    monkeypatch.syspath_prepend(tmp_path)
    thread = threading.Thread(target=__import__, args=("fastlog_slow",))
    thread.start()
    while "fastlog_slow" not in sys.modules:
        pass
    with fastlog.patch([], functions={"fastlog_slow.lse": "logsumexp"}):  # It waits until the import has ended.
        assert sys.modules["fastlog_slow"].lse([0.0, 0.0]) == np.log(2)
    thread.join()
    del sys.modules["fastlog_slow"]
