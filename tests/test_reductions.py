"""logsumexp, softmax, log_softmax: SciPy's shapes, dtypes, exceptions and values, and the limits."""

import inspect
import pickle
from fractions import Fraction

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.exceptions import AxisError

import fastlog
from fastlog._core import functions, supported_targets

FUNCTIONS = ["logsumexp", "softmax", "log_softmax"]
AXES = [None, 0, 1, 2, -1, -3, np.int64(1), (0, 1), (1, 2), (0, 2), (2, 0), (-1,), (), (0, 1, 2)]
INF = np.inf


def both(name):
    return getattr(fastlog, name), getattr(scipy.special, name)


def assert_same(got, expected, rtol=1e-12):
    assert np.shape(got) == np.shape(expected)
    assert got.dtype == expected.dtype
    assert type(got) is type(expected)
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_axes(name, axis, order):
    ours, theirs = both(name)
    x = np.random.default_rng(0).normal(0, 4, (4, 5, 6))
    if order == "F":
        x = np.asfortranarray(x)
    elif order == "strided":
        x = np.repeat(x, 2, axis=1)[::-1, ::2]
    assert_same(ours(x, axis), theirs(x, axis))
    if name == "logsumexp":
        assert_same(ours(x, axis, keepdims=True), theirs(x, axis, keepdims=True))
    else:
        assert ours(x, axis).flags.c_contiguous


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 1000), (1000, 2), (33, 65), (2, 3, 70), (1, 1), (300, 17)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("target", supported_targets())
def test_every_target_and_layout(target, dtype, shape, name):
    ours, theirs = functions(target)[name], getattr(scipy.special, name)
    x = np.random.default_rng(1).normal(0, 3, shape)
    rtol = 2e-6 if dtype == "f4" else 1e-14
    for axis in range(x.ndim):
        y = ours(x.astype(dtype), axis=axis)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, theirs(x.astype(dtype).astype("f8"), axis=axis), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_short_way_agrees_with_the_general_one(name):
    """Rows of plain arrays, which skip the ufunc machinery, give the same bits."""
    ours = getattr(fastlog, name)
    for shape in [(10,), (1000,), (6, 7), (40, 200), (200, 40), (3, 4, 5)]:
        x = np.random.default_rng(2).normal(0, 5, shape)
        for axis in [None, *range(-x.ndim, x.ndim)]:
            plain = ours(x, axis)
            np.testing.assert_array_equal(ours(x, axis, dtype="f8"), plain)
    for n in range(70):
        x = np.random.default_rng(n).normal(0, 5, n).astype("f4")
        np.testing.assert_array_equal(ours(x), ours(list(x), dtype="f4"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_do_not_depend_on_alignment_or_byte_order(name):
    ours = getattr(fastlog, name)
    x = np.random.default_rng(3).normal(0, 5, (20, 30))
    packed = np.zeros((20, 30), dtype=[("pad", "u1"), ("x", "f8")])
    packed["x"] = x
    for other in (packed["x"], x.astype(">f8")):
        for axis in (None, 0, 1):
            np.testing.assert_array_equal(ours(other, axis), ours(x, axis))
            assert ours(other, axis).dtype.isnative
    x.flags.writeable = False
    ours(x, 1)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("dtype", "result"),
    [("f2", "f2"), ("f4", "f4"), ("f8", "f8"), ("g", "g"), ("F", "F"), ("D", "D")]
    + [(code, "f8") for code in "?bBhHiIlLqQ"],
)
def test_dtypes(name, dtype, result):
    ours = getattr(fastlog, name)
    x = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    for axis in (None, 0, 1):
        y = ours(x, axis)
        assert y.dtype == result
        expected = getattr(scipy.special, name)(x.astype(complex if x.dtype.kind == "c" else float), axis)
        np.testing.assert_allclose(y, expected, rtol=1e-2 if dtype == "f2" else 1e-6)


def test_bfloat16_returns_as_it_came():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = np.array([1, 2, 3], bfloat16)
    for name in FUNCTIONS:
        assert getattr(fastlog, name)(x).dtype == bfloat16
    assert fastlog.logsumexp(np.zeros(70000, bfloat16)) == bfloat16(np.log(70000))


def test_float16_sums_beyond_its_range():
    assert fastlog.logsumexp(np.zeros(70000, "f2")) == np.float16(np.log(70000))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scalars(name):
    ours = getattr(fastlog, name)
    for x, kind in [(2.0, np.float64), (np.float32(2), np.float32), (True, np.float64), (np.array(3.0), np.float64)]:
        for axis in (None, 0, -1, ()):
            assert type(ours(x, axis)) is kind
    assert fastlog.logsumexp(5.0, keepdims=True).shape == ()
    assert f"{fastlog.logsumexp([1.0, 2.0]):.3f}" == "2.313"


PUBLIC = [
    "logsumexp", "softmax", "log_softmax", "logmeanexp", "logcumsumexp", "cross_entropy", "nll_loss", "kl_divergence",
    "binary_cross_entropy_with_logits", "focal_loss",
]  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_wrong_calls_name_the_function(name):
    """Errors name the function. Its signature with its defaults stands in one place."""
    f, x = getattr(fastlog, name), np.eye(2)
    required = [x] * (name in PUBLIC[5:])
    for args, options, match in (
        ((x, *required), {"dim": 1}, "got an unexpected keyword argument 'dim'"),
        ((), {}, "(takes|missing)"),
        ((x,) * 9, {}, "takes .* positional arguments"),
        ((x, *required), {next(iter(inspect.signature(f).parameters)): x}, "got multiple values for .*argument"),
    ):
        with pytest.raises(TypeError, match=rf"^{name}\(\) {match}"):
            f(*args, **options)
    assert (f.__name__, f.__qualname__, f.__module__) == (name, name, inspect.unwrap(f).__module__)
    assert not any(getattr(f, written, None) for written in ("__defaults__", "__kwdefaults__"))
    assert inspect.signature(f) == inspect.signature(inspect.unwrap(f))
    assert pickle.loads(pickle.dumps(f)) is f


BAD_ARGUMENTS = {
    "ragged": ([[1.0], [2.0, 3.0]], "length"),
    "string": ("abc", "convert"),
    "strings": (np.array(["a"]), "convert"),
    "objects": (np.array([1.0, None]), "convert"),
    "fractions": ([Fraction(1, 3)], "convert"),
    "datetime": (np.array(["2020-01-01"], "M8[D]"), "convert"),
    "timedelta": (np.array([1], "m8[s]"), "convert"),
    "none": (None, "convert"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", BAD_ARGUMENTS)
def test_bad_arguments(name, kind):
    x, word = BAD_ARGUMENTS[kind]
    with pytest.raises(TypeError, match=word) as caught:
        getattr(fastlog, name)(x)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("axis", "error"),
    [(3, AxisError), (-4, AxisError), ((0, 5), AxisError), ((1, 1), ValueError), ((0, -3), ValueError),
     (1.0, TypeError), ("0", TypeError), (True, TypeError), ([0], TypeError), (np.array([0, 1]), TypeError)],
)  # fmt: skip
def test_bad_axes(name, axis, error):
    with pytest.raises(error):
        getattr(fastlog, name)(np.zeros((2, 3, 4)), axis)
    if isinstance(axis, int) and axis is not True:
        with pytest.raises(error):
            getattr(fastlog, name)(np.zeros(5), axis)


def test_empty():
    lse = fastlog.logsumexp
    assert lse([]) == -INF
    assert lse(np.empty((0, 3))) == -INF
    assert lse([], return_sign=True) == (-INF, 0)
    np.testing.assert_array_equal(lse(np.empty((0, 3)), axis=0), [-INF] * 3)
    assert lse(np.empty((0, 3)), axis=1).shape == (0,)
    assert lse(np.empty((3, 0), "f4"), axis=1, keepdims=True).shape == (3, 1)
    assert lse(np.empty((3, 0), "g"), axis=1).tolist() == [-INF] * 3
    for f in (fastlog.softmax, fastlog.log_softmax):
        for axis in (None, 0, 1, (0, 1)):
            assert f(np.empty((0, 3)), axis).shape == (0, 3)
            assert f(np.empty((3, 0), "f4"), axis).dtype == "f4"


LIMITS = [  # row, logsumexp, softmax, log_softmax
    ([-INF, -INF], -INF, [np.nan, np.nan], [np.nan, np.nan]),
    ([-INF, 0.0], 0.0, [0.0, 1.0], [-INF, 0.0]),
    ([INF, 0.0], INF, [np.nan, np.nan], [np.nan, -INF]),
    ([INF, INF], INF, [np.nan, np.nan], [np.nan, np.nan]),
    ([INF, -INF], INF, [np.nan, np.nan], [np.nan, -INF]),
    ([np.nan, 0.0], np.nan, [np.nan, np.nan], [np.nan, np.nan]),
    ([np.nan, INF], np.nan, [np.nan, np.nan], [np.nan, np.nan]),
    ([np.nan, -INF], np.nan, [np.nan, np.nan], [np.nan, np.nan]),
    ([1.7e308, -1.7e308], 1.7e308, [1.0, 0.0], [0.0, -INF]),
    ([1000.0, 1.0], 1000.0, [1.0, 0.0], [0.0, -999.0]),
]


@pytest.mark.parametrize("target", supported_targets())
@pytest.mark.parametrize(("row", "lse", "soft", "log"), LIMITS)
@pytest.mark.parametrize("length", [2, 3, 40, 200, 5000])
def test_limits(target, row, lse, soft, log, length):
    """The limits hold for every row among others, in both layouts, and raise nothing. The padding -inf adds nothing."""
    x = np.zeros((5, length))
    x[2] = -INF
    x[2, [0, -1]] = row
    inner = [-INF if np.isfinite(lse) or lse == INF else np.nan] * (length - 2)
    ufuncs = functions(target)
    with np.errstate(all="raise"):
        for a in (x, np.asfortranarray(x)):
            got = {name: ufuncs[name](a) for name in FUNCTIONS}
            np.testing.assert_array_equal(got["logsumexp"][2], lse)
            np.testing.assert_array_equal(got["softmax"][2][[0, -1]], soft)
            np.testing.assert_array_equal(got["log_softmax"][2][[0, -1]], log)
            np.testing.assert_array_equal(got["log_softmax"][2][1:-1], inner)
            others = [0, 1, 3, 4]
            np.testing.assert_allclose(got["logsumexp"][others], np.log(length))
            np.testing.assert_allclose(got["softmax"][others], 1 / length)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_in_its_row(name):
    for shape in [(30, 5), (30, 500)]:
        x = np.random.default_rng(4).normal(size=shape)
        x[7, 3] = np.nan
        for payload in (0x7FF8000000000000, 0x7FF0000000000001, 0xFFFFFFFFFFFFFFFF, 0x7FF8000000000123):
            x[7, 3] = np.array([payload], "u8").view("f8")[0]
            for a, axis in [(x, 1), (x.T.copy(), 0)]:
                y = getattr(fastlog, name)(a, axis)
                hurt = np.isnan(y if name == "logsumexp" else y.sum(axis))
                assert hurt.tolist() == [i == 7 for i in range(30)]


def test_dominant_entry_keeps_its_digits():
    np.testing.assert_allclose(fastlog.log_softmax(np.float32([0, -17]))[0], -np.log1p(np.exp(-17.0)), rtol=1e-7)
    np.testing.assert_allclose(fastlog.log_softmax([0, -37.0])[0], -np.log1p(np.exp(-37.0)), rtol=1e-15)
    np.testing.assert_allclose(fastlog.logsumexp([0, -40.0]), np.log1p(np.exp(-40.0)), rtol=1e-15)
    assert fastlog.logsumexp(np.float32([0, -100])) == np.float32(np.exp(-100.0))


def test_subnormal_softmax():
    y = fastlog.softmax(np.float32([0, -100, -103, -104, -110]))
    np.testing.assert_array_equal(y, np.float32([1, np.exp(-100.0), np.exp(-103.0), 0, 0]))


def test_weights():
    x = np.random.default_rng(5).normal(0, 3, (4, 5))
    for b in (2, 0.5, True, [1, 2, 3, 4, 5], np.arange(4)[:, None], np.random.default_rng(6).random((3, 4, 5))):
        for axis in (None, 0, -1, (0, 1)):
            expected = scipy.special.logsumexp(x, axis, b=b)
            np.testing.assert_allclose(fastlog.logsumexp(x, axis, b), expected, rtol=1e-13)
    signed = np.random.default_rng(7).normal(size=(4, 5))
    for axis in (None, 0, 1):
        got = fastlog.logsumexp(x, axis, b=signed, return_sign=True)
        expected = scipy.special.logsumexp(x, axis, b=signed, return_sign=True)
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-11)
        np.testing.assert_array_equal(got[1], expected[1])
    assert fastlog.logsumexp([INF, np.nan, 1.0], b=[0, 0, 1]) == 1
    assert fastlog.logsumexp([0, 0], b=[1e308, 1e308]) == pytest.approx(709.889355822726, rel=1e-15)
    assert fastlog.logsumexp([1.0, 1.0], b=[1, -1], return_sign=True) == (-INF, 0)
    assert np.isnan(fastlog.logsumexp([1.0, 2.0], b=[1, -1]))
    assert np.isnan(fastlog.logsumexp([1.0, 2.0], b=[np.nan, 1]))
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        fastlog.logsumexp([1, 2, 3], b=[1, 2])


def test_weights_keep_float32_and_follow_infinities():
    x = np.float32([1, 2])
    for b in (2, 2.0, True, np.float32(2), np.float32([1, 2])):
        assert fastlog.logsumexp(x, b=b).dtype == np.float32
        if hasattr(scipy.special, "softplus"):  # SciPy 1.15; before, some are float64
            assert scipy.special.logsumexp(x, b=b).dtype == np.float32
    assert fastlog.logsumexp(x, b=[1.0, 2.0]).dtype == np.float64
    assert np.isnan(fastlog.logsumexp([INF, INF], b=[-1, 1], return_sign=True)).all()
    z = np.array([1 + 1j, 2 - 1j])
    got = fastlog.logsumexp(z, b=[1, 2], return_sign=True)
    expected = scipy.special.logsumexp(z, b=[1, 2], return_sign=True)
    assert got[0].dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=1e-13)


