"""logmatmulexp: errors by mpmath, shapes as those of np.matmul, infinities, dtypes, layouts and threads."""

import mpmath
import numpy as np
import pytest

import fastlog
from fastlog import _core, logmatmulexp

DTYPES = [np.float64, np.float32]


def exact(a, b):
    """Return log(exp(a) @ exp(b)) of matrices, entry by entry, as numbers of mpmath."""
    with mpmath.workprec(200):
        a, b = ([[mpmath.mpf(float(v)) for v in row] for row in m] for m in (a, np.transpose(b)))
        return [[mpmath.log(mpmath.fsum(map(mpmath.exp, map(sum, zip(r, c, strict=True))))) for c in b] for r in a]


def worst(got, expected, dtype):
    """Return the largest error in ulp of max(1, |result|)."""
    got = np.asarray(got).reshape(len(expected), -1)
    assert got.dtype == dtype
    found = 0
    for row, numbers in zip(got, expected, strict=True):
        for y, number in zip(row, numbers, strict=True):
            ulp = np.spacing(dtype(max(1, abs(float(number)))))
            found = max(found, abs(float((mpmath.mpf(float(y)) - number) / mpmath.mpf(float(ulp)))))
    return found


def layouts(a):
    """Return arrays of the same numbers whose memory differs."""
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
    wide[..., ::2] = a
    return [a, np.asfortranarray(a), wide[..., ::2], np.ascontiguousarray(a[::-1])[::-1]]


def drawn(kind, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    spread = {"usual": 3, "wide": 300, "very wide": 3000, "shares": 0.01}[kind]
    return (rng.normal(0, spread, shape) - (6.9 if kind == "shares" else 0)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["usual", "wide", "very wide", "shares"])
@pytest.mark.parametrize("sides", [(30, 7, 1), (12, 1000, 1), (1, 70, 40), (3, 40, 5), (1, 3000, 1), (9, 1, 9)])
def test_errors_of_few_rows_or_columns(sides, kind, dtype):
    a, b = drawn(kind, sides[:2], dtype, 1), drawn(kind, sides[1:], dtype, 2)
    expected = exact(a, b)
    for one, other in zip(layouts(a), layouts(b), strict=True):
        assert worst(logmatmulexp(one, other), expected, dtype) <= 1.5


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_whose_rounding_errors_count(dtype):
    """The sums a + b are small, and each rounding error would show."""
    rng = np.random.default_rng(3)
    a = rng.normal(0, 1000, (40, 60)).astype(dtype)
    b = (rng.normal(-3, 1, (60, 1)) - a[:1].T).astype(dtype)
    expected = exact(a[:1], b)
    assert worst(logmatmulexp(a[:1], b), expected, dtype) <= 1
    assert worst(logmatmulexp(a, b)[:1], expected, dtype) <= 1.5
    pairs = _core.run_over(_core.INDEX["logdotexp"], (a[:1], b[:, 0]), (1,))[0]
    assert worst(pairs, expected, dtype) <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["usual", "wide", "very wide", "shares"])
