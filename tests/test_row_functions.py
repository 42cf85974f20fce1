"""The family of logsumexp: weights, means, running sums, temperatures, any layout without copies, SciPy's own tests."""

import itertools
import os
import subprocess
import sys
import tracemalloc

import gmpy2
import numpy as np
import pytest
from helpers.reference import exact_logsumexp

import fastlog
from fastlog import log_softmax, logcumsumexp, logmeanexp, logsumexp, softmax
from fastlog._core import INDEX, functions, run_over, supported_targets

INF = np.inf

# ---- SciPy's own tests, with these functions in place of SciPy's ----

PLUGIN = """
import fastlog

def pytest_collection_modifyitems(items):
    for module in {item.module for item in items}:
        assert hasattr(module, "logsumexp")
        for name in {"logsumexp", "softmax", "log_softmax"} & {*vars(module)}:  # SciPy 1.14 tests them apart
            assert getattr(module, name).__module__.startswith("scipy")
            setattr(module, name, getattr(fastlog, name))
"""


@pytest.mark.slow
def test_scipys_own_tests_pass(tmp_path):
    """All of SciPy's tests pass; none asserts a behaviour that fastlog decides otherwise."""
    (tmp_path / "in_place_of_scipy.py").write_text(PLUGIN)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = ["-m", "pytest", "-q", "-p", "in_place_of_scipy", "-p", "no:cacheprovider", "--pyargs"]
    done = subprocess.run(
        [sys.executable, *command, "scipy.special.tests.test_logsumexp"],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    if "file or directory not found" in done.stderr + done.stdout:
        pytest.skip("this scipy comes without its tests")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert " passed" in done.stdout


# ---- any axes of any layout, without a copy ----


def layouts(shape, dtype, rng):
    """Yield arrays of one shape and the same values, laid out differently in memory."""
    x = rng.normal(0, 4, shape).astype(dtype)
    yield x
    yield np.asfortranarray(x)
    for axis in range(x.ndim):
        yield np.flip(np.ascontiguousarray(np.flip(x, axis)), axis)
        yield np.repeat(x, 2, axis)[(slice(None),) * axis + (slice(None, None, 2),)]
    for order in itertools.permutations(range(x.ndim)):
        yield np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(5,), (3, 70), (70, 3), (2, 5, 40), (40, 2, 3), (3, 1, 2, 6)])
def test_run_over_any_axes_of_any_layout(target, dtype, shape):
    rng = np.random.default_rng(1)
    exact = 2e-6 if dtype == "f4" else 1e-14
    for x in layouts(shape, dtype, rng):
        for count in range(len(shape) + 1):
            for axes in itertools.combinations(range(len(shape)), count):
                made = run_over(INDEX["logsumexp"], (x,), axes, False, target)
                if made is None:
                    assert len(axes) > 1
                    continue
                wide = x.astype("f8")
                top = wide.max(axes, keepdims=True)
                expected = np.log(np.exp(wide - top).sum(axes)) + top.reshape(made[0].shape)
                np.testing.assert_allclose(made[0], expected, rtol=exact, atol=exact)
                kept = run_over(INDEX["logsumexp"], (x,), axes, True, target)[0]
                assert kept.shape == tuple(1 if k in axes else n for k, n in enumerate(shape))
                assert kept.flags.c_contiguous
                for y in (np.empty_like(x), np.empty(shape, dtype), np.asfortranarray(x)):
                    lse = run_over(INDEX["softmax_and_logsumexp"], (x, y), axes, False, target)
                    if lse is not None:
                        np.testing.assert_allclose(lse[0], made[0], rtol=exact, atol=exact)
                        np.testing.assert_allclose(y, np.exp(wide - kept.astype("f8")), rtol=30 * exact, atol=exact)


