"""Fixtures: every elementwise function of the table on every target that runs here, and arguments for it."""

import numpy as np
import pytest
from hypothesis import settings

from fastlog import _core

# Neither a clock nor a file of earlier failures decides whether a test passes.
settings.register_profile("fastlog", deadline=None, database=None, derandomize=True, max_examples=60)
settings.load_profile("fastlog")

TARGETS = _core.supported_targets()
ELEMENTWISE = [name for name, f in _core.functions().items() if f.signature is None]
BINARY = [name for name in ELEMENTWISE if _core.functions()[name].nin == 2]


@pytest.fixture(scope="session", params=TARGETS)
def target(request):
    return request.param


@pytest.fixture(scope="session", params=["float16", "float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture(scope="session", params=ELEMENTWISE)
def name(request):
    return request.param


@pytest.fixture(scope="session")
def f(target, name):
    """Each elementwise ufunc."""
    return _core.functions(target)[name]


@pytest.fixture(scope="session", params=BINARY)
def binary(request, target):
    """Each elementwise ufunc of two arguments."""
    return _core.functions(target)[request.param]


@pytest.fixture(scope="session")
def ufuncs(target):
    """All ufuncs of the target, by name."""
    return _core.functions(target)


def _ordinary(f, *args):
    """Where f has neither a pole nor an invalid point: only there may it say nothing about its value."""
    with np.errstate(all="ignore"):
        y = f(*args)
    args = np.broadcast_arrays(*args)
    nan = np.any([np.isnan(x) for x in args], axis=0)
    finite = np.all([np.isfinite(x) for x in args], axis=0)
    return ~(np.isnan(y) & ~nan | np.isinf(y) & finite)


def _samples(f, dtype, n, seed=0):
    """f.nin contiguous arrays of n numbers: any bit pattern, the middle, [0, 1), and special values."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    shape = f.nin, 4 * n + 64
    bits = rng.integers(0, 2 ** (8 * dtype.itemsize), shape, dtype=f"u{dtype.itemsize}", endpoint=False)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1], dtype)
    kinds = [bits.view(dtype), rng.normal(0, 8, shape).astype(dtype), rng.random(shape).astype(dtype)]
    kinds += [kinds[1], kinds[2], rng.choice(special, shape)]
    x = np.choose(rng.integers(0, len(kinds), shape), kinds)
    x[np.isnan(x)] = np.nan  # which of two different nans comes out is nobody's promise
    x = x[:, _ordinary(f, *x)][:, :n]
    assert x.shape[1] == n, "too few ordinary arguments"
    return [np.ascontiguousarray(row) for row in x]


def _same_bits(got, expected):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    assert got.shape == expected.shape
    unsigned = f"u{got.dtype.itemsize}"
    got, expected = (np.array(x, order="C", ndmin=1).view(unsigned) for x in (got, expected))
    np.testing.assert_array_equal(got, expected)


@pytest.fixture(scope="session")
def ordinary():
    return _ordinary


@pytest.fixture(scope="session")
def samples():
    return _samples


@pytest.fixture(scope="session")
def same_bits():
    return _same_bits
