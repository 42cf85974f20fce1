"""Types of arguments, for signatures and for the stub."""

from __future__ import annotations

from typing import Any, Protocol, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

__all__ = ["AnyArray", "Array", "ArrayLike", "Axes", "Axis", "DTypeLike", "Mask", "Out"]


class Array(Protocol):
    """An array of another library: pandas, xarray, Dask, torch, JAX, CuPy, any that follows the array API."""

    @property
    def shape(self) -> Any:
        """Its lengths."""

    @property
    def ndim(self) -> int:
        """The number of its axes."""


AnyArray: TypeAlias = ArrayLike | Array
Mask: TypeAlias = ArrayLike | Array  # Its elements are bools.
Axis: TypeAlias = SupportsIndex | str  # Axes of xarray have names.
Axes: TypeAlias = SupportsIndex | str | tuple[SupportsIndex, ...] | tuple[str, ...]
Out: TypeAlias = np.ndarray[Any, np.dtype[Any]]
