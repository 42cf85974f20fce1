"""Losses of infinite, tiny and undefined numbers, and by weights that are 0, infinite or nan."""

import numpy as np
import pytest

import fastlog
from fastlog import binary_cross_entropy_with_logits as bce
from fastlog import cross_entropy, focal_loss, kl_divergence, nll_loss
from fastlog._core import INDEX, run_loss, supported_targets

INF = np.inf


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_bce_limits(dtype):
    x = np.array([INF, -INF, INF, -INF, 0.0, np.nan, 1.0], dtype)
    z = np.array([1, 0, 0, 1, 1, 1, np.nan], dtype)
    with np.errstate(all="raise"):
        y = bce(x, z, reduction="none")
        np.testing.assert_array_equal(y, np.array([0, 0, INF, INF, np.log(2), np.nan, np.nan], dtype))
        assert bce(x[:2], z[:2]) == 0
        assert bce(x[:5], z[:5]) == INF
        assert np.isnan(bce(x, z))
        assert bce(x[:4], z[:4], pos_weight=2.0, reduction="none").tolist() == [0, 0, INF, INF]


def test_what_weighs_nothing_does_not_count():
    with np.errstate(all="raise"):
        assert bce([INF], [0], weight=[0]) == 0
        assert bce([-INF], [1], pos_weight=[0]) == 0
        assert cross_entropy([[-INF, 0.0]], [0], weight=[0, 1], reduction="sum") == 0


def test_no_exception_from_tiny_numbers():
    x = np.array([[0.0, -12.3], [0.0, -80.0]])
    with np.errstate(all="raise"):
        for dtype in ("f2", "f4", "f8"):
            a = x.astype(dtype)
            for reduction in ("none", "sum", "mean"):
                bce(a, np.full(a.shape, 1e-300), reduction=reduction)
                bce(a, np.full(a.shape, 1e-300), np.full(a.shape, 1e-30), reduction=reduction)
                cross_entropy(a, [0, 1], reduction=reduction)
                cross_entropy(a, [[1.0, 1e-308], [0.5, 0.5]], reduction=reduction)


def test_nan_is_seen_unless_it_weighs_nothing():
    for dtype in ("f4", "f8"):
        x, z = np.array([np.nan, 1.0, np.nan], dtype), np.array([1.0, np.nan, np.nan], dtype)
        for options in ({}, {"pos_weight": 2.0}, {"weight": 2.0}, {"label_smoothing": 0.5}):
            assert all(np.isnan(y).all() for y in bce(x, z, reduction="none", return_hess=True, **options)[:2])
        assert all(not y.any() for y in bce(x, z, 0.0, reduction="none", return_hess=True))
        assert all(not y.any() for y in focal_loss(x, z, weight=0.0, reduction="none", return_hess=True))
        assert np.isnan(focal_loss(x, z, reduction="none")).all()


def test_extreme_arguments():
    x = np.array([[1.0, 2.0, 3.0]], "f4")
    for weight in (1e13, 1e25, 1e-13):  # softmax's terms are lifted
        _, g, h = cross_entropy(x, [0], [weight, 1, 1], reduction="sum", return_hess=True)
        expected = fastlog.softmax(x.astype(float), 1)
        np.testing.assert_allclose(g / np.float32(weight), expected - [[1, 0, 0]], rtol=1e-6)
        np.testing.assert_allclose(h / np.float32(weight), expected * (1 - expected), rtol=1e-6)
    g = cross_entropy(x, [[1.0, 1e-9, 0.0]], reduction="sum", return_grad=True)[1]
    np.testing.assert_allclose(g.sum(dtype=float), 0, atol=1e-7)
    _, g = cross_entropy(np.array([[60.0, 0.0]]), [[1.0, 1e-20]], reduction="sum", return_grad=True)
    np.testing.assert_allclose(g, [[1e-20, -1e-20]], rtol=1e-5)
    assert kl_divergence([-INF], [-800.0], log_target=True, reduction="sum") == INF
    log_p, log_q = np.float32([88.0]), np.float32([88.5])
    np.testing.assert_allclose(kl_divergence(log_q, log_p, log_target=True), -0.5 * np.exp(88.0), rtol=1e-5)
    with pytest.raises(ValueError, match="gamma"):
        focal_loss(x, x, gamma=1e39)
    assert bce([1.0], np.array([255], "u1").view(bool)) == bce([1.0], [1])


