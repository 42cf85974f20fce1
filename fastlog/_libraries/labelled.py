"""Arrays of pandas and xarray: fastlog computes with the values, and the results keep the labels."""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import BoundArguments
from typing import Any

import numpy as np

from fastlog._arrays import as_axes
from fastlog._libraries import each


def call(function: Callable[..., Any], bound: BoundArguments) -> Any:
    """Call a function of fastlog's with values in place of labelled arrays, and label what it returns."""
    name, arguments, parameters = function.__name__, bound.arguments, bound.signature.parameters
    key, first = next(iter(arguments.items()))
    if name == "logmatmulexp":
        return _product(function, first, **dict(list(arguments.items())[1:]))
    if hasattr(first, "data_vars"):
        return _of_dataset(function, first, bound)
    labels = _Frame(name, first) if hasattr(first, "iloc") else _DataArray(name, first)
    if "axis" in arguments:
        arguments["axis"] = labels.axis_number(arguments["axis"])
    arguments[key] = labels.values
    gone: tuple[int, ...] = ()
    if "axis" in parameters:
        gone = as_axes(arguments.get("axis", parameters["axis"].default), labels.values.ndim)
    class_axes = gone if "reduction" in parameters else ()
    for other, a in arguments.items():
        if other not in (key, "out") and hasattr(a, labels.mark):
            arguments[other] = labels.values_of(other, a, _axes_of(other, a.ndim, labels.values.ndim, class_axes))
    if name == "segment_logsumexp":  # Segments have other labels than elements.
        return function(**arguments)
    result = function(**arguments)  # The parameters all have names, and bound.args takes longer than a short row.
    keepdims = bool(arguments.get("keepdims", False))

    def labelled(y: Any) -> Any:
        # Losses give plain scalars; functions with keepdims give arrays, which have labels even without axes.
        if y is arguments.get("out") or (np.ndim(y) == 0 and "keepdims" not in parameters):
            return y
        return labels.attach(y, gone, keepdims)

    return each(labelled, result)


