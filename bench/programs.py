"""Programs that know nothing of fastlog, with its patch and without: ``python -m bench --programs``.

Each program is what its users would write. It runs in turn without and with the patch, and its answers are compared.
"""

from __future__ import annotations

import importlib
import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import fastlog
from bench import report

HEADINGS = ["program", "seconds", "patched", "times faster", "answers differ by"]
ROUNDS = 3  # with and without the patch in turn; the shortest time counts
REPEATS = 3  # runs in a row
TOLERANCE = 1e-5  # the most by which answers may differ, relative to the largest one; optimisers stop at some 1e-4


def sinkhorn() -> Callable[[], Any]:
    """POT: entropic optimal transport in log space."""
    import ot

    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (500, 2)), rng.normal(1, 1, (500, 2))
    cost = ot.dist(a, b)
    weights = np.full(500, 1 / 500)
    return lambda: ot.sinkhorn(weights, weights, cost, 0.1, method="sinkhorn_log", numItermax=100, warn=False)


def mbar() -> Callable[[], Any]:
    """Free energies of ten harmonic oscillators with pymbar."""
    import pymbar

    rng = np.random.default_rng(0)
    states, samples = 10, 2000
    centres, stiffness = np.linspace(0, 4, states), np.linspace(1, 3, states)
    x = np.concatenate([rng.normal(c, k**-0.5, samples) for c, k in zip(centres, stiffness, strict=True)])
    energies = 0.5 * stiffness[:, np.newaxis] * (x - centres[:, np.newaxis]) ** 2
    return lambda: pymbar.MBAR(energies, np.full(states, samples), solver_protocol="robust").f_k


def leave_one_out() -> Callable[[], Any]:
    """arviz-stats: the leave-one-out predictive density of 500 observations."""
    import arviz_base
    import arviz_stats

    rng = np.random.default_rng(0)
    draws = {
        "posterior": {"mu": rng.normal(size=(4, 1000))},
        "log_likelihood": {"y": rng.normal(-1, 0.5, (4, 1000, 500))},
    }
    data = arviz_base.from_dict(draws)
    return lambda: float(arviz_stats.loo(data).elpd)


def labelled_weights() -> Callable[[], Any]:
    """xarray-einstats: the logarithm of a mixture's density at 4000 draws of 20 components, along a named axis."""
    import xarray
    from xarray_einstats import stats

    log_density = np.random.default_rng(0).normal(-3, 4, (4, 1000, 20, 50))
    draws = xarray.DataArray(log_density, dims=("chain", "draw", "component", "observation"))
    return lambda: stats.logsumexp(draws, dims="component").values


def hidden_markov(states: int) -> Callable[[], Any]:
    """hmmlearn: five steps of a Gaussian hidden Markov model in log space."""
    from hmmlearn import hmm

    x = np.random.default_rng(0).normal(size=(3000, 3))

    def fit() -> Any:
        model = hmm.GaussianHMM(states, n_iter=5, tol=-np.inf, implementation="log", init_params="stc", random_state=0)
        model.means_ = x[:states]  # Else finding the means takes most of the time.
        return model.fit(x).score(x)

    return fit


def logistic_regression(classes: int, dtype: str) -> Callable[[], Any]:
    """scikit-learn: logistic regression of 20 features."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = rng.normal(size=(50_000, 20))
    labels = np.argmax(x @ rng.normal(size=(20, classes)) + rng.gumbel(size=(50_000, classes)), axis=1)
    x = x.astype(dtype)
    return lambda: LogisticRegression().fit(x, labels).coef_


def gaussian_mixture() -> Callable[[], Any]:
    """scikit-learn: ten steps of a Gaussian mixture with diagonal covariances."""
    from sklearn.mixture import GaussianMixture

    x = np.random.default_rng(0).normal(size=(20_000, 4))
    model = GaussianMixture(20, covariance_type="diag", max_iter=10, tol=0, init_params="random", random_state=0)
    return lambda: model.fit(x).means_


def discriminant() -> Callable[[], Any]:
    """scikit-learn: probabilities of a linear discriminant analysis."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(50_000, 10)), rng.integers(0, 10, 50_000)
    model = LinearDiscriminantAnalysis().fit(x, labels)
    return lambda: model.predict_proba(x)


