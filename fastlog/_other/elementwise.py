"""Elementwise functions for the doors, of any library's arrays.

fastlog's own are ufuncs, which NumPy's protocols take to Dask, pandas, xarray and CuPy; torch and JAX have no such
protocol, and neither has the array API.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from fastlog import _elementwise
from fastlog._arrays import as_array, rectangular
from fastlog._other import computed, library_among, library_of


def _namespace() -> Any:
    return import_module("fastlog._other.namespace")


def _anyhow(name: str) -> Any:
    ufunc: np.ufunc = getattr(_elementwise, name)

    @functools.wraps(ufunc)
    def anyhow(x: Any, *args: Any) -> Any:
        if library_among(x, *args) == "namespace":
            return _namespace().call(name, (x, *args), {}, globals().__getitem__)
        return ufunc(x, *args)

    return anyhow


log_sigmoid = _anyhow("log_sigmoid")
mish = _anyhow("mish")
sigmoid = _anyhow("sigmoid")
xlog1py = _anyhow("xlog1py")
xlogy = _anyhow("xlogy")


def _with_beta(name: str, scaled: Callable[[Any, np.float64], Any]) -> Any:
    plain = _anyhow(name)

    def anyhow(x: Any, beta: Any = 1.0) -> Any:
        if isinstance(beta, (int, float)) and beta == 1:
            return plain(x)
        if library_among(x, beta) == "namespace":
            return plain(x, beta)
        x = floating(name, x)
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            y = scaled(x, np.float64(beta))  # whose dtype counts: float64 at least
            return y.astype(x.dtypes if hasattr(x, "dtypes") else x.dtype)  # a DataFrame has many

    return anyhow


def _bounded(x: Any, beta: np.float64) -> Any:
    """Return |beta x|, or 10000 if that is less, which is as good as infinity to exp."""
    size = np.minimum(np.abs(beta), np.finfo(np.float64).max)  # 0 times it is 0
    return np.multiply(np.minimum(np.abs(x), 1e4 / size), size)


def _softplus(x: Any, beta: np.float64) -> Any:
    if beta < 0:
        return np.negative(_softplus(np.negative(x), -beta))
    # What is linear stands apart, so that it is exact.
    rest = _elementwise.softplus(np.negative(_bounded(x, beta)))
    return np.add(np.maximum(x, 0), np.divide(rest, beta))


def _silu(x: Any, beta: np.float64) -> Any:
    share = _elementwise.sigmoid(np.multiply(np.sign(np.multiply(x, np.sign(beta))), _bounded(x, beta)))
    # -inf times the share 0 would be nan; the limit is 0.
    largest = np.finfo(np.float64).max
    finite = np.maximum(x, -largest) if beta > 0 else np.minimum(x, largest) if beta < 0 else x
    return np.multiply(finite, share)


softplus = _with_beta("softplus", _softplus)
silu = _with_beta("silu", _silu)


def in_place(name: str, x: Any) -> Any:
    """Return `x`, overwritten by a function of it."""
    if library_of(x) == "namespace":
        return _namespace().overwrite(name, x)
    return getattr(_elementwise, name)(x, out=x)


def broadcast(name: str, x: Any, other: Any) -> tuple[Any, Any]:
    """Return two arrays in the shape that they have together; masks are kept."""
    library = library_of(x)
    if library == "namespace":
        one, two = _namespace().broadcast(name, x, other)
    elif library == "labelled":
        raise ValueError(f"{name}: the shapes {x.shape} and {np.shape(other)} differ; labels are not broadcast")
    else:
        if library is None or library_of(other) != "dask":
            other = np.asanyarray(computed(other))
        # Adding False changes the shape only. NumPy's function for that loses masks.
        one, two = np.add(x, np.zeros_like(other, bool)), np.add(other, np.zeros_like(x, bool))
    return one, two


def floating(name: str, x: Any) -> Any:
    """Return integers and booleans as real numbers, for arithmetic with them; other arrays as they are."""
    library = library_of(x)
    if library == "namespace":
        return _namespace().floating(name, x)
    if library is None:
        x = x if isinstance(x, np.ndarray) else rectangular(name, x)
        as_array(name, x)  # what holds no numbers is refused
    dtype = getattr(x, "dtype", None)  # which a DataFrame has not
    return x if isinstance(dtype, np.dtype) and dtype.kind not in "biu" else np.multiply(x, 1.0)
