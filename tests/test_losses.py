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
    total, _, _ = run_loss(INDEX["binary_cross_entropy_with_logits"], (x, z, *[None] * 6), target=target)
    expected = sum(exact("binary_cross_entropy_with_logits", *pair) for pair in zip(x, z, strict=True))
    assert abs(total - float(expected)) <= np.spacing(np.array(float(expected), dtype))


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
        run_loss(INDEX["cross_entropy"], (a, labels, None, y, *[None] * 3), 1, target=target)
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


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_scalars_have_no_class_axis(reduction):
    one = np.array(1.0)
    for call in (
        lambda: cross_entropy(one, one, reduction=reduction),
        lambda: cross_entropy(one, np.array(0), reduction=reduction),
        lambda: nll_loss(one, np.array(0), reduction=reduction),
        lambda: fastlog.softmax_focal_loss(one, np.array(0), reduction=reduction),
    ):
        with pytest.raises(ValueError, match="need one class axis"):
            call()


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
@pytest.mark.parametrize("name", ["binary_cross_entropy_with_logits", "focal_loss", "kl_divergence", "cross_entropy"])
def test_sums_do_not_drift(target, name):
    """The sum of equal losses, which are all rounded the same way, does not drift."""
    n = 2**22
    x = np.broadcast_to(np.float32(-0.3), n)
    z = np.broadcast_to(np.float32(0.7), n)
    w = np.broadcast_to(np.float32(0.9), n)
    arguments = (x, z, w, None, *[None] * 4)
    axis = None
    if name == "cross_entropy":
        arguments, axis = (np.broadcast_to(np.float32([0.3, 0.5]), (n, 2)), np.zeros(n, np.int8), *[None] * 5), 1
    few = tuple(a if a is None else a[:16] for a in arguments)  # So many rows fill the lanes of every target.
    total, _, _ = run_loss(INDEX[name], arguments, axis, target=target)
    of_few, _, _ = run_loss(INDEX[name], few, axis, target=target)
    np.testing.assert_allclose(total / n, of_few / 16, rtol=1e-8)


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
    nothing = [None] * 5
    for arrays, axis in [
        ((x, np.zeros(2), *nothing), 1),  # the labels are no integers
        ((x, np.zeros((2, 3), int), *nothing), 1),
        ((x, np.array(0), *nothing), 1),
        ((x, np.zeros(3, int), *nothing), 1),
        ((x, np.zeros(2, int), None, np.zeros(2, "f4"), None, None, None), 1),
        ((x, np.zeros(2, int), None, None, np.zeros((3, 3)), None, None), 1),
        ((x, np.zeros(2, int), np.zeros(2, "f4"), None, None, None, None), 1),  # the weights of the rows
        ((x, np.zeros(2, int), np.zeros((2, 1)), None, None, None, None), 1),
        ((x, np.zeros(2, int), None, None, None, None, np.zeros(2, "f4")), 1),
        ((x, np.zeros(2, int), None, None, None), 1),
        ((x, np.zeros(2, int), *nothing), 2),
        ((x.astype("g"), np.zeros(2, int), *nothing), 1),
        ((x.astype("f2"), np.zeros(2, "f2"), *nothing), 1),
        ((x.astype("f2"), np.zeros(2, int), None, np.zeros(2), None, None, None), 1),
    ]:
        with pytest.raises(ValueError, match="."):
            run_loss(INDEX["cross_entropy"], arrays, axis)
    run_loss(INDEX["cross_entropy"], (x, np.zeros(2, int), *nothing), 1)
    with pytest.raises(ValueError, match="dtype or layout"):
        run_loss(INDEX["nll_loss"], (x, np.zeros(2, int), np.ones(2), *[None] * 4), 1)
    with pytest.raises(ValueError, match="temperature"):
        run_loss(INDEX["focal_loss"], (x, x, *[None] * 6), temperature=2.0)
    with pytest.raises(ValueError, match="probabilities|dtype"):
        run_loss(INDEX["cross_entropy"], (x, np.zeros((2, 3), int), *[None] * 5), 1, probabilities=True)
    with pytest.raises(ValueError, match="no loss"):
        run_loss(INDEX["softplus"], (x, x), 1)


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


def test_one_hot_targets_that_are_no_floats_are_told_to_be_floats():
    logits = np.zeros((2, 3))
    for one_hot in (np.eye(2, 3, dtype=int), np.eye(2, 3, dtype=bool)):
        with pytest.raises(ValueError, match="one-hot .* floats"):
            cross_entropy(logits, one_hot)
        with pytest.raises(ValueError, match="must have the shape") as caught:  # It takes no probabilities.
            fastlog.nll_loss(logits, one_hot)
        assert "one-hot" not in str(caught.value)
        assert cross_entropy(logits, one_hot.astype(float)) == np.log(3)


def test_labels_of_minus_one_and_one_are_converted_by_the_caller():
    x, signs = np.array([2.0, -3.0]), np.array([-1, 1])
    formula = np.log1p(np.exp(x)) - signs * x
    np.testing.assert_allclose(bce(x, signs, reduction="none"), formula, rtol=1e-14)
    np.testing.assert_allclose(bce(x, (signs + 1) / 2, reduction="none"), np.log1p(np.exp(-signs * x)), rtol=1e-14)
