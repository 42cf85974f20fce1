"""The operations that formulas need of a library of arrays, in the words of the array API standard."""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import BoundArguments
from typing import Any

import numpy as np

from fastlog._libraries import computed, each


class Library:
    """The operations of any library that follows the standard."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def by_numpy(self, function: Callable[..., Any], bound: BoundArguments, other: str) -> Any:
        """Return what the function computes on the arguments' own memory; None where that is not possible.

        Integers in the argument `other` become numbers of the dtype of the first argument.
        """
        return None

    def admitted(self, x: Any, dtype: Any, is_loss: bool) -> Any:
        """Return the first argument as the function should see it."""
        return x

    def array(self, name: str, a: Any, like: Any) -> Any:
        """Return `a` as an array of the library, on the device of `like`."""
        return self.own_array(self.unmasked(name, a), like)

    def unmasked(self, name: str, a: Any) -> Any:
        """Return an argument as other libraries can convert it: computed, and without a mask."""
        a = computed(a)
        if not isinstance(a, np.ma.MaskedArray):
            return a
        if np.ma.is_masked(a):
            raise TypeError(f"{name}: an argument has masked elements; fill them first, as only numpy.ma knows masks")
        return a.data

    def own_array(self, a: Any, like: Any) -> Any:
        """Return what is an array of some library as it is, anything else as an array of this one."""
        foreign = hasattr(a, "__array_namespace__") and not isinstance(a, (np.ndarray, np.generic))
        return a if foreign else self.xp.asarray(a)

    def mask(self, name: str, where: Any, x: Any) -> Any:
        """Return which elements of `x` count."""
        some = self.array(name, where, x)
        if not self.xp.isdtype(some.dtype, "bool"):
            raise TypeError(f"{name}: where must be an array of bool, not of {some.dtype}")
        return some

    def floating(self, name: str, a: Any, dtype: Any = None, like: Any = None, wide: bool = True) -> Any:
        """Return `a` as an array of real numbers, of `dtype`, its own, or the library's default; float32 at least."""
        xp = self.xp
        if like is not None and isinstance(a, (bool, int, float)):
            return xp.full_like(like, float(a))
        x = self.array(name, a, like)
        if dtype is not None:
            x = xp.astype(x, self.dtype(dtype))
        elif xp.isdtype(x.dtype, ("bool", "integral")):
            x = xp.astype(x, xp.asarray(0.0).dtype if like is None else like.dtype)
        if not xp.isdtype(x.dtype, "real floating"):
            raise TypeError(f"{name}: computed for real numbers in {xp.__name__}, not for {x.dtype}")
        return xp.astype(x, xp.float32) if wide and self.is_narrow(x.dtype) else x

    def dtype(self, dtype: Any) -> Any:
        """Return a dtype of the library's own, for which NumPy's names may stand."""
        return getattr(self.xp, np.dtype(dtype).name) if isinstance(dtype, (str, type, np.dtype)) else dtype

    def overwrite(self, name: str, x: Any, function: Callable[[Any], Any]) -> Any:
        """Return `x`, overwritten by a function of it."""
        raise TypeError(f"{name}: inplace=True is for arrays of NumPy and tensors of torch, not for {self.xp.__name__}")

    def is_narrow(self, dtype: Any) -> bool:
        """Tell whether numbers of a dtype are real and have fewer bits than float32."""
        return bool(self.xp.isdtype(dtype, "real floating") and self.xp.finfo(dtype).bits < 32)

    def rounded(self, name: str, y: Any, x: Any, dtype: Any, other: Any) -> Any:
        """Return a result in `dtype`, or else that of `x`, if it is narrower than float32 and `other` is no wider."""
        dtype = x.dtype if dtype is None else self.dtype(dtype)
        if not self.is_narrow(dtype):
            return y
        if hasattr(other, "dtype"):
            dtype_of_other = self.array(name, other, x).dtype
            if dtype_of_other != dtype and self.xp.isdtype(dtype_of_other, "real floating"):
                return y
        return each(lambda part: self.xp.astype(part, dtype), y)

    def known(self, flag: Any) -> bool | None:
        """Return whether a condition is true; None where a compiler traces without values."""
        try:
            return bool(flag)
        except Exception:  # Libraries raise exceptions of their own.
            return None

    def constant(self, x: Any) -> Any:
        """Return the values of an array, as a constant for derivatives."""
        return x

    def count(self, flags: Any, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
        """Return how many flags are true, as integers."""
        integers = self.xp.astype(flags, self.xp.asarray(0).dtype)
        return self.xp.sum(integers, axis=axes, keepdims=keepdims)

    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        top, rest = self._partition(x, axes)
        y = top + self.xp.log1p(rest)
        return y if keepdims else self.xp.squeeze(y, axis=axes)

    def log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        top, rest = self._partition(x, axes)
        return self._with_signs((x - top) - self.xp.log1p(rest), x, axes)

    def _with_signs(self, y: Any, x: Any, axes: tuple[int, ...]) -> Any:
        """Return log_softmax with the sign of 0: -0.0 for small negative numbers, 0.0 for the only element of a row."""
        alone = self.count(x > -math.inf, axes, keepdims=True) == 1
        return self.xp.where(alone, y + 0, -(0 - y))

    def softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        top = self.xp.max(x, axis=axes, keepdims=True)
        return self.xp.exp(self.log_softmax(x, axes)) + (top - top)  # Rows whose maximum is infinite become nan.

    def _partition(self, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        """Return the largest element M and the sum of the others' exponentials in units of exp(M).

        Elements as large as M are counted, so that the sum keeps its digits when one element dominates.
        """
        xp = self.xp
        top = xp.max(x, axis=axes, keepdims=True)
        is_top = x == top
        others = xp.where(is_top, xp.zeros_like(x), xp.exp(x - xp.where(xp.isfinite(top), top, xp.zeros_like(top))))
        ties = xp.astype(self.count(is_top, axes, keepdims=True) - 1, x.dtype)
        rest = xp.sum(others, axis=axes, keepdims=True) + xp.where(xp.isfinite(top), ties, xp.zeros_like(ties))
        return top, rest

    def logcumsumexp(self, x: Any, axis: int) -> Any:
        """Return running sums by doubling: each pass adds to every sum the one that ends where it begins."""
        xp, n, reach = self.xp, x.shape[axis], 1
        x = x * 1  # This is a new array, even where there is nothing to add.
        before: tuple[slice, ...] = (slice(None),) * axis
        while reach < n:
            nothing = xp.full_like(x[(*before, slice(0, reach), ...)], -math.inf)
            earlier = xp.concat([nothing, x[(*before, slice(0, n - reach), ...)]], axis=axis)
            x = self.logaddexp(x, earlier)
            reach *= 2
        return x

    def segment_sum(self, x: Any, ids: Any, n: int) -> Any:
        """Return the sums of the elements along the first axis that have the same index, from 0 to n - 1."""
        raise TypeError(
            f"segments are computed for arrays of NumPy, torch, JAX and CuPy, not for those of {self.xp.__name__}, "
            "which has no sum over indices"
        )

    def segment_max(self, x: Any, ids: Any, n: int) -> Any:
        """Return the largest of these elements, and -inf where there is none."""
        return self.segment_sum(x, ids, n)

    def of_segments(self, y: Any, ids: Any) -> Any:
        """Return what each element's segment has."""
        return self.xp.take(y, ids, axis=0)

    def logaddexp(self, x: Any, y: Any) -> Any:
        return self.xp.logaddexp(x, y)

    def softplus(self, x: Any) -> Any:
        return self.logaddexp(x, self.xp.zeros_like(x))

    def log_sigmoid(self, x: Any) -> Any:
        return -self.softplus(-x)

    def sigmoid(self, x: Any) -> Any:
        return self.xp.exp(self.log_sigmoid(x))


class Differentiable(Library):
    """A library whose own functions compute and have derivatives.

    In rows of nothing but -inf, its functions have the derivative nan. Here it is 0: the functions get other numbers in
    place of -inf, and the right results are put in afterwards.
    """

    own_logsumexp: Callable[..., Any]  # The reduced axes stay as axes of length 1.
    own_softmax: Callable[..., Any]
    own_log_softmax: Callable[..., Any]
    own_logcumsumexp: Callable[..., Any]

    def _emptied(self, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        """Return `x` with 0 in rows of nothing but -inf, and the largest elements of all rows as they are."""
        top = self.xp.max(x, axis=axes, keepdims=True)
        return self.xp.where(top == -math.inf, self.xp.zeros_like(x), x), top

    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        x, top = self._emptied(x, axes)
        y = self.own_logsumexp(x, axes)
        y = self.xp.where(top == -math.inf, self.xp.full_like(y, -math.inf), y)
        return y if keepdims else self.xp.squeeze(y, axis=axes)

    def softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        x, top = self._emptied(x, axes)
        y = self.own_softmax(x, axes)
        return self.xp.where(top == -math.inf, self.xp.full_like(y, math.nan), y)

    def log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        x, top = self._emptied(x, axes)
        y = self._with_signs(self.own_log_softmax(x, axes), x, axes)
        y = self.xp.where(top == math.inf, x - math.inf, y)
        return self.xp.where(top == -math.inf, self.xp.full_like(y, math.nan), y)

    def logcumsumexp(self, x: Any, axis: int) -> Any:
        xp = self.xp
        empty = xp.cumulative_sum(xp.astype(x != -math.inf, xp.asarray(0).dtype), axis=axis) == 0
        lowest = xp.full_like(x, float(xp.finfo(x.dtype).min))
        y = self.own_logcumsumexp(xp.where(x == -math.inf, lowest, x), axis)
        return xp.where(empty, xp.full_like(y, -math.inf), y)