def test_sixty_four_dimensions():
    x = np.zeros((1,) * 63 + (2,))
    for axis in (None, 63, -1, 0):
        for name in FUNCTIONS:
            ours, theirs = both(name)
            np.testing.assert_allclose(ours(x, axis), theirs(x, axis))


def test_where():
    x = np.random.default_rng(8).normal(size=(4, 5))
    where = np.random.default_rng(9).random((4, 5)) < 0.5
    where[1] = False
    masked = np.where(where, x, -INF)
    np.testing.assert_array_equal(fastlog.logsumexp(x, 1, where=where), fastlog.logsumexp(masked, 1))
    soft, log = fastlog.softmax(x, 1, where=where), fastlog.log_softmax(x, 1, where=where)
    np.testing.assert_array_equal(soft[1], 0)
    np.testing.assert_array_equal(log[1], -INF)
    np.testing.assert_array_equal(soft[~where], 0)
    np.testing.assert_allclose(soft.sum(1), where.any(1))
    assert fastlog.logsumexp([1.0, 2.0], where=False) == -INF
    with pytest.raises(TypeError, match="bool"):
        fastlog.softmax(x, where=np.ones(5))
    with pytest.raises(ValueError, match="shape"):
        fastlog.logsumexp(x, where=np.ones((3, 4, 5), bool))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_out(name):
    f = getattr(fastlog, name)
    x = np.random.default_rng(10).normal(size=(4, 5))
    out = np.empty_like(f(x, 1))
    assert f(x, 1, out=out) is out
    np.testing.assert_array_equal(out, f(x, 1))
    with pytest.raises(ValueError, match="shape"):
        f(x, 1, out=np.empty(3))
    with pytest.raises(TypeError):
        f(x, 1, out=np.empty(out.shape, int))
    with pytest.raises(TypeError, match="ndarray"):
        f(x, 1, out=[0.0])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(40,), (4, 5), (3, 300), (300, 3), (70, 70)])
