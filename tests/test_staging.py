"""Rows that pass through a room: float16 and bfloat16, temperatures, masks."""

import numpy as np
import pytest

import fastlog
from fastlog import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    focal_loss,
    kl_divergence,
    log_softmax,
    logsumexp,
    nll_loss,
    softmax,
)
from fastlog._core import INDEX, run_over

INF = np.inf
# Lengths around those of pieces and vectors: many short rows, some longer ones, rows that are a piece by themselves.
SHAPES = [(1, 5), (5000, 3), (700, 33), (40, 600), (3, 20000), (31, 511), (0, 3), (3, 0), (7, 5, 6), (3, 40, 300)]


@pytest.fixture(params=["float16", "bfloat16"])
def narrow(request):
    if request.param == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(request.param)


def same(got, expected):
    """Check bits; nan stands where nan is expected, and is quiet."""
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    nan, there = np.isnan(got.astype("f4")), np.isnan(expected.astype("f4"))
    np.testing.assert_array_equal(nan, there)
    unsigned = f"u{got.itemsize}"
    bits = np.ascontiguousarray(got).view(unsigned).reshape(got.shape)
    np.testing.assert_array_equal(bits[~nan], np.ascontiguousarray(expected).view(unsigned).reshape(got.shape)[~nan])
    if got.itemsize == 2:
        quiet = 0x200 if got.dtype.char == "e" else 0x40
        assert np.all(bits[nan] & quiet)


def rounded(y, dtype):
    with np.errstate(all="ignore"):
        return np.asarray(y).astype(dtype)


def near(y, z, narrow, least=0.0):
    """Hold narrow results against those of float32, which may differ by their own error of 3 ulp.

    A room has a layout of its own, and how a row is summed depends on the layout. `least` is the number whose ulp
    bounds the error of smaller ones.
    """
    slack = np.where(np.isfinite(z), 3 * 2.0**-23 * np.maximum(np.abs(z), least), 0)
    low, high = rounded(z - slack, narrow), rounded(z + slack, narrow)
    y = np.asarray(y)
    assert np.all(((low <= y) & (y <= high)) | (np.isnan(y) & np.isnan(z)))


def layouts(x):
    """Yield arrays of the numbers of x, or some of them, in several layouts."""
    yield x
    yield np.asfortranarray(x)
    yield np.repeat(np.repeat(x, 2, 0), 3, -1)[::-2, ..., ::3]
    if x.size:
        yield np.broadcast_to(x[:1], x.shape)


def all_patterns(dtype):
    return np.arange(65536, dtype="u2").view(dtype)


@pytest.mark.parametrize("shape", [(256, 256), (65536, 1), (1, 65536), (32768, 2), (8, 8192)])
def test_every_number_of_two_bytes(target, narrow, shape):
    """The results are those of the same numbers as float32, rounded once more; nan stays quiet."""
    for x in (all_patterns(narrow).reshape(shape), np.sort(all_patterns(narrow)).reshape(shape)):
        wide = rounded(x, "f4")
        for axes in ((0,), (1,), (0, 1)):
            for name in ("softmax", "log_softmax"):
                y, z = np.empty(shape, narrow), np.empty(shape, "f4")
                with np.errstate(all="raise"):
                    run_over(INDEX[name], (x, y), axes, target=target)
                    run_over(INDEX[name], (wide, z), axes, target=target)
                same(y, rounded(z, narrow))
            with np.errstate(all="raise"):
                (y,), (z,) = (run_over(INDEX["logsumexp"], (one,), axes, target=target) for one in (x, wide))
            same(y, rounded(z, narrow))


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_halves(narrow, shape):
    rng = np.random.default_rng(3)
    for x in layouts(rng.normal(0, 5, shape).astype(narrow)):
        wide = x.astype("f4")
        for axis in (None, 0, -1, 1, (0, -1)):
            if x.size == 0 and axis is not None:
                continue
            for f in (softmax, log_softmax, logsumexp):
                with np.errstate(all="raise"):
                    near(f(x, axis), f(wide, axis), narrow, 1.0 if f is logsumexp else 0.0)
            for f, own in zip(softmax(x, axis, return_lse=True), softmax(wide, axis, return_lse=True), strict=True):
                near(f, own, narrow, 1.0)
            quotient = rounded(wide / np.float32(narrow.type(0.7)), narrow)
            same(softmax(x, axis, temperature=0.7), softmax(quotient, axis))
            out = np.empty(shape, narrow)
            assert log_softmax(x, axis, out=out) is out
            near(out, log_softmax(wide, axis), narrow)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES)
