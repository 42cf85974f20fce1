"""Objectives against mpmath, and against the libraries' own objectives, in native and scikit-learn forms."""

import importlib.util
import pickle
import warnings

import mpmath
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import fastlog
from fastlog import objectives
from fastlog.objectives import LIBRARIES, LinearModel

RNG = np.random.default_rng(11)
ROUNDS = 10


def two_classes():
    x, y = load_breast_cancer(return_X_y=True)
    return x, y, np.where(y == 0, 3.0, 1.0)


def three_classes():
    x, y = load_digits(return_X_y=True)
    few = np.flatnonzero(y < 3)[:400]
    return x[few], y[few], np.linspace(0.5, 2, len(few))


def library(name):
    """Import a library, or skip the test."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed; make {'peers' if name == 'catboost' else 'test'} brings it")
    return importlib.import_module(name)


# ---- numbers, against mpmath ----


def focal_of(x, y, alpha, gamma):
    """Return the focal loss of a label at a number of mpmath."""
    p = 1 / (1 + mpmath.exp(-x))
    wrong, log_right = (1 - p, mpmath.log(p)) if y else (p, mpmath.log(1 - p))
    return -(alpha if y else 1 - alpha) * wrong**gamma * log_right


@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
def test_focal_derivatives(gamma):
    x, y = np.array([-9.0, -2.5, -0.5, 0.0, 0.25, 1.0, 3.0, 8.0] * 2), np.repeat([0.0, 1.0], 8)
    weight = np.linspace(0.5, 3, 16)
    grad, hess = objectives.focal("xgboost", alpha=0.25, gamma=gamma)(y, x, weight)
    with mpmath.workdps(40):
        for k in range(16):
            of = mpmath.taylor(lambda t, k=k: focal_of(t, y[k], mpmath.mpf(0.25), gamma), mpmath.mpf(x[k]), 2)
            assert grad[k] == pytest.approx(float(weight[k] * of[1]), rel=1e-12)
            assert hess[k] == pytest.approx(float(abs(weight[k] * 2 * of[2])), rel=1e-9)
    assert gamma == 0 or np.any(fastlog.focal_loss(x, y, 0.25, gamma, return_hess=True)[2] < 0)
    assert np.all(hess >= 0)


@pytest.mark.parametrize(("name", "factor"), [("xgboost", 2), ("lightgbm", 4 / 3), ("catboost", 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_multiclass_derivatives(name, factor, dtype):
    x = RNG.normal(0, 3, (6, 4)).astype(dtype)
    y, weight = np.array([0, 1, 2, 3, 3, 0], np.float32), np.linspace(0.5, 3, 6).astype(np.float32)
    objective = objectives.multiclass(name)
    total, rtol = 0, 40 * np.finfo(dtype).eps
    wanted, second = np.empty((2, 6, 4))
    with mpmath.workdps(40):
        for i in range(6):
            z = mpmath.fsum(mpmath.exp(float(v)) for v in x[i])
            p = [mpmath.exp(float(v)) / z for v in x[i]]
            w = float(weight[i])
            total -= w * mpmath.log(p[int(y[i])])
            wanted[i] = [float(w * (q - (c == y[i]))) for c, q in enumerate(p)]
            second[i] = [float(factor * w * q * (1 - q)) for q in p]
            grad, hess = objective.calc_ders_multi(x[i].astype(float), float(y[i]), w)
            np.testing.assert_allclose(grad, -wanted[i], rtol=1e-12, atol=1e-14)
            exact = [[float(w * (p[a] * p[b] - (a == b) * p[a])) for b in range(4)] for a in range(4)]
            np.testing.assert_allclose(hess, exact, rtol=1e-9, atol=1e-15)
    for got, exact in zip(objective(y, x, weight), (wanted, second), strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, exact, rtol=rtol, atol=rtol)
    value = float(total) / 10.5
    got = objective.metric(y, x, weight)
    if name == "lightgbm":
        label, got, larger_is_better = got
        assert (label, larger_is_better) == ("cross_entropy", False)
    assert got == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", LIBRARIES)
def test_binary_derivatives(name):
    x, y, weight = np.array([-3.0, 0.0, 2.0]), np.array([1, 0, 1]), np.array([1.0, 2.0, 0.5])
    grad, hess = objectives.binary(name)(y, x, weight)
    with mpmath.workdps(40):
        p = [1 / (1 + mpmath.exp(-v)) for v in x]
        np.testing.assert_allclose(grad, [float(w * (q - z)) for q, z, w in zip(p, y, weight, strict=True)], rtol=1e-14)
        np.testing.assert_allclose(hess, [float(w * q * (1 - q)) for q, w in zip(p, weight, strict=True)], rtol=1e-14)
    pairs = objectives.binary(name).calc_ders_range(x, y, weight)
    np.testing.assert_array_equal(pairs, np.stack((-grad, -hess), axis=1))


# ---- the libraries ----


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_xgboost(kind, weighted):
    xgboost = library("xgboost")
    (x, y, weight), several = (two_classes(), False) if kind == "binary" else (three_classes(), True)
    weight = weight if weighted else None
    objective = getattr(objectives, kind)("xgboost")
    data = xgboost.DMatrix(x, y, weight=weight)
    settings = {"max_depth": 3, "nthread": 1} | ({"num_class": 3} if several else {})
    theirs, built_in = {}, ("multi:softprob", "mlogloss") if several else ("binary:logistic", "logloss")
    start = 0 if several else 0.5  # XGBoost takes the logit of that of binary:logistic alone
    named = {"objective": built_in[0], "eval_metric": built_in[1], "base_score": start}
    common = {"num_boost_round": ROUNDS, "evals": [(data, "train")], "verbose_eval": False}
    model = xgboost.train(settings | named, data, evals_result=theirs, **common)
    wanted, logged = model.predict(data, output_margin=True), theirs["train"][built_in[1]]

    ours = {}
    custom = settings | {"base_score": 0, "disable_default_eval_metric": True}
    model = xgboost.train(custom, data, obj=objective, custom_metric=objective.metric, evals_result=ours, **common)
    np.testing.assert_allclose(model.predict(data, output_margin=True), wanted, atol=2e-5)
    np.testing.assert_allclose(ours["train"][objective.metric.__name__], logged, rtol=1e-5)

    forms = {"n_estimators": ROUNDS, "max_depth": 3, "n_jobs": 1, "base_score": start}
    estimator = xgboost.XGBClassifier(objective=objective, eval_metric=objective.metric, **forms)
    estimator = clone(estimator).fit(
        x, y, sample_weight=weight, eval_set=[(x, y)], verbose=False,
        sample_weight_eval_set=None if weight is None else [weight],
    )  # fmt: skip
    np.testing.assert_allclose(estimator.predict(x, output_margin=True), wanted, atol=2e-5)
    logs = estimator.evals_result()["validation_0"][objective.metric.__name__]
    np.testing.assert_allclose(logs, logged, rtol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_lightgbm(kind, weighted):
    lightgbm = library("lightgbm")
    (x, y, weight), several = (two_classes(), False) if kind == "binary" else (three_classes(), True)
    weight = weight if weighted else None
    objective = getattr(objectives, kind)("lightgbm")
    quiet = {"num_leaves": 7, "verbosity": -1, "num_threads": 1, "deterministic": True, "boost_from_average": False}
    settings = quiet | ({"num_class": 3} if several else {})
    built_in, metric = ("multiclass", "multi_logloss") if several else ("binary", "binary_logloss")

    def train(**options):
        logs = {}
        data = lightgbm.Dataset(x, y, weight=weight, free_raw_data=False)
        record = [lightgbm.record_evaluation(logs)]
        feval = options.pop("feval", None)
        model = lightgbm.train(
            settings | options, data, ROUNDS, valid_sets=[data], valid_names=["train"], callbacks=record, feval=feval
        )
        return model.predict(x, raw_score=True), logs["train"]

    wanted, logged = train(objective=built_in, metric=metric)
    got, logs = train(objective=objective, metric="None", feval=objective.metric)
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    np.testing.assert_allclose(logs[objective.metric.__name__], logged[metric], rtol=1e-6)

    estimator = clone(lightgbm.LGBMClassifier(objective=objective, n_estimators=ROUNDS, **quiet))
    with warnings.catch_warnings():  # about its own name of num_threads
        warnings.simplefilter("ignore")
        estimator.fit(
            x, y, sample_weight=weight, eval_set=[(x, y)], eval_metric=objective.metric,
            eval_sample_weight=None if weight is None else [weight],
        )  # fmt: skip
        np.testing.assert_allclose(estimator.predict(x, raw_score=True), wanted, atol=1e-6)
    (logs,) = estimator.evals_result_.values()
    np.testing.assert_allclose(logs[objective.metric.__name__], logged[metric], rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_catboost(kind, weighted):
    catboost = library("catboost")
    (x, y, weight), several = (two_classes(), False) if kind == "binary" else (three_classes(), True)
    weight = weight if weighted else None
    objective = getattr(objectives, kind)("catboost")
    settings = {
        "iterations": ROUNDS, "learning_rate": 0.1, "depth": 4, "verbose": False, "thread_count": 1,
        "boost_from_average": False, "leaf_estimation_method": "Newton", "leaf_estimation_iterations": 1,
        "bootstrap_type": "No", "random_strength": 0, "boosting_type": "Plain", "allow_writing_files": False,
    }  # fmt: skip
    built_in = "MultiClass" if several else "Logloss"
    model = catboost.CatBoostClassifier(loss_function=built_in, **settings)
    model.fit(x, y, sample_weight=weight)
    wanted = model.predict(x, prediction_type="RawFormulaVal")
    logged = model.get_evals_result()["learn"][built_in]

    settings |= {"loss_function": objective, "eval_metric": objective.metric}
    classes = {"class_names": [0, 1, 2]} if several else {}
    model = catboost.CatBoostClassifier(**settings, **classes).fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(model.predict(x, prediction_type="RawFormulaVal"), wanted, atol=1e-12)
    (logs,) = model.get_evals_result()["learn"].values()
    np.testing.assert_allclose(logs, logged, rtol=1e-9 if several else 3e-4)  # Logloss has fast exponentials
    exact = log_loss(y, model.predict_proba(x), sample_weight=weight)
    assert logs[-1] == pytest.approx(exact, rel=1e-9)

    settings |= {"classes_count": 3} if several else {}
    model = catboost.train(catboost.Pool(x, y, weight=weight), settings)
    np.testing.assert_allclose(model.predict(x, prediction_type="RawFormulaVal"), wanted, atol=1e-12)


@pytest.mark.parametrize("name", LIBRARIES)
def test_focal_loss_trains_trees(name):
    module = library(name)
    x, y, weight = two_classes()
    objective = objectives.focal(name, alpha=0.4, gamma=1.0)
    if name == "xgboost":
        data = module.DMatrix(x, y, weight=weight)
        margin = module.train({"base_score": 0, "nthread": 1}, data, 30, obj=objective).predict(data)
    elif name == "lightgbm":
        settings = {"objective": objective, "verbosity": -1, "num_threads": 1, "num_class": 1}
        margin = module.train(settings, module.Dataset(x, y, weight=weight), 30).predict(x)
    else:
        model = module.CatBoostClassifier(
            loss_function=objective, eval_metric=objective.metric, iterations=30, learning_rate=0.3, verbose=False,
            thread_count=1, allow_writing_files=False,
        )  # fmt: skip
        margin = model.fit(x, y, sample_weight=weight).predict(x, prediction_type="RawFormulaVal")
    assert np.mean((margin > 0) == y) > 0.97
    before = objective._sum(np.zeros(len(y)), y, weight, False)
    assert objective._sum(np.asarray(margin), y, weight, False) < 0.3 * before


# ---- arguments ----


def test_objectives_can_be_pickled():
    objective = pickle.loads(pickle.dumps(objectives.focal("lightgbm", gamma=3.0)))
    assert repr(objective) == "<objective focal('lightgbm', alpha=None, gamma=3.0)>"
    assert repr(objective.metric) == "<metric focal('lightgbm', alpha=None, gamma=3.0)>"
    x, y = RNG.normal(size=5), np.array([0, 1, 1, 0, 1])
    expected = fastlog.focal_loss(x, y, gamma=3.0, return_hess=True, reduction="sum")
    np.testing.assert_array_equal(objective(y, x)[0], expected[1])


def test_a_metric_of_nothing_is_nan():
    assert np.isnan(objectives.binary("xgboost").metric(np.zeros(0), np.zeros(0)))
    assert np.isnan(objectives.binary("xgboost").metric(np.zeros(2), np.zeros(2), np.zeros(2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: objectives.binary("torch"), "library must be one of 'xgboost', 'lightgbm', 'catboost'"),
        (lambda: objectives.focal("xgboost", alpha=2.0), "alpha must be between 0 and 1"),
        (lambda: objectives.focal("xgboost", gamma=-1.0), "gamma must be"),
        (lambda: objectives.binary("xgboost")(np.array([-1, 1]), np.zeros(2)), r"labels -1 and \+1 need"),
        (lambda: objectives.binary("xgboost")(np.array([np.nan, 1]), np.zeros(2)), "labels 0 and 1"),
        (lambda: objectives.focal("xgboost").metric(np.array([2, 1]), np.zeros(2)), "labels 0 and 1"),
        (lambda: objectives.binary("lightgbm")(np.zeros(2), np.zeros((2, 3))), "same shape"),
        (
            lambda: objectives.multiclass("lightgbm")(np.zeros(2), np.zeros(6)),
            r"margins of the shape \(rows, classes\)",
        ),
        (lambda: objectives.multiclass("lightgbm")(np.array([0.5, 1]), np.zeros((2, 3))), "whole numbers"),
        (lambda: objectives.multiclass("lightgbm")(np.array([np.nan, 1]), np.zeros((2, 3))), "whole numbers"),
        (lambda: objectives.multiclass("lightgbm")(np.array([3.0, 1]), np.zeros((2, 3))), "labels run from 0 to 2"),
        (lambda: objectives.multiclass("lightgbm")(np.array([-100.0, 1]), np.zeros((2, 3))), "labels run from 0 to 2"),
        (
            lambda: objectives.multiclass("catboost").calc_ders_multi(np.zeros(3), -1.0, 1.0),
            "the label -1.0 is no whole",
        ),
        (lambda: objectives.multiclass("catboost").calc_ders_multi(np.zeros(3), 3.0, 1.0), "from 0 to 2"),
        (lambda: objectives.multiclass("catboost").calc_ders_multi(np.zeros(3), 0.5, 1.0), "the label 0.5 is no whole"),
        (lambda: LinearModel(np.ones((2, 2)), [0, 1], "hinge"), "loss must be one of"),
        (lambda: LinearModel(np.ones((2, 2)), [0, 1, 1]), r"x of shape \(n, d\)"),
        (lambda: LinearModel(np.ones((2, 2)), [-1, 1]), "labels -1"),
        (lambda: LinearModel(np.ones((2, 2)), [-1, 1], "multiclass"), "labels run from 0"),
        (lambda: LinearModel(np.ones((2, 2)), [0, 1], weight=[1.0]), "weight must have the shape of y"),
        (lambda: LinearModel(np.ones((2, 2)), [0, 1], "focal", gamma=-1.0), "gamma must be"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- scipy.optimize ----


def exact_model(x, y, w, kind, weight, l2):
    """Return the loss of a linear model as a function on mpmath's numbers."""
    d, k = x.shape[1], len(w) // x.shape[1]

    def loss(v):
        total = mpmath.fsum(l2 / mpmath.mpf(2) * a * a for a in v)
        for row, label, u in zip(x.tolist(), y, weight, strict=True):
            margins = [mpmath.fsum(row[i] * v[i * k + c] for i in range(d)) for c in range(k)]
            if kind == "multiclass":
                total += u * (mpmath.log(mpmath.fsum(map(mpmath.exp, margins))) - margins[label])
            elif kind == "binary":
                total += u * (mpmath.log(1 + mpmath.exp(margins[0])) - label * margins[0])
            else:
                total += u * focal_of(margins[0], label, mpmath.mpf("0.5"), 2) * 2
        return total

    return loss


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "focal"])
def test_derivatives_of_a_linear_model(kind, form):
    x, y = RNG.normal(size=(7, 3)).round(3), np.array([0, 1, 1, 0, 1, 0, 1])
    y = y + (kind == "multiclass") * np.array([0, 1, 0, 2, 1, 0, 0])
    weight = np.array([1.0, 2, 0.5, 1, 3, 1, 0])
    model = LinearModel(form(x), y, kind, weight=weight, l2=0.3)
    w = RNG.normal(size=model.start().size).round(3)
    p = RNG.normal(size=w.size).round(3)
    with mpmath.workdps(60):
        loss = exact_model(x, y.tolist(), w, kind, weight.tolist(), mpmath.mpf(0.3))
        step = mpmath.mpf("1e-20")

        def along(direction, t, start=w):
            return loss([mpmath.mpf(a) + t * b for a, b in zip(start.tolist(), direction, strict=True)])

        value, grad = model(w)
        assert value == pytest.approx(float(along(w * 0, 0)), rel=1e-13)
        unit = np.eye(w.size)
        exact = [float((along(e, step) - along(e, -step)) / (2 * step)) for e in unit]
        np.testing.assert_allclose(grad, exact, rtol=1e-11, atol=1e-12)

        def mixed(e):
            terms = (s * t * loss([
                mpmath.mpf(a) + s * step * b + t * step * c for a, b, c in zip(w.tolist(), e, p.tolist(), strict=True)
            ]) for s in (1, -1) for t in (1, -1))  # fmt: skip
            return float(mpmath.fsum(terms) / (4 * step * step))

        product = model.hessp(w, p)
        np.testing.assert_allclose(product, [mixed(e) for e in unit], rtol=1e-9, atol=1e-10)