def test_more_limits():
    for rows in (1, 2, 20):  # rows are summed in different ways
        for value, expected in ((-INF, np.nan), (INF, 0.0), (3.0, 0.0)):
            np.testing.assert_array_equal(cross_entropy(np.full((rows, 1), value), np.zeros(rows, int)), expected)
    x, p = [[1.0, 2.0]], [[np.nan, 1.0]]
    assert cross_entropy(x, p, weight=[0, 1.0], reduction="none") == cross_entropy(x, [1], reduction="none")
    for target in (np.nan, INF, -INF):
        assert bce([1.0], [target], weight=[0.0], reduction="none", return_hess=True)[0] == 0
    loss, g = cross_entropy([[1.0, 2.0]], [[1.0, -1.0]], reduction="none", return_grad=True)
    assert loss == 1
    assert g.tolist() == [[-1, 1]]


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize(("dtype", "x"), [("f4", -95.0), ("f4", -85.0), ("f8", -740.0), ("f8", -700.0)])
def test_long_sums_of_tiny_and_of_infinite_losses(target, dtype, x):
    """The sums are right where whole blocks are tiny or infinite, and one logarithm would serve many elements."""
    logits, targets = np.full(4001, x, dtype), np.zeros(4001, dtype)

    def total():
        with np.errstate(all="raise"):
            return run_loss(INDEX["binary_cross_entropy_with_logits"], (logits, targets, *[None] * 6), target=target)[0]

    np.testing.assert_allclose(total(), 4001 * np.exp(np.longdouble(x)), rtol=1e-5 if x in (-700, -85) else 1e-2)
    logits[:] = -INF
    assert total() == 0
    logits[::3], targets[::3] = INF, 1
    assert total() == 0
    targets[2000] = 1
    assert total() == INF
    logits[1999] = np.nan
    assert np.isnan(total())
    logits[:] = np.finfo(dtype).max / 8
    targets[:] = 0
    np.testing.assert_allclose(total(), 4001 * float(logits[0]) if dtype == "f4" else INF)


def test_means_do_not_depend_on_the_unit_of_class_weights():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(5, 3)), np.array([0, 1, 2, 1, -100])
    for dtype, units in (("f4", (1e-46, 1e-40, 1e39)), ("f8", (1e-310, 1e300))):
        a = x.astype(dtype)
        expected = cross_entropy(a, labels, [1, 1, 1], return_hess=True)
        for unit in units:
            for got, other in zip(cross_entropy(a, labels, [unit] * 3, return_hess=True), expected, strict=True):
                np.testing.assert_allclose(got, other, rtol=1e-6)
    assert np.isnan(cross_entropy(x, labels, [0, 0, 0]))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("small", "huge"), [(1e-30, 1e38), (1e-3, 1e38), (1e-300, 1e300), (1e-100, 1)])
def test_weights_that_do_not_count_change_no_mean(dtype, small, huge):
    """A huge weight of a class without labels, or of an ignored row, leaves the other weights their digits."""
    x = np.array([[1, 2], [3, 4]], dtype)
    for loss in (cross_entropy, nll_loss):
        expected = loss(x, [0, 0])
        np.testing.assert_allclose(loss(x, [0, 0], [small, huge]), expected, rtol=1e-6)
        np.testing.assert_allclose(loss(x, [0, 1], [small, huge], ignore_index=1), loss(x[:1], [0]), rtol=1e-6)
    weighted = cross_entropy(x, [-100, 0], sample_weight=[huge, small], return_grad=True)
    for got, other in zip(weighted, cross_entropy(x, [-100, 0], return_grad=True), strict=True):
        np.testing.assert_allclose(got, other, rtol=1e-6)


