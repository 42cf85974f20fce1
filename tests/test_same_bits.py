"""Every number of threads gives the same bits: over functions, layouts, dtypes and targets."""

import numpy as np
import pytest

import fastlog
from fastlog import _core

NUMBERS = (2, 3, 8)
rng = np.random.default_rng(7)
FLAT = rng.normal(0, 9, 300_003)
FLAT[::1001] = np.inf
FLAT[5::2003] = -np.inf
FLAT[7::50_021] = np.nan
MATRICES = {
    "one row": rng.normal(0, 9, (1, 400_003)),
    "two rows": rng.normal(-500, 9, (2, 70_001)),
    "long rows": rng.normal(0, 9, (5, 40_001)),
    "few rows": rng.normal(0, 400, (37, 4000)),
    "rows": rng.normal(0, 9, (301, 350)),
    "a power of two": rng.normal(0, 9, (1024, 301)),
    "rows near zero": rng.normal(-6.9, 0.01, (151, 1000)),
    "many rows": rng.normal(0, 9, (2501, 70)),
    "short rows": rng.normal(0, 9, (20_007, 7)),
    "pairs": rng.normal(0, 9, (70_001, 2)),
}


def layouts(a):
    """Return views of the same numbers, or copies of them, whose memory differs."""
    wide = np.full((a.shape[0], a.shape[1] * 2), np.nan, a.dtype)
    wide[:, ::2] = a
    return {"C": a, "F": np.asfortranarray(a), "strided": wide[:, ::2], "reversed": a[::-1, ::-1]}


def same_for_all_numbers(call):
    """Check that a call returns the same bits for every number of threads, and return its results."""
    found = {}
    for n in (1, *NUMBERS):
        with fastlog.num_threads(n), np.errstate(all="ignore"):
            y = call()
        found[n] = [np.asarray(one) for one in (y if isinstance(y, tuple) else (y,))]
    for n in NUMBERS:
        for one, other in zip(found[1], found[n], strict=True):
            assert one.dtype == other.dtype
            assert one.tobytes() == other.tobytes(), f"{n} threads change {np.sum(one != other)} results"
    return found[1]


DTYPES = ["float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in _core.NAMES if _core.functions()[name].signature is None])
def test_elementwise_functions_have_the_same_bits(name, dtype, target):
    f = _core.functions(target)[name]
    x = FLAT.astype(dtype)
    views = {"contiguous": x, "strided": x[::3], "reversed": x[::-1], "unaligned": x[1:]}
    for view in views.values():
        arguments = (view, (0.7 * view[::-1]).astype(dtype)) if f.nin == 2 else (view,)

        def in_place(arguments=arguments):
            copy = arguments[0].copy()
            return f(copy, *arguments[1:], out=copy)

        assert (
            same_for_all_numbers(lambda a=arguments: f(*a))[0].tobytes() == same_for_all_numbers(in_place)[0].tobytes()
        )
    if f.nin == 2:
        same_for_all_numbers(lambda: f(x, x.dtype.type(0.5)))
        same_for_all_numbers(lambda: f.reduce(x[:200_000]))
        same_for_all_numbers(lambda: f.accumulate(x[:200_000]))


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_of_rows_have_the_same_bits(kind, dtype):
    a = MATRICES[kind].astype(dtype)
    b = np.abs(a[:, ::-1]) + a.dtype.type(0.1)
    some = a > -6
    signs = np.where(a > 0, b, -b)
    for view in layouts(a).values():
        for axis in (0, 1, None):
            same_for_all_numbers(lambda v=view, k=axis: fastlog.logsumexp(v, axis=k))
            same_for_all_numbers(lambda v=view, k=axis: fastlog.logsumexp(v, axis=k, b=b))
            same_for_all_numbers(lambda v=view, k=axis: fastlog.logmeanexp(v, axis=k, where=some))
            same_for_all_numbers(lambda v=view, k=axis: fastlog.logsumexp(v, axis=k, b=signs, return_sign=True))
            same_for_all_numbers(lambda v=view, k=axis: fastlog.softmax(v, axis=k))
            same_for_all_numbers(lambda v=view, k=axis: fastlog.log_softmax(v, axis=k))
        same_for_all_numbers(lambda v=view: fastlog.logcumsumexp(v, axis=1))
        same_for_all_numbers(lambda v=view: fastlog.softmax(v, axis=1, temperature=0.7))

    def in_place(f, axis):
        copy = a.copy()
        return f(copy, axis=axis, out=copy)

    for f in (fastlog.softmax, fastlog.log_softmax):
        for axis in (0, 1):
            alone = same_for_all_numbers(lambda f=f, axis=axis: in_place(f, axis))
            assert alone[0].tobytes() == f(a, axis=axis).tobytes()


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("name", ["softmax_and_logsumexp", "partition"])
def test_ufuncs_of_rows_have_the_same_bits(kind, name, target):
    f = _core.functions(target)[name]
    for view in layouts(MATRICES[kind].astype(np.float32)).values():
        same_for_all_numbers(lambda v=view: f(v))
        same_for_all_numbers(lambda v=view: f(v.T))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_target_has_the_same_bits(target, dtype):
    functions = _core.functions(target)
    for a in MATRICES.values():
        for view in layouts(a.astype(dtype)).values():
            for name in ("logsumexp", "logmeanexp", "softmax", "log_softmax"):
                same_for_all_numbers(lambda n=name, v=view: functions[n](v))
                same_for_all_numbers(lambda n=name, v=view: functions[n](v.T))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("special", [0, np.inf, -np.inf, np.nan])
def test_running_sums_do_not_show_what_follows(target, dtype, special):
    f = _core.functions(target)["logaddexp"]
    x = rng.normal(0, 3, 600_000).astype(dtype)
    x[170_000] = special
    with np.errstate(invalid="ignore"):
        y = same_for_all_numbers(lambda: f.accumulate(x))[0]
        for stop in (16_384, 16_386, 70_001, 170_000, 170_001, 400_000):
            assert f.accumulate(x[:stop]).tobytes() == y[:stop].tobytes()
    if special in (0, -np.inf):
        expected = np.logaddexp.accumulate(x.astype(np.longdouble))
        np.testing.assert_allclose(y[::9999], expected[::9999].astype(float), rtol=2 * np.finfo(dtype).eps)
    else:
        assert np.all(np.isfinite(y[:170_000]))
        np.testing.assert_array_equal(y[170_000:], special)
    same = x.copy()
    assert f.accumulate(same, out=same).tobytes() == y.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [40, 5_000, 100_000])