def test_broadcast_arguments_and_rows_of_nothing():
    x = np.arange(12.0).reshape(3, 4)
    assert run_over(INDEX["logsumexp_weighted"], (x, np.ones(3), np.array(True)), (1,)) is None
    y, sign = run_over(INDEX["logsumexp_weighted"], (x, np.array(-2.0), np.array(True)), (0,))
    np.testing.assert_allclose(y, logsumexp(x, 0) + np.log(2), rtol=1e-15)
    np.testing.assert_array_equal(sign, -1)
    assert run_over(INDEX["logsumexp"], (np.empty((0, 3)),), (1,))[0].shape == (0,)
    np.testing.assert_array_equal(run_over(INDEX["logsumexp"], (np.empty((3, 0)),), (1,))[0], -INF)
    wide = np.broadcast_to(np.float32(1.5), (3, 1000))
    np.testing.assert_allclose(logsumexp(wide, 1), np.float32(1.5 + np.log(1000)), rtol=1e-7)
    np.testing.assert_allclose(softmax(wide), 1 / 3000, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_memory(dtype):
    """No call makes a temporary array of more than a few pages."""
    x = np.random.default_rng(2).normal(size=(40, 50, 600)).astype(dtype)
    matrix, out = x.reshape(2000, 600), np.empty_like(x)
    weights, which = np.random.default_rng(3).normal(size=600).astype(dtype), matrix > 0
    few_pages = 1 << 17
    calls = {
        "all": lambda: logsumexp(x),
        "last": lambda: logsumexp(x, -1, keepdims=True),
        "first": lambda: logsumexp(x, 0),
        "middle": lambda: logsumexp(x, 1),
        "two neighbours": lambda: logsumexp(x, (1, 2)),
        "Fortran order": lambda: logsumexp(matrix.T, axis=None),
        "strided": lambda: logsumexp(x[::2, ::-1, ::3], 2),
        "weights": lambda: logsumexp(matrix, 1, b=weights, return_sign=True),
        "one weight": lambda: logsumexp(x, b=0.5),
        "where": lambda: logsumexp(matrix, 1, where=which),
        "mean": lambda: logmeanexp(x, 1),
        "softmax, last": lambda: softmax(x, -1, out=out),
        "softmax, first": lambda: softmax(x, 0, out=out),
        "softmax, middle": lambda: softmax(x, 1, out=out),
        "softmax, all": lambda: softmax(x, out=out),
        "in place": lambda: log_softmax(out, 1, out=out),
        "into another order": lambda: log_softmax(matrix.T, 0, out=out.reshape(2000, 600).T),
        "temperature": lambda: softmax(x, -1, temperature=2.0, out=out),
        "softmax and logsumexp": lambda: softmax(x, -1, return_lse=True, out=out),
    }
    for name, call in calls.items():
        call()
        tracemalloc.start()
        results = call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        made = sum(y.nbytes for y in (results if isinstance(results, tuple) else (results,)) if y is not out)
        signs = made if name in ("mean", "where", "one weight") else 0
        temporaries = peak - made - signs
        assert temporaries < few_pages, (name, temporaries)


# ---- accuracy ----


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("n", [2, 9, 65, 100, 1000])
def test_equal_elements_and_a_maximum(target, n):
    """The terms all have the same rounding error, and these errors must not add up."""
    rng = np.random.default_rng(n)
    top, gap = (rng.uniform(*ends, 500).astype("f4") for ends in ((-5, 1), (0, 9)))
    x = np.repeat((top - gap)[:, np.newaxis], n, axis=1)
    x[:, n // 2] = top
    y = functions(target)["logsumexp"](x).astype("f8")
    wide = x[:, [n // 2, 0]].astype("f8")
    exact = wide[:, 0] + np.log1p((n - 1) * np.exp(wide[:, 1] - wide[:, 0]))
    ulp = np.spacing(np.maximum(np.abs(exact), 1).astype("f4")).astype("f8")
    assert np.max(np.abs(y - exact) / ulp) < 1.1


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("n", [2, 3, 10, 100, 1000])
def test_float32_results_near_zero(target, n):
    """Log-probabilities that are normalised leave a sum of their rounding errors; it is right to some 1e-17."""
    x = np.log(np.random.default_rng(n).dirichlet(np.ones(n), 40)).astype("f4")
    for layout in (x, np.asfortranarray(x)):
        y = functions(target)["logsumexp"](layout)
        for row, got in zip(x, y, strict=True):
            exact = exact_logsumexp(row)
            error = abs(gmpy2.mpfr(float(got)) - exact)
            assert error <= 0.6 * float(np.spacing(np.float32(abs(exact)))) + 1e-16


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(20_000_000,), (20_000_000, 2), (2, 20_000_000)])
@pytest.mark.parametrize("value", [0.0, -1.5])
def test_twenty_million_elements(shape, value):
    """There are more equal elements than a float can count one by one."""
    x = np.full(shape, value, "f4")
    axis = np.argmax(shape)
    expected = np.float32(value + np.log(2e7))
    np.testing.assert_allclose(logsumexp(x, axis), expected, rtol=6e-8)
    assert abs(np.sum(softmax(x, axis, out=x), dtype="f8") - len(shape)) < 1e-6


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_minus_infinity_is_not_the_least_number(target, dtype):
    """Numbers that could be taken for -inf are not, after whole blocks of -inf."""
    least = np.finfo(dtype).min
    for n in (40, 70, 300, 5000, 200_000):
        x = np.full((3, n), -INF, dtype)
        x[:, -2:] = least
        for layout in (x, np.asfortranarray(x)):
            y = functions(target)["softmax"](layout)
            np.testing.assert_array_equal(y[:, -2:], 0.5)
            np.testing.assert_array_equal(y[:, :-2], 0)
            np.testing.assert_array_equal(functions(target)["logsumexp"](layout), least)


# ---- weights ----


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e-3])
def test_weights_of_both_signs(dtype, scale):
    rng = np.random.default_rng(4)
    x = (rng.normal(0, 3, (30, 50)) * scale).astype(dtype)
    b = (rng.normal(size=(30, 50)) * 2.0 ** rng.integers(-100, 100, (30, 50))).astype(dtype)
    y, sign = logsumexp(x, 1, b=b, return_sign=True)
    for row, weights, got, got_sign in zip(x, b, y, sign, strict=True):
        terms = [gmpy2.mpfr(float(w)) * gmpy2.exp(gmpy2.mpfr(float(v))) for v, w in zip(row, weights, strict=True)]
        total = gmpy2.fsum(terms)
        assert got_sign == (1 if total > 0 else -1)
        lost = float(gmpy2.fsum([abs(t) for t in terms]) / abs(total))
        exact = float(gmpy2.log(abs(total)))
        assert abs(got - exact) <= np.finfo(dtype).eps * max(1, abs(exact)) + 3e-16 * lost


