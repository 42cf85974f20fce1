"""Arrays of CuPy: the functions of cupyx.scipy.special compute with them."""

from __future__ import annotations

import math
from typing import Any

from fastlog._libraries.library import Library


class CuPy(Library):
    """The library CuPy, by the names that its documentation gives; it has not been tested on a GPU."""

    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        from cupyx.scipy import special

        self.special = special

    def segment_sum(self, x: Any, ids: Any, n: int) -> Any:
        sums = self.xp.zeros((n, *x.shape[1:]), x.dtype)
        self.xp.add.at(sums, ids, x)
        return sums

    def segment_max(self, x: Any, ids: Any, n: int) -> Any:
        largest = self.xp.full((n, *x.shape[1:]), -math.inf, x.dtype)
        self.xp.maximum.at(largest, ids, x)
        return largest

    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return self.special.logsumexp(x, axis=axes, keepdims=keepdims)

    def softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.special.softmax(x, axis=axes)

    def log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.special.log_softmax(x, axis=axes)

    def log_sigmoid(self, x: Any) -> Any:
        return self.special.log_expit(x)

    def sigmoid(self, x: Any) -> Any:
        return self.special.expit(x)
