"""The documented examples of the interfaces that fastlog mirrors, with their numbers."""

import numpy as np
import pytest

import fastlog
from fastlog import nn, tf
from fastlog.nn import functional


def test_tf_log_sigmoid_of_large_numbers():
    y = tf.math.log_sigmoid(np.array([0.0, 1.0, 50.0, 100.0], np.float32))
    assert y.dtype == np.float32
    documented = np.float32([-6.9314718e-01, -3.1326169e-01, -1.9287499e-22, -0.0])
    np.testing.assert_allclose(y, documented, rtol=1e-6, atol=1e-40)
    # TensorFlow flushes the last one to -0.0; the true value is a subnormal number.
    assert y[3] == np.float32(-np.exp(-100.0)) < 0


def test_tf_log_sigmoid_of_negative_numbers():
    y = tf.math.log_sigmoid(np.array([-100.0, -50.0, -1.0, 0.0], np.float32))
    np.testing.assert_array_max_ulp(y, np.float32([-100.0, -50.0, -1.3132616, -0.6931472]), 1)
    assert tf.compat.v1.log_sigmoid is tf.compat.v1.math.log_sigmoid is tf.math.log_sigmoid
    assert tf.math.log_sigmoid(np.float64(1), name="y").dtype == np.float64


def test_torch_log_sigmoid_module():
    m = nn.LogSigmoid()
    input = np.random.default_rng(0).normal(size=2).astype(np.float32)
    output = m(input)
    np.testing.assert_allclose(output, np.log(1 / (1 + np.exp(-input.astype(float)))), rtol=1e-6)
    for shape in [(), (0,), (3, 1, 4)]:
        assert np.shape(m(np.zeros(shape, np.float32))) == shape
    assert repr(m) == "LogSigmoid()"
    nn.LogSigmoid(1, anything=2)


def test_tf_sigmoid_cross_entropy():
    logits = np.array([1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 0.0], np.float32)
    labels = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.5], np.float32)
    documented = np.float32([1.3132617, 0.3132617, 0.6931472, 0.3132617, 1.3132617, 0.6931472, 0.6931472])
    for f in (tf.nn.sigmoid_cross_entropy_with_logits, tf.compat.v1.nn.sigmoid_cross_entropy_with_logits):
        loss = f(labels=labels, logits=logits)
        assert loss.dtype == np.float32
        np.testing.assert_allclose(loss, documented, rtol=2e-7)
        with pytest.raises(ValueError, match=r"\(7,\).*\(6,\)"):
            f(labels=labels[:-1], logits=logits)
        with pytest.raises(ValueError, match="shape"):
            f(labels=labels[:, None], logits=logits)
        with pytest.raises(ValueError, match="labels"):
            f(logits=logits)
    with pytest.raises(ValueError, match="name"):
        tf.compat.v1.nn.sigmoid_cross_entropy_with_logits(labels, logits)


@pytest.mark.parametrize("door", [tf.nn, tf.compat.v1.nn])
def test_tf_three_cross_entropies_are_one(door):
    sigmoid_logits = np.array([1.0, -1.0, 0.0], np.float32)
    softmax_logits = np.stack([sigmoid_logits, np.zeros_like(sigmoid_logits)], axis=-1)
    soft_binary_labels = np.array([1.0, 1.0, 0.0], np.float32)
    soft_multiclass_labels = np.stack([soft_binary_labels, 1.0 - soft_binary_labels], axis=-1)
    hard_labels = np.array([0, 0, 1])
    documented = np.float32([0.31326166, 1.3132616, 0.6931472])
    for loss in (
        door.sparse_softmax_cross_entropy_with_logits(labels=hard_labels, logits=softmax_logits),
        door.softmax_cross_entropy_with_logits(labels=soft_multiclass_labels, logits=softmax_logits),
        door.sigmoid_cross_entropy_with_logits(labels=soft_binary_labels, logits=sigmoid_logits),
    ):
        assert loss.dtype == np.float32
        np.testing.assert_allclose(loss, documented, rtol=2e-7)
    np.testing.assert_allclose(tf.math.sigmoid(sigmoid_logits), tf.nn.softmax(softmax_logits)[:, 0], rtol=2e-7)


def test_scipy_log_softmax():
    from fastlog.special import log_softmax, softmax

    x = np.array([1000.0, 1.0])
    y = log_softmax(x)
    # SciPy's page prints 0.; what underflows here is -0., as log(1 / (1 + exp(-999))) is negative.
    np.testing.assert_array_equal(y.round(5), [0, -999])
    with np.errstate(divide="ignore"):
        y = np.log(softmax(x))
    np.testing.assert_array_equal(y, [0.0, -np.inf])
    assert isinstance(log_softmax(3.0), float)
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_allclose(np.exp(log_softmax(x, axis=(0, 2))).sum(axis=(0, 2)), 1)


def test_special_falls_through_to_scipy():
    import scipy.special

    from fastlog import special

    assert special.gammaln is scipy.special.gammaln
    assert special.log_softmax is fastlog.log_softmax
    assert special.logsumexp([1000.0, 1000.0]) == fastlog.logsumexp([1000.0, 1000.0])
    assert special.expit(-740.0) == fastlog.sigmoid(-740.0) != scipy.special.expit(-740.0)
    with pytest.raises(AttributeError, match="no_such_function"):
        special.no_such_function  # noqa: B018


def test_torch_log_softmax_for_classification():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4, 3)).astype(np.float32)
    log_probs = functional.log_softmax(logits, dim=-1)
    assert log_probs.dtype == np.float32
    assert functional.log_softmax(logits, -1, dtype=np.float64).dtype == np.float64
    targets = np.array([0, 2, 1, 0])
    loss = nn.NLLLoss().forward(log_probs, targets)
    np.testing.assert_allclose(loss, -np.mean(log_probs[range(4), targets]), rtol=1e-6)
    np.testing.assert_allclose(loss, nn.CrossEntropyLoss()(logits, targets), rtol=1e-6)
    np.testing.assert_array_equal(nn.LogSoftmax(dim=-1)(logits), log_probs)


def test_torch_divergence_from_log_probabilities():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(5, 4))
    log_probs = functional.log_softmax(logits, dim=-1)
    target = rng.dirichlet(np.ones(4), 5)
    by_hand = (np.log(target) - log_probs).mean()
    np.testing.assert_allclose(by_hand, np.mean(np.log(target / fastlog.softmax(logits, axis=-1))), rtol=1e-12)


def test_torch_implicit_axis_warns():
    with pytest.warns(UserWarning, match="dim"):
        y = functional.softmax(np.zeros((2, 3)))
    np.testing.assert_allclose(y, 1 / 3)


def test_torch_softplus_is_exact_beyond_the_threshold():
    np.testing.assert_array_equal(functional.softplus([20.02]), fastlog.softplus([20.02]))
    np.testing.assert_allclose(functional.softplus(3.0, beta=2), np.log1p(np.exp(6.0)) / 2)
    for x in (np.float16(1e4), np.float32(1e38), np.float64(1e308)):
        assert functional.softplus(x, beta=100) == x
    assert repr(nn.Softplus(beta=2)) == "Softplus(beta=2, threshold=20.0)"
