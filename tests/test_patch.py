"""fastlog.patch: what runs on fastlog then, what does not, and that all of it is put back."""

import functools
import importlib
import inspect
import pickle
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats
from helpers.patched import (
    CODES,
    FUNCTIONS,
    HELD,
    PAIR,
    PATCHED,
    UFUNCS,
    UNPATCHED,
    array_api,
    extmath,
    snapshot,
    special,
)
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import MultinomialNB

import fastlog
from fastlog import _plans

# Calls with results that only fastlog gives, as SciPy and NumPy flush them to 0 or lose their digits; and the result,
# where it can be named.
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
    "_logsumexp": (
        lambda: array_api._logsumexp(np.full((2**24 + 12, 1), -8.0, np.float32), axis=0).item(),
        np.log(2.0**24 + 12) - 8,
    ),
}

if not hasattr(special, "softplus"):
    del OURS["softplus"]


@pytest.fixture(autouse=True)
def nothing_remains():
    yield
    fastlog.unpatch()


@pytest.fixture
def patched():
    with fastlog.patch() as handle:
        assert handle.targets == ("numpy", "scipy", "sklearn")
        yield
    assert not fastlog.is_patched()
    assert [getattr(module, name) for module, name in HELD] == FUNCTIONS
    assert snapshot() == UNPATCHED


def everything():
    """Return results that show whose loops and functions run."""
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


@pytest.mark.slow
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


@pytest.mark.parametrize("arguments", [{"keepdims": True}, {"axis": ()}, {"keepdims": True, "return_sign": True}])
@pytest.mark.parametrize("x", [3.0, np.float32(3), np.array(3.0), [3.0]])
def test_shapes_of_scalars_are_scipys(x, arguments):
    before = special.logsumexp(x, **arguments)
    with fastlog.patch():
        during = special.logsumexp(x, **arguments)
    assert np.shape(during) == np.shape(before)
    assert type(during) is type(before)


@pytest.mark.parametrize("x", [[Decimal(1), Decimal(2)], np.array([Decimal(1)]), ["1", "2"], np.array([], object)])
def test_what_is_no_number_to_numpy_is_left_to_scipy(x):
    for f in ("logsumexp", "softmax", "log_softmax"):
        before = after = None
        with suppress(TypeError, AttributeError, ValueError):
            before = getattr(special, f)(x)
        with fastlog.patch(), suppress(TypeError, AttributeError, ValueError):
            after = getattr(special, f)(x)
        np.testing.assert_array_equal(after, before)


def test_pythons_numbers_take_the_dtype_of_weights():
    before = special.logsumexp(3.0, b=np.float32(2))
    with fastlog.patch():
        assert special.logsumexp(3.0, b=np.float32(2)).dtype == before.dtype


@pytest.mark.parametrize("axis", [np.int64(0), np.array(1), (0, 1)])
def test_axes_may_be_numpys_integers(axis):
    x = np.arange(6.0).reshape(2, 3)
    before = special.logsumexp(x, axis=axis)
    with fastlog.patch():
        np.testing.assert_allclose(special.logsumexp(x, axis=axis), before, rtol=1e-14)


def test_references_taken_before(patched):
    expit, lse, reduce = special.expit, special.logsumexp, np.logaddexp.reduce
    assert expit(-740.0) > 0
    assert lse(PAIR[None], axis=1) == fastlog.logsumexp(PAIR)
    if hasattr(np.logaddexp, "__dict__"):  # before NumPy 2.2, a ufunc cannot have another reduce
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