def test_weights_at_the_ends_of_the_range():
    tiny, huge = 5e-324, 1.7e308
    np.testing.assert_allclose(logsumexp([0, 0], b=[1e308, 1e308]), np.log(2) + np.log(1e308), rtol=1e-15)
    np.testing.assert_allclose(logsumexp([700.0, 710.0], b=[tiny, tiny]), 710 + np.log1p(np.exp(-10)) + np.log(tiny))
    np.testing.assert_allclose(logsumexp([-1e4, 1e4], b=[huge, tiny]), 1e4 + np.log(tiny), rtol=1e-15)
    np.testing.assert_allclose(logsumexp([1e300, 1e300], b=[huge, -1.0]), 1e300)
    np.testing.assert_allclose(logsumexp([1.3e308, huge], b=[huge, 2.0]), huge)
    np.testing.assert_allclose(logsumexp([-huge, -INF], b=[0.5, 2.0]), -huge)
    assert logsumexp([3.0, 3.0], b=[1, -1], return_sign=True) == (-INF, 0)
    assert logsumexp([1.0, INF, np.nan], b=[1, 0, 0]) == 1
    assert (
        logsumexp([INF, -INF], b=[-1, INF], return_sign=True)[0] != logsumexp([INF, 0], b=[-1, 1], return_sign=True)[0]
    )
    assert logsumexp([INF, 0], b=[-1, 1], return_sign=True) == (INF, -1)
    assert np.isnan(logsumexp([INF, INF], b=[-1, 1]))
    assert np.isnan(logsumexp([0.0, 1.0], b=[1, -1]))  # the logarithm of a negative sum
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\) do not broadcast"):
        logsumexp(np.zeros(3), b=np.ones(2))


@pytest.mark.parametrize("x", [0.0, 1.0, 0.3, -700.1, 1e5])
def test_terms_that_cancel(target, x):
    """Whole numbers and a single pair cancel exactly; other terms leave a rest that is small beside the largest."""

    def weighted(b):
        b = np.array(b, float)
        size, sign = run_over(
            INDEX["logsumexp_weighted"], (np.full(len(b), x), b, np.ones((), bool)), (0,), target=target
        )
        return float(size), float(sign)

    exact = [[1, -1], [0.1, -0.1], [3, -1, -2], [4, -2, -1, -1], [5, -7, 2], [10, *[-1] * 10]]
    rng = np.random.default_rng(4)
    for scale in (1, 2.0**-90, 2.0**500):
        whole = rng.integers(-(2**24), 2**24, 9) * scale
        exact.append([*whole, -sum(whole)])
    for b in exact:
        assert weighted(b) == (-INF, 0), b
    for b in ([0.1, 0.2, -0.3], [1 / 3, 1 / 3, 1 / 3, -1], [0.7, -3, 3, -0.7]):
        assert weighted(b)[0] <= x + np.log(max(np.abs(b))) - 35
    assert logsumexp([x, x, x], b=[3, -1, -2], return_sign=True) == (-INF, 0)