def test_segments_have_the_same_bits(dtype, count):
    x = FLAT.astype(dtype)
    at = np.sort(rng.integers(0, len(x), count))
    same_for_all_numbers(lambda: fastlog.logaddexp.reduceat(x, at))
    many = x[:300_000].reshape(150, 2000)
    same_for_all_numbers(lambda: fastlog.logaddexp.reduceat(many, at[:40] % 2000, axis=1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_elements_have_the_same_bits(dtype, reduction):
    for n in (20_000, 70_000, 250_000):
        x = np.nan_to_num(FLAT[:n], posinf=30, neginf=-30).astype(dtype)
        z = (rng.random(n) < 0.5).astype(dtype)
        weight = rng.random(n).astype(dtype)
        for shape in ((n,), (4, n // 4)):
            for options in ({}, {"return_grad": True}, {"return_hess": True}, {"weight": weight.reshape(shape)}):
                a, b = x.reshape(shape), z.reshape(shape)
                for f in (fastlog.binary_cross_entropy_with_logits, fastlog.focal_loss):
                    same_for_all_numbers(lambda f=f, a=a, b=b, o=options: f(a, b, reduction=reduction, **o))
                    same_for_all_numbers(lambda f=f, a=a, b=b: f(a.T, b.T, reduction=reduction))
        p = fastlog.softmax(x.reshape(4, -1), axis=1)
        q = fastlog.log_softmax(x[::-1].reshape(4, -1), axis=1)
        same_for_all_numbers(lambda p=p, q=q: fastlog.kl_divergence(q, p, reduction=reduction))


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_of_rows_have_the_same_bits(kind, dtype):
    a = MATRICES[kind].astype(dtype)
    rows, n = a.shape
    labels = rng.integers(0, n, rows)
    labels[::7] = -100
    p = fastlog.softmax(a[:, ::-1].astype(np.float64), axis=1).astype(dtype)
    weight, of_rows = rng.random(n), rng.random(rows)
    for view in layouts(a).values():
        for options in (
            {},
            {"return_grad": True},
            {"return_hess": True, "reduction": "sum"},
            {"weight": weight, "return_grad": True},
            {"label_smoothing": 0.1, "reduction": "none", "return_grad": True},
            {"sample_weight": of_rows, "temperature": 2.0, "return_hess": True},
        ):
            same_for_all_numbers(lambda v=view, o=options: fastlog.cross_entropy(v, labels, **o))
            same_for_all_numbers(lambda v=view, o=options: fastlog.cross_entropy(v.T, labels, axis=0, **o))
            same_for_all_numbers(lambda v=view, o=options: fastlog.cross_entropy(v, p, **{**o, "reduction": "mean"}))
        same_for_all_numbers(lambda v=view: fastlog.nll_loss(v, labels, weight))
