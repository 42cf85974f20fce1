"""torch, JAX and array-API arrays: computed by their own libraries, kinds, devices and gradients kept."""

import importlib.util

import numpy as np
import pytest
from helpers import calls
from helpers.libraries import LIBRARIES, gradients, library, numbers

import fastlog
from fastlog import nn, tf


@pytest.fixture(params=LIBRARIES)
def of(request):
    """A function that makes an array of a library from one of NumPy; `of.package` is the package of its class."""
    xp = library(request.param.removesuffix(" with gradient"))

    def array(a):
        y = xp.asarray(np.asarray(a))
        return y.requires_grad_() if "gradient" in request.param and y.dtype.is_floating_point else y

    array.package = LIBRARIES[request.param]
    return array


# The libraries whose own functions compute: other tensors of torch are given to fastlog's kernels.
COMPUTED = [name for name in LIBRARIES if name != "torch"]
INF, NAN, F = np.inf, np.nan, nn.functional
bce, focal = fastlog.binary_cross_entropy_with_logits, fastlog.focal_loss


@pytest.mark.parametrize("name", calls.CALLS)
def test_same_values(name, of):
    expected = list(calls.CALLS[name](calls.X, lambda a: a))
    for got, numpys in zip(calls.CALLS[name](of(calls.X), of), expected, strict=True):
        assert type(got).__module__.partition(".")[0] == of.package
        assert tuple(got.shape) == np.shape(numpys)
        np.testing.assert_allclose(numbers(got), numpys, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("door", "name", "options"),
    [
        (nn.functional, "logsigmoid", {}),
        (nn.functional, "sigmoid", {}),
        (nn.functional, "silu", {}),
        (nn.functional, "mish", {}),
        (nn.functional, "softplus", {}),
        (nn.functional, "softplus", {"beta": 2.5}),
        (nn.functional, "softmin", {"dim": 1}),
        (nn.functional, "log_softmax", {"dim": 0}),
        (nn.functional, "logsumexp", {"dim": [0, 1]}),
        (nn, "LogSigmoid", None),
        (tf.math, "log_sigmoid", {}),
        (tf.math, "softplus", {}),
        (tf.math, "sigmoid", {}),
        (tf.math, "reduce_logsumexp", {"axis": 0}),
        (tf.nn, "log_softmax", {}),
        (tf.nn, "silu", {"beta": 0.5}),
    ],
)
def test_doors(door, name, options, of):
    f = getattr(door, name)() if options is None else getattr(door, name)
    got, expected = f(of(calls.X), **options or {}), f(calls.X, **options or {})
    assert type(got).__module__.partition(".")[0] == of.package
    np.testing.assert_allclose(numbers(got), expected, rtol=1e-13, atol=1e-15)


def test_losses_of_doors(of):
    x, z, y = of(calls.X), of(calls.P), of(calls.LABELS)
    for f, *arguments in (
        (nn.functional.cross_entropy, x, y),
        (nn.functional.binary_cross_entropy_with_logits, x, z),
        (nn.functional.nll_loss, x, y),
        (lambda a, b: nn.functional.kl_div(a, b, reduction="sum"), x, z),
        (lambda a, b: tf.nn.sigmoid_cross_entropy_with_logits(b, a), x, z),
        (lambda a, b: tf.nn.softmax_cross_entropy_with_logits(b, a), x, z),
        (lambda a, b: tf.nn.sparse_softmax_cross_entropy_with_logits(b, a), x, of(abs(calls.LABELS) % 16)),
        (tf.math.xlogy, z, z),
        (tf.math.xlog1py, z, x * x),
    ):
        got = f(*arguments)
        assert type(got).__module__.partition(".")[0] == of.package
        np.testing.assert_allclose(numbers(got), f(*map(numbers, arguments)), rtol=1e-12)


