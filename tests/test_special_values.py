"""Limits, signs of zero, subnormals, nan, floating-point exceptions, and identities between the functions."""

import itertools

import gmpy2
import numpy as np
import pytest
from helpers.arrays import ordinary, same_bits, samples
from helpers.reference import exact
from helpers.special_values import BCE, LOG_2, SPECIAL, parsed
from hypothesis import assume, given
from hypothesis import strategies as st

INF, NAN = np.inf, np.nan

# ---- exact values ----

# Only functions with poles or invalid points raise anything, and they raise only these exceptions.
SILENCED = dict.fromkeys(
    ("logit", "log1mexp", "logexpm1", "logsubexp", "xlogy", "xlog1py"), {"divide": "ignore", "invalid": "ignore"}
) | {"rel_entr": {"invalid": "ignore"}}


def test_every_function_has_special_values(name):
    assert name in SPECIAL, f"add the limits of {name} to SPECIAL in tests/helpers/special_values.py"


def test_special_values(name, f, dtype):
    rows = np.array([[parsed(text, dtype) for text in row] for row in SPECIAL[name]])
    *args, expected = (np.ascontiguousarray(column) for column in rows.T)
    expected[np.isnan(expected)] = NAN
    with np.errstate(all="raise", **SILENCED.get(name, {})):
        got = f(*args)
        one_by_one = np.array([f(*row) for row in rows[:, :-1]])
        swapped = f(*args[::-1]) if name == "logaddexp" else got
    for y in (got, one_by_one, swapped):
        assert np.isnan(y).tolist() == np.isnan(expected).tolist()
        y[np.isnan(y)] = NAN
        same_bits(y, expected)


def nans(dtype):
    """Return quiet and signalling nans of both signs, with several payloads."""
    quiet = np.array([0x7E00, 0x7FC00000, 0x7FF8000000000000], "u8")[dtype.itemsize // 4]
    infinity = int(np.array(INF, dtype).view(f"u{dtype.itemsize}"))
    payloads = [int(quiet), int(quiet) | 1, int(quiet) | 0x15, 2 * (int(quiet) - infinity) - 1 + infinity, infinity | 1]
    sign = 1 << (8 * dtype.itemsize - 1)
    return np.array([*payloads, *(p | sign for p in payloads)], f"u{dtype.itemsize}").view(dtype)


def test_nan_in_quiet_nan_out(f, dtype):
    x = nans(dtype)
    assert np.isnan(x).all()
    others = np.array([0, -0.0, 1, -1, 0.25, 50, -50, INF, -INF, NAN], dtype)
    with np.errstate(all="raise"):
        results = [f(x)] if f.nin == 1 else [f(x[:, None], others), f(others[:, None], x), f(x[:, None], x)]
        results += [np.array([f(v) if f.nin == 1 else f(v, others[2]) for v in x])]
    for y in results:
        assert np.isnan(y).all()


def test_logaddexp_of_distant_numbers(ufuncs, dtype):
    """The greater of two distant numbers is the answer, however large the rounding error of their difference is."""
    top = np.finfo(dtype).max
    x = np.r_[np.geomspace(1, top / 2, 300), top / np.arange(1, 100), top * np.linspace(0, 1, 100)].astype(dtype)
    x = np.unique([x, -x])
    a, b = (np.ascontiguousarray(v) for v in np.broadcast_arrays(x[:, None], x))
    distant = np.abs(a.astype("g") - b.astype("g")) > 1000
    with np.errstate(all="raise"):
        y = ufuncs["logaddexp"](a[distant], b[distant])
    np.testing.assert_array_equal(y, np.maximum(a, b)[distant])


def test_nan_touches_only_its_own_element(f, dtype):
    args = [x[:100] for x in samples(f, dtype, 100)]
    whole = f(*args)
    for i in (0, 7, 8, 31, 50, 99):
        for k in range(f.nin):
            mine = [x.copy() for x in args]
            mine[k][i] = NAN
            got = f(*mine)
            assert np.isnan(got[i])
            others = np.arange(100) != i
            same_bits(got[others], whole[others])


def test_bce_of_an_infinite_logit_is_never_nan(ufuncs, dtype):
    targets = np.linspace(0, 1, 65).astype(dtype)
    for logit in (INF, -INF):
        loss = ufuncs[BCE](dtype.type(logit), targets)
        np.testing.assert_array_equal(loss, np.where(targets == (logit > 0), 0.0, INF))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["logit", "xlogy", "xlog1py", "entr", "rel_entr"])
