"""Whole computations, most on real data of scikit-learn, timed as they are and with fastlog's functions in place."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from timeit import Timer
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special
import sklearn.exceptions
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB, MultinomialNB

import fastlog
from bench.measure import interleaved

LIVE = 400  # number of live points in the nested sampling
LARGE = 100_000  # number of samples, of ten features each


@dataclass(frozen=True)
class Pipeline:
    """A computation; `usual` and `ours` run it, and return all numbers of its answer."""

    name: str
    replaced: str
    usual: Callable[[], np.ndarray]
    ours: Callable[[], np.ndarray]


def in_sklearn(name: str, run: Callable[[], np.ndarray]) -> Pipeline:
    """Make a pipeline of code that calls scikit-learn."""

    def ours() -> np.ndarray:
        with fastlog.patch(["sklearn"]):
            return run()

    return Pipeline(name, "scikit-learn's logsumexp, by fastlog.patch", run, ours)


Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def scipy_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean cross-entropy of labels and its gradient, as users of SciPy write them."""
    picked = np.arange(len(labels)), labels
    loss = np.mean(scipy.special.logsumexp(logits, axis=1) - logits[picked])
    residual = scipy.special.softmax(logits, axis=1)
    residual[picked] -= 1
    return loss, residual / len(labels)


def scipy_binary_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean binary cross-entropy and its gradient, as users of SciPy write them."""
    loss = np.mean((1 - labels) * logits - scipy.special.log_expit(logits))
    return loss, (scipy.special.expit(logits) - labels) / len(labels)


def logistic_regression(x: np.ndarray, labels: np.ndarray, outputs: tuple[int, ...], loss_of: Loss) -> np.ndarray:
    """Fit a logistic regression by L-BFGS; return the loss and the logits of every sample.

    Parameters
    ----------
    x : ndarray
        Samples by features.
    labels : ndarray
    outputs : tuple of int
        The shape of a sample's logits: empty, or the number of classes.
    loss_of : callable
        Returns the mean loss of logits and labels, and its gradient.
    """
    shape = (x.shape[1], *outputs)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(shape)
        loss, gradient = loss_of(x @ w, labels)
        return loss + 0.5e-3 * np.sum(w * w), (x.T @ gradient + 1e-3 * w).ravel()

    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-8}
    start = np.zeros(int(np.prod(shape)))
    fit = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    return np.append(x @ fit.x.reshape(shape), fit.fun)


def nested_sampling(ink: np.ndarray, live: int) -> np.ndarray:
    """Sample the mean and spread of the images' ink by nested sampling; return the log-likelihoods of the dead points.

    The priors are uniform. A new point is drawn from the bounding box of the live points, enlarged by a tenth, until it
    is better than the worst of them (Skilling, "Nested sampling for general Bayesian computation", Bayesian Analysis 1,
    2006).
    """
    rng = np.random.default_rng(0)
    low, high = np.array([0.0, 0.1]), np.array([16.0, 8.0])
    count, mean, spread = ink.size, ink.mean(), ink.var()

    def log_likelihood(p: np.ndarray) -> np.ndarray:
        mu, sigma = p[..., 0], p[..., 1]
        return -count * (0.5 * (spread + (mean - mu) ** 2) / sigma**2 + np.log(sigma) + 0.5 * np.log(2 * np.pi))

    points = rng.uniform(low, high, (live, 2))
    values = log_likelihood(points)
    dead: list[float] = []
    log_evidence = -np.inf
    # The loop ends when the live points can add no more than a thousandth of the evidence.
    while np.max(values) - len(dead) / live > log_evidence + np.log(1e-3):
        worst = int(np.argmin(values))
        dead.append(values[worst])
        log_evidence = np.logaddexp(log_evidence, values[worst] - len(dead) / live - np.log(live))
        inner, outer = points.min(axis=0), points.max(axis=0)
        margin = 0.05 * (outer - inner)
        inner, outer = np.maximum(inner - margin, low), np.minimum(outer + margin, high)
        while values[worst] <= dead[-1]:
            drawn = rng.uniform(inner, outer, (8, 2))
            better = np.flatnonzero(log_likelihood(drawn) > dead[-1])
            if better.size:
                points[worst] = drawn[better[0]]
                values[worst] = log_likelihood(points[worst])
    return np.array(dead)


def log_weights(log_likelihood: np.ndarray, log_t: np.ndarray) -> np.ndarray:
    """Return the log-weights of dead points: likelihood times lost volume, where volumes shrink by the factors t."""
    return log_likelihood + np.cumsum(log_t, axis=-1) - log_t + np.log1p(-np.exp(log_t))


def evidence(
    expected: np.ndarray, drawn: np.ndarray, logaddexp: np.ufunc, logsumexp: Callable, softmax: Callable
) -> np.ndarray:
    """Sum the evidence of a nested-sampling run.

    Parameters
    ----------
    expected : ndarray
        Log-weights for the expected shrinkages.
    drawn : ndarray
        One row of log-weights for each draw of the unknown shrinkages.
    logaddexp, logsumexp, softmax
        The functions that do the work.

    Returns
    -------
    ndarray
        The evidence as it grew, its mean and error over the draws, and the posterior weights, one after the other.
    """
    growth = logaddexp.accumulate(expected)
    log_z = logsumexp(drawn, axis=1)
    posterior = np.mean(softmax(drawn, axis=1), axis=0)
    return np.concatenate([growth, [np.mean(log_z), np.std(log_z)], posterior])


def particle_filter(returns: np.ndarray, particles: int, weigh: Callable) -> np.ndarray:
    """Filter a stochastic volatility model; return the logarithm of the likelihood and the mean of every step.

    The log-variance is an autoregression, x_t = 0.98 x_t-1 + 0.2 e_t, and the return is normal with the variance e^x
    (Gordon, Salmond and Smith, "Novel approach to nonlinear/non-Gaussian Bayesian state estimation", 1993). Particles
    are resampled where the effective sample size is below half their number.

    Parameters
    ----------
    returns : ndarray
    particles : int
    weigh : callable
        Returns the normalised weights of log-weights, the logarithm of their mean, and the effective sample size.
    """
    rng = np.random.default_rng(4)
    x, log_w, log_likelihood = rng.normal(0, 1, particles), np.zeros(particles), 0.0
    means = []
    for value in returns:
        x = 0.98 * x + 0.2 * rng.standard_normal(particles)
        log_w -= 0.5 * (x + value * value * np.exp(-x))
        weights, log_mean, size = weigh(log_w)
        means.append(weights @ x)
        if size < particles / 2:
            places = (np.arange(particles) + rng.random()) / particles
            x = x[np.minimum(np.searchsorted(np.cumsum(weights), places), particles - 1)]
            log_likelihood += log_mean
            log_w = np.zeros(particles)
    return np.append(means, log_likelihood + weigh(log_w)[1])


def scipy_weights(log_w: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return what `fastlog.importance_weights` does, as users of SciPy write it."""
    log_sum = scipy.special.logsumexp(log_w)
    weights = np.exp(log_w - log_sum)
    return weights, log_sum - np.log(log_w.size), 1 / np.sum(weights**2)


