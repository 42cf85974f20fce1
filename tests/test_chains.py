"""Hidden Markov chains: recursions of logarithms against numbers of many digits."""

import importlib.util

import mpmath
import numpy as np
import pytest

import fastlog
from fastlog._core import functions, supported_targets

INF = np.inf
TARGETS = supported_targets()


def chain(states, times, spread, rng, zeros=0.0):
    """Return the logarithms of a random start, random transitions and random emissions."""
    start, transition = rng.dirichlet(np.ones(states)), rng.dirichlet(np.ones(states), states)
    transition[rng.random(transition.shape) < zeros] = 0
    transition[np.arange(states), np.arange(states)] += 0.01
    with np.errstate(divide="ignore"):
        return np.log(start), np.log(transition), rng.normal(-30, spread, (times, states))


def exact(start, transition, emission):
    """Return alpha, beta and the expected transitions as numbers of mpmath, all of them probabilities."""
    with mpmath.workdps(50):
        s, e = ([mpmath.exp(mpmath.mpf(float(x))) for x in a.ravel()] for a in (start, emission))
        k, times = len(s), len(emission)
        a = [[mpmath.exp(mpmath.mpf(float(x))) for x in row] for row in transition]
        e = [e[t * k : (t + 1) * k] for t in range(times)]
        alpha = [[s[j] * e[0][j] for j in range(k)]]
        for t in range(1, times):
            alpha.append([mpmath.fsum(alpha[-1][i] * a[i][j] for i in range(k)) * e[t][j] for j in range(k)])
        beta = [[mpmath.mpf(1)] * k]
        for t in range(times - 1, 0, -1):
            beta.insert(0, [mpmath.fsum(a[i][j] * e[t][j] * beta[0][j] for j in range(k)) for i in range(k)])
        whole = mpmath.fsum(alpha[-1])
        pairs = [
            [
                mpmath.fsum(alpha[t][i] * a[i][j] * e[t + 1][j] * beta[t + 1][j] for t in range(times - 1)) / whole
                for j in range(k)
            ]
            for i in range(k)
        ]
        return alpha, beta, pairs


def worst(y, correct):
    """Return the largest error of logarithms, relative to the largest of their line where that is above 1."""
    found = 0.0
    with mpmath.workdps(50):
        for of_y, of_correct in zip(y, correct, strict=True):
            logs = [mpmath.log(b) if b else None for b in of_correct]
            size = max([1, *[abs(log) for log in logs if log is not None]])
            for a, log in zip(of_y, logs, strict=True):
                if log is None:
                    assert a == -INF
                else:
                    found = max(found, float(abs(mpmath.mpf(float(a)) - log) / size))
    return found


def run(target, start, transition, emission):
    """Return alpha and beta by the loops of a target."""
    of, back = functions(target), np.ascontiguousarray(transition.T)
    p, p_back = (np.where(a < -690, 0, np.exp(a)) for a in (transition, back))
    alpha = of["log_forward"](start, transition, p, emission)[0]
    beta = of["log_backward"](np.zeros(len(start)), back, p_back, emission)[0]
    return alpha, beta, of["log_transitions"](transition, emission, alpha, beta)[0]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("states", "times", "spread", "zeros"),
    [(1, 5, 3, 0), (2, 60, 3, 0), (3, 40, 500, 0), (5, 60, 20, 0.5), (9, 30, 2000, 0.6), (35, 8, 30, 0.3)],
)
def test_recursions_are_exact(target, states, times, spread, zeros):
    start, transition, emission = chain(states, times, spread, np.random.default_rng(states), zeros)
    alpha, beta, pairs = exact(start, transition, emission)
    y = run(target, start, transition, emission)
    assert worst(y[0], alpha) <= 4 * np.finfo(float).eps
    assert worst(y[1], beta) <= 4 * np.finfo(float).eps
    # The rounding of alpha and beta shows in differences of such numbers.
    assert worst(y[2], pairs) <= 8 * np.spacing(np.abs(y[0][-1]).max())