@pytest.mark.parametrize("dtype", "?bBhHiIlLqQefd")
def test_dtypes_are_those_of_the_installed_version(dtype):
    """SciPy 1.18 computes small integers in float32, SciPy 1.17 in float64, NumPy in float16."""
    x = np.array([[1, 0, 1], [1, 1, 0]], dtype)
    calls = [functools.partial(ufunc, *[x] * ufunc.nin) for ufunc, *_ in UFUNCS]
    calls += [functools.partial(ufunc, *[x[0, 0]] * ufunc.nin) for ufunc, *_ in UFUNCS]
    calls += [functools.partial(np.logaddexp.reduce, x, axis=axis) for axis in (0, 1, (0, 1), None)]
    calls += [lambda: np.logaddexp.reduceat(x[0], [0] * 200), lambda: np.logaddexp.reduce(x, keepdims=True, initial=0)]
    calls += [lambda: np.logaddexp.accumulate(x, axis=1), lambda: np.logaddexp.outer(x, x)]
    if dtype in "ilqfd":  # the others differ from version to version, and some of them overflow
        calls += [functools.partial(f, x, axis) for f in FUNCTIONS[:3] for axis in (None, 1)]
    before = [call() for call in calls]
    with fastlog.patch():
        during = [call() for call in calls]
    for one, other in zip(before, during, strict=True):
        assert (type(one), one.dtype, one.shape) == (type(other), other.dtype, other.shape)
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)


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
    """Only plain arguments are taken; all others get what they got before."""
    x = np.random.default_rng(2).normal(size=(3, 4))
    for a in (pd.DataFrame(x), np.ma.array(x, mask=x > 0.5)):
        for name in ("softmax", "log_softmax", "logsumexp"):
            try:
                before = getattr(special, name)(a, axis=1)
            except ValueError as error:  # SciPy 1.14 refuses masked arrays
                with fastlog.patch(), pytest.raises(ValueError, match=str(error)):
                    getattr(special, name)(a, axis=1)
                continue
            with fastlog.patch():
                during = getattr(special, name)(a, axis=1)
            assert type(during) is type(before)
            np.testing.assert_array_equal(np.asarray(during), np.asarray(before))


def test_plain_arguments(patched):
    assert special.logsumexp([[1, 2], [3, 4]], 1, b=[1, -1], return_sign=True)[1].tolist() == [-1, -1]
    assert special.logsumexp(a=3) == 3
    assert special.softmax((1, 2), axis=-1).sum() == 1
    if hasattr(special, "softplus"):
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
        if hasattr(np.logaddexp, "__dict__"):
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
    with pytest.raises(RuntimeError, match="the patch of scipy by this call has been undone; call patch again"), handle:
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


def test_unknown_and_missing_targets(monkeypatch):
    with pytest.raises(ValueError, match="'torch'"):
        fastlog.patch(["torch"])
    with pytest.raises(ValueError, match="'torch'"):
        fastlog.is_patched("torch")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match="sklearn is not installed; leave 'sklearn' out of targets"):
        fastlog.patch(["scipy", "sklearn"])
    with fastlog.patch() as handle:
        assert handle.targets == ("numpy", "scipy")
        assert handle.refused == {}


def without(*names):
    return lambda patch: [patch.delattr(special, name) for name in names]


def with_softmax(function):
    return lambda patch: patch.setattr(special, "softmax", function)


def closure(held=None):
    def softmax(x, axis=None):
        return held

    return softmax


