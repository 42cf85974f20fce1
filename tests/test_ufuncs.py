"""Elementwise ufuncs in NumPy: layouts, keywords, dtypes, methods, containers, threads."""

import copy
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.arrays import same_bits, samples

import fastlog
from fastlog import _core

INTEGERS = [*np.typecodes["AllInteger"], "?"]
TWO = {name: f for name, f in _core.functions().items() if f.signature is None and f.nin == 2}
WITHOUT_IDENTITY = [name for name, f in TWO.items() if f.identity is None]
SHAPE = 7, 9, 143  # more than NumPy's buffer of 8192 elements
SIZE = np.prod(SHAPE)

# ---- where an element stands does not matter ----


def test_any_length_from_anywhere(f, dtype):
    args = samples(f, dtype, 9000)
    whole = f(*args)
    for n in [*range(4 * 16 + 2), 1000, 8191]:
        for start in (0, n % 7 + 1):
            same_bits(f(*(x[start : start + n] for x in args)), whole[start : start + n])


def strided(step):
    def layout(x):
        y = np.full(abs(step) * SIZE, 7, x.dtype)[::step]
        y[:] = x
        return y

    return layout


def unaligned(x):
    y = np.frombuffer(bytearray(x.nbytes + 1), x.dtype, offset=1)
    y[:] = x
    assert not y.flags.aligned
    return y


def packed(x):
    y = np.zeros(SIZE, [("pad", "u1"), ("x", x.dtype)])
    y["x"] = x
    return y["x"]


