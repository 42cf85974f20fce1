"""Frames of Dask, Polars, pyarrow and DuckDB: what docs/arrays.md says of them."""

import importlib.util

import numpy as np
import pandas as pd
import pytest

import fastlog

X = np.random.default_rng(3).normal(0, 3, (9, 3))
LABELS = np.array([0, 1, 2] * 3)
FRAME = pd.DataFrame(X, np.arange(10, 19), list("abc"))


def library(name):
    """Import a library, or skip the test."""
    return pytest.importorskip(name, reason=f"{name} is not installed; make peers brings it")


# ---- Dask ----


@pytest.fixture
def frame():
    return library("dask.dataframe").from_pandas(FRAME, npartitions=3, sort=False)


@pytest.fixture
def labels():
    return library("dask.dataframe").from_pandas(pd.Series(LABELS, FRAME.index), npartitions=3, sort=False)


@pytest.mark.parametrize("f", [fastlog.softmax, fastlog.log_softmax])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_normalised_frames_of_dask_keep_their_labels(f, axis, frame):
    y = f(frame, axis=axis)
    assert list(y.columns) == list("abc")
    pd.testing.assert_frame_equal(y.compute(), pd.DataFrame(f(X, axis=axis), FRAME.index, FRAME.columns), rtol=1e-14)
    some = f(frame[frame.a > 0], axis=axis).compute()
    chosen = FRAME[FRAME.a > 0]
    pd.testing.assert_frame_equal(some, f(chosen, axis=axis), rtol=1e-14)


def test_reductions_of_frames_of_dask(frame):
    pd.testing.assert_series_equal(fastlog.logsumexp(frame, axis=1).compute(), fastlog.logsumexp(FRAME, axis=1))
    np.testing.assert_allclose(fastlog.logsumexp(frame, axis=0).compute(), fastlog.logsumexp(X, axis=0), rtol=1e-14)
    assert float(fastlog.logsumexp(frame).compute()) == pytest.approx(fastlog.logsumexp(X), rel=1e-14)
    pd.testing.assert_series_equal(fastlog.softmax(frame["a"]).compute(), fastlog.softmax(FRAME["a"]))
    sums = fastlog.logcumsumexp(frame, axis=0).compute()
    pd.testing.assert_frame_equal(sums, fastlog.logcumsumexp(FRAME, axis=0))
    p, lse = fastlog.softmax(frame, axis=1, return_lse=True)
    assert list(p.columns) == list("abc")
    pd.testing.assert_series_equal(lse.compute(), fastlog.logsumexp(FRAME, axis=1))
    kept = fastlog.logsumexp(frame, axis=1, keepdims=True).compute()
    np.testing.assert_allclose(kept, fastlog.logsumexp(X, axis=1, keepdims=True), rtol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_frames_of_dask(frame, labels, reduction):
    weight = [1.0, 2, 3]
    options = {"reduction": reduction, "return_grad": True}
    for rows, of_dask in ((slice(None), None), (FRAME.a.to_numpy() > 0, frame.a > 0)):
        x, z = (frame, labels) if of_dask is None else (frame[of_dask], labels[of_dask])
        got = fastlog.cross_entropy(x, z, weight, **options)
        expected = fastlog.cross_entropy(X[rows], LABELS[rows], weight, **options)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one.compute(), other, rtol=1e-13)
        got = fastlog.binary_cross_entropy_with_logits(x["a"], z == 1, reduction=reduction).compute()
        expected = fastlog.binary_cross_entropy_with_logits(X[rows][:, 0], LABELS[rows] == 1, reduction=reduction)
        np.testing.assert_allclose(got, expected, rtol=1e-13)


def test_targets_that_nothing_tells_how_to_cut(frame, labels):
    for targets in (LABELS, pd.Series(LABELS, FRAME.index)):
        with pytest.raises(ValueError, match=r"chunks of the logits have unknown.*frame.to_dask_array\(lengths=True\)"):
            fastlog.cross_entropy(frame, targets)
    with pytest.raises(ValueError, match=r"chunks of the logits have unknown.*compute_chunk_sizes\(\) on the logits"):
        fastlog.binary_cross_entropy_with_logits(frame["a"], LABELS == 1)
    known = frame.to_dask_array(lengths=True)
    with pytest.raises(ValueError, match="chunks of the targets have unknown"):
        fastlog.cross_entropy(known, labels)
    with pytest.raises(ValueError, match="have 3 and 1 chunks"):
        fastlog.cross_entropy(frame, labels.repartition(npartitions=1))
    assert float(fastlog.cross_entropy(known, LABELS).compute()) == pytest.approx(fastlog.cross_entropy(X, LABELS))


# ---- what NumPy makes arrays of ----


def test_polars():
    pl = library("polars")
    frame = pl.DataFrame(X, schema=list("abc"))
    y = fastlog.softplus(frame["a"])
    assert isinstance(y, pl.Series)
    assert y.name == "a"
    np.testing.assert_array_equal(y.to_numpy(), fastlog.softplus(X[:, 0]))
    y = frame.select(fastlog.log_sigmoid(pl.col("a")), pl.col("b").map_batches(fastlog.softmax))
    np.testing.assert_array_equal(y["a"].to_numpy(), fastlog.log_sigmoid(X[:, 0]))
    np.testing.assert_allclose(y["b"].to_numpy(), fastlog.softmax(X[:, 1]), rtol=1e-15)
    for f, axis in ((fastlog.softmax, 1), (fastlog.logsumexp, 0)):
        y = f(frame, axis=axis)
        assert type(y) is np.ndarray
        np.testing.assert_array_equal(y, f(X, axis=axis))
    assert fastlog.cross_entropy(frame, pl.Series(LABELS)) == fastlog.cross_entropy(X, LABELS)
    assert np.isnan(fastlog.logsumexp(pl.Series([1.0, None, 2.0])))
    assert fastlog.softplus(pl.Series([1.0, None])).to_list() == [fastlog.softplus(1.0), None]


def test_pyarrow():
    pa = library("pyarrow")
    arrays = pa.array(X[:, 0]), pa.chunked_array([X[:4, 0], X[4:, 0]])
    for a in arrays:
        for f in (fastlog.softplus, fastlog.softmax, fastlog.logsumexp):
            np.testing.assert_array_equal(f(a), f(X[:, 0]))
    table = pa.table({name: X[:, k] for k, name in enumerate("abc")})
    np.testing.assert_array_equal(fastlog.softmax(table, axis=1), fastlog.softmax(X, axis=1))
    assert np.isnan(fastlog.logsumexp(pa.array([1.0, None, 2.0])))


def test_duckdb():
    duckdb = library("duckdb")
    relation = duckdb.connect().sql("select i::double * 0.5::double as a, -i::double as b from range(9) t(i)")
    columns = relation.fetchnumpy()
    x = np.stack([np.arange(9) * 0.5, -np.arange(9.0)], axis=1)
    np.testing.assert_array_equal(fastlog.softplus(columns["a"]), fastlog.softplus(x[:, 0]))
    y = fastlog.softmax(relation.df(), axis=1)
    assert list(y.columns) == ["a", "b"]
    np.testing.assert_allclose(y, fastlog.softmax(x, axis=1), rtol=1e-15)
    if importlib.util.find_spec("polars"):
        np.testing.assert_allclose(fastlog.logsumexp(relation.pl(), axis=0), fastlog.logsumexp(x, axis=0), rtol=1e-15)
