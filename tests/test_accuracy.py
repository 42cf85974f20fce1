"""The claims of the table, from both sides: never exceeded on any target, and reached by their witnesses."""

import gmpy2
import numpy as np
import pytest
from accuracy import measure
from points import arguments, stratified
from reference import ELEMENTWISE, exact, exact_logsumexp, ulp

from fastlog._core import claims, functions, supported_targets

DTYPES = [np.float32, np.float64]
TARGETS = supported_targets()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_claim_is_never_exceeded(name, dtype):
    count = 400_000 if dtype == np.float32 else 16_000
    nin = functions()[name].nin
    claim, _ = claims()[name][dtype.__name__]
    found = measure(name, dtype, arguments(name, nin, dtype, count), TARGETS)
    for target, e in found.items():
        assert e.wrong == 0, f"{target}: {e.wrong} infinities or nans are wrong"
        assert e.worst <= claim, f"{target}: {e.worst} ulp at {e.at}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_witness_reaches_the_claim(name, dtype):
    claim, witness = claims()[name][dtype.__name__]
    point = tuple(np.array([x], dtype) for x in witness)
    assert all(float(p[0]) == x for p, x in zip(point, witness, strict=True)), "the witness is not of this dtype"
    worst = max(e.worst for e in measure(name, dtype, point, TARGETS).values())
    assert worst > claim - 0.01


def absolute_errors(got, expected):
    """Errors in ulp of max(1, |y|)."""
    unit = np.maximum(ulp(np.array([float(e) for e in expected]), got.dtype.type), np.finfo(got.dtype).eps)
    distance = [abs(float(gmpy2.mpfr(float(g)) - e)) for g, e in zip(got, expected, strict=True)]
    return np.array(distance) / unit.astype(float)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_logaddexp_near_cancellation(target, dtype):
    """Along e^a + e^b = 1 the error stays below 0.9 ulp of 1."""
    a = -np.exp(np.random.default_rng(3).uniform(-30, 4, 2000)).astype(dtype)
    b = np.log(-np.expm1(a.astype(np.float64))).astype(dtype)
    expected = [exact_logsumexp(pair) for pair in zip(a, b, strict=True)]
    assert absolute_errors(functions(target)["logaddexp"](a, b), expected).max() <= 0.9


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_logsubexp_near_cancellation(target, dtype):
    """Along e^a - e^b = 1 the error stays below 0.6 ulp of 1, as the docstring says."""
    b = np.random.default_rng(3).uniform(-40, 20, 2000).astype(dtype)
    a = (np.logaddexp(0, b.astype(np.float64))).astype(dtype)
    a, b = a[a > b], b[a > b]
    expected = [exact("logsubexp", *pair) for pair in zip(a, b, strict=True)]
    assert absolute_errors(functions(target)["logsubexp"](a, b), expected).max() <= 0.6


ROWS = {
    "two": lambda rng: rng.normal(0, 5, (300, 2)),
    "ten": lambda rng: rng.normal(0, 3, (200, 10)),
    "hundred": lambda rng: rng.normal(0, 10, (20, 100)),
    "thousands": lambda rng: rng.normal(0, 2, (3, 5000)),
    "ascending": lambda rng: np.sort(rng.uniform(-100, 100, (3, 5000))),
    "equal": lambda rng: np.full((2, 4097), -7.25),
    "dominated": lambda rng: np.where(np.arange(40) == 7, 3.0, rng.uniform(-40, -10, (50, 40))),
    "near zero": lambda rng: np.log(rng.dirichlet(np.ones(6), 200)),
}


@pytest.mark.parametrize("layout", ["rows", "columns", "strided"])
@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_rows(target, dtype, kind, layout):
    """The claims hold: logsumexp in ulp of max(1, |y|), softmax and log_softmax in ulp of every element."""

    def claim(name):
        return claims()[name][dtype.__name__][0]

    rows = ROWS[kind](np.random.default_rng(5)).astype(dtype)
    x = {"rows": rows, "columns": np.asfortranarray(rows), "strided": np.repeat(rows, 3, axis=1)[:, ::3]}[layout]
    ufuncs = functions(target)
    chosen = rows[:: max(1, len(rows) // 40)]
    total = [exact_logsumexp(row) for row in chosen]
    step = max(1, len(rows) // 40)
    assert absolute_errors(ufuncs["logsumexp"](x)[::step], total).max() <= claim("logsumexp")
    columns = np.unique(np.linspace(0, rows.shape[1] - 1, 25).astype(int))
    for name in ("softmax", "log_softmax"):
        got = ufuncs[name](x)[::step][:, columns]
        log = [[gmpy2.mpfr(float(v)) - t for v in row[columns]] for row, t in zip(chosen, total, strict=True)]
        expected = log if name == "log_softmax" else [[gmpy2.exp(v) for v in row] for row in log]
        for g, e in zip(got, expected, strict=True):
            unit = ulp(np.array([float(v) for v in e]), dtype)
            error = [abs(float(gmpy2.mpfr(float(y)) - v) / float(u)) for y, v, u in zip(g, e, unit, strict=True)]
            assert max(error) <= claim(name), name


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_long_float32_sums_do_not_drift(name):
    """2^21 equal elements along each axis: float32 running sums would be wrong in the fourth digit by then."""
    n = 2**21
    want = {"logsumexp": np.log(n), "softmax": 1 / n, "log_softmax": -np.log(n)}[name]
    for target in TARGETS:
        f = functions(target)[name]
        for x in (np.zeros((1, n), np.float32), np.zeros((n, 16), np.float32).T):
            np.testing.assert_array_equal(f(x), np.float32(want))


def test_points_cover_every_binade():
    for dtype in DTYPES:
        x = stratified(dtype, 200_000)
        _, exponents = np.frexp(x[np.isfinite(x) & (x != 0)])
        info = np.finfo(dtype)
        assert len(np.unique(exponents)) > 0.9 * (info.maxexp - np.log2(float(info.smallest_subnormal)))
