"""Tensors of torch: its own functions compute with them, or fastlog's kernels where NumPy can share their memory."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable
from inspect import BoundArguments
from typing import Any

import numpy as np

from fastlog._libraries import each
from fastlog._libraries.library import Differentiable


class Torch(Differentiable):
    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        self.torch = sys.modules["torch"]
        self.functional = self.torch.nn.functional

    def admitted(self, x: Any, dtype: Any, is_loss: bool) -> Any:
        """Return integers in torch's default dtype; inside `torch.autocast`, losses are in float32, as torch's are."""
        torch, device = self.torch, x.device.type
        if dtype is None and not (x.is_floating_point() or x.is_complex()):
            return x.to(torch.get_default_dtype())
        if is_loss and self.is_narrow(x.dtype) and torch.amp.is_autocast_available(device):
            return x.float() if torch.is_autocast_enabled(device) else x
        return x

    def by_numpy(self, function: Callable[..., Any], bound: BoundArguments, other: str) -> Any:
        torch, arguments = self.torch, bound.arguments
        tensors = [a for a in arguments.values() if isinstance(a, torch.Tensor)]
        plain = {torch.Tensor, torch.nn.Parameter}
        if torch.compiler.is_compiling() or any(
            type(a) not in plain
            or a.device.type != "cpu"
            or (a.requires_grad and torch.is_grad_enabled())
            or torch.autograd.forward_ad.unpack_dual(a).tangent is not None
            for a in tensors
        ):
            return None

        def numpy(a: Any) -> Any:
            return a.detach().numpy() if isinstance(a, torch.Tensor) else self.unmasked(function.__name__, a)

        def tensor(y: Any) -> Any:
            return torch.from_numpy(np.asarray(y))

        try:
            given = {name: numpy(a) for name, a in arguments.items()}
        except (TypeError, RuntimeError):  # NumPy has no bfloat16, and no transformed tensors.
            return None
        dtype, factor = given.get("dtype"), given.get(other)
        if dtype is torch.bfloat16:
            return None
        if isinstance(dtype, torch.dtype):
            given["dtype"] = str(dtype).removeprefix("torch.")
        if isinstance(factor, np.ndarray) and factor.dtype.kind in "iu":
            given[other] = factor.astype(next(iter(given.values())).dtype)
        numpys = BoundArguments(bound.signature, OrderedDict(given))
        return each(tensor, function(*numpys.args, **numpys.kwargs))

    def own_array(self, a: Any, like: Any) -> Any:
        return a if isinstance(a, self.torch.Tensor) else self.torch.asarray(a, device=like.device)

    def constant(self, x: Any) -> Any:
        return x.detach()

    def overwrite(self, name: str, x: Any, function: Callable[[Any], Any]) -> Any:
        if not x.is_floating_point():
            raise TypeError(f"{name}: the result does not fit into a tensor of {x.dtype}")
        return x.copy_(function(x.clone()))  # The clone stays for the derivatives.

    def own_logsumexp(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.torch.logsumexp(x, dim=axes, keepdim=True)

    def own_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self._on_one_axis(self.torch.softmax, x, axes)

    def own_log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self._on_one_axis(self.torch.log_softmax, x, axes)

    def _on_one_axis(self, function: Callable[..., Any], x: Any, axes: tuple[int, ...]) -> Any:
        """Apply a function of one axis to several axes, which are joined for it."""
        if len(axes) == 1:
            return function(x, axes[0])
        order = [k for k in range(x.ndim) if k not in axes] + list(axes)
        moved = x.permute(order)
        y = function(moved.flatten(x.ndim - len(axes)), -1)
        return y.reshape(moved.shape).permute([order.index(k) for k in range(x.ndim)])

    def own_logcumsumexp(self, x: Any, axis: int) -> Any:
        return self.torch.logcumsumexp(x, axis)

    def segment_sum(self, x: Any, ids: Any, n: int) -> Any:
        return x.new_zeros((n, *x.shape[1:])).index_add(0, ids, x)

    def segment_max(self, x: Any, ids: Any, n: int) -> Any:
        nothing = x.new_full((n, *x.shape[1:]), -math.inf)
        to = ids.reshape(-1, *[1] * (x.ndim - 1)).expand_as(x)
        return nothing.scatter_reduce(0, to, x, "amax")

    def of_segments(self, y: Any, ids: Any) -> Any:
        return y.index_select(0, ids)

    def softplus(self, x: Any) -> Any:
        # Above the threshold, torch returns x. From 40 on, that is the nearest number of float64 and float32.
        return self.functional.softplus(x, 1, 40)

    def sigmoid(self, x: Any) -> Any:
        return self.torch.sigmoid(x)