def test_out_in_place_and_overlapping(name, shape):
    f = getattr(fastlog, name)
    x = np.random.default_rng(15).normal(size=shape)
    for axis in (None, *range(x.ndim)):
        expected = f(x, axis)
        copy = x.copy()
        assert f(copy, axis, out=copy) is copy
        np.testing.assert_array_equal(copy, expected)
        memory = np.zeros(x.size + 3)
        memory[: x.size] = x.ravel()
        shifted = memory[3:].reshape(shape)
        f(memory[: x.size].reshape(shape), axis, out=shifted)
        np.testing.assert_array_equal(shifted, expected)
        for out in (np.empty(shape, order="F"), np.empty(shape, "g"), np.empty((*shape[:-1], 2 * shape[-1]))[..., ::2]):
            np.testing.assert_array_equal(f(x, axis, out=out), expected)
        read_only = np.empty(shape)
        read_only.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            f(x, axis, out=read_only)


def test_dtype_option():
    x = np.random.default_rng(11).normal(size=(4, 5)).astype("f4")
    np.testing.assert_array_equal(fastlog.log_softmax(x, 1, dtype="f8"), fastlog.log_softmax(x.astype("f8"), 1))
    assert fastlog.logsumexp([1, 2], dtype=np.float32).dtype == np.float32
    for dtype in (int, bool, "S3"):
        with pytest.raises(TypeError, match="dtype"):
            fastlog.logsumexp(x, dtype=dtype)