def test_scipys_limits(ufuncs, name, dtype):
    """Infinities, nans, zeros and their signs are those of scipy.special's function, and other values agree."""
    special = pytest.importorskip("scipy.special")
    info = np.finfo(dtype)
    x = np.array([0, 0.25, 0.5, 1, 2, 1e-3, 1e3, info.smallest_subnormal, info.tiny, 1e20, INF], dtype)
    x = np.r_[x, -x, NAN]
    f = ufuncs[name]
    args = (x,) if f.nin == 1 else (x[:, None], x)
    with np.errstate(all="ignore"):
        got, expected = f(*args), getattr(special, name)(*args)
    assert f.__name__ == getattr(special, name).__name__
    np.testing.assert_allclose(got, expected, rtol=4 * info.eps, atol=200 * float(info.smallest_subnormal))
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_overflow_where_they_must(ufuncs, dtype):
    """Products are finite up to some ulp of the largest number, however near log(y) is to a multiple of log 2."""
    y = np.linspace(1.5, 64, 5000).astype(dtype)
    log = np.log(y.astype("g"))
    x = (np.finfo(dtype).max * (1 - 16 * np.finfo(dtype).eps) / np.maximum(log, 1.01)).astype(dtype)
    with np.errstate(all="raise"):
        assert np.isfinite(ufuncs["xlogy"](x, y)).all()
        assert np.isfinite(ufuncs["xlogy"](-x, 1 / y)).all()
        assert np.isfinite(ufuncs["xlog1py"](x, y - 1)).all()
        assert np.isfinite(ufuncs["rel_entr"](x, x / y)).all()


# ---- subnormal results ----


def in_units(name, args, dtype):
    """Return the exact result in units of the smallest subnormal number."""
    return exact(name, *args) / gmpy2.mpfr(float(np.finfo(dtype).smallest_subnormal))


def got_in_units(f, args, dtype):
    return gmpy2.mpfr(float(f(*args))) / gmpy2.mpfr(float(np.finfo(dtype).smallest_subnormal))


@pytest.mark.parametrize(
    ("name", "args", "dtype", "units"),
    [
        ("log_sigmoid", (100,), "f4", -27),
        ("log_sigmoid", (103.5,), "f4", -1),
        ("log_sigmoid", (740,), "f8", None),
        ("log_sigmoid", (745.13,), "f8", -1),
        ("softplus", (-100,), "f4", 27),
        ("softplus", (-740,), "f8", None),
        ("sigmoid", (-100,), "f4", 27),
        ("sigmoid", (-740,), "f8", None),
        ("sigmoid", (-745.13,), "f8", 1),
        ("sigmoid", (-17,), "f2", 1),
        ("sigmoid", (-12,), "f2", None),
        ("log_sigmoid", (17,), "f2", -1),
        ("silu", (-100,), "f4", None),
        ("silu", (-750,), "f8", None),
        ("logaddexp", (0, -100), "f4", 27),
        ("logaddexp", (-740, 0), "f8", None),
        ("mish", (-100,), "f4", None),
        ("mish", (-750,), "f8", None),
        ("log1mexp", (-100,), "f4", -27),
        ("log1mexp", (-740,), "f8", None),
        ("log1mexp", (-17,), "f2", -1),
        ("logsubexp", (0, -100), "f4", -27),
        ("logsubexp", (0, -740), "f8", None),
        ("xlogy", (2**-140, 3), "f4", None),
        ("xlogy", (2**-1060, 3), "f8", None),
        ("xlog1py", (3, 2**-140), "f4", 1536),
        ("xlog1py", (2**-70, 2**-70), "f4", 512),
        ("xlog1py", (3, 2**-1060), "f8", 3 * 2**14),
        ("entr", (2**-140,), "f4", None),
        ("entr", (2**-1060,), "f8", None),
        ("rel_entr", (2**-140, 2**-141), "f4", None),
        ("rel_entr", (2**-1060, 1), "f8", None),
        (BCE, (100, 1), "f4", 27),
        (BCE, (-100, 0), "f4", 27),
        (BCE, (740, 1), "f8", None),
    ],
)
def test_subnormal_results(ufuncs, name, args, dtype, units):
    args = [np.dtype(dtype).type(x) for x in args]
    rounded = gmpy2.rint(in_units(name, args, dtype))
    if units is not None:
        assert rounded == units
    with np.errstate(all="raise"):
        assert got_in_units(ufuncs[name], args, dtype) == rounded


