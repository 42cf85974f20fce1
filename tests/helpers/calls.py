"""Calls of every public function of arrays, on the same few arrays."""

import math

import numpy as np

import fastlog

_RNG = np.random.default_rng(0)  # draws the constants below, and nothing else
X = _RNG.normal(0, 4, (15, 16))
P, Q = _RNG.random((15, 16)), _RNG.normal(size=(15, 16))
ROW = _RNG.random(16)
SOME = _RNG.random((15, 16)) > 0.3
LABELS = np.where(np.arange(15) == 2, -100, _RNG.integers(0, 16, 15))
COLUMN_LABELS = _RNG.integers(0, 15, 16)
OF_ROWS = np.where(np.arange(15) == 4, 0, _RNG.random(15))
LOG_P = np.reshape([math.log(p) for p in P.flat], P.shape)  # by the C library: np.log differs from CPU to CPU
TRANSITION = _RNG.normal(size=(16, 16))
SEGMENTS = _RNG.integers(0, 5, 15)
REDUCTIONS = ("mean", "sum", "none")


def reductions(f, x, of):
    yield from (f(x, axis=axis, keepdims=keep) for axis in (None, 0, 1, (0, 1), -1) for keep in (False, True))
    yield from (f(x, axis=axis, where=of(SOME)) for axis in (None, 0, 1))


def losses(f, x, z, *arguments, **options):
    for reduction in REDUCTIONS:
        yield f(x, z, *arguments, reduction=reduction, **options)
        yield from f(x, z, *arguments, reduction=reduction, return_grad=True, **options)
        yield from f(x, z, *arguments, reduction=reduction, return_hess=True, **options)


def losses_with_gradients(f, x, z, *arguments):
    for reduction in REDUCTIONS:
        yield from f(x, z, *arguments, reduction=reduction, return_grad=True)


def _weighted(x, of):
    for axis in (None, 0, 1):
        for b in (of(Q), Q, of(ROW), 2, -1.5, True):
            yield from fastlog.logsumexp(x, axis=axis, b=b, return_sign=True)
        yield from fastlog.logsumexp(x, axis, of(Q), where=of(SOME), return_sign=True)
        yield fastlog.logsumexp(x, axis, of(np.abs(Q)), keepdims=True)


def _normalized(f, x, of):
    yield from (f(x, axis=axis, temperature=t) for axis in (None, 0, 1, (0, 1), ()) for t in (1.0, 2.5))
    yield from (f(x, axis, where=of(SOME)) for axis in (None, 0, 1))


def _logcumsumexp(x, of):
    for axis in (None, 0, 1):
        for reverse in (False, True):
            yield from (fastlog.logcumsumexp(x, axis, reverse=reverse, exclusive=e) for e in (False, True))


def _cross_entropy(x, of):
    for targets in (LABELS, P):
        yield from losses(fastlog.cross_entropy, x, of(targets))
        yield from losses(fastlog.cross_entropy, x, of(targets), of(ROW), label_smoothing=0.2)
        weighted = {"sample_weight": of(OF_ROWS), "temperature": 2.5}
        yield from losses(fastlog.cross_entropy, x, of(targets), of(ROW), label_smoothing=0.2, **weighted)
        yield from losses(fastlog.cross_entropy, x, of(targets), sample_weight=OF_ROWS)
    yield from losses(fastlog.cross_entropy, x, of(COLUMN_LABELS), axis=0)
    yield from losses(fastlog.cross_entropy, x, of(COLUMN_LABELS), axis=0, sample_weight=2, temperature=0.5)
    yield from losses(fastlog.cross_entropy, x, of(np.full(15, -100)))


def _kl_divergence(x, of):
    for reduction in (*REDUCTIONS, "batchmean"):
        yield from (fastlog.kl_divergence(x, of(P), axis=axis, reduction=reduction) for axis in (-1, 0, (0, 1), ()))
        yield fastlog.kl_divergence(x, of(LOG_P), log_target=True, reduction=reduction)