def calibration() -> Callable[[], Any]:
    """scikit-learn: the temperature of a classifier of twenty classes."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = rng.normal(size=(50_000, 20))
    labels = np.argmax(x @ rng.normal(size=(20, 20)) + rng.gumbel(size=(50_000, 20)), axis=1)
    model = FrozenEstimator(LogisticRegression(max_iter=20).fit(x[:5000], labels[:5000]))
    calibrated = CalibratedClassifierCV(model, method="temperature")
    return lambda: calibrated.fit(x, labels).calibrated_classifiers_[0].calibrators[0].beta_


# A title -> the module that it needs, and what prepares it.
PROGRAMS: dict[str, tuple[str, Callable[[], Callable[[], Any]]]] = {
    "POT, sinkhorn_log, 500 × 500": ("ot", sinkhorn),
    "pymbar, MBAR, 10 × 20 000": ("pymbar", mbar),
    "arviz-stats, loo, 4 × 1000 × 500": ("arviz_stats", leave_one_out),
    "xarray-einstats, logsumexp, 4000 × 20 × 50": ("xarray_einstats", labelled_weights),
    "hmmlearn, GaussianHMM.fit, 5 states": ("hmmlearn", lambda: hidden_markov(5)),
    "hmmlearn, GaussianHMM.fit, 50 states": ("hmmlearn", lambda: hidden_markov(50)),
    "LogisticRegression.fit, 2 classes, float64": ("sklearn", lambda: logistic_regression(2, "float64")),
    "LogisticRegression.fit, 2 classes, float32": ("sklearn", lambda: logistic_regression(2, "float32")),
    "LogisticRegression.fit, 20 classes, float64": (
        "sklearn",
        lambda: logistic_regression(20, "float64"),
    ),
    "LogisticRegression.fit, 20 classes, float32": (
        "sklearn",
        lambda: logistic_regression(20, "float32"),
    ),
    "GaussianMixture.fit, 20 components": ("sklearn", gaussian_mixture),
    "LDA.predict_proba, 10 classes": ("sklearn", discriminant),
    "CalibratedClassifierCV.fit, temperature": ("sklearn", calibration),
}


def shortest(program: Callable[[], Any]) -> tuple[float, np.ndarray]:
    """Return the shortest time of a few runs, and the last answer."""
    best = np.inf
    for _ in range(REPEATS):
        begin = time.perf_counter()
        answer = program()
        best = min(best, time.perf_counter() - begin)
    return best, np.asarray(answer, float)


def compare(program: Callable[[], Any]) -> tuple[float, float, float]:
    """Return the seconds without and with the patch, and by how much the answers differ, relative to the largest."""
    without, patched = np.inf, np.inf
    for _ in range(ROUNDS):
        seconds, expected = shortest(program)
        without = min(without, seconds)
        with fastlog.patch():
            seconds, answer = shortest(program)
        patched = min(patched, seconds)
    return without, patched, float(np.max(np.abs(answer - expected)) / np.max(np.abs(expected)))


def measure(only: str, tell: Callable[[str], None]) -> list[list[str]]:
    """Return a row for each program: its title, seconds, how many times faster it is, and how far answers differ.

    Parameters
    ----------
    only : str
        A part of the titles that are measured.
    tell : callable
        It gets the title of each program before it runs.
    """
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows = []
    for title, (module, prepare) in PROGRAMS.items():
        if only not in title:
            continue
        tell(title)
        try:
            importlib.import_module(module)
        except ImportError:
            rows.append([title, "", "", "not installed", ""])
            continue
        without, patched, difference = compare(prepare())
        mark = "" if difference <= TOLERANCE else " (!)"
        rows.append([title, f"{without:.3f}", f"{patched:.3f}", f"{without / patched:.1f}", f"{difference:.0e}{mark}"])
    return rows


def markdown(results: dict[str, Any], rows: list[list[str]]) -> str:
    """Return the table of the page on the patch."""
    return "\n".join([*report.markdown_table(HEADINGS, rows, 1), "", report.machine(results)])