def test_excluded_elements(shape, dtype):
    """Elements that a mask excludes count as -inf, and become 0 or -inf even in rows that are nan."""
    rng = np.random.default_rng(5)
    x = rng.normal(0, 5, shape).astype(dtype)
    if x.size:
        x.flat[0], x.flat[-1] = INF, np.nan
    some = rng.random(shape) < 0.6
    if x.size:
        some[0] = False
    for where in (some, some[..., :1], some[-1:], np.asfortranarray(some), np.array(True), np.array(False)):
        include = np.broadcast_to(where, shape)
        for axis in (-1, 0, None, (0, -1)):
            for f, none in ((softmax, 0), (log_softmax, -INF)):
                expected = f(np.where(include, x, x.dtype.type(-INF)), axis)
                expected = np.where(include, expected, x.dtype.type(none))
                with np.errstate(all="raise"):
                    got = f(x, axis, where=where)
                np.testing.assert_array_equal(got, expected)
                place = x.copy()
                assert f(place, axis, where=where, out=place) is place
                np.testing.assert_array_equal(place, expected)
            sums = softmax(x, axis, where=where, return_lse=True)[1]
            expected = softmax(np.where(include, x, x.dtype.type(-INF)), axis, return_lse=True)[1]
            np.testing.assert_array_equal(sums, expected)


def test_a_mask_and_a_temperature_in_a_short_call():
    for dtype in ("f4", "f8"):
        x, some = np.array([1, 2, 3, 700], dtype), np.array([True, True, False, True])
        expected = softmax(np.where(some, x / x.dtype.type(0.3), -INF).astype(dtype))
        np.testing.assert_array_equal(softmax(x, where=some, temperature=0.3), expected)
        np.testing.assert_array_equal(softmax(x, 0, where=some, temperature=0.3), expected)
        np.testing.assert_array_equal(
            log_softmax(x[None], 1, temperature=0.3), log_softmax(x / x.dtype.type(0.3))[None]
        )
        with pytest.raises(TypeError, match="bool"):
            softmax(x, where=some.astype(int))
        with pytest.raises(ValueError, match="fit"):
            softmax(x, where=some[:3])
        with pytest.raises(ValueError, match="temperature"):
            softmax(x, temperature=0.0)
    with pytest.raises(ValueError, match="temperature"):  # It is 0 in float32.
        softmax(np.ones(3, "f4"), temperature=1e-50)
    with pytest.raises(ValueError, match="normalisations"):
        run_over(INDEX["logsumexp"], (np.ones(3),), (0,), divisor=2.0)
    with pytest.raises(ValueError, match="bools"):
        run_over(INDEX["softmax"], (np.ones(3), np.empty(3)), (0,), where=np.ones(3, int))