REFUSED = {
    "another parameter": (with_softmax(lambda x, axis=None, where=None: x), ["softmax"],
                          r"its signature is \(x, axis=None, where=None\), and fastlog knows \(x, axis=None\)"),
    "another default": (with_softmax(lambda x, axis=-1: x), ["softmax"], "its signature is"),
    "keyword only": (with_softmax(lambda x, *, axis=None: x), ["softmax"], "its signature is"),
    "positional only": (with_softmax(lambda x, /, axis=None: x), ["softmax"], "its signature is"),
    "a closure": (with_softmax(closure()), ["softmax"], "it is a closure"),
    "an object": (with_softmax(functools.partial(closure())), ["softmax"], "it is no Python function, but partial"),
    "not there": (without("softmax", "log_softmax"), ["softmax", "log_softmax"], "it is not there"),
    "other loops": (lambda patch: patch.setattr(special, "expit", np.isnan), ["expit"], "no ufunc with the loops f->f"),
    "two results": (lambda patch: patch.setattr(special, "expit", np.frexp), ["expit"], "no ufunc with the loops f->f"),
    "no import": (lambda patch: patch.setitem(sys.modules, "scipy.special", None),
                  [*_plans.PLANS["scipy"]["scipy.special"]], "scipy.special cannot be imported"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_unknown_is_left_alone(case, monkeypatch, capsys):
    change, names, why = REFUSED[case]
    change(monkeypatch)
    message = f"patch leaves alone scipy.special.{names[0]}: .*{why}"
    with pytest.warns(RuntimeWarning, match=message) as warned:
        handle = fastlog.patch(verbose=True)
    assert warned[0].filename == __file__
    with handle:
        assert list(handle.refused) == [f"scipy.special.{name}" for name in names]
        everything_refused = len(names) == len(_plans.PLANS["scipy"]["scipy.special"])
        assert handle.targets == (("numpy", "sklearn") if everything_refused else ("numpy", "scipy", "sklearn"))
        printed = capsys.readouterr().err
        for name in names:
            assert f"fastlog: scipy.special.{name} is left alone: " in printed
        assert "fastlog: sklearn.utils.extmath.softmax, its code\n" in printed
        changed = sum(ours != theirs for ours, theirs in zip(snapshot()[0], UNPATCHED[0], strict=True))
        lost = sum(len(types) for ufunc, _, types, _ in UFUNCS[1:] if ufunc.__name__ in names)
        assert changed == len(PATCHED[0]) - lost
        with pytest.raises(RuntimeError, match=message):
            fastlog.patch(strict=True)
        with pytest.raises(RuntimeWarning, match=message):  # warnings are errors in these tests
            fastlog.patch()
        assert fastlog.is_patched("numpy")
    assert snapshot() == UNPATCHED
    with pytest.raises(RuntimeError, match=f"{message}.*Without strict=True, the others are replaced"):
        fastlog.patch(strict=True)
    assert not fastlog.is_patched()
    assert snapshot() == UNPATCHED
    with pytest.raises(RuntimeWarning, match=message):
        fastlog.patch()
    assert not fastlog.is_patched()
    with fastlog.patch(["numpy", "sklearn"], strict=True) as handle:
        assert handle.refused == {}


def test_what_is_known_by_its_signature(monkeypatch):
    """Annotations and decorators change nothing; two functions are not in every version."""

    def annotated(x: np.ndarray, axis: int | None = None) -> np.ndarray:
        return x

    def decorated(x, axis=None):
        return x

    @functools.wraps(decorated)
    def decorator(*args, **keywords):
        return decorated(*args, **keywords)

    monkeypatch.setattr(special, "softmax", annotated)
    monkeypatch.setattr(special, "log_softmax", decorator)
    monkeypatch.delattr(special, "softplus", raising=False)
    monkeypatch.delattr(array_api, "_logsumexp", raising=False)
    with fastlog.patch(strict=True) as handle:
        assert handle.refused == {}
        np.testing.assert_array_equal(special.softmax(PAIR), fastlog.softmax(PAIR))
        np.testing.assert_array_equal(special.log_softmax(PAIR), fastlog.log_softmax(PAIR))
    assert special.softmax(PAIR) is PAIR
    assert special.log_softmax(PAIR) is PAIR


@pytest.mark.slow
def test_scikit_learn_answers_the_same():
    rng = np.random.default_rng(4)
    x, counts = rng.normal(size=(300, 3)), rng.integers(0, 9, (300, 5))
    labels = rng.integers(0, 4, 300)
    before = GaussianMixture(3, random_state=0).fit(x).score_samples(x), MultinomialNB().fit(counts, labels)
    proba = before[1].predict_proba(counts)
    with fastlog.patch():
        np.testing.assert_allclose(GaussianMixture(3, random_state=0).fit(x).score_samples(x), before[0], rtol=1e-9)
        np.testing.assert_allclose(MultinomialNB().fit(counts, labels).predict_proba(counts), proba, rtol=1e-12)


def test_nothing_is_imported_or_patched_by_itself():
    code = "import sys, fastlog; print([m for m in ('scipy', 'sklearn', 'pandas', 'dask') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"
    assert importlib.import_module("fastlog").is_patched() is False
