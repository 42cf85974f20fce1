"""How packages call these functions: each form on SciPy, on SciPy under fastlog.patch, and on fastlog in its place.

The forms are those of scikit-learn, hmmlearn, statsmodels, arviz, xarray-einstats, dynesty, nessai, bilby, UltraNest,
pints, pymbar, tsdate, XGBoost, LightGBM, alibi-detect and pyctcdecode.
"""

import math

import numpy as np
import pytest
import scipy.special
import sklearn.utils._array_api
import sklearn.utils.extmath
import xarray as xr

import fastlog
import fastlog.special

of_seed = np.random.default_rng
N, K = 200, 10
X = of_seed(0).normal(0, 5, (N, K))
X32 = X.astype(np.float32)
CHAINS = of_seed(1).normal(-50, 3, (4, 100, 7))  # chain, draw, observation
REGIMES = of_seed(2).normal(-2, 1, (3, 3, 50))
LIVE = np.zeros(30, [("logL", "f8"), ("logW", "f8"), ("it", "i4")])
LIVE["logL"], LIVE["logW"] = of_seed(3).normal(-20, 3, 30), -0.1 * np.arange(30)
U_KN, F_K, N_K = of_seed(4).normal(10, 4, (8, 500)), of_seed(5).normal(0, 2, 8), of_seed(6).integers(0, 90, 8)
LOGITS = of_seed(7).normal(0, 4, (50, 32)).astype(np.float32)


def in_place(f, x, *arguments, **options):
    y = np.array(x)
    returned = f(y, *arguments, **options)
    return y, returned


def arviz_einstats(s):
    da = xr.DataArray(CHAINS, dims=("chain", "draw", "obs"))

    def lse(a, b, **options):
        return s.logsumexp(a, b=b, axis=(-2, -1), **options)

    core = ["chain", "draw"]
    return xr.apply_ufunc(lse, da, True, input_core_dims=[core, []], kwargs={"return_sign": False}).to_numpy()


def sign_and_value(result):
    return [np.asarray(part) for part in result]