def test_limits(of):
    x = np.array([[0, -40.0], [INF, 1], [-INF, -INF], [NAN, 1], [-INF, 0.0], [800, -800], [INF, INF], [INF, -INF]])
    for f in (fastlog.logsumexp, fastlog.softmax, fastlog.log_softmax):
        np.testing.assert_allclose(numbers(f(of(x), axis=1)), f(x, axis=1), rtol=1e-12, atol=1e-17)
    assert numbers(fastlog.logsumexp(of(np.zeros((0, 3))))) == -np.inf
    assert fastlog.softmax(of(np.zeros((0, 3)))).shape == (0, 3)
    assert numbers(fastlog.logsumexp(of(x[2]))) == -np.inf
    loss, gradient = fastlog.cross_entropy(of(np.zeros((0, 3))), of(np.zeros(0, int)), return_grad=True)
    assert np.isnan(numbers(loss))
    assert gradient.shape == (0, 3)
    weighted = fastlog.logsumexp(of(np.array([np.inf, np.nan, 1.0])), b=of(np.array([0.0, 0.0, 2.0])))
    np.testing.assert_allclose(numbers(weighted), 1 + np.log(2))
    infinite, z = of(np.array([np.inf, -np.inf, np.inf, -np.inf])), of(np.array([1.0, 0, 0, 1]))
    loss = fastlog.binary_cross_entropy_with_logits(infinite, z, reduction="none")
    np.testing.assert_array_equal(numbers(loss), [0, 0, np.inf, np.inf])
    for options in ({}, {"label_smoothing": 0.1}, {"axis": 0}):
        for rows in ([[INF, 0], [INF, 1]], [[INF, INF], [0, 1]], [[-INF, -INF], [NAN, INF]]):
            for y in (np.array([0, 1]), np.array([[0.25, 0.75], [1, 0]])):
                wanted = {**options, "reduction": "none", "return_hess": True}
                got = fastlog.cross_entropy(of(np.array(rows)), of(y), **wanted)
                for one, other in zip(got, fastlog.cross_entropy(rows, y, **wanted), strict=True):
                    np.testing.assert_allclose(numbers(one), other, rtol=1e-12, atol=1e-15)
    loss = fastlog.cross_entropy(of(x[4:5]), of(np.array([[0, 1.0]])))
    assert numbers(loss) == 0
    np.testing.assert_array_equal(numbers(fastlog.importance_weights(of(np.zeros((2, 0)))).ess), [NAN, NAN])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("targets", [[0, 2, -100], [[0.5, 0.5, 0], [0, 0, 1], [1, 0, 0]]])
def test_several_infinite_logits(targets, smoothing, of):
    y, options = np.array(targets), {"label_smoothing": smoothing, "reduction": "none", "return_hess": True}
    for third in (0, INF, -INF):
        x = np.array([[INF, INF, third]] * 3)
        got = fastlog.cross_entropy(of(x), of(y), **options)
        for one, other in zip(got, fastlog.cross_entropy(x, y, **options), strict=True):
            np.testing.assert_array_equal(numbers(one), other)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("of_rows", [[1.0, 0.5, 2], [NAN, 0, 1], [INF, 1, 1]])