@pytest.mark.parametrize("shape", [(1, 5), (2000, 3), (40, 600), (3, 20000), (4, 3, 50)])
def test_losses_of_halves(narrow, shape):
    """They are those of float32, rounded; sums and means are rounded once, from float64."""
    rng = np.random.default_rng(8)
    x, p = rng.normal(0, 4, shape).astype(narrow), rng.random(shape).astype(narrow) / narrow.type(8)
    for logits, z in zip(layouts(x), layouts(p), strict=True):
        wide = logits.astype("f4")
        for targets in (z, z.astype("f4"), rng.integers(0, 2, shape)):
            own = targets if targets.dtype.kind == "i" else targets.astype("f4")
            for f, options in (
                (binary_cross_entropy_with_logits, {"return_hess": True}),
                (binary_cross_entropy_with_logits, {"weight": z, "pos_weight": z[..., :1], "return_grad": True}),
                (focal_loss, {"return_grad": True}),
            ):
                for reduction in ("none", "mean"):
                    got = f(logits, targets, reduction=reduction, **options)
                    for one, expected in zip(got, f(wide, own, reduction=reduction, **options), strict=True):
                        same(np.asarray(one), rounded(expected, narrow))
            if targets.dtype.kind != "i":
                for reduction in ("none", "mean"):
                    got = kl_divergence(-abs(logits), targets, reduction=reduction, axis=1)
                    same(np.asarray(got), rounded(kl_divergence(-abs(wide), own, reduction=reduction, axis=1), narrow))
        for axis in (0, 1):
            labels = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
            labels[labels == 1] = -100
            for reduction in ("none", "mean"):
                choices = ({"return_hess": True}, {"return_grad": True, "label_smoothing": 0.1})
                for targets, options in ((labels, choices[0]), (labels, choices[1]), (z, choices[0])):
                    own = targets if targets is labels else targets.astype("f4")
                    options = {"axis": axis, "reduction": reduction, **options}
                    pairs = zip(
                        cross_entropy(logits, targets, **options), cross_entropy(wide, own, **options), strict=True
                    )
                    for one, expected in pairs:
                        same(np.asarray(one), rounded(expected, narrow))
                got, expected = (nll_loss(one, labels, axis=axis, reduction=reduction) for one in (logits, wide))
                same(np.asarray(got), rounded(expected, narrow))
    with pytest.raises(ValueError, match="labels run from"):
        cross_entropy(x, np.full(shape[1:], shape[0]), axis=0)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("rows", [1, 7, 255, 256, 257, 1000])
def test_picked_labels(dtype, rows):
    """nll_loss takes blocks of rows, all of whose labels count or not."""
    rng = np.random.default_rng(rows)
    x = rng.normal(0, 3, (rows, 9)).astype(dtype)
    for kind in ("i8", "i2", "u1", "?"):
        labels = rng.integers(0, 2 if kind == "?" else 9, rows).astype(kind)
        for ignored in (None, 1):
            for logits, axis in ((x, 1), (np.asfortranarray(x), 1), (np.ascontiguousarray(x.T), 0), (x[:, ::-1], 1)):
                rest = logits if axis else logits.T
                each = -rest[np.arange(rows), labels.astype(int)] * (labels != ignored if ignored else 1)
                options = {"axis": axis, "ignore_index": ignored}
                np.testing.assert_array_equal(nll_loss(logits, labels, reduction="none", **options), each)
                total = nll_loss(logits, labels, reduction="sum", **options)
                np.testing.assert_allclose(total, np.sum(each, dtype="g"), rtol=4 * np.finfo(dtype).eps)
        weight = rng.random(9)
        got = nll_loss(x, labels, weight, -100, "none")
        np.testing.assert_allclose(got, -x[np.arange(rows), labels.astype(int)] * weight[labels.astype(int)], rtol=1e-6)
    labels = rng.integers(0, 9, rows)
    labels[rows // 2] = 9
    with pytest.raises(ValueError, match=rf"targets\[{rows // 2}\] is 9"):
        nll_loss(x, labels)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(1, 3), (50, 3), (40, 33), (5, 300), (17, 1000), (2, 5000), (300, 50)])
def test_spread_targets(dtype, shape):
    """Smoothed labels and probabilities, in rows and columns, against long doubles; with an infinite logit, too."""
    rng = np.random.default_rng(13)
    rows, n = shape
    x = rng.normal(0, 4, shape).astype(dtype)
    labels, p = rng.integers(0, n, rows), rng.random(shape).astype(dtype)
    if rows > 1:
        x[1, 0], p[1, 0], labels[0] = -INF, 0, -100
    wide = x.astype("g")
    log_p = wide - np.log(np.sum(np.exp(wide), 1, keepdims=True))

    def loss(a):
        with np.errstate(invalid="ignore"):
            return -np.sum(np.where(a == 0, 0, a * log_p), 1)

    hot = np.zeros(shape, "g")
    hot[np.arange(rows), np.maximum(labels, 0)] = labels >= 0
    counts = (labels >= 0)[:, None]
    share = np.longdouble(0.125)
    for targets, smoothing, expected in (
        (labels, 0.125, loss(hot * (1 - share) + counts * share / n)),
        (p, 0, loss(p.astype("g"))),
        (p.astype("f4" if dtype == "f8" else "f8"), 0, None),
        (p, 0.125, loss(p * (1 - share) + share / n)),
    ):
        if expected is None:
            expected = loss(targets.astype(dtype).astype("g"))
        for logits, z, axis in (
            (x, targets, 1),
            (np.asfortranarray(x), targets, 1),
            (np.ascontiguousarray(x.T), targets if targets.ndim == 1 else np.ascontiguousarray(targets.T), 0),
            (x[:, ::-1][:, ::-1], targets, 1),
        ):
            got = cross_entropy(logits, z, label_smoothing=smoothing, reduction="none", axis=axis)
            finite = np.isfinite(expected)
            np.testing.assert_array_equal(got[~finite], expected[~finite].astype(dtype))
            np.testing.assert_allclose(got[finite], expected[finite].astype("f8"), rtol=4 * np.finfo(dtype).eps)