def test_errors_of_large_products(kind, dtype):
    n = 700
    a, b = drawn(kind, (40, n), dtype, 1), drawn(kind, (n, 40), dtype, 2)
    if kind == "usual":  # The largest entries of rows are far from 0, and cancel.
        a[::2] += 500
        b[:, ::2] -= 500
    got = logmatmulexp(a, b)
    some = np.ix_(range(0, 40, 5), range(0, 40, 3))
    expected = exact(a[::5], b[:, ::3])
    assert worst(got[some], expected, dtype) <= (1 if dtype == np.float32 else 4)
    # Products of the same numbers by pairs agree.
    columns = np.stack([logmatmulexp(a, b[:, j]) for j in range(40)], axis=1)
    np.testing.assert_allclose(got, columns, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


def test_every_target(target):
    dot = _core.INDEX["logdotexp"]
    for dtype in DTYPES:
        for n in (1, 2, 9, 33, 64, 100, 1025, 2300):
            a, b = drawn("usual", (37, n), dtype, n), drawn("usual", (n, 1), dtype, n + 1)
            expected = exact(a[:5], b)
            for one in layouts(a):
                got = _core.run_over(dot, (one, b[:, 0]), (1,), target=target)[0]
                assert worst(got[:5], expected, dtype) <= 1.5
            columns = _core.run_over(dot, (np.asfortranarray(a), np.tile(b[:, 0], (37, 1))), (1,), target=target)[0]
            assert worst(columns[:5], expected, dtype) <= 1


SHAPES = [
    ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (6, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((0, 3), (3, 4)),
    ((2, 0), (0, 4)), ((0,), (0,)), ((40, 50), (50, 60)), ((2, 40, 50), (50, 60)), ((2, 1, 40, 50), (3, 50, 60)),
    ((0, 2, 3), (3, 4)), ((1, 40, 50), (2, 50, 60)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES)
def test_shapes_are_those_of_matmul(shapes):
    rng = np.random.default_rng(4)
    a, b = (rng.normal(size=shape) for shape in shapes)
    got = logmatmulexp(a, b)
    with np.errstate(divide="ignore"):
        expected = np.log(np.matmul(np.exp(a), np.exp(b)))
    assert np.shape(got) == expected.shape
    assert type(got) is type(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)
    out = np.empty_like(expected)
    if out.ndim:
        assert logmatmulexp(a, b, out=out) is out
        np.testing.assert_array_equal(out, got)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vector_in_every_layout(dtype):
    """Plain arrays go straight to the loop; a matrix in columns, strided vectors and byte orders give the same."""
    a, b = (np.random.default_rng(4).normal(0, 20, shape).astype(dtype) for shape in ((30, 12), (12,)))
    expected = logmatmulexp(a, b)
    wide = np.repeat(b, 2)[::2]
    swapped = a.astype(a.dtype.newbyteorder())
    for one, other in ((np.asfortranarray(a), b), (a, wide), (a.tolist(), b.tolist()), (swapped, b)):
        np.testing.assert_allclose(logmatmulexp(one, other), expected, rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_allclose(logmatmulexp(other, np.transpose(one)), expected, rtol=4 * np.finfo(dtype).eps)
    assert logmatmulexp(np.zeros((0, 12), dtype), b).shape == (0,)
    assert np.all(logmatmulexp(np.zeros((3, 0), dtype), b[:0]) == -np.inf)


@pytest.mark.parametrize("shapes", [((), (3,)), ((3,), ()), ((2, 3), (4,)), ((2, 3), (4, 3)), ((2, 2, 3), (3, 3, 4))])
def test_wrong_shapes(shapes):
    a, b = (np.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="matmul|broadcast"):
        np.matmul(a, b)
    with pytest.raises(ValueError, match="logmatmulexp: "):
        logmatmulexp(a, b)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="masked elements"):
        logmatmulexp(np.ma.array([1.0, 2.0], mask=[0, 1]), [1.0, 2.0])
    with pytest.raises(TypeError, match="complex"):
        logmatmulexp([1j], [1.0])
    with pytest.raises(TypeError, match="longdouble|float128"):
        logmatmulexp(np.ones(2, np.longdouble), [1.0, 2.0])
    with pytest.raises(ValueError, match="out has the shape"):
        logmatmulexp([[1.0]], [[1.0]], out=np.empty(2))


@pytest.mark.parametrize("n", [3, 60])
@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_and_nan(n, dtype):
    """The products of single entries say what the sums are; large products meet the same as small ones."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(n, n)).astype(dtype), rng.normal(size=(n, n)).astype(dtype)
    a[0], a[1, 1], a[2, 0], a[2, 1] = -np.inf, np.inf, np.nan, -np.inf
    b[1, 0], b[:, 1], b[0, 2] = -np.inf, -np.inf, np.inf
    with np.errstate(invalid="ignore"):
        pairs = a[:, :, None] + b[None]
        expected = np.full((n, n), 0.0)
        for i, j in np.ndindex(n, n):
            column = pairs[i, :, j]
            expected[i, j] = np.nan if np.isnan(column).any() else fastlog.logsumexp(column.astype(float))
    with np.errstate(all="raise"):
        for one in layouts(a):
            got = logmatmulexp(one, b)
            np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == np.float32 else 1e-13)
            by_columns = np.stack([logmatmulexp(one, b[:, j]) for j in range(n)], axis=1)
            np.testing.assert_allclose(by_columns, expected, rtol=1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("shift", [1e4, 1e100, 1e300])
def test_large_numbers_do_not_overflow(shift):
    a, b = np.array([[shift, 0.0], [-shift, -shift]]), np.array([[shift], [shift / 2]])
    np.testing.assert_array_equal(logmatmulexp(a, b), [[2 * shift], [0.0 if shift < 1e20 else 0.0]])


def test_dtypes():
    a, b = np.zeros((3, 4)), np.zeros((4, 2))
    for one, other in [("e", "e"), ("e", "f"), ("f", "d"), ("i", "f"), ("?", "b"), (">f4", "f"), (">f8", "d")]:
        got = logmatmulexp(a.astype(one), b.astype(other))
        kinds = [np.dtype("d") if np.dtype(k).kind in "iub" else np.dtype(k) for k in (one, other)]
        assert got.dtype == np.result_type(*kinds).newbyteorder("=")
        np.testing.assert_allclose(got, np.log(4 + (np.exp(1) - 1) * 0 * a @ b), rtol=1e-3)
    assert logmatmulexp([[0, 0]], [0, 0]).dtype == np.float64


def test_float16_is_computed_in_float32():
    rng = np.random.default_rng(6)
    for sides in ((5, 40, 1), (40, 60, 50)):
        a, b = rng.normal(size=sides[:2]).astype("e"), rng.normal(size=sides[1:]).astype("e")
        exactly = logmatmulexp(a.astype("d"), b.astype("d"))
        assert np.max(np.abs(logmatmulexp(a, b) - exactly) / np.spacing(np.abs(exactly).astype("e"))) < 0.51


def test_out_may_be_an_operand():
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(50, 50)), rng.normal(size=(50, 50))
    expected = logmatmulexp(a, b)
    np.testing.assert_array_equal(logmatmulexp(a, b, out=a), expected)


@pytest.mark.parametrize("sides", [(701, 900, 1), (1, 900, 701), (20, 5000, 20), (5, 300, 4000)])
def test_threads_change_no_bit(sides):
    rng = np.random.default_rng(8)
    a, b = rng.normal(0, 3, sides[:2]), rng.normal(0, 3, sides[1:])
    a[3 % sides[0], 5] = -2000  # Some rows are wide.
    pairs = (a[:, None], b.T[None]) if sides[2] >= sides[0] else (b.T[:, None], a[None])
    found = []
    for n in (1, 2, 3, 8):
        with fastlog.num_threads(n):
            found.append(_core.run_over(_core.INDEX["logdotexp"], pairs, (2,))[0].tobytes())
    assert len(set(found)) == 1


def test_associativity_of_long_chains():
    """A hundred steps of a hidden Markov chain agree with those in exact arithmetic."""
    rng = np.random.default_rng(9)
    steps = [np.log(rng.dirichlet(np.ones(4), 4)) for _ in range(100)]
    forward = steps[0]
    for step in steps[1:]:
        forward = logmatmulexp(forward, step)
    np.testing.assert_allclose(fastlog.logsumexp(forward, axis=1), 0, atol=1e-13)