def readonly(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def sliced(x):
    y = np.full((2 * 63, 3 * 143), 7, x.dtype)[::2, 1::3]
    y[:] = x.reshape(y.shape)
    return y


LAYOUTS = {
    "contiguous": np.copy,
    "stride 2": strided(2),
    "stride 3": strided(3),
    "reversed": strided(-1),
    "stride -2": strided(-2),
    "unaligned": unaligned,
    "packed": packed,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": readonly,
    "Fortran": lambda x: np.asfortranarray(x.reshape(63, 143)),
    "transposed": lambda x: x.reshape(SHAPE).transpose(1, 2, 0).copy().transpose(2, 0, 1),
    "sliced": sliced,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(f, dtype, layout):
    args = samples(f, dtype, SIZE)
    whole = f(*args)
    first = LAYOUTS[layout](args[0])
    plain = [x.reshape(first.shape) for x in args]
    for given in itertools.product((True, False), repeat=f.nin):
        mixed = [LAYOUTS[layout](x) if here else p for x, p, here in zip(args, plain, given, strict=True)]
        same_bits(f(*mixed), whole.reshape(first.shape))


@pytest.mark.parametrize("layout", ["stride 2", "reversed", "unaligned", "packed", "byte-swapped", "sliced"])
def test_any_layout_of_out(f, dtype, layout):
    args = samples(f, dtype, SIZE)
    out = LAYOUTS[layout](np.zeros(SIZE, dtype))
    assert f(*(x.reshape(out.shape) for x in args), out=out) is out
    same_bits(out.astype(dtype), f(*args).reshape(out.shape))


def test_stride_0(f, dtype):
    args = samples(f, dtype, 40)
    whole = f(*args)
    for i in range(40):
        for n in (1, 3, 70):
            same_bits(f(*(np.broadcast_to(x[i], n) for x in args)), np.broadcast_to(whole[i], n))


def test_columns_of_a_matrix(f, dtype):
    args = [x.reshape(30, 21) for x in samples(f, dtype, 630)]
    whole = f(*args)
    for j in range(21):
        same_bits(f(*(x[:, j] for x in args)), whole[:, j])


PAIRS = list(itertools.product([(), (1,), (37,), (41, 1), (1, 37), (41, 37)], repeat=2))


@pytest.mark.parametrize("shapes", PAIRS, ids=str)
def test_broadcasting(binary, dtype, shapes):
    whole = samples(binary, dtype, 41 * 37)
    args = [x[: np.prod(shape, dtype=int)].reshape(shape) for x, shape in zip(whole, shapes, strict=True)]
    with np.errstate(all="ignore"):  # the pairs are new
        same_bits(binary(*args), binary(*(np.copy(x) for x in np.broadcast_arrays(*args))))


def test_float16_is_float32_rounded(f):
    args = [np.arange(2**16, dtype="u2").view("f2")] if f.nin == 1 else samples(f, "f2", 50_000)
    with np.errstate(all="ignore"):
        expected = f(*(x.astype("f4") for x in args)).astype("f2")
        got = f(*args)
    number = ~np.isnan(expected)
    same_bits(np.isnan(got), ~number)
    same_bits(got[number], expected[number])


def test_threads(f):
    args = samples(f, "f4", 200_000)
    whole = f(*args)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda start: (start, f(*(x[start:] for x in args))), range(16)):
            same_bits(got[1], whole[got[0] :])


# ---- out=, where=, casting=, dtype=, order=, subok= ----


def test_in_place(f, dtype):
    for n in (1, 5, 300, 9000):
        args = samples(f, dtype, n)
        whole = f(*args)
        for i in range(f.nin):
            mine = [x.copy() for x in args]
            assert f(*mine, out=mine[i]) is mine[i]
            same_bits(mine[i], whole)


def test_one_array_for_everything(binary, dtype):
    x = samples(binary, dtype, 1000)[0]
    with np.errstate(all="ignore"):
        whole = binary(x, x.copy())
        assert binary(x, x, out=x) is x
    same_bits(x, whole)


OVERLAPS = {
    "behind": (slice(3, None), slice(None, -3)),
    "ahead": (slice(None, -3), slice(3, None)),
    "next": (slice(None, -1), slice(1, None)),
    "previous": (slice(1, None), slice(None, -1)),
    "reversed": (slice(None), slice(None, None, -1)),
    "spread": (slice(None, 500), slice(None, 1000, 2)),
}


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_overlap(f, dtype, overlap):
    source, destination = OVERLAPS[overlap]
    args = samples(f, dtype, 1001)
    for i in range(f.nin):
        buffer = args[i].copy()
        mine = [x[source].copy() for x in args]
        expected = buffer.copy()
        expected[destination] = f(*mine)
        mine[i] = buffer[source]
        f(*mine, out=buffer[destination])
        same_bits(buffer, expected)


@pytest.mark.parametrize("wider", ["f4", "f8", "g", "c16"])
def test_wider_out(f, dtype, wider):
    args = samples(f, dtype, 100)
    if not np.can_cast(dtype, wider):
        with pytest.raises(TypeError, match=f.__name__):
            f(*args, out=np.empty(100, wider), casting="safe")
        return
    out = np.empty(100, wider)
    assert f(*args, out=(out,)) is out
    np.testing.assert_array_equal(out, f(*args).astype(wider))


def test_casting_errors(f):
    x = [np.full(4, 0.25)] * f.nin
    for keywords in (
        {"out": np.empty(4, "f4"), "casting": "safe"},
        {"out": np.empty(4, "i8")},
        {"out": np.empty(4, bool)},
        {"dtype": "f4", "casting": "safe"},
        {"dtype": "f4", "casting": "no"},
        {"dtype": "i8"},
        {"dtype": "g"},
        {"dtype": "c16"},
    ):
        with pytest.raises(TypeError, match=f.__name__):
            f(*x, **keywords)
    with pytest.raises(ValueError, match="shape"):
        f(*x, out=np.empty(3))
    with pytest.raises(TypeError):
        f(*x, 1.0)


def test_narrower_out(f):
    args = samples(f, "f8", 100)
    with np.errstate(all="ignore"):
        same_bits(f(*args, out=np.empty(100, "f4")), f(*args).astype("f4"))


def test_dtype_is_that_of_the_computation(f, dtype):
    for given in ("f2", "f4", "f8"):
        args = samples(f, given, 100)
        with np.errstate(all="ignore"):
            expected = f(*(x.astype(dtype) for x in args))
            same_bits(f(*args, dtype=dtype), expected)
            same_bits(f(*args, signature=(dtype,) * f.nargs), expected)
    ints = [np.arange(5)] * f.nin
    with np.errstate(all="ignore"):
        same_bits(f(*ints, dtype=dtype), f(*(x.astype(dtype) for x in ints)))


def test_where(f, dtype):
    args = samples(f, dtype, 3000)
    whole = f(*args)
    for share in (0, 0.03, 0.5, 0.97, 1):
        selected = np.random.default_rng(1).random(3000) < share
        out = np.full(3000, 7, dtype)
        f(*args, out=out, where=selected)
        same_bits(out, np.where(selected, whole, dtype.type(7)))
        same_bits(f(*args, out=None, where=selected)[selected], whole[selected])


def test_where_broadcasts(f, dtype):
    args = [x.reshape(6, 50) for x in samples(f, dtype, 300)]
    selected = np.array([[1], [0], [1], [1], [0], [1]], bool)
    out = np.full((6, 50), 7, dtype)
    f(*args, out=out, where=selected)
    same_bits(out, np.where(selected, f(*args), dtype.type(7)))
    before = out.copy()
    f(*args, out=out, where=False)
    same_bits(out, before)


def test_what_where_leaves_out_is_not_computed(f):
    args = [np.array([0.25, np.nan, np.inf, -np.inf, 2.0, -2.0])] * f.nin
    with np.errstate(all="raise"):
        f(*args, out=np.empty(6), where=np.arange(6) == 6)


def test_order(f, dtype):
    args = [x.reshape(5, 7) for x in samples(f, dtype, 35)]
    columns = [np.asfortranarray(x) for x in args]
    for order, from_rows, from_columns in (("C", "C", "C"), ("F", "F", "F"), ("K", "C", "F"), ("A", "C", "F")):
        assert f(*args, order=order).flags[f"{from_rows}_CONTIGUOUS"]
        assert f(*columns, order=order).flags[f"{from_columns}_CONTIGUOUS"]


class Kept(np.ndarray):
    pass


def test_subclass(f, dtype):
    args = samples(f, dtype, 10)
    kept = [x.view(Kept) for x in args]
    assert type(f(*kept)) is Kept
    assert type(f(*kept, subok=False)) is np.ndarray
    same_bits(f(*kept), f(*args))
    matrix = f(*(np.atleast_2d(x).view(np.matrix) for x in args))
    assert type(matrix) is np.matrix
    same_bits(matrix, f(*args)[None])


# ---- dtypes ----


def call(f, *args, **keywords):
    """Call f and ignore poles and invalid points."""
    with np.errstate(all="ignore"):
        return f(*args, **keywords)


def test_scalars(f, dtype):
    values = [0.25, 0.75][: f.nin]
    array = call(f, *(np.array([v], dtype) for v in values))
    for make in (dtype.type, lambda v: np.array(v, dtype)):
        y = call(f, *map(make, values))
        assert type(y) is dtype.type
        same_bits(y, array[0])
    out = np.empty((), dtype)
    assert call(f, *map(dtype.type, values), out=out) is out
    same_bits(out, array[0])


@pytest.mark.parametrize("value", [True, 3, 0.25, np.int8(3), np.uint64(3), np.bool(False)], ids=repr)
def test_python_numbers_and_integer_scalars(f, value):
    y = call(f, *[value] * f.nin)
    assert type(y) is np.float64
    same_bits(y, call(f, *[np.float64(value)] * f.nin))


def test_lists(f):
    same_bits(call(f, *[[[0.25, 0.5], [1, 2]]] * f.nin), call(f, *[np.array([[0.25, 0.5], [1, 2]])] * f.nin))


def test_empty(f, dtype):
    for shape in ((0,), (3, 0), (0, 3)):
        y = f(*[np.empty(shape, dtype)] * f.nin)
        assert y.shape == shape
        assert y.dtype == dtype


@pytest.mark.parametrize("code", INTEGERS)
def test_integers_become_float64(f, code):
    x = np.array([0, 1, 1, 0, 1] if code == "?" else [0, 1, 2, 100, np.iinfo(code).max], code)
    same_bits(call(f, *[x] * f.nin), call(f, *[x.astype("f8")] * f.nin))


RESULTS = [
    ("f2", "f4", "f4"),
    ("f2", "f8", "f8"),
    ("f4", "f8", "f8"),
    *((i, x, "f8") for i in INTEGERS for x in ("f2", "f4", "f8")),
    ("?", "q", "f8"),
]


@pytest.mark.parametrize(("a", "b", "result"), RESULTS)
def test_mixed_dtypes(binary, a, b, result):
    x, y = np.array([0, 1, 1], a), np.array([0.25, 0.5, 1]).astype(b)
    same_bits(call(binary, x, y), call(binary, x.astype(result), y.astype(result)))
    same_bits(call(binary, y, x), call(binary, y.astype(result), x.astype(result)))


@pytest.mark.parametrize("number", [2, 0.5], ids=repr)
def test_python_numbers_are_weak(binary, dtype, number):
    for x in (np.array([0.25, 1], dtype), dtype.type(0.25)):
        same_bits(call(binary, x, number), call(binary, x, dtype.type(number)))
        same_bits(call(binary, number, x), call(binary, dtype.type(number), x))


def test_numpy_numbers_are_not_weak(binary):
    x = np.array([0.25, 1], "f4")
    for number in (np.float64(0.5), np.int8(1), True, np.bool(True)):
        assert call(binary, x, number).dtype == call(binary, number, x).dtype == np.float64


REFUSED = {
    "longdouble": np.longdouble(1),
    "complex64": np.complex64(1),
    "complex": 1j,
    "clongdouble": np.clongdouble(1),
    "str": "1",
    "bytes": b"1",
    "None": None,
    "object": np.array([1.0, 2.0], object),
    "datetime64": np.datetime64("2020-01-01"),
    "timedelta64": np.timedelta64(1, "s"),
    "record": np.zeros(2, "i4,f4"),
    "list of str": ["a", "b"],
}


@pytest.mark.parametrize("value", REFUSED)
def test_refused(f, value):
    value = REFUSED[value]
    ways = [(value,)] if f.nin == 1 else [(value, value), (value, 0.5), (np.float32(0.5), value), (1, value)]
    for args in ways:
        with pytest.raises(TypeError) as error:
            f(*args)
        message = str(error.value)
        assert f.__name__ in message
        assert "convert" in message
        assert "float64" in message


def test_refusal_names_public_dtypes(binary):
    """A message that mentions NumPy's private _PyFloatDType does not help."""
    for args in ((1.0, "a"), (1, 1j), (1.0, np.longdouble(1))):
        with pytest.raises(TypeError) as error:
            binary(*args)
        assert "_Py" not in str(error.value)


def test_ragged(f):
    with pytest.raises(ValueError, match="inhomogeneous"):
        f(*[[[1.0], [1.0, 2.0]]] * f.nin)


# ---- reduce, accumulate, reduceat, outer, at; those of logaddexp are in test_logaddexp_reduce.py ----


def sequential(f, x):
    y = [x[0]]
    for value in x[1:]:
        y.append(f(y[-1], value))
    return np.array(y, x.dtype)


@pytest.mark.parametrize("name", WITHOUT_IDENTITY)
def test_accumulate_without_identity_is_sequential(ufuncs, name, dtype):
    binary = ufuncs[name]
    for seed in range(3):
        x = samples(binary, dtype, 150, seed)[0]
        x = x[np.isfinite(x)]
        with np.errstate(all="ignore"):
            expected = sequential(binary, x)
            same_bits(binary.accumulate(x), expected)
            same_bits(binary.accumulate(np.repeat(x, 2)[::2]), expected)
            same_bits(binary.accumulate(x, out=x), expected)
            same_bits(x, expected)


def test_accumulate_along_axes(binary, dtype):
    x = np.abs(samples(binary, dtype, 4000)[0])
    x = x[x < 20][: 33 * 21].reshape(33, 21)
    with np.errstate(all="ignore"):
        for y in (x, np.asfortranarray(x)):
            same_bits(binary.accumulate(y, axis=0), np.stack([binary.accumulate(c.copy()) for c in x.T], axis=1))
            same_bits(binary.accumulate(y, axis=1), np.stack([binary.accumulate(r.copy()) for r in x]))


@pytest.mark.parametrize("name", WITHOUT_IDENTITY)
def test_reduce_and_reduceat_without_identity_are_sequential(ufuncs, name, dtype):
    binary = ufuncs[name]
    x = np.abs(samples(binary, dtype, 500)[0])
    x = x[x < 20]
    starts = [0, 1, 20, 21, 90]
    with np.errstate(all="ignore"):
        same_bits(binary.reduce(x), sequential(binary, x)[-1])
        expected = [sequential(binary, x[a:b])[-1] for a, b in zip(starts, [*starts[1:], None], strict=True)]
        same_bits(binary.reduceat(x, starts), np.array(expected, dtype))
    with pytest.raises(ValueError, match="identity"):
        binary.reduce(x[:0])


def test_outer(binary, dtype):
    x1, x2 = samples(binary, dtype, 70)
    with np.errstate(all="ignore"):
        same_bits(binary.outer(x1, x2[:33]), binary(x1[:, None], x2[None, :33]))
        same_bits(binary.outer(x1.reshape(7, 10), x2[:3]), binary(x1.reshape(7, 10, 1), x2[:3]))


def test_at(f, dtype):
    args = samples(f, dtype, 60)
    indices = [3, 3, 0, -1, 5, 3, 59]
    expected, got = args[0].copy(), args[0].copy()
    with np.errstate(all="ignore"):
        for k, i in enumerate(indices):
            expected[i] = f(expected[i], *(x[k] for x in args[1:]))
        f.at(got, indices, *(x[: len(indices)] for x in args[1:]))
    same_bits(got, expected)


# ---- the objects ----

PUBLIC = {
    "softplus": ("softplus", "log1pexp"),
    "log_expit": ("log_sigmoid", "log_expit"),
    "expit": ("sigmoid", "expit"),
    "logaddexp": ("logaddexp",),
}


@pytest.mark.parametrize("scipy_name", PUBLIC)
def test_public_names(scipy_name):
    names = PUBLIC[scipy_name]
    f = getattr(fastlog, names[0])
    assert isinstance(f, np.ufunc)
    assert f.__name__ == scipy_name
    assert f is _core.functions()[names[0]]
    for name in names:
        assert getattr(fastlog, name) is f
        assert name in fastlog.__all__


@pytest.mark.parametrize("name", [name for names in PUBLIC.values() for name in names])
def test_pickle_and_copy(name):
    f = getattr(fastlog, name)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(f, protocol)) is f
    assert copy.copy(f) is f
    assert copy.deepcopy(f) is f