@pytest.mark.parametrize("targets", [[0, 1, -100], [[1.0, 0, 0], [0, 1, 0], [0, 0, 0]]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_rows_whose_label_weighs_nothing(smoothing, targets, of_rows, reduction, of):
    x, weight = np.array([[0.0, 1, 2], [3, 1, 0], [1, 1, 2]]), np.array([0.0, 1, 1])
    options = {"label_smoothing": smoothing, "reduction": reduction, "return_grad": np.isfinite(of_rows).all()}
    expected, got = (
        fastlog.cross_entropy(g(x), g(np.array(targets)), g(weight), sample_weight=g(np.array(of_rows)), **options)
        for g in (np.asarray, of)
    )
    for one, other in zip(*((a if isinstance(a, tuple) else (a,)) for a in (got, expected)), strict=True):
        np.testing.assert_allclose(numbers(one), other, rtol=1e-12, atol=1e-15)


def test_errors(of):
    x = of(calls.X)
    with pytest.raises(ValueError, match=r"targets\[3\] is 16, but labels run from 0 to 15"):
        fastlog.cross_entropy(x, of(np.where(np.arange(15) == 3, 16, 0)))
    with pytest.raises(ValueError, match="shape"):
        fastlog.cross_entropy(x, of(np.zeros(3, int)))
    with pytest.raises(ValueError, match="same shape"):
        fastlog.binary_cross_entropy_with_logits(x, of(calls.P[:3]))
    with pytest.raises(ValueError, match="'median'"):
        fastlog.cross_entropy(x, of(calls.LABELS), reduction="median")
    with pytest.raises(ValueError, match="temperature"):
        fastlog.softmax(x, temperature=0.0)
    with pytest.raises(ValueError, match="label_smoothing"):
        fastlog.binary_cross_entropy_with_logits(x, of(calls.P), label_smoothing=3.0)
    with pytest.raises(ValueError, match="weight has the shape"):
        fastlog.binary_cross_entropy_with_logits(x, of(calls.P), of(np.ones((2, 1, 1))))
    with pytest.raises(np.exceptions.AxisError):
        fastlog.logsumexp(x, axis=2)


def test_integers_and_dtype(of):
    y = fastlog.softmax(of(np.arange(4)))
    np.testing.assert_allclose(numbers(y), fastlog.softmax(np.arange(4)), rtol=1e-6)
    assert numbers(fastlog.log_softmax(of(calls.X), 1, dtype="float32")).dtype == np.float32
    assert numbers(fastlog.logsumexp(of(calls.X.astype("f")), 1)).dtype == np.float32


NONE = {"reduction": "none"}
WEIGHTS = {  # a weight of 0 drops its element; what is nan makes its loss nan; infinity times a loss is infinity
    "probabilities": (lambda of: fastlog.cross_entropy(of(np.zeros((1, 3))), of([[NAN] * 3])), NAN),
    "nan times 0": (lambda of: fastlog.cross_entropy(of(np.zeros((1, 2))), of([[0.0, 1]]), of([NAN, 1.0])), NAN),
    "inf times 0": (
        lambda of: fastlog.cross_entropy(of(np.zeros((2, 2))), of([[1.0, 0], [0, 1]]), of([INF, 1.0]), **NONE),
        [INF, np.log(2)],
    ),
    "labels": (
        lambda of: fastlog.cross_entropy(of(np.zeros((2, 2))), of([0, 1]), of([INF, 1.0]), **NONE),
        [INF, np.log(2)],
    ),
    "nan of a label": (
        lambda of: fastlog.cross_entropy(of(np.zeros((2, 2))), of([0, 1]), of([NAN, 1.0]), **NONE),
        [NAN, np.log(2)],
    ),
    "nan and smoothing": (
        lambda of: fastlog.cross_entropy(of(np.zeros((1, 2))), of([1]), of([NAN, 1.0]), label_smoothing=0.1, **NONE),
        [NAN],
    ),
    "BCE": (
        lambda of: bce(of([0.0, 0, 0, 1e4]), of([1.0, 0, 0.5, 1]), of([INF, INF, NAN, INF]), **NONE),
        [INF, INF, NAN, NAN],
    ),
    "pos_weight": (
        lambda of: bce(of([0.0, 0, 0, 1e4]), of([1.0, 0, 0, 1]), None, of([INF, INF, NAN, INF]), **NONE),
        [INF, np.log(2), NAN, NAN],
    ),
    "BCE that weighs 0": (lambda of: bce(of([NAN, INF, -INF]), of([1.0, 0, 1]), of([0.0, 0, 0]), **NONE), [0, 0, 0]),
    "focal loss": (
        lambda of: focal(of([NAN, INF, 0, 1]), of([1.0, 0, 1, 1]), gamma=0, weight=of([0.0, 0, INF, NAN]), **NONE),
        [0, 0, INF, NAN],
    ),
    "NLL": (
        lambda of: fastlog.nll_loss(of([[0.0, -1], [-1, NAN], [-1, NAN]]), of([0, 0, 1]), of([INF, 0.0]), **NONE),
        [NAN, INF, 0],
    ),
    "KL": (
        lambda of: fastlog.kl_divergence(of([0.0, -INF, NAN]), of([NAN, 0.0, 0.0]), axis=(), **NONE),
        [NAN, 0, NAN],
    ),
    "sigmoid of tf": (
        lambda of: tf.nn.weighted_cross_entropy_with_logits(of([0.0, 1]), of([0.0, 0]), of([INF, NAN])),
        [np.log(2), NAN],
    ),
    "cross_entropy of nn": (lambda of: F.cross_entropy(of(np.zeros((1, 2))), of([[NAN, NAN]])), NAN),
    "class that weighs 0": (
        lambda of: fastlog.cross_entropy(of(np.zeros((1, 3))), of([[0.5, 0.5, NAN]]), of([1.0, 1, 0])),
        np.log(3),
    ),
    "softmax of tf": (lambda of: tf.nn.softmax_cross_entropy_with_logits(of([[NAN, NAN]]), of([[0.0, 0]])), [NAN]),
}


@pytest.mark.parametrize("of", LIBRARIES, indirect=True)
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_no_finite_numbers(name, of):
    f, expected = WEIGHTS[name]
    np.testing.assert_allclose(numbers(f(of)), expected, rtol=1e-12)


@pytest.mark.parametrize("name", WEIGHTS)
def test_numpys_arrays_weigh_alike(name):
    f, expected = WEIGHTS[name]
    np.testing.assert_allclose(f(np.asarray), expected, rtol=1e-12)


@pytest.mark.parametrize("of", COMPUTED, indirect=True)
def test_focal_loss_without_a_power_is_binary_cross_entropy(of):
    x, z = of(np.array([NAN, 1000, -1000, 0, 1000, 740])), of(np.array([1.0, 1, 1, 0.5, 0, 1]))
    found, expected = (
        f(x, z, return_hess=True, reduction="none") for f in (lambda *a, **k: focal(*a, gamma=0, **k), bce)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), rtol=1e-12, atol=1e-300)


INTEGERS = {
    "softmin": lambda x: F.softmin(x, dim=0),
    "softplus": lambda x: F.softplus(x, beta=2),
    "silu": lambda x: tf.nn.silu(x, beta=2),
    "silu, beta 1": F.silu,
    "xlogy": lambda x: tf.math.xlogy(x, x + x * 0),
    "softmax_cross_entropy": lambda x: tf.nn.softmax_cross_entropy_with_logits(x, x, axis=0),
    "weighted_cross_entropy": lambda x: tf.nn.weighted_cross_entropy_with_logits(x, x, 2),
    "BCE": lambda x: F.binary_cross_entropy_with_logits(x, x, x),
    "KL": lambda x: F.kl_div(x, x, reduction="sum"),
}


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "i8"])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_real_numbers_before_arithmetic(name, dtype, of):
    if (name, dtype) == ("xlogy", "?"):
        pytest.skip("bools cannot be added")
    x = np.array([0, 1] if dtype == "?" else [0, 1, 100], dtype)
    expected = INTEGERS[name](x.astype(float))
    got = numbers(INTEGERS[name](of(x)))
    default = np.float32 if of.package == "torch" else np.float64
    assert got.dtype == default
    np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(default).eps, atol=1e-37)
    np.testing.assert_allclose(INTEGERS[name](x), expected, rtol=1e-15)


