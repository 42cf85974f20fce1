from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastlog._typing import AnyArray

__all__ = [
    "binary_cross_entropy_with_logits", "cross_entropy", "kl_div", "log_softmax", "logsigmoid", "logsumexp", "mish",
    "nll_loss", "sigmoid", "silu", "softmax", "softmin", "softplus",
]  # fmt: skip

_C = TypeVar("_C", bound=np.float16 | np.float32 | np.float64)  # Kernels have these dtypes.
_R = TypeVar("_R", bound=str)

# fmt: off
# An array of NumPy gives one of its dtype; what other arguments give, no type says.

@overload
def logsigmoid(input: NDArray[_C]) -> NDArray[_C]: ...
@overload
def logsigmoid(input: AnyArray) -> Any: ...
@overload
def sigmoid(input: NDArray[_C]) -> NDArray[_C]: ...
@overload
def sigmoid(input: AnyArray) -> Any: ...
@overload
def silu(input: NDArray[_C], inplace: bool = False) -> NDArray[_C]: ...
@overload
def silu(input: AnyArray, inplace: bool = False) -> Any: ...
@overload
def mish(input: NDArray[_C], inplace: bool = False) -> NDArray[_C]: ...
@overload
def mish(input: AnyArray, inplace: bool = False) -> Any: ...
@overload
def softplus(input: NDArray[_C], beta: float = 1, threshold: float = 20) -> NDArray[_C]: ...
@overload
def softplus(input: AnyArray, beta: float = 1, threshold: float = 20) -> Any: ...
@overload
def softmax(input: NDArray[_C], dim: int | None = None, _stacklevel: int = 3, dtype: None = None) -> NDArray[_C]: ...
@overload
def softmax(
    input: AnyArray, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike | None = None
) -> Any: ...
@overload
def softmin(input: NDArray[_C], dim: int | None = None, _stacklevel: int = 3, dtype: None = None) -> NDArray[_C]: ...
@overload
def softmin(
    input: AnyArray, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike | None = None
) -> Any: ...
@overload
def log_softmax(
    input: NDArray[_C], dim: int | None = None, _stacklevel: int = 3, dtype: None = None
) -> NDArray[_C]: ...
@overload
def log_softmax(
    input: AnyArray, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike | None = None
) -> Any: ...
@overload
def logsumexp(
    input: NDArray[_C], dim: int | tuple[int, ...] | list[int], keepdim: Literal[True], *, out: None = None
) -> NDArray[_C]: ...
@overload
def logsumexp(
    input: AnyArray, dim: int | tuple[int, ...] | list[int], keepdim: bool = False, *, out: Any = None
) -> Any: ...
@overload
def binary_cross_entropy_with_logits(
    input: NDArray[_C], target: ArrayLike, weight: ArrayLike | None = None, size_average: None = None,
    reduce: None = None, reduction: Literal["mean", "sum"] = "mean", pos_weight: ArrayLike | None = None,
) -> _C: ...
@overload
def binary_cross_entropy_with_logits(
    input: AnyArray, target: AnyArray, weight: AnyArray | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: Literal["mean", "sum", "none"] = "mean", pos_weight: AnyArray | None = None,
) -> Any: ...
@overload
def cross_entropy(
    input: NDArray[_C], target: ArrayLike, weight: ArrayLike | None = None, size_average: None = None,
    ignore_index: int = -100, reduce: None = None, reduction: Literal["mean", "sum"] = "mean",
    label_smoothing: float = 0.0,
) -> _C: ...
@overload
def cross_entropy(
    input: AnyArray, target: AnyArray, weight: AnyArray | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: Literal["mean", "sum", "none"] = "mean",
    label_smoothing: float = 0.0,
) -> Any: ...
@overload
def nll_loss(
    input: NDArray[_C], target: ArrayLike, weight: ArrayLike | None = None, size_average: None = None,
    ignore_index: int = -100, reduce: None = None, reduction: Literal["mean", "sum"] = "mean",
) -> _C: ...
@overload
def nll_loss(
    input: AnyArray, target: AnyArray, weight: AnyArray | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: Literal["mean", "sum", "none"] = "mean",
) -> Any: ...
def kl_div(
    input: AnyArray, target: AnyArray, size_average: bool | None = None, reduce: bool | None = None,
    reduction: Literal["mean", "sum", "none", "batchmean"] = "mean", log_target: bool = False,
) -> Any: ...

def legacy_reduction(
    size_average: bool | None, reduce: bool | None, reduction: _R
) -> _R | Literal["mean", "sum", "none"]: ...