def test_the_public_names_take_narrow_numbers_of_no_elements(narrow):
    assert np.isnan(binary_cross_entropy_with_logits(np.empty(0, narrow), np.empty(0, narrow)))
    assert fastlog.logsumexp(np.empty((2, 0), narrow), 1).tolist() == [-INF, -INF]
    assert np.isnan(cross_entropy(np.empty((0, 3), narrow), np.empty(0, int)))


class Subclass(np.ndarray):
    """Arrays that have no short way."""


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_short_and_general_calls_agree(dtype):
    rng = np.random.default_rng(2)
    for shape in ((1, 10), (40, 7), (3, 4, 50)):
        x, p = rng.normal(0, 3, shape).astype(dtype), rng.random(shape).astype(dtype)
        labels = rng.integers(0, shape[-1], shape[:-1])
        for targets in (labels, p, p.astype("f4")):
            for smoothing in (0.0, 0.1, 1.0):
                for reduction in ("none", "sum", "mean"):
                    options = {"label_smoothing": smoothing, "reduction": reduction, "return_hess": True}
                    pairs = zip(
                        cross_entropy(x, targets, **options),
                        cross_entropy(x.view(Subclass), targets, **options),
                        strict=True,
                    )
                    for short, general in pairs:
                        same(np.asarray(short), np.asarray(general))
                    if targets is not labels:
                        pairs = zip(
                            binary_cross_entropy_with_logits(x, targets, **options),
                            binary_cross_entropy_with_logits(x.view(Subclass), targets, **options),
                            strict=True,
                        )
                        for short, general in pairs:
                            same(np.asarray(short), np.asarray(general))
        for options in ({}, {"axis": 0}, {"axis": (0, -1)}, {"temperature": 0.7}, {"where": p > 0.2}):
            for function in (fastlog.softmax, fastlog.log_softmax):
                general = function(x.view(Subclass), return_lse=True, **options)
                for made in (function(x, return_lse=True, **options), function(x, return_lse=1, **options)):
                    for short, other in zip(made, general, strict=True):
                        same(np.asarray(short), np.asarray(other))
        for options in ({}, {"gamma": 0.5}, {"gamma": 2, "alpha": 0.25}, {"alpha": 0.3, "reduction": "none"}):
            short = fastlog.focal_loss(x, p, return_hess=True, **options)
            general = fastlog.focal_loss(x.view(Subclass), p, return_hess=True, **options)
            for one, other in zip(short, general, strict=True):
                same(np.asarray(one), np.asarray(other))
        for bad in ({"gamma": None}, {"gamma": None, "alpha": 0.5}):
            with pytest.raises(TypeError, match="gamma"):
                fastlog.focal_loss(x, p, **bad)
        for loss, targets in ((cross_entropy, labels), (binary_cross_entropy_with_logits, p)):
            with pytest.raises(TypeError, match="label_smoothing"):
                loss(x, targets, label_smoothing=None)
        for bad in ({"gamma": -1.0}, {"gamma": np.inf}, {"alpha": 1.5}, {"alpha": np.nan}):
            with pytest.raises(ValueError, match="gamma|alpha"):
                fastlog.focal_loss(x, p, **bad)
        with pytest.raises(ValueError, match="probabilities"):
            cross_entropy(x, p, ignore_index=1)
        with pytest.raises(ValueError, match="label_smoothing"):
            cross_entropy(x, p, label_smoothing=1.5)
        with pytest.raises(TypeError, match="integer"):
            nll_loss(x, p)