def test_labels_too_large_for_signed_integers_are_wrong(of):
    with pytest.raises(ValueError, match=r"targets\[0\] is 18446744073709551516, but"):
        fastlog.cross_entropy(of(np.zeros((1, 3))), of(np.array([2**64 - 100], np.uint64)))
    with pytest.raises(ValueError, match="ignore_index is for labels"):
        fastlog.cross_entropy(of(np.zeros((1, 3))), of(np.full((1, 3), 1 / 3)), ignore_index=1)


@pytest.mark.parametrize("beta", [1e-3, 2.5, 100.0, 1e30, 1e300, -2.5, -1e300])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_no_beta_overflows(beta, dtype, of):
    if dtype == np.float16 and of.package == "array_api_strict":
        pytest.skip("the standard has no float16")
    x = np.array([1000.0, -1000, 7, -0.5, 1e-3, 0, INF, -INF, NAN], dtype)
    wide = x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        softplus = (np.logaddexp(0, beta * wide) / beta).astype(dtype)
        silu = (wide * np.exp(-np.logaddexp(0, -beta * wide))).astype(dtype)
    silu[7 if beta > 0 else 6] = np.copysign(0, -beta)
    for f, expected in ((F.softplus, softplus), (tf.nn.silu, silu)):
        for got in (numbers(f(of(x), beta=beta)), f(x, beta=beta)):
            assert got.dtype == dtype
            tiny = max(np.finfo(dtype).tiny, 1e-305)  # JAX has no subnormal numbers
            np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps, atol=tiny)
            np.testing.assert_array_equal(np.signbit(got[:8]), np.signbit(expected[:8]))


def test_beta_that_is_no_finite_number(of):
    x = np.array([-1.0, 0, 2, INF, -INF])
    for a in (x, of(x)):
        for f in (F.softplus, tf.nn.silu):
            np.testing.assert_array_equal(numbers(f(a, beta=INF)), [0, 0, 2, INF, 0])
            assert np.isnan(numbers(f(a, beta=NAN))).all()