def _axes_of(argument: str, ndim: int, of_first: int, class_axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return those axes of the first argument, which has `of_first`, that an argument of `ndim` axes may run along."""
    every = tuple(range(of_first))
    if argument == "segment_ids":  # Further axes of the data are columns.
        return every[:ndim]
    if class_axes and argument in ("weight", "alpha"):
        return class_axes
    if argument == "sample_weight" or (argument == "targets" and ndim < of_first):
        return tuple(k for k in every if k not in class_axes)
    return every


def _product(function: Callable[..., Any], a: Any, b: Any, **options: Any) -> Any:
    """Return a product of matrices of pandas, with the labels of the axes that are left."""
    if not hasattr(a, "iloc"):
        raise TypeError(f"{function.__name__}: it goes by the position of axes, which have names here; pass a.data")
    one, values, others = _Frame(function.__name__, a), b, [None]
    if hasattr(b, "iloc"):
        if not b.axes[0].equals(a.axes[-1]):
            raise ValueError(
                f"{function.__name__}: the labels of b's rows are not those of a's last axis; align them, or pass "
                "b.to_numpy() to go by position"
            )
        values, others = _Frame(function.__name__, b).values, b.axes[1:]
    y = function(one.values, values, **options)
    axes = [*a.axes[:-1], *(others if np.ndim(values) > 1 else [])]
    if y is options.get("out") or np.ndim(y) != len(axes) or not axes:
        return y
    pandas = sys.modules["pandas"]
    return pandas.Series(y, axes[0]) if len(axes) == 1 else pandas.DataFrame(y, *axes)


def _of_dataset(function: Callable[..., Any], dataset: Any, bound: BoundArguments) -> Any:
    """Call a function with each variable of a Dataset, along those of the dimensions that the variable has."""
    name, parameters = function.__name__, bound.signature.parameters
    key, *others = bound.arguments
    if "axis" not in parameters or "reduction" in parameters:
        raise TypeError(f"{name}: takes one variable of a Dataset at a time, such as dataset[{_some(dataset)!r}]")
    if bound.arguments.get("out") is not None:
        raise TypeError(f"{name}: out= is for arrays, not for a Dataset")
    options = {other: bound.arguments[other] for other in others}
    axis = options.pop("axis", None)
    names = tuple(dataset.dims) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    strange = [k for k in names if k not in dataset.dims]
    if strange:
        raise ValueError(f"{name}: {strange[0]!r} is no dimension of the Dataset, which has {tuple(dataset.dims)}")

    def of_variable(variable: Any, array: Any) -> Any:
        own = {k: a[variable] if hasattr(a, "data_vars") else a for k, a in options.items()}
        axes = array.get_axis_num([k for k in names if k in array.dims])
        if name == "logcumsumexp" and len(axes) != 1:
            if axes or axis is None:
                raise ValueError(f"{name}: a Dataset needs the name of one dimension")
            return array  # This is the sum of one element.
        return function(array, axis=axes[0] if len(axes) == 1 else axes, **own)

    results = {variable: of_variable(variable, array) for variable, array in dataset.data_vars.items()}
    several = next((len(y) for y in results.values() if isinstance(y, tuple)), 0)

    def joined(of_variables: dict[Any, Any]) -> Any:
        return type(dataset)(of_variables, attrs=dataset.attrs)

    if not several:
        return joined(results)
    return tuple(joined({variable: y[k] for variable, y in results.items()}) for k in range(several))


def _some(dataset: Any) -> Any:
    return next(iter(dataset.data_vars), "name")


class _Frame:
    """A Series or DataFrame."""

    mark = "iloc"  # An argument with this attribute has labels.

    def __init__(self, name: str, frame: Any) -> None:
        self.name, self.frame = name, frame
        self.values = self._numbers(frame)
        self.axes = frame.axes

    def axis_number(self, axis: Any) -> Any:
        """Return an axis, which has no other name, as it is."""
        return axis

    def _numbers(self, frame: Any) -> np.ndarray:
        values: np.ndarray = frame.to_numpy()
        if values.dtype != object:
            return values
        try:  # The columns may be nullable.
            values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            raise TypeError(
                f"{self.name}: a column holds no numbers; choose those that do, for example with "
                "select_dtypes('number')"
            ) from None
        return values

    def values_of(self, argument: str, a: Any, axes: tuple[int, ...]) -> Any:
        """Return the numbers of an argument whose labels are those of the last of these axes of the first one."""
        fits = a.ndim <= len(axes) and all(
            own.equals(self.axes[k]) for own, k in zip(a.axes, axes[-a.ndim :], strict=True)
        )
        if not fits:
            raise ValueError(
                f"{self.name}: the labels of {argument} are not those of the first argument along the axes where it "
                f"is used; align them, or pass {argument}.to_numpy() to go by position"
            )
        return self._numbers(a)

    def attach(self, y: Any, gone: tuple[int, ...], keepdims: bool) -> Any:
        pandas = sys.modules["pandas"]  # It would copy the results, which nobody else has.
        if y.shape == self.values.shape:
            if self.values.ndim == 1:
                return pandas.Series(y, self.frame.index, name=self.frame.name, copy=False)
            return pandas.DataFrame(y, self.frame.index, self.frame.columns, copy=False)
        left = [labels for k, labels in enumerate(self.axes) if k not in gone]
        if len(left) == 1 and y.shape == (len(left[0]),):
            return pandas.Series(y, left[0], copy=False)
        if keepdims and self.values.ndim == 2 and y.ndim == 2:
            rows, columns = (None if k in gone else labels for k, labels in enumerate(self.axes))
            return pandas.DataFrame(y, rows, columns, copy=False)
        return y  # There are no labels for a flat result, or one that weights have enlarged.


class _DataArray:
    """A DataArray of xarray; an axis may be the name of a dimension."""

    mark = "get_axis_num"  # An argument with this attribute has dimensions.

    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array, self.values = name, array, array.data

    def axis_number(self, axis: Any) -> Any:
        names = axis if isinstance(axis, tuple) else (axis,)
        if not any(isinstance(k, str) for k in names):
            return axis
        numbers = self.array.get_axis_num(names)
        return numbers if isinstance(axis, tuple) else numbers[0]

    def values_of(self, argument: str, a: Any, axes: tuple[int, ...]) -> Any:
        """Return the elements of an argument in the order of those axes of the first one that it may have."""
        names = [self.array.dims[k] for k in axes]
        strange = [d for d in a.dims if d not in names]
        if strange:
            raise ValueError(f"{self.name}: {argument} has the dimensions {strange}, but may have only {names}")
        if hasattr(a, "coords") and hasattr(self.array, "coords"):
            sys.modules["xarray"].align(self.array, a, join="exact", copy=False)
        a = a.transpose(*[d for d in names if d in a.dims])
        if argument in ("targets", "segment_ids"):  # Their shapes are those of the first argument, or of its beginning.
            return a.data
        return a.data[tuple([slice(None) if d in a.dims else None for d in names])] if a.dims else a.data

    def attach(self, y: Any, gone: tuple[int, ...], keepdims: bool) -> Any:
        array = self.array
        if np.shape(y) == array.shape:
            return array.copy(data=y)
        if np.ndim(y) != array.ndim - (0 if keepdims else len(gone)):
            return y  # There are no labels for a flat result.
        names = [array.dims[k] for k in gone]
        bare = y.squeeze(gone) if keepdims else y
        return array.reduce(lambda values, **_: bare, names, keepdims=keepdims)
