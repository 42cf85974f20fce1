"""Arguments for elementwise ufuncs, and comparison of bits."""

import numpy as np


def ordinary(f, *args):
    """Tell where f has neither a pole nor an invalid point: only there may it raise nothing."""
    with np.errstate(all="ignore"):
        y = f(*args)
    args = np.broadcast_arrays(*args)
    nan = np.any([np.isnan(x) for x in args], axis=0)
    finite = np.all([np.isfinite(x) for x in args], axis=0)
    return ~(np.isnan(y) & ~nan | np.isinf(y) & finite)


def samples(f, dtype, n, seed=0):
    """Return f.nin contiguous arrays of n numbers: any bit pattern, the middle, [0, 1), and special values."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    shape = f.nin, 4 * n + 64
    bits = rng.integers(0, 2 ** (8 * dtype.itemsize), shape, dtype=f"u{dtype.itemsize}", endpoint=False)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1], dtype)
    kinds = [bits.view(dtype), rng.normal(0, 8, shape).astype(dtype), rng.random(shape).astype(dtype)]
    kinds += [kinds[1], kinds[2], rng.choice(special, shape)]
    x = np.choose(rng.integers(0, len(kinds), shape), kinds)
    x[np.isnan(x)] = np.nan  # nobody promises which of two different nans comes out
    x = x[:, ordinary(f, *x)][:, :n]
    assert x.shape[1] == n, "too few ordinary arguments"
    return [np.ascontiguousarray(row) for row in x]


def same_bits(got, expected):
    """Assert that two arrays have the same dtype, but for the byte order, the same shape and the same bits."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    assert got.shape == expected.shape
    unsigned = f"u{got.dtype.itemsize}"
    got, expected = (np.array(x, order="C", ndmin=1).view(unsigned) for x in (got, expected))
    np.testing.assert_array_equal(got, expected)