def test_the_error_does_not_grow_with_the_number_of_times():
    start, transition, emission = chain(3, 3000, 2, np.random.default_rng(4))
    s, a = np.exp(start), np.exp(transition)
    with mpmath.workdps(40):
        line = [mpmath.exp(mpmath.mpf(float(x))) for x in start + 0]
        line = [p * mpmath.exp(mpmath.mpf(float(x))) for p, x in zip(line, emission[0], strict=True)]
        a = [[mpmath.exp(mpmath.mpf(float(x))) for x in row] for row in transition]
        for e in emission[1:]:
            line = [
                mpmath.fsum(line[i] * a[i][j] for i in range(3)) * mpmath.exp(mpmath.mpf(float(e[j]))) for j in range(3)
            ]
    assert s.sum() == pytest.approx(1)
    assert worst(fastlog.log_forward(start, transition, emission)[-1:], [line]) <= 2 * np.finfo(float).eps


def test_paths_are_never_lost():
    """Two states that never change: the likelier one loses at last, by likelihoods that no float can hold."""
    start = np.log([0.5, 0.5])
    with np.errstate(divide="ignore"):
        transition = np.log(np.eye(2))
    emission = np.zeros((12, 2))
    emission[:6, 1], emission[6:, 0] = -500, -900
    alpha, beta = fastlog.log_forward(start, transition, emission), fastlog.log_backward(transition, emission)
    np.testing.assert_allclose(alpha[-1], np.log(0.5) + [-5400, -3000], rtol=1e-15)
    np.testing.assert_allclose(beta[0], [-5400, -2500], rtol=1e-15)
    pairs = fastlog.log_transitions(transition, emission, alpha, beta)
    np.testing.assert_allclose(pairs, [[np.log(11) - 2400, -INF], [-INF, np.log(11)]], rtol=1e-12)


def test_limits():
    start, transition, emission = chain(3, 6, 1, np.random.default_rng(5))
    with np.errstate(all="raise"):
        nothing = emission.copy()
        nothing[3] = -INF
        alpha, beta = fastlog.log_forward(start, transition, nothing), fastlog.log_backward(transition, nothing)
        assert np.isfinite(alpha[:3]).all()
        assert np.isneginf(alpha[3:]).all()
        assert np.isneginf(beta[:3]).all()
        assert np.isfinite(beta[3:]).all()
        assert np.isnan(fastlog.log_transitions(transition, nothing, alpha, beta)).all()
        for wrong in (np.nan, INF):
            unknown = emission.copy()
            unknown[3, 1] = wrong
            assert np.isnan(fastlog.log_forward(start, transition, unknown)[4:]).all()
            assert np.isnan(fastlog.log_backward(transition, unknown)[:3]).all()
        for times in (0, 1):
            few = emission[:times]
            alpha, beta = fastlog.log_forward(start, transition, few), fastlog.log_backward(transition, few)
            assert alpha.shape == beta.shape == (times, 3)
            np.testing.assert_allclose(alpha, start + few)
            assert not beta.any()
            assert np.isneginf(fastlog.log_transitions(transition, few, alpha, beta)).all()
        assert fastlog.log_forward(np.empty(0), np.empty((0, 0)), np.empty((4, 0))).shape == (4, 0)


@pytest.mark.parametrize("size", [-2000.0, 300.0, 900.0])
def test_weights_need_not_be_probabilities(size):
    start, transition, emission = chain(4, 20, 3, np.random.default_rng(6))
    alpha, beta = (
        fastlog.log_forward(start, transition + size, emission),
        fastlog.log_backward(transition + size, emission),
    )
    times = np.arange(20)[:, np.newaxis] * size
    np.testing.assert_allclose(alpha, fastlog.log_forward(start, transition, emission) + times, rtol=1e-13)
    np.testing.assert_allclose(beta, fastlog.log_backward(transition, emission) + times[::-1], rtol=1e-13, atol=1e-9)


def test_batches_and_dtypes():
    rng = np.random.default_rng(7)
    start, transition, _ = chain(3, 1, 1, rng)
    emission = rng.normal(0, 3, (2, 5, 20, 3))
    alpha, beta = fastlog.log_forward(start, transition, emission), fastlog.log_backward(transition, emission)
    pairs = fastlog.log_transitions(transition, emission, alpha, beta)
    assert alpha.shape == beta.shape == emission.shape
    assert pairs.shape == (2, 5, 3, 3)
    for k in np.ndindex(2, 5):
        np.testing.assert_array_equal(alpha[k], fastlog.log_forward(start, transition, emission[k]))
        np.testing.assert_array_equal(beta[k], fastlog.log_backward(transition, emission[k]))
        np.testing.assert_array_equal(pairs[k], fastlog.log_transitions(transition, emission[k], alpha[k], beta[k]))
    turned = fastlog.log_forward(start, transition, np.asfortranarray(emission[0, 0])[::-1][::-1])
    np.testing.assert_array_equal(turned, alpha[0, 0])
    narrow = fastlog.log_forward(*(a.astype(np.float32) for a in (start, transition, emission)))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, alpha, rtol=1e-5, atol=1e-5)
    # The last axis but two of the transitions is one of the batch.
    several = fastlog.log_forward(start, np.stack([transition, transition[::-1, ::-1]]), emission[0, 0])
    np.testing.assert_array_equal(several[0], alpha[0, 0])
    with fastlog.num_threads(3):
        many = rng.normal(0, 3, (400, 60, 3))
        again = fastlog.log_forward(start, transition, many)
    np.testing.assert_array_equal(again, fastlog.log_forward(start, transition, many))