# Form -> a call, given scipy.special or fastlog.special, and numpy.logaddexp or fastlog.logaddexp.
FORMS = {
    "scikit-learn: mixture, naive Bayes": lambda s, add: s.logsumexp(X, axis=1),
    "scikit-learn: float32": lambda s, add: s.logsumexp(X32, axis=1),
    "scikit-learn: LDA, axis 0 of few rows": lambda s, add: s.logsumexp(X[:6], axis=0),
    "scikit-learn: bagging, -inf": lambda s, add: add(np.where(X > 0, X, -np.inf), X[::-1]),
    "scikit-learn: RBM": lambda s, add: add(0, X).sum(axis=1),
    "scikit-learn: RBM, in place": lambda s, add: in_place(lambda p: s.expit(p, out=p), X),
    "scikit-learn: neural network, in place": lambda s, add: in_place(lambda p: s.expit(p, out=p), X32),
    "hmmlearn: positional axis": lambda s, add: s.logsumexp(X, 1, keepdims=True),
    "hmmlearn: normalising": lambda s, add: X - s.logsumexp(X, 0, keepdims=True),
    "statsmodels: regimes": lambda s, add: s.logsumexp(REGIMES, axis=0),
    "statsmodels: last axis of a view": lambda s, add: s.logsumexp(REGIMES[:, ::-1], axis=1),
    "scipy: stacked, signed": lambda s, add: sign_and_value(
        s.logsumexp(np.stack((X[0], X[1])), axis=0, b=np.array([[1.0], [-1.0]]), return_sign=True)
    ),
    "arviz: whole": lambda s, add: s.logsumexp(CHAINS[0, :, 0]),
    "arviz: b=1/n": lambda s, add: s.logsumexp(CHAINS[0, :, 0], b=1 / 100),
    "arviz: keepdims": lambda s, add: s.logsumexp(CHAINS, axis=-1, keepdims=True),
    "arviz: tuple of axes": lambda s, add: s.logsumexp(-CHAINS, axis=(0, 1), keepdims=True),
    "arviz: array of weights": lambda s, add: s.logsumexp(CHAINS[0, :, 0], b=np.abs(X[:100, 0])),
    "xarray-einstats: b=True, negative tuple": lambda s, add: arviz_einstats(s),
    "dynesty: list of scalars": lambda s, add: s.logsumexp([np.float64(1.5), 2.0, np.float64(-1.0)]),
    "dynesty: keywords a and b, lists": lambda s, add: s.logsumexp(a=[-3.0, -2.5], b=[0.5, -0.5], return_sign=True)[0],
    "dynesty: lists of arrays": lambda s, add: s.logsumexp([X[0] + 9, X[1]], axis=0, b=[np.ones(K), -np.ones(K)]),
    "dynesty: scalars": lambda s, add: add(np.float64(-3.0), -2.0),
    "dynesty: accumulate": lambda s, add: add.accumulate(X[:, 0]),
    "pints: accumulate, axis": lambda s, add: add.accumulate(X, axis=0),
    "nessai: weights along rows": lambda s, add: s.logsumexp(X, b=np.abs(X), axis=1),
    "nessai: record fields": lambda s, add: s.logsumexp(LIVE["logL"] + LIVE["logW"]),
    "UltraNest: a record field, strided": lambda s, add: s.logsumexp(LIVE["logL"]),
    "bilby: list, scalar b": lambda s, add: s.logsumexp([1.0, 2.0, 3.0], b=1.0 / 3),
    "bilby: effective sample size": lambda s, add: 2 * s.logsumexp(X[:, 0]) - s.logsumexp(2 * X[:, 0]),
    "pymbar: transposed, integer weights": lambda s, add: s.logsumexp(F_K - U_KN.T, b=N_K, axis=1),
    "pymbar: axis 1 of a difference": lambda s, add: s.logsumexp(-U_KN[0] - U_KN, axis=1),
    "pymbar: F order": lambda s, add: s.logsumexp(np.asfortranarray(U_KN), axis=0),
    "tsdate: segments": lambda s, add: add.reduceat(X[:, 0], [0, 20, 21, 150]),
    "numpy: reduce": lambda s, add: add.reduce(X, axis=1),
    "numpy: outer": lambda s, add: add.outer(X[0], X[1]),
    "weights that enlarge": lambda s, add: s.logsumexp(X[0], b=X[:5], axis=1, return_sign=True)[0],
    "weights of bools": lambda s, add: s.logsumexp(X, b=X > 0, axis=1),
    "weights that are 0": lambda s, add: s.logsumexp([1.0, 2.0, 3.0], b=[0, 0, 1]),
    "pyctcdecode: clipped": lambda s, add: np.clip(s.log_softmax(LOGITS, axis=1), math.log(1e-15), 0),
    "alibi-detect: last axis": lambda s, add: s.softmax(LOGITS, axis=-1),
    "alibi-detect: log": lambda s, add: s.log_softmax(LOGITS, axis=-1),
    "XGBoost: float32 margins": lambda s, add: s.softmax(X32, axis=1),
    "XGBoost: binary": lambda s, add: s.expit(X32[:, 0]),
    "LightGBM: column order": lambda s, add: s.softmax(np.asfortranarray(X), axis=1),
    "whole array": lambda s, add: s.softmax(X),
    "three axes": lambda s, add: s.log_softmax(CHAINS, axis=(0, 1)),
    "in place, out=x": lambda s, add: in_place(lambda x: add(x, 1.0, out=x), X),
    "results in math and strings": lambda s, add: (math.exp(s.logsumexp([0.1, 0.2])), f"{s.logsumexp([0.1, 0.2]):.6f}"),
    "0-d": lambda s, add: s.logsumexp(np.array(2.0)),
    "empty": lambda s, add: s.logsumexp(np.array([])),
}


def compare(got, expected, single):
    if isinstance(expected, (tuple, list)):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            compare(one, other, single)
        return
    if isinstance(expected, str):
        assert got == expected
        return
    assert type(got) is type(expected)
    assert np.shape(got) == np.shape(expected)
    assert np.asarray(got).dtype == np.asarray(expected).dtype
    close = 3e-6 if single else 2e-14
    np.testing.assert_allclose(got, expected, rtol=close, atol=close)


@pytest.mark.parametrize("form", FORMS)
def test_call_forms(form):
    call = FORMS[form]
    with np.errstate(all="ignore"):
        expected = call(scipy.special, np.logaddexp)
    single = np.asarray(expected[0] if isinstance(expected, tuple) else expected).dtype == np.float32
    with np.errstate(all="raise"):
        compare(call(fastlog.special, fastlog.logaddexp), expected, single)
        with fastlog.patch():
            compare(call(scipy.special, np.logaddexp), expected, single)


def test_call_forms_of_scikit_learns_own_functions():
    own, softmax = sklearn.utils._array_api._logsumexp, sklearn.utils.extmath.softmax

    def calls():
        yield from (own(X, axis=1), own(X32, axis=1), own(X), softmax(X), softmax(X32))
        if hasattr(np, "__array_namespace_info__"):  # since NumPy 2.1; scikit-learn asks it
            yield own(X, axis=1, xp=np)
        yield from (in_place(softmax, X, copy=False), in_place(softmax, X32, False), softmax(2 * LOGITS))

    expected = list(calls())
    with fastlog.patch():
        for got, theirs in zip(calls(), expected, strict=True):
            compare(got, theirs, np.asarray(theirs[0] if isinstance(theirs, tuple) else theirs).dtype == np.float32)