def sinkhorn(log_k: np.ndarray, log_product: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the potentials of an optimal transport between uniform weights after a hundred steps of Sinkhorn."""
    m, n = log_k.shape
    g = np.zeros(n)
    for _ in range(100):
        f = -np.log(m) - log_product(log_k, g)
        g = -np.log(n) - log_product(log_k.T, f)
    return np.concatenate([f, g])


def numpy_shares(score: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-softmax and the softmax of each score in its group, as users of NumPy write them."""
    top, total = np.full(groups, -np.inf), np.zeros(groups)
    np.maximum.at(top, group, score)
    below = score - top[group]
    term = np.exp(below)
    np.add.at(total, group, term)
    return below - np.log(total)[group], term / total[group]


def our_shares(score: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the same by one function of fastlog, as the softmax is the exponential of its logarithm."""
    log_share = fastlog.segment_log_softmax(score, group, groups)
    return log_share, np.exp(log_share)


def ranking(x: np.ndarray, group: np.ndarray, clicks: np.ndarray, shares: Callable) -> np.ndarray:
    """Fit a linear ranking by the softmax loss of groups; return the weights of features and the loss.

    The loss of a group is the cross-entropy of its clicks and the softmax of its scores (Cao et al., "Learning to rank:
    from pairwise approach to listwise approach", ICML 2007).
    """
    groups = int(group[-1]) + 1
    clicked = np.bincount(group, clicks)

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        log_share, share = shares(x @ w, group, groups)
        return -np.dot(clicks, log_share) / groups, x.T @ (clicked[group] * share - clicks) / groups

    options = {"maxiter": 50, "ftol": 1e-15, "gtol": 1e-9}
    fit = scipy.optimize.minimize(objective, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options=options)
    return np.append(fit.x, fit.fun)


def primitive_pipelines() -> list[Pipeline]:
    """Return programs that write by hand what fastlog has functions for."""
    rng = np.random.default_rng(5)
    volatility = np.zeros(200)
    for i in range(1, 200):
        volatility[i] = 0.98 * volatility[i - 1] + 0.2 * rng.standard_normal()
    returns = np.exp(0.5 * volatility) * rng.standard_normal(200)
    log_k = -rng.random((1000, 800)) / 0.05
    group = np.repeat(np.arange(2000), rng.integers(5, 95, 2000))
    x = rng.normal(size=(group.size, 20))
    score = x @ rng.normal(size=20) + rng.gumbel(size=group.size)
    best = np.full(2000, -np.inf)
    np.maximum.at(best, group, score)
    clicks = (score == best[group]).astype(float)
    return [
        Pipeline(
            "particle filter, 200 steps of 20 000",
            "SciPy's logsumexp",
            lambda: particle_filter(returns, 20_000, scipy_weights),
            lambda: particle_filter(returns, 20_000, fastlog.importance_weights),
        ),
        Pipeline(
            "Sinkhorn, 1000 x 800, 100 steps",
            "SciPy's logsumexp",
            lambda: sinkhorn(log_k, lambda a, v: scipy.special.logsumexp(a + v, axis=1)),
            lambda: sinkhorn(log_k, fastlog.logmatmulexp),
        ),
        Pipeline(
            "ranking of 2000 groups, L-BFGS",
            "NumPy's maximum.at, add.at",
            lambda: ranking(x, group, clicks, numpy_shares),
            lambda: ranking(x, group, clicks, our_shares),
        ),
    ]


def large_pipelines() -> list[Pipeline]:
    """Make data that are large enough for mixtures and classifiers to be slow, and return the pipelines."""
    rng = np.random.default_rng(2)
    many = rng.normal(size=(LARGE, 10)) + 4 * rng.normal(size=(20, 10))[rng.integers(0, 20, LARGE)]
    counts, classes = rng.poisson(3, (LARGE, 10)), rng.integers(0, 20, LARGE)
    of_counts = MultinomialNB().fit(counts, classes)
    settings = dict(covariance_type="diag", init_params="random_from_data", random_state=0, max_iter=5)
    return [
        in_sklearn(
            "GaussianMixture.fit, 100 000 x 10, 5 steps",
            lambda: GaussianMixture(20, **settings).fit(many).means_.ravel(),
        ),
        in_sklearn("MultinomialNB.predict_proba, 100 000 x 10", lambda: of_counts.predict_proba(counts).ravel()),
    ]


def make_pipelines() -> list[Pipeline]:
    """Read the data, run the sampler, and return the pipelines."""
    images, labels = load_digits(return_X_y=True)
    x = images / 16
    design = np.column_stack([x, np.ones(len(x))])
    tumours, malignant = load_breast_cancer(return_X_y=True)
    tumours = (tumours - tumours.mean(axis=0)) / tumours.std(axis=0)
    dead = nested_sampling(images.mean(axis=1), LIVE)
    expected = log_weights(dead, np.full(dead.size, -1 / LIVE))
    drawn = log_weights(dead, np.log(np.random.default_rng(1).uniform(size=(100, dead.size))) / LIVE)
    # Many pixels are constant, so the variances need floors.
    settings = dict(covariance_type="diag", init_params="random_from_data", reg_covar=1e-3, random_state=0)
    mixture = GaussianMixture(10, **settings).fit(x)
    multinomial, gaussian = MultinomialNB().fit(images, labels), GaussianNB(var_smoothing=1e-3).fit(images, labels)

    def fit() -> np.ndarray:
        refit = GaussianMixture(10, **settings).fit(x)
        return np.concatenate([refit.means_.ravel(), refit.covariances_.ravel(), refit.weights_])

    special = scipy.special
    return [
        in_sklearn("GaussianMixture.fit", fit),
        in_sklearn("GaussianMixture.score_samples", lambda: mixture.score_samples(x)),
        in_sklearn("MultinomialNB.predict_proba", lambda: multinomial.predict_proba(images)),
        in_sklearn("GaussianNB.predict_proba", lambda: gaussian.predict_proba(images)),
        Pipeline(
            "logistic regression of the digits, L-BFGS",
            "SciPy's logsumexp, softmax",
            lambda: logistic_regression(design, labels, (10,), scipy_cross_entropy),
            lambda: logistic_regression(design, labels, (10,), partial(fastlog.cross_entropy, return_grad=True)),
        ),
        Pipeline(
            "logistic regression of tumours, L-BFGS",
            "SciPy's log_expit, expit",
            lambda: logistic_regression(tumours, malignant, (), scipy_binary_cross_entropy),
            lambda: logistic_regression(
                tumours, malignant, (), partial(fastlog.binary_cross_entropy_with_logits, return_grad=True)
            ),
        ),
        Pipeline(
            "nested-sampling evidence",
            "SciPy's logsumexp, softmax; NumPy's logaddexp",
            lambda: evidence(expected, drawn, np.logaddexp, special.logsumexp, special.softmax),
            lambda: evidence(expected, drawn, fastlog.logaddexp, fastlog.logsumexp, fastlog.softmax),
        ),
    ]


def run_pipelines(seconds: float, report: Callable[[str], None], quick: bool) -> list[dict[str, Any]]:
    """Time every pipeline both ways, interleaved, and compare the answers.

    Parameters
    ----------
    seconds : float
        The time for all pipelines; each runs a few times at least.
    report : callable
        Gets the name of each pipeline before it runs.
    quick : bool
        Whether to leave out the large pipelines.

    Returns
    -------
    list of dict
        ``name``, ``replaced``, ``seconds`` ("usual" and "fastlog"), ``rounds``, and ``difference``: the largest
        abs(usual - fastlog) / max(1, abs(usual)) of all numbers.
    """
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        report("preparing the pipelines")
        pipelines = make_pipelines() + ([] if quick else large_pipelines() + primitive_pipelines())
        for pipeline in pipelines:
            report(f"pipeline: {pipeline.name}")
            usual, ours = pipeline.usual(), pipeline.ours()
            timers = {"usual": Timer(pipeline.usual), "fastlog": Timer(pipeline.ours)}
            best, rounds = interleaved(timers, seconds / len(pipelines))
            results.append(
                {
                    "name": pipeline.name,
                    "replaced": pipeline.replaced,
                    "seconds": best,
                    "rounds": rounds,
                    "difference": float(np.max(np.abs(usual - ours) / np.maximum(1, np.abs(usual)))),
                }
            )
    return results
