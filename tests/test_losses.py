"""Losses: values, reductions, limits and errors."""

import numpy as np
import pytest
from helpers.reference import exact
from hypothesis import given
from hypothesis import strategies as st

import fastlog
from fastlog import binary_cross_entropy_with_logits as bce
from fastlog import cross_entropy, focal_loss, kl_divergence, nll_loss
from fastlog._core import INDEX, functions, run_loss, supported_targets

INF = np.inf


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_bce_reductions(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 3, (30, 7)).astype(dtype)
    z = rng.integers(0, 2, x.shape)
    each = bce(x, z, reduction="none")
    expected = np.logaddexp(0, np.where(z, -1, 1) * x.astype(float))
    rtol = {"f2": 1e-3, "f4": 3e-7, "f8": 1e-15}[dtype]
    np.testing.assert_allclose(each, expected, rtol=rtol)
    for reduction, value in [("sum", expected.sum()), ("mean", expected.mean())]:
        y = bce(x, z, reduction=reduction)
        assert y.dtype == each.dtype == dtype
        np.testing.assert_allclose(y, value, rtol=rtol)
    assert bce(x, z) == bce(x, z, reduction="mean")


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_bce_sum_is_rounded_once(target, dtype):
    """The sum of the losses is within 1 ulp of the exact sum, as it is carried in two words."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(0, 3, 3001).astype(dtype), rng.random(3001).astype(dtype)
    total, _, _ = run_loss(INDEX["binary_cross_entropy"], (x, z, *[None] * 6), target=target)
    expected = sum(exact("binary_cross_entropy_with_logits", *pair) for pair in zip(x, z, strict=True))
    assert abs(total - float(expected)) <= np.spacing(np.array(float(expected), dtype))


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


def test_bce_weights():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(5, 4)), rng.random((5, 4))
    w, p = rng.random(4), rng.random(4)
    positive, negative = np.logaddexp(0, -x), np.logaddexp(0, x)
    each = w * (p * z * positive + (1 - z) * negative)
    np.testing.assert_allclose(bce(x, z, w, p, "none"), each, rtol=1e-14)
    np.testing.assert_allclose(bce(x, z, w, p), each.mean(), rtol=1e-14)
    total = (w * (z * positive + (1 - z) * negative)).sum()
    np.testing.assert_allclose(bce(x, z, w, reduction="sum"), total, rtol=1e-14)


def test_bce_of_large_float32_losses():
    """The sum overflows float32, the mean does not."""
    x = np.full(1000, 3e38, "f4")
    assert bce(x, np.zeros(1000)) == np.float32(3e38)
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert bce(x, np.zeros(1000), reduction="sum") == INF


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


def test_masks_are_refused_and_labels_may_be_empty_lists():
    for logits, labels in [(np.ma.array([[1.0, 2.0]], mask=[[0, 1]]), [0]), ([[1.0, 2.0]], np.ma.array([0], mask=[1]))]:
        with pytest.raises(TypeError, match="masked"):
            cross_entropy(logits, labels)
    assert np.isnan(cross_entropy(np.empty((0, 3)), []))
    assert nll_loss(np.empty((0, 3)), [], reduction="sum") == 0
    with pytest.raises(TypeError, match="integer"):
        cross_entropy(np.zeros((1, 3)), [0], ignore_index="a")


def test_no_classes():
    for loss in (cross_entropy, nll_loss):
        assert loss(np.empty((2, 0)), [-100, -100], reduction="none").tolist() == [0, 0]
        assert np.isnan(loss(np.empty((2, 0)), [-100, -100]))
        with pytest.raises(ValueError, match="labels run from"):
            loss(np.empty((2, 0)), [0, 0])


def test_bce_errors():
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        bce([1.0, 2.0], [1, 0, 1])
    with pytest.raises(ValueError, match="'none', 'sum', 'mean'"):
        bce([1.0], [1], reduction="average")
    with pytest.raises(ValueError, match="weight"):
        bce([1.0, 2.0], [1, 0], weight=[1, 2, 3])
    for bad in ("a", [None], 1j, np.longdouble(1)):
        with pytest.raises(TypeError, match="convert"):
            bce(bad, 1)
    assert np.isnan(bce([], []))
    assert bce([], [], reduction="sum") == 0


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(50, 3), (50, 10), (4, 1000), (1, 2), (7,)])
@pytest.mark.parametrize("label_type", ["i1", "u1", "i4", "i8", "u8"])
def test_cross_entropy_of_labels(dtype, shape, label_type):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 3, shape).astype(dtype)
    labels = rng.integers(0, min(shape[-1], 100), shape[:-1]).astype(label_type)
    expected = -np.take_along_axis(fastlog.log_softmax(x.astype(float), -1), labels.astype(int)[..., None], -1)[..., 0]
    y = cross_entropy(x, labels, reduction="none")
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=2e-7 if dtype == "f4" else 1e-15)
    np.testing.assert_allclose(cross_entropy(x, labels), expected.mean(), rtol=2e-7)
    np.testing.assert_allclose(cross_entropy(x, labels, reduction="sum"), expected.sum(), rtol=2e-7)


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("shape", [(40, 3), (3, 40), (5, 900)])
def test_labelled_rows_on_every_target(target, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 5, shape)
    labels = rng.integers(0, shape[1], shape[0])
    for a in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        y = np.empty(shape[0])
        run_loss(INDEX["cross_entropy"], (a, labels, y, None, None), 1, target=target)
        expected = -functions("portable")["log_softmax"](x)[np.arange(shape[0]), labels]
        np.testing.assert_allclose(y, expected, rtol=5e-16)


def test_cross_entropy_of_probabilities():
    rng = np.random.default_rng(0)
    x, p = rng.normal(size=(6, 4)), rng.dirichlet(np.ones(4), 6)
    expected = -(p * fastlog.log_softmax(x, 1)).sum(1)
    np.testing.assert_allclose(cross_entropy(x, p, reduction="none"), expected, rtol=1e-15)
    np.testing.assert_allclose(cross_entropy(x, p), expected.mean(), rtol=1e-15)
    w = rng.random(4)
    np.testing.assert_allclose(cross_entropy(x, p, w), -(w * p * fastlog.log_softmax(x, 1)).sum(1).mean(), rtol=1e-15)
    assert cross_entropy([[-INF, 0.0]], [[0.0, 1.0]]) == 0
    assert cross_entropy([[-INF, 0.0]], [[0.5, 0.5]]) == INF


def test_class_axis():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(5, 3, 4)), rng.integers(0, 3, (5, 4))
    y = cross_entropy(x, labels, reduction="none", axis=1)
    np.testing.assert_array_equal(y, cross_entropy(np.moveaxis(x, 1, -1), labels, reduction="none"))
    np.testing.assert_allclose(nll_loss(fastlog.log_softmax(x, 1), labels, axis=1), y.mean(), rtol=1e-14)
    np.testing.assert_allclose(fastlog.nn.functional.cross_entropy(x, labels), y.mean(), rtol=1e-14)


def test_class_weights_and_ignored_labels():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(6, 3)), np.array([1.0, 2.0, 0.0])
    labels = np.array([0, 1, 2, -100, 1, 0])
    each = cross_entropy(x, np.where(labels < 0, 0, labels), reduction="none")
    row_weight = np.where(labels < 0, 0, w[np.maximum(labels, 0)])
    for loss in (cross_entropy, lambda a, *rest: nll_loss(fastlog.log_softmax(a, 1), *rest)):
        np.testing.assert_allclose(loss(x, labels, w), (each * row_weight).sum() / row_weight.sum(), rtol=1e-14)
    assert cross_entropy(x, labels, reduction="none")[3] == 0
    others = cross_entropy(x, [0, 1, 2, 7, 1, 0], ignore_index=7, reduction="sum")
    np.testing.assert_allclose(others, each[labels >= 0].sum())
    nothing = np.full(6, -100)
    assert np.isnan(cross_entropy(x, nothing))
    assert cross_entropy(x, nothing, reduction="sum") == 0
    assert np.isnan(cross_entropy(np.empty((0, 3)), np.empty(0, int)))
    assert cross_entropy(x, labels, w, reduction="none")[2] == 0


def test_label_errors():
    x = np.zeros((2, 3, 4))
    with pytest.raises(ValueError, match=r"targets\[1, 2\] is 4, .* 0 to 3"):
        cross_entropy(x, [[0, 1, 2], [3, 0, 4]])
    with pytest.raises(ValueError, match=r"targets\[0, 0\] is -1"):
        cross_entropy(x, [[-1, 1, 2], [3, 0, 4]])
    with pytest.raises(ValueError, match=r"\(2, 3\), not \(3,\)"):
        cross_entropy(x, [0, 1, 2])
    with pytest.raises(ValueError, match=r"\(2, 3, 4\), not \(2, 3\)"):
        cross_entropy(x, np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\(4,\)"):
        cross_entropy(x, np.zeros((2, 3), int), weight=[1, 2])
    with pytest.raises(ValueError, match="reduction"):
        cross_entropy(x, np.zeros((2, 3), int), reduction="max")
    with pytest.raises(ValueError, match="class axis"):
        cross_entropy(1.0, 0)
    with pytest.raises(TypeError, match="integer"):
        nll_loss(x, np.zeros((2, 3)))
    with pytest.raises(TypeError, match="length"):
        cross_entropy([[1.0], [1.0, 2.0]], [0, 0])
    for huge in (2**63 - 1, -(2**63)):
        with pytest.raises(ValueError, match="labels run from"):
            cross_entropy(np.zeros((1, 3)), np.array([huge]))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.floats(0, 1))
def test_bce_is_the_cross_entropy_of_two_classes(logits, z):
    x = np.array(logits)
    two = np.stack([x, np.zeros_like(x)], -1)
    soft = np.full(two.shape, [z, 1 - z])
    np.testing.assert_allclose(bce(x, np.full(x.shape, z)), cross_entropy(two, soft), rtol=1e-12, atol=1e-15)


def test_out():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(3, 4)), rng.random((3, 4))
    expected = bce(x, z, reduction="none")
    for out in (np.empty((3, 4)), np.empty((4, 3)).T, np.empty((3, 8))[:, ::2]):
        assert bce(x, z, reduction="none", out=out) is out
        np.testing.assert_array_equal(out, expected)
    for over in range(2):  # over one of the arguments
        arguments = [x.copy(), z.copy()]
        assert bce(*arguments, reduction="none", out=arguments[over]) is arguments[over]
        np.testing.assert_array_equal(arguments[over], expected)
    buffer = rng.normal(size=(4, 4))
    a = buffer[:3].copy()
    bce(buffer[:3], z, reduction="none", out=buffer[1:])  # overlapping
    np.testing.assert_array_equal(buffer[1:], bce(a, z, reduction="none"))
    mean = np.empty(())
    assert bce(x, z, out=mean, return_grad=True)[0] is mean
    np.testing.assert_allclose(mean, expected.mean(), rtol=1e-15)
    with pytest.raises(ValueError, match="out has the shape"):
        bce(x, z, reduction="none", out=np.empty(12))
    with pytest.raises(TypeError, match="out must be"):
        bce(x, z, out=[0.0])
    with pytest.raises(TypeError, match="Cannot cast"):
        bce(x, z, reduction="none", out=np.empty((3, 4), int))


@pytest.mark.parametrize(("dtype", "rtol"), [("f4", 1e-5), ("f8", 1e-13)])
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_divergence(dtype, rtol, log_target):
    rng = np.random.default_rng(3)
    p, q = rng.dirichlet(np.ones(5), (4, 3)), rng.dirichlet(np.ones(5), (4, 3))
    each = p * (np.log(p) - np.log(q))
    arguments = np.log(q).astype(dtype), (np.log(p) if log_target else p).astype(dtype)

    def kl(reduction, **options):
        return kl_divergence(*arguments, log_target=log_target, reduction=reduction, **options)

    assert kl("none").dtype == kl("mean").dtype == dtype
    for got, expected in [
        (kl("none"), each.sum(-1)),
        (kl("none", axis=1), each.sum(1)),
        (kl("none", axis=(0, 2)), each.sum((0, 2))),
        (kl("none", axis=None), each.sum()),
        (kl("none", axis=()), each),
        (kl("sum"), each.sum()),
        (kl("mean"), each.mean()),
        (kl("batchmean"), each.sum() / 4),
        (kl("batchmean", axis=0), each.sum() / 3),
    ]:
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol / 100)


def test_kl_divergence_limits_and_errors():
    with np.errstate(all="raise"):
        y = kl_divergence([-INF, -INF, 0.0, np.nan], [0.0, 0.5, 0.0, 0.0], axis=(), reduction="none")
        np.testing.assert_array_equal(y, [0, INF, 0, np.nan])
        y = kl_divergence([-INF, -INF, 0.0], [-INF, -1.0, -INF], log_target=True, axis=(), reduction="none")
        np.testing.assert_array_equal(y, [0, INF, 0])
    assert kl_divergence(-1.0, 0.5, reduction="none") == 0.5 * (np.log(0.5) + 1)
    assert np.isnan(kl_divergence(np.empty((0, 3)), np.empty((0, 3))))
    with pytest.raises(ValueError, match="'batchmean'"):
        kl_divergence([0.0], [1.0], reduction="median")
    with pytest.raises(ValueError, match="log_q and p"):
        kl_divergence([0.0], [1.0, 2.0])


def test_focal_loss():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(6, 2)), rng.integers(0, 2, (6, 2))
    for reduction in ("none", "sum", "mean"):
        np.testing.assert_allclose(focal_loss(x, z, gamma=0, reduction=reduction), bce(x, z, reduction=reduction))
    m = np.where(z, fastlog.sigmoid(-x), fastlog.sigmoid(x))
    each = np.where(z, 0.25, 0.75) * m**2 * bce(x, z, reduction="none")
    np.testing.assert_allclose(focal_loss(x, z, 0.25, reduction="none"), each, rtol=1e-14)
    w = rng.random((6, 1))
    np.testing.assert_allclose(focal_loss(x, z, 0.25, weight=w), (each * w).mean(), rtol=1e-14)
    assert focal_loss(x.astype("f4"), z).dtype == np.float32
    np.testing.assert_allclose(focal_loss([300.0], [1], gamma=1.0), np.exp(-600.0), rtol=1e-13)
    for bad in ({"alpha": 1.5}, {"gamma": -1}, {"gamma": INF}, {"reduction": "max"}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            focal_loss(x, z, **bad)
    with pytest.raises(TypeError, match="alpha"):
        focal_loss(x, z, "a")


def test_label_smoothing():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(5, 4)), rng.random((5, 4))
    np.testing.assert_allclose(bce(x, z, label_smoothing=0.2), bce(x, 0.8 * z + 0.1), rtol=1e-15)
    labels = np.array([0, 3, 2, 1, 1])
    spread = 0.8 * np.eye(4)[labels] + 0.05
    np.testing.assert_allclose(cross_entropy(x, labels, label_smoothing=0.2), cross_entropy(x, spread), rtol=1e-15)
    for bad in (-0.1, 1.1, np.nan):
        for loss, targets in ((bce, z), (cross_entropy, labels)):
            with pytest.raises(ValueError, match="label_smoothing"):
                loss(x, targets, label_smoothing=bad)


def same(a, b):
    if not isinstance(a, tuple):
        a, b = (a,), (b,)
    return len(a) == len(b) and all(np.array_equal(one, other, equal_nan=True) for one, other in zip(a, b, strict=True))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("options", [{}, {"return_grad": True}, {"return_hess": True}])
def test_short_ways_agree_with_the_general_ones(dtype, options):
    """Plain arrays and arguments go straight to the loops; others, such as a 0 that is an int, do not."""
    rng = np.random.default_rng(0)
    for shape in [(1,), (10,), (7, 3), (2, 3, 4), (50, 40)]:
        x, z = rng.normal(0, 3, shape).astype(dtype), rng.integers(0, 2, shape)
        labels = rng.integers(0, shape[-1], shape[:-1])
        if shape[:-1]:
            labels.flat[0] = -100
        for reduction in ("mean", "sum"):
            general = bce(x, z, reduction=reduction, label_smoothing=0, **options)
            assert same(bce(x, z, reduction=reduction, **options), general)
            general = cross_entropy(x, labels, None, np.int64(-100), reduction, **options)
            assert same(cross_entropy(x, labels, None, -100, reduction, **options), general)
    with pytest.raises(ValueError, match=r"targets\[1\] is 3"):
        cross_entropy(np.zeros((2, 3), dtype), np.array([0, 3]), **options)
    big = np.array([[0, 2**64 - 100]], np.uint64)
    with pytest.raises(ValueError, match=r"targets\[0, 1\] is 18446744073709551516"):
        cross_entropy(np.zeros((1, 2, 3), dtype), big, **options)


@pytest.mark.slow
@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("name", ["binary_cross_entropy", "focal", "kl_divergence", "cross_entropy"])
def test_sums_do_not_drift(target, name):
    """The sum of equal losses, which are all rounded the same way, does not drift."""
    n = 2**22
    x = np.broadcast_to(np.float32(-0.3), n)
    z = np.broadcast_to(np.float32(0.7), n)
    w = np.broadcast_to(np.float32(0.9), n)
    arguments = (x, z, w, None, *[None] * 4)
    axis = None
    if name == "cross_entropy":
        arguments, axis = (np.broadcast_to(np.float32([0.3, 0.5]), (n, 2)), np.zeros(n, np.int8), None, None, None), 1
    one = tuple(a if a is None else a[:1] for a in arguments)
    total, _, _ = run_loss(INDEX[name], arguments, axis, target=target)
    single, _, _ = run_loss(INDEX[name], one, axis, target=target)
    np.testing.assert_allclose(total / n, single, rtol=1e-8)


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


def test_labels_beyond_int64():
    x = np.zeros((3, 2))
    largest = np.array([0, 2**64 - 1, 2**64 - 1], np.uint64)
    assert cross_entropy(x, largest, ignore_index=2**64 - 1) == np.log(2)
    for ignored in (2**63 - 1, 2**64 - 2, -1, -100):
        with pytest.raises(ValueError, match=r"targets\[1\] is 18446744073709551615"):
            cross_entropy(x, largest, ignore_index=ignored)
    assert cross_entropy(x, np.array([0, 2**63 - 1, 1]), ignore_index=2**63 - 1) == np.log(2)
    with pytest.raises(ValueError, match="targets is 7,"):
        cross_entropy(np.zeros(3), 7)


def test_loops_refuse_what_they_cannot_read():
    x = np.zeros((2, 3))
    for arrays, axis in [
        ((x, np.zeros(2), None, None, None), 1),  # the labels are no integers
        ((x, np.zeros((2, 3), int), None, None, None), 1),
        ((x, np.array(0), None, None, None), 1),
        ((x, np.zeros(3, int), None, None, None), 1),
        ((x, np.zeros(2, int), np.zeros(2, "f4"), None, None), 1),
        ((x, np.zeros(2, int), None, np.zeros((3, 3)), None), 1),
        ((x, np.zeros(2, int), None, None), 1),
        ((x, np.zeros(2, int), None, None, None), 2),
        ((x.astype("f2"), np.zeros(2, int), None, None, None), 1),
    ]:
        with pytest.raises(ValueError, match="."):
            run_loss(INDEX["cross_entropy"], arrays, axis)
    with pytest.raises(ValueError, match="probabilities|dtype"):
        run_loss(INDEX["cross_entropy"], (x, np.zeros((2, 3), int), None, None, None), 1, probabilities=True)
    with pytest.raises(ValueError, match="no loss"):
        run_loss(INDEX["softplus"], (x, x), 1)


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


def test_the_mean_divides_by_an_exact_weight():
    weight = np.array([1.1838669778434, 1, 1, 1, 1])
    assert nll_loss(np.full((100000, 5, 3), -1.0), np.zeros((100000, 3), int), weight, axis=1) == 1


def test_out_of_another_dtype():
    out = np.empty(1, "f4")
    assert bce(np.array([60000], "f2"), [0], [10.0], reduction="none", out=out) is out
    assert out == 600000
    wide = np.empty(2)
    assert bce(np.array([1, 2], "f4"), [0, 1], reduction="none", out=wide) is wide
    np.testing.assert_array_equal(wide, bce(np.array([1, 2], "f4"), [0, 1], reduction="none"))


def test_arguments_that_are_no_numbers():
    for bad in ("0.5", b"0.5", 0.5j, np.complex128(0.5), np.ma.masked, None, [0.5], 10**400):
        for call in (
            lambda bad: bce([1.0], [1], label_smoothing=bad),
            lambda bad: cross_entropy([[1.0]], [0], label_smoothing=bad),
            lambda bad: focal_loss([1.0], [1], 0.5, bad),
        ):
            with pytest.raises(TypeError, match="must be a number"):
                call(bad)
    for loss, targets in ((bce, np.ones((1, 2))), (cross_entropy, np.array([1]))):
        for bad in (None, 1, np.ma.masked, ["mean"]):
            with pytest.raises((ValueError, TypeError), match="reduction"):
                loss(np.ones((1, 2)), targets, reduction=bad)
    with pytest.raises(TypeError, match="ignore_index"):
        cross_entropy(np.zeros((1, 2)), np.ones((1, 2)), ignore_index=-1.5)
    masked = np.ma.array([[1.0, 0.0]], mask=[[True, False]])
    for call in (
        lambda: fastlog.tf.nn.softmax_cross_entropy_with_logits(masked, [[1.0, 2.0]]),
        lambda: fastlog.tf.nn.sparse_softmax_cross_entropy_with_logits(np.ma.array([1], mask=[True]), [[1.0, 2.0]]),
        lambda: fastlog.nn.functional.kl_div(masked, [[0.5]], reduction="sum"),
    ):
        with pytest.raises(TypeError, match="mask"):
            call()
    assert fastlog.tf.nn.sparse_softmax_cross_entropy_with_logits([], np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize(("dtype", "x"), [("f4", -95.0), ("f4", -85.0), ("f8", -740.0), ("f8", -700.0)])
def test_long_sums_of_tiny_and_of_infinite_losses(target, dtype, x):
    """The sums are right where whole blocks are tiny or infinite, and one logarithm would serve many elements."""
    logits, targets = np.full(4001, x, dtype), np.zeros(4001, dtype)

    def total():
        with np.errstate(all="raise"):
            return run_loss(INDEX["binary_cross_entropy"], (logits, targets, *[None] * 6), target=target)[0]

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
            assert total("cross_entropy", x, labels, *[None] * 3, axis=1, class_weight=weight) == INF
            assert (
                total("cross_entropy", x, one_hot, *[None] * 3, axis=1, class_weight=weight, probabilities=True) == INF
            )
            assert total("cross_entropy", x, labels, *[None] * 3, axis=1, class_weight=weight, smoothing=0.1) == INF
        log_probs = x - 4
        assert total("negative_log_likelihood", log_probs, labels, *[None] * 3, axis=1, class_weight=infinite) == INF
    x, z, weight = np.array([0, 1, -2, 5], dtype), np.array([0, 1, 0.5, 1], dtype), np.full(4, INF, dtype)
    for name in ("binary_cross_entropy", "focal"):
        assert total(name, x, z, weight, *[None] * 5) == INF
        each = np.empty(4, dtype)
        total(name, x, z, weight, None, each, *[None] * 3)
        assert (each == INF).all()
    total("binary_cross_entropy", x, z, None, weight, each, *[None] * 3)
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
def test_derivatives_by_infinite_weights(dtype):
    x, z = np.array([3, -2, 0, 1, 0], dtype), np.array([0.5, 0.5, 1, 0, 0], dtype)
    loss, gradient, hessian = bce(x, z, np.full(5, INF), reduction="none", return_hess=True)
    np.testing.assert_array_equal(loss, INF)
    np.testing.assert_array_equal(gradient, [INF, -INF, -INF, INF, INF])
    np.testing.assert_array_equal(hessian, INF)
    loss, gradient = bce(x, z, np.full(5, INF), 0.0, reduction="none", return_grad=True)
    np.testing.assert_array_equal(loss, [INF, INF, 0, INF, INF])
    np.testing.assert_array_equal(gradient, [INF, INF, 0, INF, INF])
