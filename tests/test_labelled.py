"""pandas and xarray: labels are kept, and arguments with other labels refused."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import fastlog

X = np.random.default_rng(0).normal(0, 3, (4, 3))
INDEX, COLUMNS = pd.Index(list("abcd"), name="row"), pd.Index([10, 20, 30], name="class")
FRAME = pd.DataFrame(X, INDEX, COLUMNS)
SERIES = pd.Series(X[:, 0], INDEX, name="first")
ARRAY = xr.DataArray(X, dims=("row", "class"), coords={"row": list("abcd"), "class": [10, 20, 30]}, name="x",
                     attrs={"units": "nats"})  # fmt: skip
NORMALIZATIONS = [fastlog.softmax, fastlog.log_softmax]
REDUCTIONS = [fastlog.logsumexp, fastlog.logmeanexp]


@pytest.mark.parametrize("f", [*NORMALIZATIONS, fastlog.logcumsumexp])
def test_frames_remain_frames(f):
    for axis in (0, 1, -1):
        pd.testing.assert_frame_equal(f(FRAME, axis=axis), pd.DataFrame(f(X, axis=axis), INDEX, COLUMNS))
    pd.testing.assert_series_equal(f(SERIES), pd.Series(f(X[:, 0]), INDEX, name="first"))
    if f is not fastlog.logcumsumexp:
        pd.testing.assert_frame_equal(f(FRAME), pd.DataFrame(f(X), INDEX, COLUMNS))
        pd.testing.assert_frame_equal(f(FRAME, temperature=2.0), pd.DataFrame(f(X, temperature=2.0), INDEX, COLUMNS))
    else:
        np.testing.assert_array_equal(f(FRAME), f(X))  # flat: there are no labels for it
    assert f(FRAME.astype("f4"), axis=1).dtypes.eq(np.float32).all()


@pytest.mark.parametrize("f", REDUCTIONS)
def test_reductions_of_frames(f):
    pd.testing.assert_series_equal(f(FRAME, axis=1), pd.Series(f(X, axis=1), INDEX))
    pd.testing.assert_series_equal(f(FRAME, 0), pd.Series(f(X, 0), COLUMNS))
    assert f(FRAME) == f(X)
    assert isinstance(f(FRAME), np.float64)
    assert f(SERIES) == f(X[:, 0])
    kept = f(FRAME, axis=1, keepdims=True)
    assert kept.index is not None
    assert kept.index.equals(INDEX)
    assert kept.shape == (4, 1)


def test_several_results():
    y, sign = fastlog.logsumexp(FRAME, 1, b=FRAME, return_sign=True)
    expected = fastlog.logsumexp(X, 1, b=X, return_sign=True)
    pd.testing.assert_series_equal(y, pd.Series(expected[0], INDEX))
    pd.testing.assert_series_equal(sign, pd.Series(expected[1], INDEX))
    p, lse = fastlog.softmax(FRAME, 1, return_lse=True)
    assert p.columns.equals(COLUMNS)
    assert lse.index.equals(INDEX)


def test_losses_of_frames():
    labels = pd.Series([0, 1, 2, 0], INDEX)
    weight = pd.Series([1.0, 2, 3], COLUMNS)
    each, grad = fastlog.cross_entropy(FRAME, labels, weight, reduction="none", return_grad=True)
    expected = fastlog.cross_entropy(X, labels.to_numpy(), weight.to_numpy(), reduction="none", return_grad=True)
    pd.testing.assert_series_equal(each, pd.Series(expected[0], INDEX))
    pd.testing.assert_frame_equal(grad, pd.DataFrame(expected[1], INDEX, COLUMNS))
    assert isinstance(fastlog.cross_entropy(FRAME, labels), float)
    assert fastlog.cross_entropy(FRAME, [0, 1, 2, 0]) == fastlog.cross_entropy(X, [0, 1, 2, 0])
    loss, grad = fastlog.binary_cross_entropy_with_logits(SERIES, SERIES > 0, return_grad=True)
    assert isinstance(loss, float)
    assert grad.index.equals(INDEX)


OUTS = [
    FRAME.copy(),
    pd.DataFrame({"a": [0.0] * 4, "b": [0] * 4, "c": [0.0] * 4}),
    ARRAY.copy(),
    ARRAY.chunk(row=2).data,
    X.tolist(),
]


@pytest.mark.parametrize("out", OUTS, ids=["frame", "mixed", "xarray", "dask", "list"])
def test_out_must_be_an_ndarray(out):
    for x in (X, FRAME, ARRAY):
        for f in (*REDUCTIONS, *NORMALIZATIONS, fastlog.logcumsumexp):
            axis = () if f in REDUCTIONS else 1
            with pytest.raises(TypeError, match=f"out must be an ndarray, not {type(out).__name__}"):
                f(x, axis=axis, out=out)
        with pytest.raises(TypeError, match="out must be an ndarray"):
            fastlog.binary_cross_entropy_with_logits(x, x > 0, reduction="none", out=out)
    for a in (X, FRAME):
        with pytest.raises(TypeError, match="out must be an ndarray"):
            fastlog.logmatmulexp(a, np.eye(3), out=out)


def test_nullable_columns_and_what_is_no_number():
    frame = pd.DataFrame({"a": pd.array([1, None, 3], "Int64"), "b": pd.array([1.0, 2, 3], "Float64"), "c": [1, 2, 3]})
    y = fastlog.softmax(frame, axis=1)
    assert y.loc[1].isna().all()
    np.testing.assert_allclose(y.loc[[0, 2]], 1 / 3)
    with pytest.raises(TypeError, match="select_dtypes"):
        fastlog.softmax(pd.DataFrame({"a": ["x"], "b": [1.0]}))


def test_other_labels_are_refused():
    labels = pd.Series([0, 1, 2, 0], INDEX)
    with pytest.raises(ValueError, match=r"the labels of targets are not those .* targets\.to_numpy\(\)"):
        fastlog.cross_entropy(FRAME, labels[::-1])
    with pytest.raises(ValueError, match="the labels of b"):
        fastlog.logsumexp(FRAME, 1, b=FRAME[[30, 20, 10]])
    with pytest.raises(ValueError, match="the labels of where"):
        fastlog.logsumexp(SERIES, where=pd.Series([True] * 4))


def test_ufuncs_keep_labels_by_themselves():
    pd.testing.assert_frame_equal(fastlog.softplus(FRAME), pd.DataFrame(fastlog.softplus(X), INDEX, COLUMNS))
    xr.testing.assert_identical(fastlog.softplus(ARRAY), ARRAY.copy(data=fastlog.softplus(X)))


@pytest.mark.parametrize("f", NORMALIZATIONS)
def test_data_arrays(f):
    for axis in (0, "class", ("row", "class"), None):
        by_number = {"class": 1, ("row", "class"): (0, 1)}.get(axis, axis)
        xr.testing.assert_identical(f(ARRAY, axis=axis), ARRAY.copy(data=f(X, by_number)))


@pytest.mark.parametrize("f", REDUCTIONS)
def test_reductions_of_data_arrays(f):
    xr.testing.assert_allclose(f(ARRAY, "class"), ARRAY.reduce(lambda x, axis: f(x, axis), "class"), rtol=1e-15)
    assert f(ARRAY, "class").coords["row"].to_numpy().tolist() == list("abcd")
    assert f(ARRAY).shape == ()
    assert isinstance(f(ARRAY), xr.DataArray)
    assert f(ARRAY, 0, keepdims=True).dims == ("row", "class")
    with pytest.raises(ValueError, match="zzz"):
        f(ARRAY, "zzz")


def test_weights_and_targets_by_the_names_of_dimensions():
    b = xr.DataArray([1.0, 2, 3, 4], dims="row", coords={"row": list("abcd")})
    np.testing.assert_allclose(
        fastlog.logsumexp(ARRAY, "row", b=b), fastlog.logsumexp(X, 0, np.arange(1.0, 5)[:, None])
    )
    labels = xr.DataArray([0, 1, 2, 0], dims="row")
    weight = xr.DataArray([1.0, 2, 3], dims="class")
    each = fastlog.cross_entropy(ARRAY, labels, weight, axis="class", reduction="none")
    assert each.dims == ("row",)
    np.testing.assert_array_equal(each, fastlog.cross_entropy(X, [0, 1, 2, 0], [1, 2, 3], reduction="none"))
    loss, grad = fastlog.binary_cross_entropy_with_logits(ARRAY.T, ARRAY > 0, return_grad=True)
    assert grad.dims == ("class", "row")
    assert loss == fastlog.binary_cross_entropy_with_logits(X.T, X.T > 0)
    with pytest.raises(ValueError, match=r"b has the dimensions \['other'\], but may have only"):
        fastlog.logsumexp(ARRAY, "row", b=b.rename(row="other"))
    with pytest.raises(ValueError, match="align"):
        fastlog.logsumexp(ARRAY, "row", b=b.assign_coords(row=list("abcx")))


def test_weights_of_rows_keep_their_labels():
    labels, w = np.arange(len(X)) % X.shape[1], np.arange(1.0, len(X) + 1)
    options = {"reduction": "none", "temperature": 2.0, "return_grad": True}
    expected = fastlog.cross_entropy(X, labels, sample_weight=w, **options)
    series = pd.Series(w, FRAME.index)
    loss, grad, slope = fastlog.cross_entropy(FRAME, labels, sample_weight=series, **options)
    assert loss.index.equals(FRAME.index)
    assert slope.index.equals(FRAME.index)
    for one, other in zip((loss, grad, slope), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="labels of sample_weight"):
        fastlog.cross_entropy(FRAME, labels, sample_weight=series[::-1])
    array = ARRAY["row"].copy(data=w)
    for one, other in zip(fastlog.cross_entropy(ARRAY, labels, sample_weight=array, **options), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    several = ARRAY.expand_dims(group=2)
    for weight in (array, several["group"].copy(data=[1.0, 2])):
        full = weight.broadcast_like(several[..., 0]).transpose("group", "row")
        one, other = (
            fastlog.cross_entropy(several, np.stack([labels, labels]), sample_weight=w, axis="class", reduction="none")
            for w in (weight, full.to_numpy())
        )
        np.testing.assert_array_equal(one, other)


BROADCAST = [
    lambda x, a, axis: fastlog.logsumexp(x, axis=axis(0), b=a),
    lambda x, a, axis: fastlog.logmeanexp(x, axis=axis(1), where=a > 0),
    lambda x, a, axis: fastlog.softmax(x, axis=axis(0), where=a > 0),
    lambda x, a, _: fastlog.binary_cross_entropy_with_logits(x, x > 5, pos_weight=a),
]
OF_ROWS = [
    lambda x, a, axis: fastlog.cross_entropy(x, a, axis=axis(1)),
    lambda x, a, axis: fastlog.cross_entropy(x, [0, 1], sample_weight=a, axis=axis(1)),
    lambda x, a, axis: fastlog.nll_loss(x, [0, 1], a, axis=axis(0)),
    lambda x, a, _: fastlog.segment_logsumexp(x, a),
    lambda x, a, _: fastlog.segment_softmax(x, a),
]
OF_COLUMNS = [
    lambda x, a, axis: fastlog.nll_loss(x, a, axis=axis(0)),
    lambda x, a, axis: fastlog.softmax_focal_loss(x, [0, 1], alpha=a, axis=axis(1)),
    lambda x, a, axis: fastlog.cross_entropy(x, x, sample_weight=a, axis=axis(0)),
]


@pytest.mark.parametrize("call", [*BROADCAST, *OF_ROWS, *OF_COLUMNS])
def test_labels_belong_to_the_axis_where_an_argument_is_used(call):
    labels, dims = ["p", "q"], ("row", "class")
    x = np.array([[0.0, 10], [20, 30]])
    frame, array = pd.DataFrame(x, labels, ["x", "y"]), xr.DataArray(x, dims=dims)
    along = 0 if call in OF_ROWS else 1
    fits, other = (pd.Series([0, 1], frame.axes[k]) for k in (along, 1 - along))
    expected = call(x, np.array([0, 1]), int)
    np.testing.assert_array_equal(call(frame, fits, int), expected)
    with pytest.raises(ValueError, match="the labels of .* are not those of the first argument along the axes"):
        call(frame, other, int)
    fits, other = (xr.DataArray([0, 1], dims=dims[k]) for k in (along, 1 - along))
    np.testing.assert_array_equal(call(array, fits, dims.__getitem__), expected)
    if call in BROADCAST:
        np.testing.assert_array_equal(call(array, other, dims.__getitem__), call(x, np.array([[0], [1]]), int))
    else:
        with pytest.raises(ValueError, match=rf"has the dimensions .*{other.dims[0]}.*, but may have only"):
            call(array, other, dims.__getitem__)


def test_chunked_data_arrays_stay_lazy():
    lazy = ARRAY.chunk({"row": 2, "class": 2})
    for f in (fastlog.logsumexp, fastlog.softmax):
        y = f(lazy, "class")
        assert y.chunks is not None
        np.testing.assert_allclose(y.compute(), f(X, 1), rtol=1e-15)


def test_masks():
    masked = np.ma.array(X, mask=X > 2)
    y = fastlog.softmax(masked, axis=1)
    np.testing.assert_array_equal(y.mask, masked.mask)
    np.testing.assert_allclose(y.sum(axis=1), 1)
    np.testing.assert_allclose(fastlog.logsumexp(masked, 1), fastlog.logsumexp(np.where(X > 2, -np.inf, X), 1))


def test_wrong_calls_name_the_function():
    for f in (*REDUCTIONS, *NORMALIZATIONS, fastlog.logcumsumexp, fastlog.cross_entropy, fastlog.focal_loss):
        for x, word in ((FRAME, "dim"), (ARRAY, "dimension")):
            with pytest.raises(TypeError, match=rf"^{f.__name__}\(\) .*'{word}'"):
                f(x, x, **{word: 1}) if f.__module__.endswith("_losses") else f(x, **{word: 1})
    with pytest.raises(TypeError, match=r"^focal_loss\(\) .*'dim'"):  # it has no axis
        fastlog.focal_loss(ARRAY, ARRAY, dim="row")
    with pytest.raises(TypeError, match=r"^softmax\(\) got both axis and dim"):
        fastlog.softmax(ARRAY, axis=0, dim="row")


def test_dim_is_another_word_for_axis():
    for f in (*REDUCTIONS, *NORMALIZATIONS):
        for dim in ("class", ["row", "class"], ("class", "row"), None, ...):
            axis = {"class": 1}.get(dim, (0, 1)) if isinstance(dim, str) else (0, 1)
            xr.testing.assert_identical(f(ARRAY, dim=dim), f(ARRAY, axis=axis))
        with pytest.raises(ValueError, match="zzz"):
            f(ARRAY, dim="zzz")
    numbered = xr.DataArray(X, dims=(1, 0))  # names of dimensions may be numbers; axis counts places
    np.testing.assert_array_equal(fastlog.logsumexp(numbered, dim=1), fastlog.logsumexp(X, 0))
    np.testing.assert_array_equal(fastlog.logsumexp(numbered, axis=1), fastlog.logsumexp(X, 1))
    xr.testing.assert_identical(
        fastlog.cross_entropy(ARRAY, [0, 1, 2, 0], dim="class", reduction="none"),
        fastlog.cross_entropy(ARRAY, [0, 1, 2, 0], axis=1, reduction="none"),
    )


SET = xr.Dataset(
    {"x": ARRAY, "turned": (("class", "row"), X.T + 1), "short": ("class", X[0])},
    coords={"row": list("abcd"), "class": [10, 20, 30]}, attrs={"source": "a test"},
)  # fmt: skip


@pytest.mark.parametrize("f", [*REDUCTIONS, *NORMALIZATIONS])
def test_datasets(f):
    y = f(SET, dim="row")
    assert isinstance(y, xr.Dataset)
    assert y.attrs == SET.attrs
    xr.testing.assert_identical(y["x"], f(ARRAY, axis="row"))
    xr.testing.assert_identical(y["turned"], f(SET["turned"], axis=1).rename("turned"))
    xr.testing.assert_identical(y["short"], f(SET["short"], axis=()).rename("short"))
    for axis in (None, ("row", "class"), ["class", "row"]):
        everything = f(SET, dim=axis)
        for name in SET:
            np.testing.assert_array_equal(everything[name], f(SET[name].to_numpy()))
    xr.testing.assert_identical(f(SET, axis=("row",)), y)
    assert f(SET.chunk(row=2), dim="row")["x"].chunks is not None


def test_weights_and_several_results_of_datasets():
    b = SET - 1
    y, sign = fastlog.logsumexp(SET, dim="class", b=b, return_sign=True)
    expected = fastlog.logsumexp(X, 1, b=X - 1, return_sign=True)
    np.testing.assert_array_equal(y["x"], expected[0])
    np.testing.assert_array_equal(sign["x"], expected[1])
    assert y["short"].shape == ()
    p, lse = fastlog.softmax(SET, dim="class", return_lse=True)
    assert set(p) == set(lse) == {"x", "turned", "short"}
    assert fastlog.logsumexp(SET, dim="class", where=SET > 0)["x"].dims == ("row",)


def test_cumulative_sums_of_datasets():
    y = fastlog.logcumsumexp(SET, dim="row")
    np.testing.assert_array_equal(y["x"], fastlog.logcumsumexp(X, 0))
    np.testing.assert_array_equal(y["turned"], fastlog.logcumsumexp(X.T + 1, 1))
    np.testing.assert_array_equal(y["short"], X[0])


def test_wrong_calls_of_datasets():
    for f, options, error, message in (
        (fastlog.logsumexp, {"dim": "zzz"}, ValueError, "'zzz' is no dimension of the Dataset"),
        (fastlog.logsumexp, {"axis": 0}, ValueError, "0 is no dimension of the Dataset"),
        (fastlog.softmax, {"out": X.copy()}, TypeError, "out= is for arrays"),
        (fastlog.logcumsumexp, {}, ValueError, "needs the name of one dimension"),
        (fastlog.logcumsumexp, {"dim": ["row", "class"]}, ValueError, "needs the name of one dimension"),
    ):
        with pytest.raises(error, match=message):
            f(SET, **options)
    for f in (fastlog.cross_entropy, fastlog.binary_cross_entropy_with_logits):
        with pytest.raises(TypeError, match=r"one variable of a Dataset at a time, such as dataset\['x'\]"):
            f(SET, SET)


def test_arguments_are_bound_as_python_does():
    targets = (SERIES > 0).astype(float)
    expected = fastlog.binary_cross_entropy_with_logits(SERIES, targets, reduction="sum")
    assert fastlog.binary_cross_entropy_with_logits(reduction="sum", targets=targets, logits=SERIES) == expected
    with pytest.raises(TypeError, match=r"binary_cross_entropy_with_logits\(\) missing a required .*targets"):
        fastlog.binary_cross_entropy_with_logits(SERIES)
    with pytest.raises(TypeError, match=r"logsumexp\(\) got an unexpected keyword argument 'zzz'"):
        fastlog.logsumexp(SERIES, zzz=1)
    with pytest.raises(TypeError, match=r"logsumexp\(\) multiple values for argument 'axis'"):
        fastlog.logsumexp(SERIES, 0, axis=0)
    with pytest.raises(TypeError, match=r"softmax\(\) too many positional"):
        fastlog.softmax(SERIES, 0, None)


def test_products_keep_the_labels_that_are_left():
    a = pd.DataFrame(np.arange(6.0).reshape(2, 3), ["p", "q"], ["x", "y", "z"])
    b = pd.DataFrame(np.arange(12.0).reshape(3, 4), ["x", "y", "z"], list("abcd"))
    expected = fastlog.logmatmulexp(a.to_numpy(), b.to_numpy())
    pd.testing.assert_frame_equal(fastlog.logmatmulexp(a, b), pd.DataFrame(expected, a.index, b.columns))
    pd.testing.assert_frame_equal(fastlog.logmatmulexp(a, b.to_numpy()), pd.DataFrame(expected, a.index))
    pd.testing.assert_series_equal(fastlog.logmatmulexp(a, b["c"]), pd.Series(expected[:, 2], a.index))
    pd.testing.assert_series_equal(fastlog.logmatmulexp(a.loc["q"], b), pd.Series(expected[1], b.columns))
    assert fastlog.logmatmulexp(a.loc["q"], b["c"]) == pytest.approx(expected[1, 2])
    square = pd.DataFrame(np.zeros((3, 3)), list("xyz"), list("xyz"))
    assert list(fastlog.logmatmulexp(square, b).columns) == list("abcd")
    with pytest.raises(ValueError, match="labels of b's rows"):
        fastlog.logmatmulexp(a, b.rename({"x": "w"}))
    with pytest.raises(TypeError, match="position"):
        fastlog.logmatmulexp(xr.DataArray(np.zeros((2, 3)), dims=("u", "v")), b.to_numpy())