def test_attributes(name, f):
    assert isinstance(f, np.ufunc)
    assert f.nin in (1, 2)
    assert f.nout == 1
    assert f.types == [f"{c * f.nin}->{c}" for c in "dfe"]
    assert f.identity == (-np.inf if name in ("logaddexp", "logaddexp2") else None)
    assert f.__name__ == {names[0]: scipy_name for scipy_name, names in PUBLIC.items()}.get(name, name)


def test_docstring(f):
    signature, _, doc = f.__doc__.partition("\n")  # NumPy writes the first line
    assert signature.startswith(f.__name__ + "(")
    assert len(doc.split()) > 5
    if f.__name__ in PUBLIC:
        for section in ("Parameters\n-", "Returns\n-", "Raises\n-", "Examples\n-"):
            assert section in doc


def test_resolve_dtypes(f, dtype):
    assert f.resolve_dtypes((dtype,) * f.nin + (None,)) == (dtype,) * f.nargs
    assert f.resolve_dtypes((np.dtype("i2"),) * f.nin + (None,)) == (np.dtype("f8"),) * f.nargs


# ---- containers and overrides ----


def test_masked_array(f):
    args = samples(f, "f4", 30)
    hidden = np.arange(30) % 3 == 0
    y = f(*(np.ma.array(x, mask=hidden) for x in args))
    assert type(y) is np.ma.MaskedArray
    same_bits(y.mask, hidden)
    same_bits(y.compressed(), f(*args)[~hidden])