def _logmatmulexp(x, of):
    for b in (of(Q.T.copy()), of(ROW), of(np.stack([Q.T, P.T])), Q.T):
        yield fastlog.logmatmulexp(x, b)
    yield fastlog.logmatmulexp(x[0, :], of(Q.T.copy()))
    yield fastlog.logmatmulexp(x[0, :], of(ROW))


def _segments(x, of):
    for f in (fastlog.segment_logsumexp, fastlog.segment_softmax, fastlog.segment_log_softmax):
        for indices in (SEGMENTS, np.sort(SEGMENTS)):
            yield f(x, of(indices))
            yield f(x[:, 3], of(indices.astype("i4")), 9)


def _chains(x, of):
    alpha = fastlog.log_forward(of(ROW), of(TRANSITION), x)
    beta = fastlog.log_backward(of(TRANSITION), x)
    return [alpha, beta, fastlog.log_transitions(of(TRANSITION), x, alpha, beta)]


# A function for each name: given an array of a library and a maker of such arrays, it returns or yields results.
# The library may be another one than NumPy.
CALLS = {
    "logsumexp": lambda x, of: reductions(fastlog.logsumexp, x, of),
    "logsumexp, weighted": _weighted,
    "logmeanexp": lambda x, of: [*reductions(fastlog.logmeanexp, x, of), fastlog.logmeanexp(x, 1, of(Q * Q))],
    "logcumsumexp": _logcumsumexp,
    "logmatmulexp": _logmatmulexp,
    "softmax": lambda x, of: [*_normalized(fastlog.softmax, x, of), *fastlog.softmax(x, 1, return_lse=True)],
    "log_softmax": lambda x, of: [
        *_normalized(fastlog.log_softmax, x, of),
        *fastlog.log_softmax(x, 1, where=of(SOME), temperature=2.5, return_lse=True),
    ],
    "categorical entropy": lambda x, of: [
        fastlog.categorical_entropy(x, axis, keepdims=keep) for axis in (None, 0, 1, (0, 1)) for keep in (False, True)
    ],
    "importance weights": lambda x, of: [*fastlog.importance_weights(x), *fastlog.importance_weights(x, axis=0)],
    "binary cross-entropy": lambda x, of: [
        *losses(fastlog.binary_cross_entropy_with_logits, x, of(P)),
        *losses(fastlog.binary_cross_entropy_with_logits, x, of(P), of(ROW), of(ROW[::-1].copy()), label_smoothing=0.1),
        *losses(fastlog.binary_cross_entropy_with_logits, x, of((P > 0.5).astype(int))),
    ],
    "focal": lambda x, of: [
        *losses(fastlog.focal_loss, x, of(P), 0.3, 1.7, weight=of(ROW)),
        *losses(fastlog.focal_loss, x, of((P > 0.5) * 1.0)),
    ],
    "KL divergence": _kl_divergence,
    "cross-entropy": _cross_entropy,
    "negative log-likelihood": lambda x, of: [
        fastlog.nll_loss(x, of(LABELS), w, reduction=r) for r in REDUCTIONS for w in (None, of(ROW))
    ],
}
_ELEMENTWISE = [f for f in vars(fastlog).values() if isinstance(f, np.ufunc)]

# Other functions, on NumPy's arrays.
OF_NUMPY = {
    "segments": _segments,
    "chains": _chains,
    "samples": lambda x, of: [fastlog.sample_categorical(x, 7, axis) for axis in (0, 1)],
    "focal of labels": lambda x, of: losses_with_gradients(fastlog.softmax_focal_loss, x, of(LABELS), of(ROW)),
    "a growing sum": lambda x, of: [fastlog.LogSumExp(axis=axis).update(x).value for axis in (None, 0, 1)],
    "elementwise": lambda x, of: [f(x, of(Q)) if f.nin == 2 else f(x) for f in _ELEMENTWISE],
}