SUBNORMAL_RANGE = {"f2": (9.8, 17.3), "f4": (87.4, 103.9), "f8": (708.5, 745.1)}


@pytest.mark.parametrize("dtype", SUBNORMAL_RANGE)
@pytest.mark.parametrize("name", ["softplus", "log_sigmoid", "sigmoid", "logaddexp", "log1mexp", "logsubexp", BCE])
def test_range_of_subnormal_results(ufuncs, name, dtype):
    """The two roundings, of e^-x and to the spacing of subnormals, stay below one unit together."""
    x = np.random.default_rng(0).uniform(*SUBNORMAL_RANGE[dtype], 200).astype(dtype)
    one, zero = np.ones_like(x), np.zeros_like(x)
    args = {"log_sigmoid": (x,), "logaddexp": (zero, -x), "logsubexp": (zero, -x), BCE: (x, one)}.get(name, (-x,))
    with np.errstate(all="raise"):
        got = ufuncs[name](*args)
    assert (np.abs(got) < np.finfo(dtype).tiny).all()
    assert (got != 0).all()
    for *row, y in zip(*args, got, strict=True):
        assert abs(gmpy2.mpfr(float(y)) / float(np.finfo(dtype).smallest_subnormal) - in_units(name, row, dtype)) < 1


@pytest.mark.parametrize(("dtype", "x"), [("f2", 17.5), ("f4", 104), ("f8", 746)])
def test_underflow_keeps_the_sign(ufuncs, dtype, x):
    x = np.array([x, x + 1, 2 * x, 10 * x], dtype)
    with np.errstate(all="raise"):
        for y, negative in (
            (ufuncs["log_sigmoid"](x), True),
            (ufuncs["softplus"](-x), False),
            (ufuncs["sigmoid"](-x), False),
            (ufuncs["mish"](-x - 8), True),
            (ufuncs["log1mexp"](-x), True),
            (ufuncs[BCE](x, np.ones_like(x)), False),
            (ufuncs[BCE](-x, np.zeros_like(x)), False),
        ):
            assert (y == 0).all()
            assert (np.signbit(y) == negative).all()


# ---- floating-point exceptions ----


def every(dtype, mantissas):
    """Return numbers of every sign and exponent, with some mantissas: also zeros, subnormals, infinities and nans."""
    bits = 8 * dtype.itemsize
    stored = np.finfo(dtype).nmant
    exponents = np.arange(2 ** (bits - stored), dtype=f"u{dtype.itemsize}") << stored
    return (exponents[:, None] | np.array(mantissas, exponents.dtype)).ravel().view(dtype)