def test_masks_join(binary):
    x1, x2 = samples(binary, "f4", 4)
    y = binary(np.ma.array(x1, mask=[1, 0, 0, 1]), np.ma.array(x2, mask=[0, 0, 1, 1]))
    assert y.mask.tolist() == [True, False, True, True]


def test_pandas(f):
    pandas = pytest.importorskip("pandas")
    args = samples(f, "f4", 12)
    index = pandas.Index(list("abcdefghijkl"), name="letter")
    y = f(*(pandas.Series(x, index=index, name="x") for x in args))
    assert type(y) is pandas.Series
    assert y.name == "x"
    pandas.testing.assert_index_equal(y.index, index)
    same_bits(y.to_numpy(), f(*args))
    y = f(*(pandas.DataFrame(x.reshape(4, 3), index=[4, 2, 3, 1], columns=list("pqr")) for x in args))
    assert type(y) is pandas.DataFrame
    assert y.index.tolist() == [4, 2, 3, 1]
    assert y.columns.tolist() == list("pqr")
    same_bits(y.to_numpy(), f(*args).reshape(4, 3))


def test_pandas_missing_values(f):
    pandas = pytest.importorskip("pandas")
    numbers = {"logit": (0, 1), "log1mexp": (-1, -3), "logsubexp": (1, 1)}.get(f.__name__, (1, 3))
    y = call(f, *[pandas.Series([numbers[0], None, numbers[1]], dtype="Int64")] * f.nin)
    assert y.dtype == pandas.Float64Dtype()
    assert y.isna().tolist() == [False, True, False]


class Recorder:
    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        return ufunc, method, inputs, keywords


def test_override(f):
    recorder = Recorder()
    for args in itertools.product((recorder, np.ones(2)), repeat=f.nin):
        if any(x is recorder for x in args):
            assert f(*args) == (f, "__call__", args, {})
    assert f(*[recorder] * f.nin, where=False)[3] == {"where": False}


def test_override_of_methods(binary):
    recorder = Recorder()
    assert binary.reduce(recorder, axis=1)[:2] == (binary, "reduce")
    assert binary.accumulate(recorder)[:2] == (binary, "accumulate")
    assert binary.outer(recorder, 1.0)[:2] == (binary, "outer")


def test_opting_out(f):
    class Never:
        __array_ufunc__ = None

    with pytest.raises(TypeError, match="does not support ufuncs"):
        f(*[Never()] * f.nin)