def test_masked_arrays_count_their_mask():
    x = np.ma.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], mask=[[0, 0, 1], [1, 1, 1]])
    y = fastlog.logsumexp(x, axis=1)
    assert y[0] == fastlog.logsumexp([1.0, 2.0])
    assert y.mask.tolist() == [False, True]
    column = fastlog.logsumexp(np.ma.array([1.0, 2.0], mask=[0, 1]), b=np.ones((2, 2)), axis=0)
    assert column.mask.tolist() == [False, True]
    soft = fastlog.softmax(x, axis=1)
    assert soft.mask.tolist() == x.mask.tolist()
    np.testing.assert_array_equal(soft[0].compressed(), fastlog.softmax([1.0, 2.0]))


def test_complex_agrees_with_scipy():
    rng = np.random.default_rng(12)
    z = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
    for name in FUNCTIONS:
        ours, theirs = both(name)
        for axis in (None, 0, 1):
            np.testing.assert_allclose(ours(z, axis), theirs(z, axis), rtol=1e-13)
    got = fastlog.logsumexp(z, 1, return_sign=True)
    expected = scipy.special.logsumexp(z, 1, return_sign=True)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


def test_call_forms():
    """The spellings that packages use are understood."""
    lse = fastlog.logsumexp
    a = np.random.default_rng(13).normal(size=(3, 4))
    assert_same(lse(a, 1, keepdims=True), scipy.special.logsumexp(a, 1, keepdims=True))
    assert_same(lse(a=[1.0, 2.0], b=[0.5, -0.5], return_sign=True)[0], np.float64(np.log(0.5 * (np.e**2 - np.e))))
    assert_same(lse([a[0], a[1]], axis=0), scipy.special.logsumexp([a[0], a[1]], axis=0))
    assert_same(lse(a, b=1 / a.size), scipy.special.logsumexp(a, b=1 / a.size))
    assert_same(lse(a, axis=(-2, -1), b=True), scipy.special.logsumexp(a, axis=(-2, -1)))
    record = np.zeros(5, dtype=[("logL", "f8"), ("logW", "f8")])
    assert_same(lse(record["logL"] + record["logW"]), np.float64(np.log(5)))
    assert_same(lse(a.T - 1, axis=1), scipy.special.logsumexp(a.T - 1, axis=1))