def dense(f, dtype):
    """Return arguments that together take every path."""
    stored = np.finfo(dtype).nmant
    top = 1 << (stored - 1)  # of a nan: quiet
    if dtype.itemsize == 2:
        x = np.arange(2**16, dtype="u2").view("f2")
        others = np.array([0, -0.0, 1, -1, 0.5, 1e-7, 6e-5, -11, 17, 60000, -60000, INF, -INF, NAN], "f2")
        return (x,) if f.nin == 1 else np.broadcast_arrays(x[:, None], others)
    if f.nin == 1:
        near = np.linspace(-800, 800, 100_001).astype(dtype)
        return (np.r_[every(dtype, [0, 1, top, top + 1, 2 * top - 1, *range(2, 2 * top, top // 5)]), near],)
    x = every(dtype, [top])
    x = np.r_[x[:: max(1, len(x) // 512)], np.array([0, -0.0, 0.5, 1, -1, INF, -INF, NAN, 88, -88, 709, -709], dtype)]
    return np.broadcast_arrays(x[:, None], x)


def test_no_spurious_exceptions(f, dtype):
    args = dense(f, dtype)
    keep = ordinary(f, *args)
    args = [x[keep] for x in args]
    assert len(args[0]) > 1000
    with np.errstate(all="raise"):
        f(*args)
        f(*(x[::-3] for x in args))
        for n in range(40):
            f(*(x[n : 2 * n] for x in args))


@pytest.mark.parametrize("name", ["softplus", "log_sigmoid", "sigmoid", "mish", "logaddexp"])
def test_no_number_becomes_nan_or_infinite(ufuncs, name, dtype):
    f = ufuncs[name]
    args = np.stack(dense(f, dtype))
    y = f(*args)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(args).any(axis=0))
    assert np.isfinite(y[np.isfinite(args).all(axis=0)]).all()


def test_bce_of_targets_in_the_unit_interval_is_finite_and_nonnegative(ufuncs, dtype):
    x = every(dtype, [0, 1, (1 << np.finfo(dtype).nmant) - 1])
    x = x[np.isfinite(x)]
    with np.errstate(all="raise"):
        loss = ufuncs[BCE](x[:, None], np.linspace(0, 1, 17).astype(dtype))
    assert np.isfinite(loss).all()
    assert not np.signbit(loss).any()


def test_exceptions_of_numpys_casts_stay(f):
    """A loop puts back the status that it found, so that what NumPy's cast before it raised is still seen."""
    huge = np.full(9000, 1e300)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        f(*[huge] * f.nin, dtype="f4")
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        f(*[np.full(9000, 1e30, "f4")] * f.nin, dtype="f2")


def test_exceptions_of_the_cast_of_results_stay(ufuncs):
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        ufuncs["softplus"](np.full(9000, 1e30, "f4"), out=np.empty(9000, "f2"))


# Each line has a function, arguments, and the exception there: at a pole, at a point outside the domain, or none.
POLES = [
    ("logit", ("0",), "divide"),
    ("logit", ("1",), "divide"),
    ("logit", ("2",), "invalid"),
    ("logit", ("-inf",), "invalid"),
    ("log1mexp", ("0",), "divide"),
    ("log1mexp", ("tiny",), "invalid"),
    ("logexpm1", ("-0",), "divide"),
    ("logexpm1", ("-tiny",), "invalid"),
    ("logsubexp", ("1", "1"), "divide"),
    ("logsubexp", ("max", "max"), "divide"),
    ("logsubexp", ("0", "1"), "invalid"),
    ("logsubexp", ("inf", "inf"), None),
    ("logsubexp", ("-inf", "-inf"), None),
    ("xlogy", ("1", "0"), "divide"),
    ("xlogy", ("max", "0"), "divide"),
    ("xlogy", ("inf", "0"), None),
    ("xlogy", ("0", "0"), None),
    ("xlogy", ("0", "-1"), None),
    ("xlogy", ("1", "-1"), "invalid"),
    ("xlogy", ("inf", "1"), "invalid"),
    ("xlogy", ("max", "max"), None),
    ("xlog1py", ("-1", "-1"), "divide"),
    ("xlog1py", ("1", "-2"), "invalid"),
    ("xlog1py", ("max", "max"), None),
    ("entr", ("-1",), None),
    ("entr", ("max",), None),
    ("rel_entr", ("1", "0"), None),
    ("rel_entr", ("-1", "1"), None),
    ("rel_entr", ("max", "tiny"), None),
    ("rel_entr", ("inf", "inf"), "invalid"),
]


def recorder(seen):
    """Return a function for np.errstate's call= that adds the name of each exception to `seen`."""
    return lambda kind, _: seen.add(kind)


@pytest.mark.parametrize(("name", "args", "exception"), POLES)
def test_poles_and_invalid_points(ufuncs, name, args, exception, dtype):
    """Points raise what the mathematics raises, and no more, at any place in an array; other points raise nothing."""
    f = ufuncs[name]
    point = [parsed(x, dtype) for x in args]
    other = {"log1mexp": [-1], "logsubexp": [1, 0.5]}.get(name, [0.25] * f.nin)
    for n in (1, 3, 16, 37, 300):
        for where in {0, n // 2, n - 1}:
            arrays = [np.full(n, x, dtype) for x in other]
            for a, x in zip(arrays, point, strict=True):
                a[where] = x
            seen = set()
            with np.errstate(all="call"), np.errstate(call=recorder(seen)):
                f(*arrays)
                f(*(np.repeat(a, 2)[::2] for a in arrays))
            assert seen == {None: set(), "divide": {"divide by zero"}, "invalid": {"invalid value"}}[exception]


def test_an_earlier_exception_stays_beside_a_pole(ufuncs):
    """The pole is added to the status that the loop found, which holds the overflow of NumPy's cast."""
    x = np.array([1e300, 0.5, 0.0])
    seen = set()
    with np.errstate(all="call"), np.errstate(call=recorder(seen)):
        ufuncs["xlogy"](np.ones(3), x, dtype="f4")
    assert seen == {"overflow", "divide by zero"}


# ---- identities that hold bit for bit ----


def test_log_sigmoid_is_minus_softplus_of_minus_x(ufuncs, dtype):
    (x,) = dense(ufuncs["softplus"], dtype)
    x = x[~np.isnan(x)]
    same_bits(ufuncs["log_sigmoid"](x), -ufuncs["softplus"](-x))


def test_logaddexp_is_symmetric(ufuncs, dtype):
    f = ufuncs["logaddexp"]
    a, b = (x.ravel() for x in dense(f, dtype))
    number = ~np.isnan(a) & ~np.isnan(b)
    same_bits(f(a, b)[number], f(b, a)[number])
    np.testing.assert_array_equal(f(a, b), f(b, a))  # nan in both or in neither
    a, b = samples(f, dtype, 50_000)
    np.testing.assert_array_equal(f(a, b), f(b, a))


def test_minus_infinity_is_the_identity_of_logaddexp(ufuncs, dtype):
    (x,) = dense(ufuncs["softplus"], dtype)
    np.testing.assert_array_equal(ufuncs["logaddexp"](dtype.type(-INF), x), x)  # +0 for -0, as log(1) is


def test_bce_of_hard_targets_is_softplus(ufuncs, dtype):
    (x,) = dense(ufuncs["softplus"], dtype)
    x = -np.abs(x[~np.isnan(x)])
    same_bits(ufuncs[BCE](x, dtype.type(0)), ufuncs["softplus"](x))
    same_bits(ufuncs[BCE](-x, dtype.type(1)), ufuncs["softplus"](x))
    # On the wrong side softplus is rounded once, the loss as the sum |x| + softplus(-|x|).
    np.testing.assert_array_max_ulp(ufuncs[BCE](-x, dtype.type(0)), ufuncs["softplus"](-x), 1)
    np.testing.assert_array_max_ulp(ufuncs[BCE](x, dtype.type(1)), ufuncs["softplus"](-x), 1)


def test_logsubexp_from_0_is_log1mexp(ufuncs, dtype):
    x = -np.abs(dense(ufuncs["log1mexp"], dtype)[0])
    x = x[x < 0]
    np.testing.assert_allclose(
        ufuncs["logsubexp"](dtype.type(0), x),
        ufuncs["log1mexp"](x),
        rtol=4 * np.finfo(dtype).eps,
        atol=2 * float(np.finfo(dtype).smallest_subnormal),
    )


def test_logit_is_odd_about_one_half(ufuncs, dtype):
    p = np.linspace(0.5, 1, 2001).astype(dtype)[1:-1]
    same_bits(ufuncs["logit"](1 - p), -ufuncs["logit"](p))  # 1 - p is exact


def test_entr_and_rel_entr_beside_xlogy(ufuncs, dtype):
    p = np.abs(dense(ufuncs["entr"], dtype)[0])
    p = p[(p > 0) & np.isfinite(p)]
    same_bits(ufuncs["entr"](p), -ufuncs["xlogy"](p, p))
    np.testing.assert_array_max_ulp(ufuncs["rel_entr"](p, dtype.type(1)), ufuncs["xlogy"](p, p), 2)


# ---- properties ----

WIDTHS = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NEAR = np.arange(-16, 17)


def neighbours(x, dtype):
    """Return x and the 16 numbers on either side of it."""
    x = np.array(x, dtype)
    integer = f"i{x.itemsize}"
    with np.errstate(over="ignore"):
        y = (np.abs(x).view(integer) + NEAR[NEAR + np.abs(x).view(integer) >= 0].astype(integer)).view(dtype)
    return np.copysign(y[np.isfinite(y)], x)


def spacing(x):
    return np.spacing(np.abs(x))


# Points at which the kernels branch: 0, log 2 and its halves, the ends of the normal and of the subnormal results.
BRANCHES = [
    0.0,
    1 / 32,
    LOG_2 / 2,
    0.55,
    LOG_2,
    1.0,
    20.0,
    20.1,
    40.0,
    40.2,
    87.0,
    87.33655,
    103.97,
    708.0,
    708.3964,
    745.13,
]
near_branches = st.tuples(st.sampled_from(BRANCHES), st.sampled_from([-1, 1]), st.integers(-9, 9))
arguments = st.one_of(
    st.floats(-800, 800),
    st.floats(-20, 20),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    near_branches.map(lambda t: t[1] * (t[0] + t[2] * 1e-5)),
)


@WIDTHS
@pytest.mark.parametrize("name", ["softplus", "log_sigmoid", "sigmoid"])
@given(x=arguments)
def test_monotonic(ufuncs, name, dtype, x):
    x = np.sort(neighbours(x, dtype))
    y = ufuncs[name](x)
    assert (y[:-1] <= y[1:] + 2 * spacing(y[1:])).all()


@WIDTHS
@given(x=arguments)
def test_softplus_of_both_signs(ufuncs, dtype, x):
    """Each softplus is right to an ulp of its own, and the greater ulp counts; the difference rounds once."""
    x = neighbours(x, dtype)
    f = ufuncs["softplus"]
    assert (np.abs(f(x) - f(-x) - x) <= 2 * spacing(np.maximum(f(x), f(-x)))).all()


@WIDTHS
@given(x=arguments)
def test_sigmoid_of_both_signs(ufuncs, dtype, x):
    x = neighbours(x, dtype)
    f = ufuncs["sigmoid"]
    assert (np.abs(f(x) + f(-x) - 1) <= np.finfo(dtype).eps).all()


# Multiples of 2^-10 below 2^12, which both widths add exactly.
exact_numbers = st.integers(-(2**22), 2**22).map(lambda k: k * 2.0**-10)
differences = st.one_of(exact_numbers, st.integers(-20_000, 20_000).map(lambda k: k * 2.0**-10))


@WIDTHS
@given(a=exact_numbers, d=differences, c=exact_numbers)
def test_logaddexp_shifts(ufuncs, dtype, a, d, c):
    f = ufuncs["logaddexp"]
    a, b, c = dtype(a), dtype(np.clip(a + d, -4096, 4096)), dtype(c)
    left, right = f(a + c, b + c), f(a, b)
    assert abs(left - (c + right)) <= 2 * spacing(max(abs(left), abs(right), abs(c)))


@WIDTHS
@given(a=arguments, b=arguments)
def test_logaddexp_is_at_least_the_greater(ufuncs, dtype, a, b):
    f = ufuncs["logaddexp"]
    a, b = (neighbours(x, dtype)[:17] for x in (a, b))
    for x, y in itertools.product((a,), (b, b[::-1])):
        n = min(len(x), len(y))
        x, y = x[:n], y[:n]
        greater = np.maximum(x, y)
        z = f(x, y)
        assert (z >= greater - spacing(greater)).all()
        assert (z <= greater + dtype(LOG_2) + 2 * spacing(np.abs(greater) + 1)).all()


@WIDTHS
@given(x=st.one_of(st.floats(1e-3, 80), st.floats(0.5, 1.0)))
def test_logexpm1_is_the_inverse_of_softplus(ufuncs, dtype, x):
    """softplus(logexpm1(x)) = x: an error of y = logexpm1(x) counts with softplus's derivative, sigmoid(y)."""
    x = neighbours(x, dtype)
    y = ufuncs["logexpm1"](x)
    bound = 2 * spacing(x) + spacing(y) * ufuncs["sigmoid"](y)
    assert (np.abs(ufuncs["softplus"](y) - x) <= bound).all()


@WIDTHS
@given(x=st.floats(-30, 8))
def test_logit_is_the_inverse_of_sigmoid(ufuncs, dtype, x):
    """An ulp of p moves logit(p) by ulp(p)/(p (1 - p))."""
    x = neighbours(x, dtype)
    p = ufuncs["sigmoid"](x)
    bound = 2 * spacing(x) + 1.5 * spacing(p) / (p * (1 - p))
    assert (np.abs(ufuncs["logit"](p) - x) <= bound).all()


@WIDTHS
@given(x=st.one_of(st.floats(-30, -1e-3), st.floats(-1, -0.5)))
def test_log1mexp_is_its_own_inverse(ufuncs, dtype, x):
    """log(1 - e^y) = x for y = log(1 - e^x); the derivative there is -e^y/(1 - e^y) = -e^(y-x)."""
    x = neighbours(x, dtype)
    f = ufuncs["log1mexp"]
    y = f(x)
    bound = 2 * spacing(x) + 2 * spacing(y) * np.exp(y.astype(np.float64) - x)
    assert (np.abs(f(y) - x) <= bound).all()


@WIDTHS
@given(a=arguments, d=st.floats(-10, 10))
def test_logsubexp_undoes_logaddexp(ufuncs, dtype, a, d):
    """Where b counts, log(e^s - e^a) of s = log(e^a + e^b) is b to the errors of s, magnified by e^(s-b)."""
    a, b = dtype(a), dtype(a + d)
    s = ufuncs["logaddexp"](a, b)
    assume(np.isfinite(s) and abs(a - b) < 11 and s > a)
    unit = spacing(max(abs(a), abs(b), abs(s), dtype(1)))
    assert abs(ufuncs["logsubexp"](s, a) - b) <= 3 * unit * np.exp(float(s) - float(b)) * 1.5


@WIDTHS
@pytest.mark.parametrize("name", ["logit", "log1mexp", "logexpm1"])
@given(x=arguments)
def test_differences_are_monotonic(ufuncs, name, dtype, x):
    x = np.sort(np.abs(neighbours(x, dtype)))
    x = {"logit": x[x < 1], "log1mexp": -x[::-1], "logexpm1": x}[name]
    x = x[x != 0]
    y = ufuncs[name](x)
    step = np.diff(y) * (-1 if name == "log1mexp" else 1)
    assert (step >= -2 * spacing(y[1:])).all()