def test_a_result_is_another_array(of):
    x = of(np.array([1.0]))
    for y in (
        fastlog.logsumexp(x, axis=()),
        fastlog.logsumexp(x, axis=(), where=of(np.array([True]))),
        fastlog.logcumsumexp(x),
        fastlog.logcumsumexp(x, 0),
    ):
        assert y is not x
        assert numbers(y) == 1
        if of.package != "jaxlib":
            assert not np.shares_memory(numbers(y), numbers(x))
    empty = of(np.zeros((0, 3)))
    assert fastlog.softmax(empty) is not empty


def test_signs_of_zero(of):
    x = of(np.array([-1000.0, -INF, 1000, INF]))
    for f, expected in (
        (F.softplus, [False] * 4),
        (F.sigmoid, [False] * 4),
        (F.logsigmoid, [True] * 4),
        (F.silu, [True, True, False, False]),
        (F.mish, [True, True, False, False]),
        (lambda a: F.softplus(a, -3.0), [True] * 4),
    ):
        np.testing.assert_array_equal(np.signbit(numbers(f(x))), expected)
    np.testing.assert_array_equal(numbers(F.silu(x)), [0, 0, 1000, INF])
    zero, y = of(np.array([0.0, -0.0, 0, 0])), of(np.array([0.5, 2, 0, -1]))
    for got in (tf.math.xlogy(zero, y), tf.math.xlog1py(zero, y - 1)):
        assert not np.signbit(numbers(got)).any()


def test_signs_of_zero_in_log_softmax(of):
    for row in ([0.0, -2000], [0.0, -INF], [5.0], [-2000.0, 0, -INF]):
        for options in ({}, {"axis": ()}, {"where": np.arange(len(row)) == 0}, {"temperature": 2.0}):
            got, expected = (
                fastlog.log_softmax(f(np.array(row)), **{k: f(v) if k == "where" else v for k, v in options.items()})
                for f in (of, np.asarray)
            )
            np.testing.assert_array_equal(numbers(got), expected)
            zero = expected == 0
            np.testing.assert_array_equal(np.signbit(numbers(got)[zero]), np.signbit(expected[zero]))
    assert not np.signbit(numbers(fastlog.logsumexp(of(np.array([-0.0])), axis=()))).any()


TWO = {"xlogy": tf.math.xlogy, "xlog1py": tf.math.xlog1py, "softplus": F.softplus, "silu": tf.nn.silu}


@pytest.mark.slow
@pytest.mark.parametrize("name", TWO)
def test_a_number_leaves_the_library_to_the_second_argument(name, of):
    f = TWO[name]
    for first in (2, 2.5, True, np.float32(0.5), np.array(2.5)):
        for second in (np.array(3.0), np.array(3)):
            got = f(first, of(second))
            assert type(got).__module__.partition(".")[0] == of.package
            np.testing.assert_allclose(numbers(got), f(np.float64(first), 3.0), rtol=1e-6)
    by_number, by_array = (gradients(g, 3.0) for g in (lambda _, y: f(2.0, y), lambda of, y: f(of(2.0), y)))
    for one, other in zip(by_number, by_array, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)
    assert isinstance(f(np.ma.array([1.0, 2], mask=[True, False]), 3.0), np.ma.MaskedArray)


