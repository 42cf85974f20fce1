"""Elementwise functions for the doors, of any library's arrays.

fastlog's own are ufuncs, which NumPy's protocols take to Dask, pandas, xarray and CuPy; torch and JAX have no such
protocol, and neither has the array API.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

import numpy as np

from fastlog import _elementwise
from fastlog._other import library_of


def _anyhow(name: str) -> Any:
    ufunc: np.ufunc = getattr(_elementwise, name)

    @functools.wraps(ufunc)
    def anyhow(x: Any, *args: Any, **kwargs: Any) -> Any:
        if library_of(x) == "namespace":
            return import_module("fastlog._other.namespace").call(name, (x, *args), kwargs)
        return ufunc(x, *args, **kwargs)

    return anyhow


log_sigmoid = _anyhow("log_sigmoid")
mish = _anyhow("mish")
sigmoid = _anyhow("sigmoid")
silu = _anyhow("silu")
softplus = _anyhow("softplus")
xlog1py = _anyhow("xlog1py")
xlogy = _anyhow("xlogy")
