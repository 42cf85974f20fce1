"""Arrays of JAX: its own functions compute with them."""

from __future__ import annotations

import math
import sys
from typing import Any

from fastlog._libraries.library import Differentiable


class Jax(Differentiable):
    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        self.jax = sys.modules["jax"]

    def constant(self, x: Any) -> Any:
        return self.jax.lax.stop_gradient(x)

    def own_logsumexp(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.jax.nn.logsumexp(x, axis=axes, keepdims=True)

    def own_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.jax.nn.softmax(x, axis=axes)

    def own_log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.jax.nn.log_softmax(x, axis=axes)

    def own_logcumsumexp(self, x: Any, axis: int) -> Any:
        y = self.jax.lax.cumlogsumexp(x, axis=axis)
        # From an infinite element on, JAX's derivative is wrong; the derivative of log(exp(x)) is nan, as torch's.
        infinite = self.xp.cumsum(self.xp.where(x == math.inf, x, self.xp.zeros_like(x)), axis=axis)
        return self.xp.where(infinite == math.inf, self.xp.log(self.xp.exp(infinite)), y)

    def segment_sum(self, x: Any, ids: Any, n: int) -> Any:
        return self.jax.ops.segment_sum(x, ids, n)

    def segment_max(self, x: Any, ids: Any, n: int) -> Any:
        return self.jax.ops.segment_max(x, ids, n)

    def softplus(self, x: Any) -> Any:
        return self.jax.nn.softplus(x)

    def log_sigmoid(self, x: Any) -> Any:
        return self.jax.nn.log_sigmoid(x)

    def sigmoid(self, x: Any) -> Any:
        return self.jax.nn.sigmoid(x)