def test_the_hessian_is_kept_until_the_coefficients_change(monkeypatch):
    x, y, _ = two_classes()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    model, calls = LinearModel(x, y, l2=1.0), []
    real = model._loss
    monkeypatch.setattr(model, "_loss", lambda *a, **k: calls.append(1) or real(*a, **k))
    w, p = model.start(), np.ones(30)
    first = model.hessp(w, p)
    np.testing.assert_array_equal(model.hessp(w.copy(), p), first)
    assert len(calls) == 1
    w[0] = 1.0  # the array may be the same one, changed in place
    assert not np.array_equal(model.hessp(w, p), first)
    assert len(calls) == 2


def test_another_thread_may_replace_what_is_kept():
    x, y, w, p = RNG.normal(size=(9, 2)), np.arange(9) % 2, np.ones(2), np.array([1.0, 2])
    model = LinearModel(x, y)
    expected = model.hessp(w, p)

    class Coefficients:
        def __array__(self, dtype=None, copy=None):
            model.hessp(-5 * w, p)  # as another thread would call it, between any two steps
            return w

    np.testing.assert_array_equal(model.hessp(Coefficients(), p), expected)


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f4"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "focal"])
def test_integers_are_real_numbers(kind, dtype):
    x, y = np.array([[1, 0], [1, 100], [0, 3]]).astype(dtype), np.array([0, 1, 1])
    model, same = LinearModel(x, y, kind, weight=[1, 2, 3]), LinearModel(x.astype(float), y, kind, weight=[1.0, 2, 3])
    w = np.arange(model.start().size, dtype="i1")
    for p in (w, np.ones(len(w), bool)):
        np.testing.assert_allclose(model.hessp(w, p), same.hessp(w.astype(float), p.astype(float)), rtol=1e-6)
    for one, other in zip(model(w), same(w.astype(float)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_masks_are_refused():
    x, y, w = np.ones((2, 2)), np.array([0, 1]), np.ones(2)
    of_x, masked = (np.ma.array(a, mask=np.eye(*a.shape) if a.ndim > 1 else [0, 1]) for a in (x, w))
    labels = np.ma.array(y, mask=[0, 1])
    objective = objectives.binary("lightgbm")
    for f in (
        lambda: LinearModel(of_x, y),
        lambda: LinearModel(x, labels),
        lambda: LinearModel(x, y, weight=masked),
        lambda: LinearModel(x, y, l2=masked),
        lambda: objective(y, w, masked),
        lambda: objective(y, masked),
        lambda: objective(labels, w),
        lambda: objective.metric(y, w, masked),
        lambda: objective.metric.evaluate([w], y, masked),
        lambda: objectives.multiclass("xgboost")(y, x, masked),
    ):
        with pytest.raises(TypeError, match="masked elements"):
            f()
    whole = LinearModel(np.ma.array(x), np.ma.array(y), weight=np.ma.array(w))
    assert whole(w)[0] == LinearModel(x, y, weight=w)(w)[0]


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov"])
def test_the_optimum_is_that_of_scikit_learn(method):
    x, y, weight = two_classes()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    model = LinearModel(x, y, weight=weight, l2=1.0)
    fit = scipy.optimize.minimize(model, model.start(), jac=True, hessp=model.hessp, method=method)
    theirs = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=1000).fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(fit.x, theirs.coef_[0], atol=2e-4)


def test_several_classes_and_an_intercept_without_penalty():
    x, y, weight = three_classes()
    x = x / 16
    ones = np.hstack((x, np.ones((len(x), 1))))
    penalty = np.append(np.ones(64), 0.0)[:, np.newaxis]
    model = LinearModel(ones, y, "multiclass", weight=weight, l2=penalty)
    fit = scipy.optimize.minimize(model, model.start(), jac=True, hessp=model.hessp, method="trust-ncg")
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=2000).fit(x, y, sample_weight=weight)
    coefficients = model.coefficients(fit.x)
    np.testing.assert_allclose(coefficients[:-1].T, theirs.coef_, atol=1e-3)
    intercept = coefficients[-1] - coefficients[-1].mean()
    np.testing.assert_allclose(intercept, theirs.intercept_ - theirs.intercept_.mean(), atol=2e-3)