@pytest.mark.parametrize("labels", [[True, True], np.array([1, 1], "u1"), np.array([1, 1], "u8")])
def test_labels_of_any_type_have_weights_of_any_size(labels):
    x = np.array([[1, 2, 0], [3, 4, 1]], "f4")
    for weight in ([0, 1e-300, 1], [1e-30] * 3, [1e30, 1e-30, 1e30]):
        np.testing.assert_allclose(cross_entropy(x, np.array(labels), weight), cross_entropy(x, [1, 1]), rtol=1e-6)
    smoothed = cross_entropy(x, np.array(labels) * 1, [1e19, 1e-20, 1], label_smoothing=0.1)
    wide = cross_entropy(x.astype("f8"), np.array(labels) * 1, [1e19, 1e-20, 1], label_smoothing=0.1)
    np.testing.assert_allclose(smoothed, wide, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("derivatives", [{}, {"return_grad": True}, {"return_hess": True}])
def test_nan_costs_nan(dtype, derivatives):
    """A nan among targets and weights shows, also where the loss would be 0 otherwise."""

    def loss(function, *args, **options):
        with np.errstate(all="raise"):
            y = function(*args, **options, **derivatives)
        return y[0] if derivatives else y

    zeros, one_class = np.zeros((2, 3), dtype), np.zeros((2, 1), dtype)
    one_hot, labels = np.eye(3, dtype=dtype)[:2], np.array([0, 1])
    soft = np.full((2, 3), 1 / 3, dtype)
    soft[1, 2] = np.nan
    assert np.isnan(loss(cross_entropy, zeros, np.full((2, 3), np.nan)))
    assert np.isnan(loss(cross_entropy, one_class, np.full((2, 1), np.nan)))
    assert np.isnan(loss(cross_entropy, zeros, soft, reduction="none")).tolist() == [False, True]
    for targets in (one_hot, labels):
        for weight in ([np.nan] * 3, [np.nan, 1, 1]):
            assert np.isnan(loss(cross_entropy, zeros, targets, weight, reduction="sum"))
        dominant = np.array([[1000, 0, 0], [0, 1000, 0]], dtype)
        assert np.isnan(loss(cross_entropy, dominant, targets, [np.nan] * 3, reduction="none")).all()
    x, z = np.array([1000, INF, -INF, 0, 3], dtype), np.array([1, 1, 0, 1, 0], dtype)
    for function in (bce, focal_loss):
        assert np.isnan(loss(function, x, np.full(5, np.nan, dtype), reduction="none")).all()
        assert np.isnan(loss(function, x, z, weight=np.nan, reduction="none")).all()
    nans = loss(bce, x, z, pos_weight=np.nan, reduction="none")
    assert np.isnan(nans)[z == 1].all()
    if not derivatives:
        assert np.isnan(nll_loss(zeros, labels, [np.nan] * 3, reduction="none")).all()
        assert np.isnan(kl_divergence(zeros, np.full((2, 3), np.nan), reduction="none")).all()
        assert np.isnan(kl_divergence(np.full(2, np.nan, dtype), np.zeros(2), reduction="none")).all()


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_infinite_weights(target, dtype):
    """A loss above 0 times an infinite weight is infinite; classes and sides that a target excludes do not count."""

    def total(name, *args, **options):
        return run_loss(INDEX[name], args, target=target, **options)[0]

    infinite = np.full(3, INF)
    for x in (np.zeros((1, 3), dtype), np.array([[0, 3, 1]], dtype), np.array([[0, -3, 1]], dtype)):
        for weight in (infinite, np.array([1, INF, 1])):
            labels, one_hot = np.array([1]), np.array([[0, 1, 0]], dtype)
            assert total("cross_entropy", x, labels, *[None] * 5, axis=1, class_weight=weight) == INF
            assert (
                total("cross_entropy", x, one_hot, *[None] * 5, axis=1, class_weight=weight, probabilities=True) == INF
            )
            assert total("cross_entropy", x, labels, *[None] * 5, axis=1, class_weight=weight, smoothing=0.1) == INF
        log_probs = x - 4
        assert total("nll_loss", log_probs, labels, *[None] * 5, axis=1, class_weight=infinite) == INF
    x, z, weight = np.array([0, 1, -2, 5], dtype), np.array([0, 1, 0.5, 1], dtype), np.full(4, INF, dtype)
    for name in ("binary_cross_entropy_with_logits", "focal_loss"):
        assert total(name, x, z, weight, *[None] * 5) == INF
        each = np.empty(4, dtype)
        total(name, x, z, weight, None, each, *[None] * 3)
        assert (each == INF).all()
    total("binary_cross_entropy_with_logits", x, z, None, weight, each, *[None] * 3)
    np.testing.assert_array_equal(each == INF, z > 0)
    assert bce(x, z, weight=INF) == bce(x, z, pos_weight=INF) == INF


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_weights_of_classes_that_no_label_names(dtype):
    """Weights of classes that no label names, even nan and infinite ones, leave no trace; nor do ignored rows."""
    x, labels = np.array([[1, 2], [3, 1], [0, 0]], dtype), np.array([0, -100, 0])
    for unused in (np.nan, INF, 7):
        for options in ({"return_grad": True}, {"return_hess": True}):
            got = cross_entropy(x, labels, [2, unused], reduction="sum", **options)
            expected = cross_entropy(x, labels, [2, 1], reduction="sum", **options)
            for one, other in zip(got, expected, strict=True):
                np.testing.assert_array_equal(one, other)
    for unused in (INF, 7):
        one_hot = np.array([[1, 0], [1, 0], [1, 0]], dtype)
        got = cross_entropy(x, one_hot, [2, unused], return_hess=True)
        for one, other in zip(got, cross_entropy(x, one_hot, [2, 1], return_hess=True), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("classes", [3, 30, 40])
def test_ignored_rows_may_have_nan(classes, dtype):
    """Loss, gradient and Hessian of a row that is ignored are 0, wherever its nan or infinity stands."""
    for bad in (np.nan, INF, -INF):
        for place in (0, 1, classes - 1):
            x = np.random.default_rng(5).normal(size=(40, classes)).astype(dtype)
            labels = np.arange(40) % classes
            labels[::3], x[::3, place] = -100, bad
            for options in ({}, {"label_smoothing": 0.1}, {"sample_weight": np.ones(40)}):
                for made in cross_entropy(x, labels, reduction="none", return_hess=True, **options):
                    assert np.all(made[::3] == 0), (bad, place, options)
                    assert np.all(np.isfinite(made))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_derivatives_by_infinite_weights(dtype):
    x, z = np.array([3, -2, 0, 1, 0], dtype), np.array([0.5, 0.5, 1, 0, 0], dtype)
    loss, gradient, hessian = bce(x, z, np.full(5, INF), reduction="none", return_hess=True)
    np.testing.assert_array_equal(loss, INF)
    np.testing.assert_array_equal(gradient, [INF, -INF, -INF, INF, INF])
    np.testing.assert_array_equal(hessian, INF)
    loss, gradient = bce(x, z, np.full(5, INF), 0.0, reduction="none", return_grad=True)
    np.testing.assert_array_equal(loss, [INF, INF, 0, INF, INF])
    np.testing.assert_array_equal(gradient, [INF, INF, 0, INF, INF])


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_focal_loss_alone_has_the_limits_of_the_one_with_a_gradient(target, dtype):
    """The loss alone is computed in another way where all targets of a vector are 0 or 1, and logits are not far."""
    ends = {"f4": [43, 44, 52, 87, 104], "f8": [353, 355, 373, 708, 746]}[dtype]
    x = np.array([0, 0.5, 3, 17, 38, *ends, INF, np.nan])
    x = np.concatenate([x, -x, np.linspace(-20, 20, 99)])
    cases = [a.ravel().astype(dtype) for a in np.meshgrid(x, [0, 1, 0.25, np.nan], [1, 0, -0.0, 2.5, INF, np.nan])]
    hard = (cases[1] == 0) | (cases[1] == 1)
    of_hard = {}
    for kept in (hard, np.full(hard.shape, True)):
        logits, z, weight = (a[kept] for a in cases)
        alone, fused, gradient = (np.empty_like(logits) for _ in range(3))
        for positive in (0.25, 0.0):
            settings = {"positive": positive, "negative": 1 - positive, "gamma": 2.0, "target": target}
            with np.errstate(all="raise"):
                run_loss(INDEX["focal_loss"], (logits, z, weight, None, alone, *[None] * 3), **settings)
                run_loss(INDEX["focal_loss"], (logits, z, weight, None, fused, gradient, None, None), **settings)
            np.testing.assert_allclose(
                alone, fused, rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).smallest_subnormal
            )
            np.testing.assert_array_equal(np.signbit(alone)[alone == 0], np.signbit(fused)[alone == 0])
            among_all = alone[hard[kept]]  # no element depends on its neighbours
            np.testing.assert_array_equal(of_hard.setdefault(positive, among_all), among_all)


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_kl_divergence_beside_its_limits(target, dtype):
    """An element has the same loss whether its vector holds limits, which take another way, or usual numbers alone."""
    rng = np.random.default_rng(0)
    log_q, log_p = (np.log(rng.random(640)).astype(dtype) for _ in range(2))
    for name, p, limits in (
        ("kl_divergence", np.exp(log_p), [-1, np.finfo(dtype).smallest_subnormal, INF, np.nan]),
        ("kl_divergence_of_logs", log_p, [1, -INF, -800, np.nan]),
    ):
        usual, mixed = np.empty_like(p), np.empty_like(p)
        run_loss(INDEX[name], (log_q, p, None, None, usual, *[None] * 3), target=target)
        at = np.arange(0, 640, 3)
        with_limits = p.copy()
        with_limits[at] = np.resize(limits, at.size)
        run_loss(INDEX[name], (log_q, with_limits, None, None, mixed, *[None] * 3), target=target)
        np.testing.assert_array_equal(np.delete(mixed, at), np.delete(usual, at))
        expected = np.empty_like(p)
        for i in at:  # one by one
            run_loss(
                INDEX[name],
                (log_q[i : i + 1], with_limits[i : i + 1], None, None, expected[i : i + 1], *[None] * 3),
                target=target,
            )
        np.testing.assert_array_equal(mixed[at], expected[at])
