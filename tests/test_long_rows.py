"""Sums of very many terms: their errors do not grow with the number of terms, whatever these are and wherever they lie.

Terms that are all alike, or of two sizes, are rounded the same way every time. The claims of csrc/functions.def hold.
"""

import numpy as np
import pytest

import fastlog
from fastlog import LogSumExp, _core
from fastlog._core import functions, run_over

pytestmark = pytest.mark.slow

CLAIMS = _core.claims()


def one_and_the_rest(n, k, rng):
    x = np.full((n, k), -1.1)
    x[0] = 0
    return x


def mostly_small(n, k, rng):
    return np.where(rng.random((n, k)) < 0.01, 0.0, -3.0)


def two_sizes(n, k, rng):
    return np.where(rng.random((n, k)) < 0.5, 0.0, -1.1)


def normal(n, k, rng):
    return rng.normal(size=(n, k))


def large(n, k, rng):
    return 1000 + rng.normal(size=(n, k))


def ascending(n, k, rng):
    return np.sort(400 + 3 * rng.normal(size=(n, k)), axis=0)


def equal(n, k, rng):
    return np.full((n, k), -0.3)


DATA = [one_and_the_rest, mostly_small, two_sizes, normal, large, ascending, equal]
# Functions that lay the columns of an array (n, k) out in another array; they return it and the axes of the columns.
LAYOUTS = {
    "axis 0": lambda x: (x, (0,)),
    "rows": lambda x: (np.ascontiguousarray(x.T), (1,)),
    "middle axis": lambda x: (np.stack([x[::2], x[1::2]]), (1,)),
    "two axes": lambda x: (x.reshape(50, -1, x.shape[1]), (0, 1)),
    "strided": lambda x: (np.repeat(x, 2, axis=1)[::2, ::2], (0,)),
    "Fortran order": lambda x: (np.asfortranarray(x), (0,)),
    "every third of a row": lambda x: (np.repeat(x.T, 3, axis=1)[:, ::3], (1,)),
}


def exact(x, axes):
    """Return logsumexp and softmax of float32 elements by double arithmetic; sums are numpy's pairwise ones."""
    x = np.moveaxis(np.asarray(x, np.float64), axes, range(-len(axes), 0))
    rows = np.ascontiguousarray(x).reshape(*x.shape[: -len(axes)], -1)
    top = np.max(rows, axis=-1, keepdims=True)
    terms = np.exp(rows - top)
    total = np.sum(terms, axis=-1, keepdims=True)
    shape, where = x.shape, range(-len(axes), 0)
    return (
        (top + np.log(total))[..., 0],
        np.moveaxis((terms / total).reshape(shape), where, axes),
        np.moveaxis((rows - top - np.log(total)).reshape(shape), where, axes),
    )


def ulps(got, expected, least=0):
    """Return the largest error of float32 results, in ulp of the exact ones, or of `least`."""
    size = np.maximum(np.abs(expected), least).astype(np.float32)
    return float(np.max(np.abs(got - expected) / np.spacing(size).astype(np.float64)))


def claim(name):
    return CLAIMS[name]["float32"][0]


def check_rows(x, axes, run):
    """Compare the three functions of rows, as run(name, x, axes) computes them, with their claims."""
    lse, softmax, log_softmax = exact(x, axes)
    assert ulps(run("logsumexp", x, axes), lse, 1) <= claim("logsumexp")
    assert ulps(run("softmax", x, axes), softmax) <= claim("softmax")
    assert ulps(run("log_softmax", x, axes), log_softmax) <= claim("log_softmax")


def by_function(name, x, axes):
    return getattr(fastlog, name)(x, axis=axes)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("data", DATA)
def test_any_way_through_memory(layout, data):
    for n, k in ((100_000, 2), (100_000, 24), (1_000_000, 2)):
        x = data(n, k, np.random.default_rng(n)).astype(np.float32)
        check_rows(*LAYOUTS[layout](x), by_function)


@pytest.mark.parametrize("data", DATA)
def test_every_target(target, data):
    def run(name, x, axes):
        return functions(target)[name](x, axis=axes[0])

    x = data(400_000, 3, np.random.default_rng(3)).astype(np.float32)
    check_rows(x, (0,), run)
    check_rows(np.ascontiguousarray(np.repeat(x, 7, axis=1)[:50_000]), (0,), run)


@pytest.mark.parametrize("data", [one_and_the_rest, normal])
@pytest.mark.parametrize("shape", [(20_000_000, 2), (2, 20_000_000), (2, 10_000_000, 2)])
def test_twenty_million_elements(data, shape):
    axis = int(np.argmax(shape))
    x = data(shape[axis], 2, np.random.default_rng(2)).astype(np.float32)
    x = x if len(shape) == 2 and axis == 0 else x.T.copy() if axis == 1 and len(shape) == 2 else np.stack([x, x[::-1]])
    check_rows(x, (axis,), by_function)