def test_expected_transitions_add_up():
    start, transition, emission = chain(6, 300, 4, np.random.default_rng(8))
    alpha, beta = fastlog.log_forward(start, transition, emission), fastlog.log_backward(transition, emission)
    posterior = fastlog.softmax(alpha + beta, axis=1)
    pairs = np.exp(fastlog.log_transitions(transition, emission, alpha, beta))
    np.testing.assert_allclose(pairs.sum(axis=1), posterior[:-1].sum(axis=0), rtol=1e-9)
    np.testing.assert_allclose(pairs.sum(axis=0), posterior[1:].sum(axis=0), rtol=1e-9)
    whole = fastlog.logsumexp(alpha + beta, axis=1)
    np.testing.assert_allclose(whole, fastlog.logsumexp(alpha[-1]), rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((np.zeros(2), np.zeros((3, 3)), np.zeros((4, 3))), ValueError, r"\(2,\), \(3, 3\) and \(4, 3\)"),
        ((np.zeros(3), np.zeros((3, 2)), np.zeros((4, 3))), ValueError, "shapes"),
        ((np.zeros(3), np.zeros((3, 3)), np.zeros(3)), ValueError, "shapes"),
        ((np.zeros(3), np.zeros((3, 3)), np.zeros((4, 3), complex)), TypeError, "complex128"),
        ((np.zeros(3), np.zeros((3, 3)), [["a"] * 3]), TypeError, "dtype"),
        ((np.zeros(3), np.ma.masked_equal(np.zeros((3, 3)), 0), np.zeros((4, 3))), TypeError, "masked"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        fastlog.log_forward(*arguments)


def test_batches_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"do not broadcast together: \(3,\) in log_start, \(\) in .*, \(2,\) in log_em"
    ):
        fastlog.log_forward(np.zeros((3, 2)), np.zeros((2, 2)), np.zeros((2, 5, 2)))
    emission = np.zeros((2, 5, 2))
    with pytest.raises(ValueError, match=r"\(3,\) in log_alpha"):
        fastlog.log_transitions(np.zeros((2, 2)), emission, np.zeros((3, 5, 2)), emission)


def test_bad_recursions_are_refused():
    with pytest.raises(ValueError, match="log_beta has the shape"):
        fastlog.log_transitions(np.zeros((3, 3)), np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((3, 3)))


def test_hmmlearn_runs_on_these_functions():
    if importlib.util.find_spec("hmmlearn") is None:
        pytest.skip("hmmlearn is not installed")
    from hmmlearn import _hmmc

    start, transition, emission = chain(5, 400, 5, np.random.default_rng(9), zeros=0.3)
    original = _hmmc.forward_log
    given = np.exp(start), np.exp(transition), emission
    plain = _hmmc.forward_log(*given), _hmmc.backward_log(*given)
    pairs = _hmmc.compute_log_xi_sum(plain[0][1], given[1], plain[1], emission)
    with fastlog.patch(["hmmlearn"]):
        assert _hmmc.forward_log is not original
        ours = _hmmc.forward_log(*given), _hmmc.backward_log(*given)
        ours_pairs = _hmmc.compute_log_xi_sum(plain[0][1], given[1], plain[1], emission)
        with pytest.raises(TypeError):
            _hmmc.forward_log(1)
    assert _hmmc.forward_log is original
    np.testing.assert_allclose(ours[0][0], plain[0][0], rtol=1e-13)
    np.testing.assert_allclose(ours[0][1], plain[0][1], rtol=1e-13)
    np.testing.assert_allclose(ours[1], plain[1], rtol=1e-13, atol=1e-9)
    np.testing.assert_allclose(np.exp(ours_pairs), np.exp(pairs), rtol=1e-8)