HALVES = {
    "BCE": (lambda of: bce(of(np.full(10000, 8.0)), of(np.zeros(10000))), 8.000335),
    "sum of BCE": (lambda of: bce(of(np.full(100, 8.0)), of(np.zeros(100)), reduction="sum"), 800.03354),
    "focal": (lambda of: focal(of(np.full(70000, 8.0)), of(np.zeros(70000)), gamma=0), 8.000335),
    "cross_entropy": (lambda of: F.cross_entropy(of(np.zeros((70000, 2))), of(np.zeros(70000, int))), np.log(2)),
    "weighted": (
        lambda of: F.cross_entropy(of(np.zeros((70000, 2))), of(np.zeros(70000, int)), of(np.ones(2))),
        np.log(2),
    ),
    "probabilities": (
        lambda of: fastlog.cross_entropy(of(np.zeros((70000, 2))), of(np.full((70000, 2), 0.5))),
        np.log(2),
    ),
    "nll_loss": (lambda of: fastlog.nll_loss(of(np.full((70000, 2), -2.0)), of(np.zeros(70000, int))), 2),
    "kl": (lambda of: fastlog.kl_divergence(of(np.full((70000, 1), -2.0)), of(np.ones((70000, 1)))), 2),
    "kl_div": (lambda of: F.kl_div(of(np.full((70000, 1), -2.0)), of(np.ones(1)), reduction="batchmean"), 2),
    "logsumexp": (lambda of: fastlog.logsumexp(of(np.zeros(70000))), np.log(70000)),
    "logsumexp, where": (lambda of: fastlog.logsumexp(of(np.zeros(70000)), b=of(np.ones(1))), np.log(70000)),
    "logmeanexp": (lambda of: fastlog.logmeanexp(of(np.zeros(70000))), 0),
    "logcumsumexp": (lambda of: fastlog.logcumsumexp(of(np.zeros(70000)))[-1], np.log(70000)),
    "softmax": (lambda of: fastlog.softmax(of(np.zeros(3000)))[0], 1 / 3000),
    "softmin": (lambda of: F.softmin(of(np.zeros(3000)), 0)[0], 1 / 3000),
    "log_softmax": (lambda of: fastlog.log_softmax(of(np.zeros(70000)))[0], -np.log(70000)),
    "softplus": (lambda of: F.softplus(of(np.array([1000.0])), beta=100)[0], 1000),
}


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("of", COMPUTED[1:] + ["torch"], indirect=True)
@pytest.mark.parametrize("name", HALVES)
def test_halves_are_summed_and_counted_in_more_digits(name, of, kind):
    f, expected = HALVES[name]
    half = getattr(library("jax" if of.package == "jaxlib" else "torch"), kind)

    def narrow(a):
        y = of(a)
        return y if numbers(y).dtype.kind == "i" else y.astype(half) if of.package == "jaxlib" else y.to(half)

    got = f(narrow)
    assert got.dtype == half
    value = float(got.detach() if of.package == "torch" else got)
    np.testing.assert_allclose(value, expected, rtol={"float16": 2**-11, "bfloat16": 2**-8}[kind], atol=1e-7)


@pytest.mark.slow
def test_weights_of_more_digits_widen_halves():
    jnp = library("jax")
    assert fastlog.logsumexp(jnp.zeros(3, jnp.float16), b=jnp.ones(3)).dtype == jnp.float64
    assert tf.math.xlogy(jnp.zeros(3, jnp.float16), jnp.ones(3, jnp.float32)).dtype == jnp.float32
    assert tf.math.xlogy(jnp.zeros(3, jnp.float16), 2).dtype == jnp.float16
    assert fastlog.logsumexp(jnp.zeros(3), dtype=jnp.bfloat16).dtype == jnp.bfloat16
    assert fastlog.softmax(jnp.zeros(3, jnp.float16), dtype="float32").dtype == jnp.float32


def test_other_arguments_have_no_mask(of):
    masked, x = np.ma.array([1.0, 2, 3], mask=[False, True, False]), of(np.zeros((2, 3)))
    for f in (
        lambda: fastlog.cross_entropy(x, of(np.array([0, 1])), masked),
        lambda: fastlog.cross_entropy(x, np.ma.array([0, 1], mask=[True, False])),
        lambda: bce(x, of(np.zeros((2, 3))), masked),
        lambda: bce(x, np.ma.array(np.zeros((2, 3)), mask=np.eye(2, 3))),
        lambda: F.kl_div(x, masked, reduction="sum"),
        lambda: F.cross_entropy(x, np.ma.array([0, 1], mask=[True, False])),
        lambda: tf.math.xlogy(x, masked),
        lambda: tf.math.xlog1py(x, masked),
        lambda: fastlog.logsumexp(x, b=masked),
        lambda: tf.nn.softmax_cross_entropy_with_logits(np.ma.array(np.eye(2, 3), mask=np.eye(2, 3)), x),
    ):
        with pytest.raises(TypeError, match="masked"):
            f()
    whole = np.ma.array([1.0, 2, 3])
    np.testing.assert_allclose(numbers(fastlog.cross_entropy(x, of(np.array([0, 1])), whole)), np.log(3), rtol=1e-12)