def test_no_warnings_from_ordinary_data():
    for scale in (1e-300, 1e-40, 1.0, 100.0, 1e300):
        x = scale * np.random.default_rng(14).normal(size=(20, 50))
        single = np.clip(x, -3e38, 3e38).astype("f4")
        half = np.clip(x, -30000, 30000).astype("f2")
        with np.errstate(all="raise"):
            for name in FUNCTIONS:
                for axis in (None, 0, 1):
                    for a in (x, single, half):
                        getattr(fastlog, name)(a, axis)


finite_rows = hnp.arrays(np.float64, st.integers(1, 100), elements=st.floats(-700, 700))


@given(finite_rows, st.floats(-500, 500))
def test_shift_moves_logsumexp(x, c):
    assert fastlog.logsumexp(x + c) == pytest.approx(fastlog.logsumexp(x) + c, abs=1e-12, rel=1e-13)


@given(finite_rows)
def test_softmax_sums_to_one_and_matches_its_logarithm(x):
    soft, log = fastlog.softmax(x), fastlog.log_softmax(x)
    assert soft.sum() == pytest.approx(1, rel=1e-14)
    normal = soft > 1e-300
    np.testing.assert_allclose(np.exp(log[normal]), soft[normal], rtol=2e-13)
    assert (log <= 0).all()


@given(finite_rows)
def test_logsumexp_lies_between_its_bounds(x):
    y = fastlog.logsumexp(x)
    assert x.max() <= y <= x.max() + np.log(x.size) * (1 + 1e-15) + 1e-13


@given(hnp.arrays(np.float64, st.integers(2, 12), elements=st.floats(-20, 20)))
def test_gradient_of_logsumexp_is_softmax(x):
    h = 1e-5
    for k in range(x.size):
        step = np.zeros(x.size)
        step[k] = h
        slope = (fastlog.logsumexp(x + step) - fastlog.logsumexp(x - step)) / (2 * h)
        assert slope == pytest.approx(fastlog.softmax(x)[k], abs=1e-8)


@given(finite_rows, st.integers(0, 99))
def test_parts_join_by_logaddexp(x, k):
    k %= x.size
    parts = [fastlog.logsumexp(x[:k]), fastlog.logsumexp(x[k:])]
    assert fastlog.logaddexp(*parts) == pytest.approx(fastlog.logsumexp(x), abs=1e-12, rel=1e-14)


def test_duplicate_axes_of_scalars():
    for f in (fastlog.logsumexp, fastlog.softmax, fastlog.log_softmax, fastlog.logmeanexp):
        for axis in ((0, 0), (0, -1)):
            with pytest.raises(ValueError, match="duplicate"):
                f(np.float64(1), axis=axis)
