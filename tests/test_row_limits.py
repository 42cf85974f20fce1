"""Functions of rows at the limits: what they raise, and inputs at which earlier versions failed."""

import itertools
import os
import subprocess
import sys

import gmpy2
import numpy as np
import pytest

import fastlog
from fastlog import _core, log_softmax, logcumsumexp, logmeanexp, logsumexp, softmax
from fastlog._core import INDEX, functions, run_loss, run_over, supported_targets

INF = np.inf


# ---- quiet, whatever the data ----


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [1, 3, 10, 40, 100, 1000, 5000])
def test_quiet(target, dtype, n):
    rng = np.random.default_rng(10)
    largest = np.finfo(dtype).max
    kinds = [np.full(n, -INF), np.full(n, INF), np.full(n, np.nan), np.full(n, largest), rng.normal(0, 1e30, n)]
    kinds += [
        np.where(np.arange(n) == n // 2, 0.0, -800),
        np.linspace(-largest / 4, largest / 4, n),
        rng.normal(0, 30, n),
    ]
    x = np.stack(kinds).astype(dtype)
    for f in ("logsumexp", "softmax", "log_softmax", "softmax_and_logsumexp"):
        for layout in (x, np.asfortranarray(x)):
            with np.errstate(all="raise"):
                functions(target)[f](layout)
    small, some = np.full(n, 1 / largest, dtype), np.arange(n) % 2 == 0
    with np.errstate(all="raise"):
        functions(target)["logsumexp_weighted"](x, x, np.ones(x.shape, bool))
        functions(target)["logsumexp_weighted"](x, small, some)


HALVES = [0.0, -0.0, 1, -17, 88, 1e-3, 6e-8, 65504, -65504, INF, -INF, np.nan]


def half_dtypes():
    return [np.dtype("f2"), pytest.importorskip("ml_dtypes").bfloat16]


@pytest.mark.parametrize("pair", list(itertools.combinations(HALVES, 2)))
def test_quiet_in_half_precision(pair):
    """A result beyond the range of the dtype is an infinity, as documented, and no overflow."""
    for dtype in half_dtypes():
        for n in (1, 40):
            x = np.array(pair * n).astype(dtype)
            wide, some = x.astype("f4"), np.arange(x.size) % 2 == 0
            with np.errstate(all="raise"):
                for rows in (x, np.stack([x, x], 1)):
                    for f in (softmax, log_softmax):
                        for options in (
                            {},
                            {"where": some.reshape(-1, *(1,) * (rows.ndim - 1))},
                            {"temperature": 1e-4},
                        ):
                            y = f(rows, 0, **options)
                            assert y.dtype == dtype
                    logsumexp(rows, 0, b=rows, return_sign=True)
                    for f in (logsumexp, logmeanexp):
                        for b in (None, 2.5, 1e5, 10**6, 1e-9, rows):
                            assert f(rows, 0, b).dtype == dtype
                running = fastlog.LogSumExp(0).update(x).update(x, x)
                assert running.value.dtype == running.mean.dtype == running.sign.dtype == dtype
                expected = log_softmax(wide)
            with np.errstate(all="ignore"):
                expected = expected.astype(dtype)
            np.testing.assert_array_equal(log_softmax(x).astype("f4"), expected.astype("f4"))


@pytest.mark.parametrize(
    ("dtype", "weights"), [("f2", (1e5, 10**6, 1e-9, 1e300)), ("f4", (1e39, 10**40, 1e-50, -1e-300))]
)
def test_numbers_as_weights_beyond_the_range_of_the_dtype(dtype, weights):
    for b in weights:
        with np.errstate(all="raise"):
            size, sign = logsumexp(np.zeros(2, dtype), b=b, return_sign=True)
            mean = logmeanexp(np.zeros(2, dtype), b=abs(b))
            running = fastlog.LogSumExp().update(np.zeros(2, dtype), abs(b))
        exact = np.log(2) + np.log(abs(float(b)))
        assert size.dtype == mean.dtype == running.value.dtype == dtype
        np.testing.assert_allclose([size, running.value, mean + np.log(2)], exact, rtol=2 * np.finfo(dtype).eps)
        assert sign == np.sign(b)
    for b in (INF, -INF, 0.0):
        np.testing.assert_array_equal(
            logsumexp(np.zeros(2, dtype), b=b, return_sign=True), logsumexp(np.zeros(2), b=b, return_sign=True)
        )


# ---- found by hostile input ----


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_softmax_of_what_dominates_is_one(target, dtype):
    f = functions(target)["softmax"]
    x = np.random.default_rng(11).normal(0, 300, (5000, 1)).astype(dtype)
    np.testing.assert_array_equal(f(x), 1)
    np.testing.assert_array_equal([f(row) for row in x[:200]], 1)
    pairs = np.concatenate([x, x - 200], 1)
    np.testing.assert_array_equal(f(pairs)[:, 0], 1)
    many = np.concatenate([x] + [x - k for k in range(15, 50)], 1)
    assert np.max(f(many)) <= 1


def test_weighted_neighbours_among_large_numbers():
    for large in (float.fromhex("0x1.e733224be5afep+333"), float.fromhex("0x1.82ca7a1b6501ep+67"), 1e300, -1e300):
        above = np.nextafter(large, INF)
        for pair, b in (([large, above], [1.0, 1.0]), ([above, large], [1.0, 1.0]), ([large, above], [1.0, 1e-300])):
            assert logsumexp(pair, b=b, return_sign=True) == (above, 1)
            assert logsumexp(pair, b=b, where=[True, True]) == above
    for x in (-1.3e308, -1.7e308, 1.7e308):
        assert logsumexp([x], b=[1.0], return_sign=True) == (x, 1)
    assert logmeanexp([1.3e308, 1.5e308]) == 1.5e308


def test_logmeanexp_of_other_dtypes():
    with np.errstate(all="raise"):
        assert abs(logmeanexp(np.zeros(3), b=np.ones(3, "f4"))) < 1e-15
        assert abs(logmeanexp(np.zeros(3), b=np.ones(3, "f2"))) < 1e-15
        for n in (3, 60_000, 70_000):
            y = logmeanexp(np.zeros(n, "f2"))
            assert y.dtype == "f2"
            assert y == 0
        assert logmeanexp(np.zeros(60_000, "f2"), where=True) == 0
        assert logmeanexp(1.0, where=True) == 1
        assert logmeanexp(1.0, b=2.0, where=True) == 1 + np.log(2)
        assert logmeanexp(np.ma.array(1.0, mask=False)) == 1
        assert np.isnan(logmeanexp(np.zeros(0, "D")))
        np.testing.assert_array_equal(softmax(np.array([0.0, -500.0]), out=np.zeros(2, "f4")), [1, 0])


def test_sixty_four_dimensions_with_weights():
    z = np.zeros((1,) * 64)
    assert logsumexp(z, b=np.ones((2, 1))) == np.log(2)
    np.testing.assert_array_equal(logsumexp(z, tuple(range(0, 64, 2)), b=2.0, where=True, keepdims=True), np.log(2))
    np.testing.assert_array_equal(logsumexp(z + 0j, 3), 0)


def test_arguments_that_no_loop_may_see():
    x = np.zeros(3)
    for function, arrays, axes in (
        ("logsumexp", (x,), (5,)),
        ("logsumexp", (x.astype(int),), (0,)),
        ("logsumexp", (x, x), (0,)),
        ("softmax", (x, np.zeros(3, "f4")), (0,)),
        ("softplus", (x,), (0,)),
    ):
        with pytest.raises(ValueError):
            run_over(INDEX[function], arrays, axes)
    with pytest.raises(ValueError):
        run_over(9999, (x,), (0,))
    with pytest.raises(ValueError, match="temperature"):
        softmax(x, temperature=10**400)
    with pytest.raises(ValueError, match="temperature"):
        softmax(x.astype("f4"), temperature=1e-50)
    y = logcumsumexp(np.ma.array([1.0, 2, 3], mask=[0, 1, 0]))
    np.testing.assert_allclose(np.asarray(y), [1, 1, 3 + np.log1p(np.exp(-2))])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("others", [1, 2, 40, 5000])
def test_log_softmax_of_what_dominates_is_a_negative_zero(target, dtype, others):
    """The result is -0 where the exact one underflows, and log(1) = +0 where no other element is above -inf."""
    log_softmax = functions(target)["log_softmax"]
    for rows, maximum in ((1, 0), (3, -0.0), (40, 5), (400, -1e5)):
        x = np.full((rows, others + 1), maximum - 2000, dtype)
        x[:, 0] = maximum
        x[rows // 2, 1:] = -np.inf
        for a, axis in ((x, 1), (np.asfortranarray(x), 1), (x.T.copy(), 0), (np.repeat(x, 2, axis=1)[:, ::2], 1)):
            with np.errstate(all="raise"):
                y = np.moveaxis(log_softmax(a, axis=axis), axis, 1)[:, 0]
            assert (y == 0).all()
            assert (~np.signbit(y)).nonzero()[0].tolist() == [rows // 2]
    assert not np.signbit(log_softmax(np.full((5, 1), 3, dtype))).any()


def test_one_element_of_negative_zero_has_the_sum_one():
    """The sum of one element -0 is log(e^-0) = +0."""
    pair = [-0.0, -np.inf]
    for y in (logsumexp([-0.0]), logmeanexp([-0.0]), logsumexp(pair, b=1), logsumexp([-0.0], axis=())):
        assert y == 0
        assert not np.signbit(y)
    for options in ({}, {"reverse": True}):
        y = logcumsumexp(pair[:: -1 if options else 1], **options)
        assert (y == 0).all()
        assert not np.signbit(y).any()


def test_weighted_sums_are_as_exact_as_plain_ones(target):
    """These rows had errors of 1.32 and 1.42 ulp when the product of weight and exponential was rounded."""
    bound = _core.claims()["logsumexp"]["float64"][0]
    rng = np.random.default_rng(21)
    x, b = rng.uniform(0, 4, (400, 3)), rng.uniform(0.5, 2, (400, 3))
    x[0], b[0] = [2.0803492877442658, -np.inf, -np.inf], 0.6711004262469047
    x[1], b[1] = [-0.46193252568513077, 2.776653846079428, -0.23931010779973894], 1 / 3
    y, _ = run_over(INDEX["logsumexp_weighted"], (x, b, np.ones((), bool)), (1,), target=target)
    for row, weights, got in zip(x, b, y, strict=True):
        with gmpy2.context(precision=200):
            terms = [gmpy2.mpfr(float(w)) * gmpy2.exp(gmpy2.mpfr(float(v))) for v, w in zip(row, weights, strict=True)]
            exact = gmpy2.log(gmpy2.fsum(terms))
            error = float(gmpy2.mpfr(float(got)) - exact)
        assert abs(error) <= bound * np.spacing(max(1.0, abs(float(exact))))


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("rows", "n"), [(70, 3), (70, 10), (9, 40), (600, 100), (3, 5000)])
@pytest.mark.parametrize("far", [-INF, -1e30])
def test_softmax_of_rows_with_holes(target, dtype, rows, n, far):
    """Elements that a mask leaves out get 0, and the others what they get without those, in place, too."""
    rng = np.random.default_rng(8)
    x = rng.normal(0, 3, (rows, n)).astype(dtype)
    holes = rng.random((rows, n)) < 0.5
    holes[np.arange(rows), rng.integers(0, n, rows)] = False
    x[holes] = far
    x[0, :2] = np.nan, -INF
    softmax_of = functions(target)["softmax"]
    exact = np.exp(x.astype(np.longdouble) - x.max(-1, keepdims=True))
    exact /= exact.sum(-1, keepdims=True)
    for layout in (x, np.asfortranarray(x), np.repeat(x, 2, 0)[::2]):
        y = softmax_of(layout)
        assert np.isnan(y[0]).all()
        assert (y[1:][holes[1:]] == 0).all()
        error = abs(y[1:] - exact[1:]) / np.spacing(abs(exact[1:]).astype(dtype))
        assert error.max() <= _core.claims()["softmax"]["float32" if dtype == "f4" else "float64"][0]
        place = layout.copy(order="K")
        np.testing.assert_array_equal(softmax_of(place, out=place), y)


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_neighbours_do_not_show(target, dtype):
    """Every row of a call has the bits that it has in a call with fewer rows, and equal rows have equal bits."""
    rng = np.random.default_rng(4)
    for n in (2, 3, 10, 32, 40, 150):
        few = rng.normal(0, 2, (7, n)).astype(dtype)
        few[1] = np.where(np.arange(n) % 2, few[1], -INF)
        few[2, 0], few[3] = INF, few[3] - logsumexp(few[3])
        x = np.tile(few, (31, 1))  # No number of lanes divides the rows.
        labels = np.arange(len(x)) % 7 % n
        shares = rng.random((7, n)).astype(dtype)[np.arange(len(x)) % 7]
        for layout in (np.ascontiguousarray, np.asfortranarray):
            y = [functions(target)[f](layout(x)) for f in ("logsumexp", "softmax", "log_softmax")]
            for targets, smoothing in ((labels, 0), (labels, 0.1), (layout(shares), 0), (layout(shares), 0.1)):
                y += losses_of_rows(layout(x), targets, smoothing, target)
            for result in y:
                bits = np.ascontiguousarray(result).reshape(31, 7, -1).view("u1")
                nan = np.isnan(result).reshape(31, 7, -1)
                assert (nan == nan[0]).all()
                assert ((bits == bits[0]) | np.repeat(nan, np.dtype(dtype).itemsize, -1)).all(), (n, layout)


def losses_of_rows(x, targets, smoothing, target):
    """Return the cross-entropies of rows, their gradients and the diagonals of their Hessians."""
    each, gradient, hessian = np.empty(len(x), x.dtype), np.empty_like(x), np.empty_like(x)
    arrays = x, targets, None, each, gradient, hessian, None
    run_loss(INDEX["cross_entropy"], arrays, 1, smoothing=smoothing, probabilities=targets.ndim > 1, target=target)
    return [each, gradient, hessian]


def run_with_little_stack():
    """Sum rows in every way through memory. If the stack does not suffice, the process dies."""
    rng = np.random.default_rng(0)
    shapes = [((300, 400), 0), ((300, 400), 1), ((5000, 10), 1), ((10, 5000), 0), ((2, 100_000), 1), ((3, 70_000), 1)]
    for dtype, (shape, axis) in itertools.product("fd", shapes):
        whole = rng.normal(size=shape).astype(dtype)
        for x in (whole, whole[::2, ::2]):
            fastlog.logsumexp(x, axis=axis)
            fastlog.logsumexp(x, axis=axis, b=x)
            fastlog.logsumexp(x - fastlog.logsumexp(x, axis=axis, keepdims=True), axis=axis)
            fastlog.logsumexp(x, axis=axis, b=-1, return_sign=True)
            fastlog.logsumexp(x, axis=axis, where=x > 0)
            fastlog.logmeanexp(x, axis=axis, b=np.abs(x))
            fastlog.logcumsumexp(x, axis=axis)
            fastlog.log_softmax(x, axis=axis)
            fastlog.softmax(x, axis=axis, return_lse=True)
            fastlog.logaddexp.reduce(x.astype("e"), axis=axis)
            for targets in (np.zeros(x.shape[1 - axis], int), np.abs(x)):
                fastlog.cross_entropy(x, targets, axis=axis)
                fastlog.cross_entropy(x, targets, axis=axis, return_hess=True)
            for loss in (fastlog.binary_cross_entropy_with_logits, fastlog.focal_loss):
                loss(x, np.abs(x), return_hess=True)
            fastlog.kl_divergence(x, np.abs(x))


@pytest.mark.slow
def test_threads_with_little_stack(target):
    code = (
        "import threading; from test_row_limits import run_with_little_stack as work;"
        "threading.stack_size(65536); t = threading.Thread(target=work); t.start(); t.join()"
    )
    env = os.environ | {"FASTLOG_TARGET": target}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=os.path.dirname(__file__))