def of_pandas(a):
    return importlib.import_module("pandas").DataFrame(a)


def of_xarray(a):
    return importlib.import_module("xarray").DataArray(a)


P6 = np.full((2, 3), 0.5)
BESIDE = {  # functions of a first argument and one that Dask holds
    "b": lambda x, of: fastlog.logsumexp(x, b=of(P6)),
    "where": lambda x, of: fastlog.softmax(x, where=of(P6 > 0)),
    "labels": lambda x, of: fastlog.cross_entropy(x, of(np.array([0, 1]))),
    "class weight": lambda x, of: fastlog.cross_entropy(x, np.array([0, 1]), of(P6[0])),
    "targets": lambda x, of: bce(x, of(P6)),
    "weight": lambda x, of: bce(x, P6, of(P6)),
    "KL": lambda x, of: F.kl_div(x, of(P6), reduction="sum"),
    "tf": lambda x, of: tf.nn.softmax_cross_entropy_with_logits(of(P6), x),
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("kind", [np.asarray, of_pandas, of_xarray, *LIBRARIES])
def test_dasks_arrays_beside_others_have_no_mask(name, kind):
    da = pytest.importorskip("dask.array")
    x = kind(np.zeros((2, 3))) if callable(kind) else library(kind.split()[0]).asarray(np.zeros((2, 3)))
    if kind == "torch with gradient":
        x.requires_grad_()

    def lazy(a, some):
        mask = np.zeros(a.shape, bool)
        mask.flat[0] = some
        return da.from_array(np.ma.array(a, mask=mask), chunks=2)

    with pytest.raises(TypeError, match="masked"):
        BESIDE[name](x, lambda a: lazy(a, True))
    got = BESIDE[name](x, lambda a: lazy(a, False))
    np.testing.assert_allclose(numbers(got), BESIDE[name](np.zeros((2, 3)), np.asarray), rtol=1e-6)


@pytest.mark.parametrize("of", COMPUTED, indirect=True)
def test_where_is_bool(of):
    for f in (fastlog.logsumexp, fastlog.logmeanexp, fastlog.softmax, fastlog.log_softmax):
        with pytest.raises(TypeError, match="where must be an array of bool"):
            f(of(np.zeros(3)), where=of(np.array([0, 1, 1])))
        with pytest.raises(TypeError, match="masked"):
            f(of(np.zeros(3)), where=np.ma.array([True, True, False], mask=[True, False, False]))


@pytest.mark.parametrize("reduction", ["sum", "batchmean", "none", "mean"])
@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((3,), (2, 3)), ((1, 3), (2, 3)), ((2, 1), (2, 3)), ((2, 3), ())])
@pytest.mark.filterwarnings("ignore:reduction:UserWarning")
def test_divergence_of_shapes_that_broadcast(shapes, reduction, of):
    rng = np.random.default_rng(3)
    q, p = (rng.random(shape) for shape in shapes)
    expected = F.kl_div(q, p, reduction=reduction)
    got = F.kl_div(of(q), of(np.asarray(p)), reduction=reduction)
    assert got.shape == np.shape(expected)
    np.testing.assert_allclose(numbers(got), expected, rtol=1e-12)
    if importlib.util.find_spec("torch"):
        torch = library("torch")
        theirs = torch.nn.functional.kl_div(torch.asarray(q), torch.asarray(p), reduction=reduction)
        np.testing.assert_allclose(expected, theirs, rtol=1e-12)


def test_the_first_argument_may_be_named_last(of):
    x, z = of(calls.X), of(calls.P)
    assert numbers(fastlog.logmeanexp(axis=0, a=of(np.zeros(1)))) == 0
    assert numbers(focal(targets=z, gamma=1, logits=x)) == numbers(focal(x, z, gamma=1))


def test_elements_alone(of):
    x, some = of(np.array([0.0, -np.inf, np.nan])), of(np.array([True, True, False]))
    np.testing.assert_array_equal(numbers(fastlog.softmax(x, axis=(), where=some)), [1, np.nan, 0])
    _, sign = fastlog.logsumexp(x, axis=(), return_sign=True)
    np.testing.assert_array_equal(numbers(sign), [1, 0, np.nan])
    np.testing.assert_array_equal(numbers(fastlog.logcumsumexp(of(np.array(2.0)), axis=0)), [2])