@pytest.mark.parametrize("data", [one_and_the_rest, two_sizes, normal, ascending])
def test_weighted_and_running_sums_and_gradients(data):
    n = 2_000_000
    x = data(n, 2, np.random.default_rng(5)).astype(np.float32)
    lse, softmax, _ = exact(x, (0,))
    for form in ({"b": np.ones(n, np.float32)[:, np.newaxis]}, {"where": np.ones((n, 1), bool)}):
        assert ulps(fastlog.logsumexp(x, axis=0, **form), lse, 1) <= claim("logsumexp")
    running = fastlog.logcumsumexp(x, axis=0)
    assert ulps(running[-1], lse, 1) <= claim("logsumexp")
    for stop in (1000, 70_001, 1_500_000):
        assert ulps(running[stop - 1], exact(x[:stop], (0,))[0], 1) <= claim("logsumexp")
    assert ulps(fastlog.logaddexp.reduceat(x, [0, n // 2], axis=0)[1], exact(x[n // 2 :], (0,))[0], 1) <= 1
    labels = np.array([7, n - 1])
    loss, gradient = fastlog.cross_entropy(x, labels, axis=0, reduction="sum", return_grad=True)
    softmax[labels, [0, 1]] -= 1
    assert ulps(gradient, softmax) <= 4
    assert ulps(loss, np.sum(lse - x[labels, [0, 1]])) <= 1.1
    soft = np.full((n, 2), np.float32(1 / n))
    expected = np.sum(lse - np.sum(x, axis=0, dtype=np.float64) * soft[0].astype(float))
    assert ulps(fastlog.cross_entropy(x, soft, axis=0, reduction="sum"), expected) <= 2
    chunks = LogSumExp(axis=0)
    for i in range(0, n, 10_000):
        chunks.update(x[i : i + 10_000])
    assert ulps(chunks.value, lse, 1) <= claim("logsumexp")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_sums_of_losses(dtype):
    """Sums of equal losses, which are all rounded the same way, are right to the last bit."""
    n = 5_000_000
    for logit in (8.0, -0.3):
        x = np.full(n, logit, dtype)
        z = np.zeros(n, dtype)
        expected = np.logaddexp(0, float(x[0]))
        y = fastlog.binary_cross_entropy_with_logits(x, z)
        assert abs(y - expected) <= np.spacing(np.array(expected, dtype))


def test_halves_are_reduced_without_drift():
    x = np.zeros(50_000_000, np.float16)
    assert fastlog.logaddexp.reduce(x) == np.float16(np.log(5e7))
    assert fastlog.logaddexp.reduce(np.zeros((3_000_000, 2), np.float16))[1] == np.float16(np.log(3e6))


@pytest.mark.parametrize("target", _core.supported_targets())
def test_weighted_sums_of_doubles(target):
    """Sums with equal weights, random weights, and weights of both signs are right to an ulp of long doubles' sums."""
    rng = np.random.default_rng(8)
    x, b = rng.normal(size=300_000), rng.uniform(0.5, 1, 300_000)
    for weights in (np.full_like(x, 0.1), b, np.where(np.arange(len(x)) % 7, b, -b)):
        y, sign = run_over(_core.INDEX["logsumexp_weighted"], (x, weights, np.ones((), bool)), (0,), target=target)
        expected = np.log(np.sum(np.exp(x.astype(np.longdouble)) * weights))
        assert sign == 1
        assert abs(y - expected) <= np.spacing(float(expected))


@pytest.mark.huge
def test_two_to_the_thirty_first_elements():
    """The claims hold for 2^31 elements. This takes 9 GiB of memory and a minute."""
    n = 2**31
    x = np.full((n, 1), np.float32(-1.1))
    x[0] = 0
    lse = np.log1p((n - 1) * np.exp(np.float64(np.float32(-1.1))))
    for a, axis in ((x, 0), (x.reshape(1, n), 1), (x.reshape(n // 2, 2), (0, 1))):
        assert ulps(fastlog.logsumexp(a, axis=axis).ravel()[0], lse, 1) <= claim("logsumexp")
    columns = x.reshape(n // 2, 2)
    fastlog.softmax(columns, axis=0, out=columns)
    total = (n // 2 - 1) * np.exp(np.float64(np.float32(-1.1)))
    assert ulps(columns[1, 1], 1 / ((n // 2) * 1.0)) <= claim("softmax")
    assert ulps(columns[0, 0], 1 / (1 + total)) <= claim("softmax")


@pytest.mark.huge
def test_more_elements_and_wider_strides_than_32_bits_hold():
    """Indices, strides and pieces of threads have 64 bits. This takes 4 GiB of memory."""
    n = 2**31 + 77
    x = np.zeros(n, np.float16)
    x[[2**31 - 1, 2**31, n - 1]] = 1, 2, 3
    wide = x[:: 2**30]
    assert wide.strides == (2**31,)
    np.testing.assert_array_equal(fastlog.softplus(wide), fastlog.softplus(wide.copy()))
    with fastlog.num_threads(2):
        fastlog.softplus(x, out=x)
    np.testing.assert_array_equal(x[[2**31 - 1, 2**31, n - 1]], fastlog.softplus(np.float16([1, 2, 3])))
    x[[2**31 - 1, 2**31, n - 1]] = x[0]
    for part in np.array_split(x, 64):
        assert np.all(part == fastlog.softplus(np.float16(0)))


@pytest.mark.huge
def test_more_rows_than_32_bits_hold():
    """This takes 8 GiB of memory."""
    rows = np.broadcast_to(np.float32([1, 2]), (2**31 + 3, 2))
    with fastlog.num_threads(2):
        y = fastlog.logsumexp(rows, axis=1)
    assert y.shape == (2**31 + 3,)
    for part in np.array_split(y, 64):
        assert np.all(part == fastlog.logsumexp(rows[0]))