def test_where_is_a_weight_of_one():
    rng = np.random.default_rng(5)
    x, which = rng.normal(size=(7, 30)), rng.random((7, 30)) < 0.5
    expected = [logsumexp(row[take]) for row, take in zip(x, which, strict=True)]
    np.testing.assert_allclose(logsumexp(x, 1, where=which), expected, rtol=4e-16, atol=4e-16)
    np.testing.assert_allclose(logsumexp(x, 1, where=which[0]), [logsumexp(row[which[0]]) for row in x], rtol=4e-16)
    x[~which] = np.nan
    np.testing.assert_allclose(logsumexp(x, 1, where=which), expected, rtol=4e-16, atol=4e-16)
    np.testing.assert_array_equal(logsumexp(x, 1, where=False), -INF)
    np.testing.assert_array_equal(softmax(x, 1, where=False), 0)
    np.testing.assert_array_equal(log_softmax(x, 1, where=False), -INF)


# ---- logmeanexp ----


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_logmeanexp(dtype):
    x = np.random.default_rng(6).normal(0, 5, (20, 33)).astype(dtype)
    eps = np.finfo(dtype).eps
    exact = [float(exact_logsumexp(row) - gmpy2.log(33)) for row in x]
    np.testing.assert_allclose(logmeanexp(x, 1), exact, rtol=eps, atol=eps)
    np.testing.assert_allclose(logmeanexp(x.T, 0, keepdims=True)[0], exact, rtol=eps, atol=eps)
    near = (1e-3 * x[:, :9]).astype(dtype)  # log(9) + logmeanexp would have lost these digits
    exact = [float(exact_logsumexp(row) - gmpy2.log(9)) for row in near]
    np.testing.assert_allclose(logmeanexp(near, 1), exact, rtol=0, atol=eps)
    which = x > 0
    expected = [logsumexp(row[take]) - np.log(take.sum()) for row, take in zip(x, which, strict=True)]
    np.testing.assert_allclose(logmeanexp(x, 1, where=which), expected, rtol=4 * eps, atol=4 * eps)
    np.testing.assert_allclose(logmeanexp(x, 1, b=2), logmeanexp(x, 1) + np.log(2), rtol=4 * eps, atol=4 * eps)
    assert logmeanexp(x).dtype == x.dtype
    assert np.isnan(logmeanexp([]))
    assert np.isnan(logmeanexp([1.0], where=[False]))
    np.testing.assert_array_equal(np.isnan(logmeanexp(np.empty((3, 0)), 1)), True)


# ---- logcumsumexp ----


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
def test_logcumsumexp(dtype, reverse, exclusive):
    x = np.random.default_rng(7).normal(0, 5, (3, 40, 2)).astype(dtype)
    for axis in (0, 1, 2, -1):
        n = x.shape[axis]
        parts = []
        for i in range(n):
            first, last = (i, n) if reverse else (0, i + 1)
            if exclusive:
                first, last = (first + 1, last) if reverse else (first, last - 1)
            parts.append(logsumexp(x.take(range(first, last), axis).astype("f8"), axis))
        y = logcumsumexp(x, axis, reverse=reverse, exclusive=exclusive)
        assert y.dtype == x.dtype
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(y, np.stack(parts, axis), rtol=eps, atol=eps)
        out = np.empty_like(x)
        assert logcumsumexp(x, axis, reverse=reverse, exclusive=exclusive, out=out) is out
        np.testing.assert_array_equal(out, y)
        same = x.copy()
        logcumsumexp(same, axis, reverse=reverse, exclusive=exclusive, out=same)
        np.testing.assert_array_equal(same, y)


