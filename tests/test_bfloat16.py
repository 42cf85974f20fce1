"""Elementwise functions of bfloat16: computed in float32 and rounded, with a loop that comes with the first call."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from helpers.reference import exact

import fastlog
from fastlog import _core

ml_dtypes = pytest.importorskip("ml_dtypes")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
EVERY = np.arange(2**16, dtype=np.uint16).view(BFLOAT16)  # all of its numbers, infinities and nans
SOME = EVERY[:: 2**16 // 512 - 1]


def arguments(f, some=SOME):
    """Return arrays of arguments: all numbers, and all pairs of some numbers."""
    if f.nin == 1:
        return [EVERY]
    return [np.ascontiguousarray(part) for part in np.array(list(itertools.product(some, some[::7]))).T]


def same(got, expected):
    """Tell whether arrays have the same bits; any nan is like another one."""
    nan = np.isnan(got) & np.isnan(expected)
    return got.dtype == expected.dtype and np.all(nan | (got.view(np.uint16) == expected.view(np.uint16)))


def test_every_number_is_that_of_float32_rounded(f):
    x = arguments(f)
    with np.errstate(all="ignore"):
        expected = f(*[a.astype(np.float32) for a in x]).astype(BFLOAT16)
        assert same(f(*x), expected)
        out = np.empty_like(x[0])
        assert f(*x, out=out) is out
        assert same(out, expected)
        assert same(f(*x, dtype=BFLOAT16), expected)
        assert same(f(*[a[::-3] for a in x]), np.ascontiguousarray(expected[::-3]))
        mine = x[0].copy()
        assert same(f(mine, *x[1:], out=mine), expected)  # in place
        for n in (0, 1, 2, 15, 16, 17, 1023, 1024, 1025):
            assert same(f(*[a[:n] for a in x]), expected[:n])


@pytest.mark.parametrize("name", ["softplus", "log_sigmoid", "sigmoid", "silu", "mish", "logaddexp"])
def test_errors_are_half_an_ulp(name):
    f = getattr(fastlog, name)
    with np.errstate(all="ignore"):
        finite = np.all([np.isfinite(a.astype(np.float64)) for a in arguments(f)], axis=0)
        x = [a[finite][::61] for a in arguments(f)]
        got = f(*x)
    checked = 0
    for y, *point in zip(got[::5].tolist(), *[a[::5].tolist() for a in x], strict=True):
        wanted = exact(name, *point)
        if not 2.0**-126 <= abs(wanted) < 2.0**127:
            continue
        ulp = 2.0 ** (np.frexp(float(wanted))[1] - 8)
        assert abs(y - wanted) <= ulp * (0.5 + 2.0**-12), (name, point)
        checked += 1
    assert checked > 90


def test_what_it_is_computed_in():
    x = np.array([1, 2, -3], BFLOAT16)
    for other, dtype in (
        (x, BFLOAT16), (1.0, BFLOAT16), (2, BFLOAT16), (x.astype("f"), "f4"), (x.astype("e"), "f4"),
        (x.astype("d"), "f8"), (np.float64(1), "f8"), (np.arange(3), "f8"), ([True] * 3, "f8"),
    ):  # fmt: skip
        for y in (fastlog.logaddexp(x, other), fastlog.logaddexp(other, x)):
            assert y.dtype == dtype
            precise = fastlog.logaddexp(x.astype("d"), np.asarray(other, "d"))
            np.testing.assert_allclose(y.astype("d"), precise, rtol=2.0**-8)
    assert type(fastlog.softplus(ml_dtypes.bfloat16(1))) is ml_dtypes.bfloat16
    assert fastlog.softplus(x, where=[True, False, True], out=np.zeros(3, BFLOAT16))[1] == 0
    for wrong in (1j, "a", np.longdouble(1), np.ones(3, ml_dtypes.float8_e4m3fn)):
        with pytest.raises(TypeError, match="computed for"):
            fastlog.logaddexp(x, wrong)


def test_methods():
    x = np.array([[1, 2, -3], [0, 5, 4]], BFLOAT16)
    wide = x.astype(np.float32)
    for axis in (0, 1):
        for method in ("reduce", "accumulate"):
            got = getattr(fastlog.logaddexp, method)(x, axis=axis)
            assert got.dtype == BFLOAT16
            np.testing.assert_allclose(
                got.astype("f"), getattr(fastlog.logaddexp, method)(wide, axis=axis), rtol=2.0**-7
            )
    falling = np.array([5, 4, 1, -2], BFLOAT16)  # each step reads the result of the one before
    step = np.array([falling[0]], BFLOAT16)
    for k in range(1, 4):
        step = fastlog.logsubexp(step, falling[k : k + 1])
        assert fastlog.logsubexp.reduce(falling[: k + 1]) == step[0]
        assert fastlog.logsubexp.accumulate(falling)[k] == step[0]
    outer = fastlog.logaddexp.outer(x[0], x[1])
    assert same(outer, fastlog.logaddexp(x[0][:, None], x[1][None]))
    y = x[0].copy()
    fastlog.logaddexp.at(y, [0, 0, 2], BFLOAT16.type(1))
    once = fastlog.logaddexp(x[0][0], BFLOAT16.type(1))
    assert y.tolist() == [fastlog.logaddexp(once, BFLOAT16.type(1)), 2, fastlog.logaddexp(x[0][2], BFLOAT16.type(1))]


def test_long_rows():
    """Sums of rows keep their digits until the end, whatever axes they run along."""
    x = np.zeros((3, 1000), BFLOAT16)
    for axis in (None, (0, 1)):
        assert fastlog.logaddexp.reduce(x, axis=axis) == BFLOAT16.type(np.log(3000))
    assert (fastlog.logaddexp.reduce(x.T) == BFLOAT16.type(np.log(1000))).all()
    assert (fastlog.logaddexp.reduceat(x, np.zeros(200, int), 1)[:, -1] == BFLOAT16.type(np.log(1000))).all()


def test_exceptions():
    zero, one = np.zeros(3, BFLOAT16), np.ones(2000, BFLOAT16)
    with np.errstate(all="raise"):
        fastlog.softplus(EVERY)
        with pytest.raises(FloatingPointError, match="divide by zero"):
            fastlog.logit(zero)
        one[1999] = 2
        with pytest.raises(FloatingPointError, match="invalid"):
            fastlog.logit(one / 2 + one)


FIRST = """
import sys, threading
import numpy as np, fastlog
assert "ml_dtypes" not in sys.modules
fastlog.softplus(np.ones(3))
import ml_dtypes
x = np.ones(3000, ml_dtypes.bfloat16)
found, start = [], threading.Barrier(8)
def run():
    start.wait()
    found.append(fastlog.{call})
threads = [threading.Thread(target=run) for _ in range(8)]
[t.start() for t in threads], [t.join() for t in threads]
assert len(found) == 8 and all(y.dtype == x.dtype and (y == y[0]).all() for y in found)
print(float(found[0][0]))
"""


@pytest.mark.parametrize("call", ["softplus(x)", "softplus(x, dtype=x.dtype)", "logaddexp(x, x - x)"])
def test_the_first_calls_may_come_from_threads(call):
    done = subprocess.run([sys.executable, "-c", FIRST.format(call=call)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) == float(BFLOAT16.type(np.log1p(np.e)))


def test_tables_of_other_targets_have_their_own_loops():
    x = np.array([0.5, 3], BFLOAT16)
    expected = fastlog.sigmoid(x.astype("f")).astype(BFLOAT16)
    for target in _core.supported_targets():
        assert same(_core.functions(target)["sigmoid"](x), expected)
