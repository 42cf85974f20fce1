"""Elementwise functions for the doors, of any library's arrays.

The elementwise functions of fastlog are ufuncs, which NumPy's protocols take to Dask, pandas, xarray and CuPy. Neither
torch nor JAX has such a protocol, nor has the array API.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from fastlog import _elementwise
from fastlog._arrays import as_array, rectangular
from fastlog._libraries import computed, library_among, library_of

_OF_X = inspect.signature(lambda x: x)
_OF_X_Y = inspect.signature(lambda x, y: x)
_OF_X_BETA = inspect.signature(lambda x, beta=1.0: x)


def _array_api() -> Any:
    return import_module("fastlog._libraries.array_api")


def _of_any_array(name: str, signature: inspect.Signature) -> Any:
    """Return a function that computes as the ufunc does, with arrays of the array API and torch's tensors, too."""
    ufunc: np.ufunc = getattr(_elementwise, name)

    @functools.wraps(ufunc)
    def route(*args: Any) -> Any:
        if library_among(*args) == "array_api":
            return _array_api().call(route, signature.bind(*args))
        return ufunc(*args)

    route.__name__ = name  # Ufuncs have SciPy's names.
    return route


log_sigmoid = _of_any_array("log_sigmoid", _OF_X)
mish = _of_any_array("mish", _OF_X)
sigmoid = _of_any_array("sigmoid", _OF_X)
xlog1py = _of_any_array("xlog1py", _OF_X_Y)
xlogy = _of_any_array("xlogy", _OF_X_Y)


def _with_beta(name: str, scaled: Callable[[Any, np.float64], Any]) -> Any:
    """Return a function of x and a factor of x, computed by `scaled` where the factor is not 1."""
    plain = _of_any_array(name, _OF_X_BETA)

    @functools.wraps(plain.__wrapped__)
    def route(x: Any, beta: Any = 1.0) -> Any:
        if isinstance(beta, (int, float)) and beta == 1:
            return plain(x)
        if library_among(x, beta) == "array_api":
            return _array_api().call(route, _OF_X_BETA.bind(x, beta))
        x = floating(name, x)
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            y = scaled(x, np.float64(beta))  # np.float64 counts for the dtype of the result.
            return y.astype(x.dtypes if hasattr(x, "dtypes") else x.dtype)  # A DataFrame has many.

    return route


def _bounded(x: Any, beta: np.float64) -> Any:
    """Return |beta x|, or 10000 if that is less: exp(-10000) is 0, as exp(-inf) is."""
    size = np.minimum(np.abs(beta), np.finfo(np.float64).max)  # 0 times a finite number is 0.
    return np.multiply(np.minimum(np.abs(x), 1e4 / size), size)


def _softplus(x: Any, beta: np.float64) -> Any:
    if beta < 0:
        return np.negative(_softplus(np.negative(x), -beta))
    # The linear part stands apart, so that it is exact.
    rest = _elementwise.softplus(np.negative(_bounded(x, beta)))
    return np.add(np.maximum(x, 0), np.divide(rest, beta))


def _silu(x: Any, beta: np.float64) -> Any:
    share = _elementwise.sigmoid(np.multiply(np.sign(np.multiply(x, np.sign(beta))), _bounded(x, beta)))
    # The limit at the end where the share is 0 is 0, but inf * 0 would be nan.
    largest = np.finfo(np.float64).max
    finite = np.maximum(x, -largest) if beta > 0 else np.minimum(x, largest) if beta < 0 else x
    return np.multiply(finite, share)


softplus = _with_beta("softplus", _softplus)
silu = _with_beta("silu", _silu)


def in_place(function: Callable[[Any], Any], x: Any) -> Any:
    """Return `x`, overwritten by `silu` or `mish` of it."""
    if library_of(x) == "array_api":
        return _array_api().library_for(x).overwrite(function.__name__, x, function)
    return function.__wrapped__(x, out=x)  # type: ignore[attr-defined]  # This is the ufunc.


def broadcast(name: str, x: Any, other: Any) -> tuple[Any, Any]:
    """Return two arrays in the shape that they have together; masks are kept."""
    library = library_of(x)
    if library == "array_api":
        own = _array_api().library_for(x)
        one, two = own.xp.broadcast_arrays(x, own.array(name, other, x))
    elif library == "labelled":
        raise ValueError(f"{name}: the shapes {x.shape} and {np.shape(other)} differ; labels are not broadcast")
    else:
        if library is None or library_of(other) != "dask":
            other = np.asanyarray(computed(other))
        # Adding False changes only the shape. NumPy's function for that loses masks.
        one, two = np.add(x, np.zeros_like(other, bool)), np.add(other, np.zeros_like(x, bool))
    return one, two


def floating(name: str, x: Any) -> Any:
    """Return integers and booleans as real numbers, for arithmetic with them; other arrays as they are."""
    library = library_of(x)
    if library == "array_api":
        return _array_api().library_for(x).floating(name, x, wide=False)
    if library is None:
        x = x if isinstance(x, np.ndarray) else rectangular(name, x)
        as_array(name, x)  # This raises for an array that holds no numbers.
    dtype = getattr(x, "dtype", None)  # A DataFrame has none.
    return x if isinstance(dtype, np.dtype) and dtype.kind not in "biu" else np.multiply(x, 1.0)