def test_logcumsumexp_of_what_is_out_of_the_way():
    np.testing.assert_array_equal(logcumsumexp([1, np.nan, 2]), [1, np.nan, np.nan])
    np.testing.assert_array_equal(logcumsumexp([INF, INF]), [INF, INF])
    np.testing.assert_array_equal(logcumsumexp([-INF, -INF, 3]), [-INF, -INF, 3])
    assert logcumsumexp(np.zeros((2, 3))).shape == (6,)
    assert logcumsumexp([]).shape == (0,)
    assert logcumsumexp(5.0).shape == (1,)
    assert logcumsumexp([1, 2], dtype="f4").dtype == "f4"
    with pytest.raises(TypeError, match="complex128"):
        logcumsumexp([1j])
    with pytest.raises(np.exceptions.AxisError):
        logcumsumexp([1.0], 1)
    with pytest.raises(ValueError, match="out must be"):
        logcumsumexp([1.0, 2.0], out=np.empty(3))


# ---- temperatures; both at once ----


@pytest.mark.parametrize("dtype", "efdgFDG")
def test_no_probability_is_known_beside_infinity(dtype):
    x = np.array([[INF, 33, 0], [1, 2, 3]]).astype(dtype)
    for temperature in (1.0, 2.0):
        with np.errstate(all="ignore"):
            y = fastlog.softmax(x, 1, temperature=temperature)
        np.testing.assert_array_equal(np.isnan(y), [[True] * 3, [False] * 3])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(7,), (300, 200), (3, 50000), (4, 5, 6)])
@pytest.mark.parametrize("temperature", [0.5, 3, np.float64(0.7)])
def test_temperature(name, shape, temperature):
    f = getattr(fastlog, name)
    x = np.random.default_rng(8).normal(0, 3, shape)
    for axis in (None, 0, -1):
        np.testing.assert_array_equal(f(x, axis, temperature=temperature), f(x / temperature, axis))
    same = x.copy()
    assert f(same, -1, temperature=temperature, out=same) is same
    np.testing.assert_array_equal(same, f(x / temperature, -1))
    for bad in (0, -1, np.nan, INF, "warm", "2", b"2", np.timedelta64(3, "s"), np.complex128(2), None):
        with pytest.raises(ValueError, match="temperature must be"):
            f(x, temperature=bad)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(1000, 64), (3, 300), (20, 3, 40)])
def test_temperature_in_any_layout(shape, dtype):
    """An array that is not in C order has a quotient of another layout, whose rows are summed in another way."""
    rng = np.random.default_rng(14)
    for x in (*layouts(shape, dtype, rng), np.broadcast_to(rng.normal(0, 4, shape[-1]).astype(dtype), shape)):
        for axis in (None, 0, 1, -1, (0, -1)):
            for temperature in (0.5, 0.7):
                quotient = x / x.dtype.type(temperature)
                for f, options in ((softmax, {}), (log_softmax, {}), (softmax, {"return_lse": True})):
                    got, expected = f(x, axis, temperature=temperature, **options), f(quotient, axis, **options)
                    pairs = zip(got, expected, strict=True) if options else [(got, expected)]
                    for one, other in pairs:
                        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", [(5,), (70, 3), (3, 70), (2, 70000), (4, 5, 6), (0, 3), (3, 0)])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "c16"])
def test_softmax_with_its_logsumexp(shape, dtype):
    x = np.random.default_rng(9).normal(0, 3, shape).astype(dtype)
    for axis in (None, 0, -1, tuple(range(len(shape)))):
        y, lse = softmax(x, axis, return_lse=True)
        np.testing.assert_array_equal(y, softmax(x, axis))
        expected = logsumexp(x, axis)
        assert np.shape(lse) == np.shape(expected)
        assert lse.dtype == expected.dtype
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(lse, expected, rtol=2 * eps, atol=2 * eps)
    if x.size and dtype != "c16":
        y, lse = softmax(x, -1, where=x > 0, temperature=2.0, return_lse=True)
        expected = logsumexp((x / np.dtype(dtype).type(2)).astype(dtype), -1, where=x > 0)
        np.testing.assert_allclose(lse, expected, rtol=4 * eps, atol=4 * eps)


# ---- masks ----


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g"])
def test_results_of_masked_arrays_are_masked(dtype):
    mask = np.array([[0, 1, 0], [1, 1, 1]], bool)
    x = np.ma.array([[1, 2, 3], [4, 5, 6]], dtype, mask=mask)
    for f, axis, expected in (
        (logsumexp, 1, [False, True]),
        (logmeanexp, 0, [False, True, False]),
        (lambda a, k: logsumexp(a, k, b=np.ones((2, 2, 3), dtype)), 2, [[False, True]] * 2),
        (lambda a, k: logsumexp(a, k, return_sign=True)[1], 1, [False, True]),
        (lambda a, k: softmax(a, k, return_lse=True)[1], 1, [False, True]),
        (softmax, 1, mask),
        (lambda a, k: log_softmax(a, k, temperature=2.0), 0, mask),
    ):
        np.testing.assert_array_equal(f(x, axis).mask, expected)
    assert logsumexp(x[1]) is np.ma.masked
    assert logsumexp(x[0]) == logsumexp(np.asarray(x)[0, [0, 2]])
    if dtype == "g":
        return
    for options in ({}, {"reverse": True}, {"exclusive": True}):
        y = logcumsumexp(x, 1, **options)
        np.testing.assert_array_equal(y.mask, mask)
        np.testing.assert_array_equal(np.asarray(y), logcumsumexp(x.filled(-INF), 1, **options))
        np.testing.assert_array_equal(logcumsumexp(x, **options).mask, mask.ravel())


def test_a_masked_out_gets_the_mask_of_the_result():
    x = np.ma.array([[1.0, 2, 3], [4, 5, 6]], mask=[[0, 1, 0], [1, 1, 1]])
    for f, axis, shape in ((logsumexp, 1, 2), (logmeanexp, 0, 3), (softmax, 1, x.shape), (log_softmax, 0, x.shape),
                           (logcumsumexp, 1, x.shape)):  # fmt: skip
        for before in (False, True):
            out = np.ma.array(np.zeros(shape), mask=before)
            assert f(x, axis, out=out) is out
            np.testing.assert_array_equal(out.mask, f(x, axis).mask)
            np.testing.assert_array_equal(out.filled(0), f(x, axis).filled(0))
            assert f(np.asarray(x), axis, out=out) is out
            assert not np.any(out.mask)
            plain = np.zeros(shape)
            assert f(x, axis, out=plain) is plain
            np.testing.assert_array_equal(plain, np.asarray(f(x, axis)))
    same = x.copy()
    assert softmax(same, 1, out=same) is same
    np.testing.assert_array_equal(same.mask, x.mask)


def test_masks_of_other_arguments_are_refused():
    """Only the mask of the first argument leaves elements out, as in losses."""
    x, b = np.arange(3.0), np.ma.array([1.0, 1, 1], mask=[0, 1, 0])
    for call in (
        lambda b: logsumexp(x, b=b),
        lambda b: logmeanexp(x, b=b),
        lambda b: logsumexp(x, where=b > 0),
        lambda b: logmeanexp(np.ma.array(x), where=b > 0),
        lambda b: softmax(x, where=b > 0),
        lambda b: log_softmax(x, where=b > 0),
        lambda b: softmax(x, temperature=b[1]),
        lambda b: fastlog.LogSumExp().update(x, b),
        lambda b: fastlog.LogSumExp().update(x, where=b > 0),
    ):
        with pytest.raises(TypeError, match=r"(b|where|temperature) has masked elements; fill them first"):
            call(b)
    b.mask = False
    assert logsumexp(x, b=b) == logsumexp(x)
    assert logsumexp(x, where=b > 0) == logsumexp(x)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "g", "c8", "c16", "i4", "bfloat16"])
def test_sums_over_no_axis_are_new_arrays(dtype):
    dtype = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype
    for x in (
        np.ones((2, 3)).astype(dtype),
        np.asfortranarray(np.ones((2, 3)).astype(dtype)),
        np.ma.ones((2, 3), dtype),
    ):
        for f in (logsumexp, logmeanexp, softmax, log_softmax):
            for options in ({}, {"where": True}, {"dtype": x.dtype} if x.dtype.kind != "i" else {}):
                y = f(x, (), **options)
                assert y.shape == x.shape
                assert not np.may_share_memory(np.ma.getdata(y), np.ma.getdata(x))
                np.testing.assert_allclose(np.abs(y).astype("f8"), np.abs(f(x[0, 0])).astype("f8"), atol=1e-7)


@pytest.mark.parametrize("f", [fastlog.softmax, fastlog.log_softmax])
def test_temperatures_of_rows_are_refused_by_their_shape(f):
    x, temperature = np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([1.0, 2.0])
    with pytest.raises(ValueError, match=r"temperature must be one number, not an array of the shape \(2,\).*newaxis"):
        f(x, 1, temperature=temperature)
    np.testing.assert_array_equal(f(x / temperature[:, np.newaxis], 1)[1], f(x[1], temperature=2.0))
