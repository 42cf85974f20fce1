from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import GenericAlias, TracebackType
from typing import (
    Any,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    Self,
    SupportsIndex,
    TypeAlias,
    overload,
    type_check_only,
)

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from typing_extensions import TypeVar

from fastlog import bench as bench
from fastlog import nn as nn
from fastlog import objectives as objectives
from fastlog import special as special
from fastlog import tf as tf
from fastlog._typing import AnyArray, Array, Axes, Axis, Mask

__all__ = [
    "LogSumExp",
    "__version__",
    "binary_cross_entropy_with_logits",
    "categorical_entropy",
    "cross_entropy",
    "entr",
    "expit",
    "focal_loss",
    "get_include",
    "get_num_threads",
    "importance_weights",
    "is_patched",
    "kl_divergence",
    "log1mexp",
    "log1pexp",
    "log_backward",
    "log_expit",
    "log_forward",
    "log_sigmoid",
    "log_softmax",
    "log_transitions",
    "logaddexp",
    "logaddexp2",
    "logcumsumexp",
    "logexpm1",
    "logit",
    "logmatmulexp",
    "logmeanexp",
    "logsubexp",
    "logsumexp",
    "mish",
    "nll_loss",
    "num_threads",
    "patch",
    "rel_entr",
    "sample_categorical",
    "segment_log_softmax",
    "segment_logsumexp",
    "segment_softmax",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "silu",
    "softmax",
    "softmax_focal_loss",
    "softplus",
    "softplus_inverse",
    "unpatch",
    "usable_cpus",
    "xlog1py",
    "xlogy",
]

__version__: str

# ---- what arguments may be ----

_Whole: TypeAlias = np.bool | np.integer[Any]  # They become float64.
_Number: TypeAlias = float | _Whole
_Numbers: TypeAlias = (
    NDArray[_Whole] | Sequence[_Number] | Sequence[Sequence[_Number]] | Sequence[Sequence[Sequence[_Number]]]
)
_Axes: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...]  # NumPy's arrays have these.
_Reduced: TypeAlias = Literal["mean", "sum"]
_C = TypeVar("_C", bound=np.float16 | np.float32 | np.float64, default=np.float64)  # Kernels have these dtypes.
_I = TypeVar("_I", bound=np.inexact[Any], default=np.float64)  # NumPy computes the others of these.
_D = TypeVar("_D", bound=np.inexact[Any])
_O = TypeVar("_O", bound=NDArray[Any], default=Any)
_A = TypeVar("_A", bound=Array)
_V = TypeVar("_V", default=Any)

# ---- elementwise: ufuncs ----

@type_check_only  # pyright: ignore[reportIncompatibleMethodOverride]
class _Unary(np.ufunc):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    @overload  # np.float64 is a float, and then both agree.
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, x: _C, /, out: None = None, *, where: ArrayLike = True, **kwargs: Any
    ) -> _C: ...
    @overload
    def __call__(self, x: _Number, /, out: None = None, *, where: ArrayLike = True, **kwargs: Any) -> np.float64: ...
    @overload
    def __call__(
        self, x: NDArray[_C], /, out: None = None, *, where: ArrayLike = True, **kwargs: Any
    ) -> NDArray[_C]: ...
    @overload
    def __call__(
        self, x: _Numbers, /, out: None = None, *, where: ArrayLike = True, **kwargs: Any
    ) -> NDArray[np.float64]: ...
    @overload
    def __call__(self, x: ArrayLike, /, out: _O | tuple[_O], *, where: ArrayLike = True, **kwargs: Any) -> _O: ...
    @overload
    def __call__(self, x: _A, /, **kwargs: Any) -> _A: ...

@type_check_only  # pyright: ignore[reportIncompatibleMethodOverride]
class _Binary(np.ufunc):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, x1: _C, x2: _C, /, out: None = None, *, where: ArrayLike = True, **kwargs: Any
    ) -> _C: ...
    @overload
    def __call__(
        self, x1: _Number, x2: _Number, /, out: None = None, *, where: ArrayLike = True, **kwargs: Any
    ) -> np.float64: ...
    @overload
    def __call__(
        self, x1: NDArray[_C], x2: NDArray[_C] | float, /, out: None = None, *, where: ArrayLike = True, **kwargs: Any
    ) -> NDArray[_C]: ...
    @overload
    def __call__(
        self, x1: float, x2: NDArray[_C], /, out: None = None, *, where: ArrayLike = True, **kwargs: Any
    ) -> NDArray[_C]: ...
    @overload
    def __call__(
        self, x1: ArrayLike, x2: ArrayLike, /, out: _O | tuple[_O], *, where: ArrayLike = True, **kwargs: Any
    ) -> _O: ...
    @overload
    def __call__(self, x1: Any, x2: Any, /, **kwargs: Any) -> Any: ...

softplus: _Unary
log1pexp: _Unary
log_sigmoid: _Unary
log_expit: _Unary
sigmoid: _Unary
expit: _Unary
silu: _Unary
mish: _Unary
logit: _Unary
log1mexp: _Unary
logexpm1: _Unary
softplus_inverse: _Unary
entr: _Unary
logaddexp: _Binary
logaddexp2: _Binary
logsubexp: _Binary
xlogy: _Binary
xlog1py: _Binary
rel_entr: _Binary

# fmt: off
# Parameters fill their lines, so that the forms of a function can be compared.

# ---- reductions: over all axes a scalar; over some, what NumPy gives, a scalar or an array ----

@overload
def logsumexp(  # pyright: ignore[reportOverlappingOverload]
    a: NDArray[_I] | _I | _Numbers | _Number, axis: None = None, *, where: Mask | None = None
) -> _I: ...
@overload
def logsumexp(
    a: NDArray[_I] | _Numbers, axis: _Axes | None = None, *, keepdims: Literal[True], where: Mask | None = None
) -> NDArray[_I]: ...
@overload
def logsumexp(
    a: AnyArray, axis: Axes | None = None, b: AnyArray | None = None, keepdims: bool = False,
    *, return_sign: Literal[True], where: Mask | None = None, out: _O | None = None, dtype: DTypeLike | None = None,
) -> tuple[_O, Any]: ...
@overload
def logsumexp(
    a: AnyArray, axis: Axes | None = None, b: AnyArray | None = None, keepdims: bool = False,
    return_sign: Literal[False] = False, *, where: Mask | None = None, out: _O | None = None,
    dtype: DTypeLike | None = None,
) -> _O: ...
@overload
def logmeanexp(  # pyright: ignore[reportOverlappingOverload]
    a: NDArray[_I] | _I | _Numbers | _Number, axis: None = None, *, where: Mask | None = None
) -> _I: ...
@overload
def logmeanexp(
    a: NDArray[_I] | _Numbers, axis: _Axes | None = None, *, keepdims: Literal[True], where: Mask | None = None
) -> NDArray[_I]: ...
@overload
def logmeanexp(
    a: AnyArray, axis: Axes | None = None, b: AnyArray | None = None, keepdims: bool = False,
    *, where: Mask | None = None, out: _O | None = None, dtype: DTypeLike | None = None,
) -> _O: ...
@overload
def logcumsumexp(
    a: NDArray[_C] | _Numbers, axis: int | None = None, *, reverse: bool = False, exclusive: bool = False
) -> NDArray[_C]: ...
@overload
def logcumsumexp(
    a: AnyArray, axis: Axis | None = None, *, reverse: bool = False, exclusive: bool = False, out: _O | None = None,
    dtype: DTypeLike | None = None,
) -> _O: ...
@overload
def logmatmulexp(a: AnyArray, b: AnyArray, *, out: _O) -> _O: ...
@overload
def logmatmulexp(a: AnyArray, b: AnyArray, *, out: None = None) -> Any: ...

# ---- hidden Markov chains ----

def log_forward(log_start: AnyArray, log_transition: AnyArray, log_emission: AnyArray) -> NDArray[Any]: ...
def log_backward(log_transition: AnyArray, log_emission: AnyArray) -> NDArray[Any]: ...
def log_transitions(
    log_transition: AnyArray, log_emission: AnyArray, log_alpha: AnyArray, log_beta: AnyArray
) -> NDArray[Any]: ...

# ---- segments ----

@overload
def segment_logsumexp(
    data: NDArray[_C] | _Numbers, segment_ids: AnyArray, num_segments: int | None = None
) -> NDArray[_C]: ...
@overload
def segment_logsumexp(data: AnyArray, segment_ids: AnyArray, num_segments: int | None = None) -> Any: ...
@overload
def segment_softmax(
    data: NDArray[_C] | _Numbers, segment_ids: AnyArray, num_segments: int | None = None
) -> NDArray[_C]: ...
@overload
def segment_softmax(data: AnyArray, segment_ids: AnyArray, num_segments: int | None = None) -> Any: ...
@overload
def segment_log_softmax(
    data: NDArray[_C] | _Numbers, segment_ids: AnyArray, num_segments: int | None = None
) -> NDArray[_C]: ...
@overload
def segment_log_softmax(data: AnyArray, segment_ids: AnyArray, num_segments: int | None = None) -> Any: ...

# ---- normalisations ----

@overload
def softmax(
    x: NDArray[_I] | _Numbers, axis: _Axes | None = None, *, where: Mask | None = None, temperature: float = 1.0
) -> NDArray[_I]: ...
@overload
def softmax(
    x: NDArray[Any] | _Numbers, axis: _Axes | None = None, *, where: Mask | None = None, dtype: type[_D] | np.dtype[_D],
    temperature: float = 1.0,
) -> NDArray[_D]: ...
@overload
def softmax(
    x: NDArray[_I] | _Numbers, axis: _Axes | None = None, *, where: Mask | None = None, temperature: float = 1.0,
    return_lse: Literal[True],
) -> tuple[NDArray[_I], Any]: ...
@overload
def softmax(
    x: AnyArray, axis: Axes | None = None, *, where: Mask | None = None, out: _O | None = None,
    dtype: DTypeLike | None = None, temperature: float = 1.0, return_lse: Literal[False] = False,
) -> _O: ...
@overload
def softmax(
    x: AnyArray, axis: Axes | None = None, *, where: Mask | None = None, out: _O | None = None,
    dtype: DTypeLike | None = None, temperature: float = 1.0, return_lse: bool,
) -> Any: ...
@overload
def log_softmax(
    x: NDArray[_I] | _Numbers, axis: _Axes | None = None, *, where: Mask | None = None, temperature: float = 1.0
) -> NDArray[_I]: ...
@overload
def log_softmax(
    x: NDArray[Any] | _Numbers, axis: _Axes | None = None, *, where: Mask | None = None, dtype: type[_D] | np.dtype[_D],
    temperature: float = 1.0,
) -> NDArray[_D]: ...
@overload
def log_softmax(
    x: NDArray[_I] | _Numbers, axis: _Axes | None = None, *, where: Mask | None = None, temperature: float = 1.0,
    return_lse: Literal[True],
) -> tuple[NDArray[_I], Any]: ...
@overload
def log_softmax(
    x: AnyArray, axis: Axes | None = None, *, where: Mask | None = None, out: _O | None = None,
    dtype: DTypeLike | None = None, temperature: float = 1.0, return_lse: Literal[False] = False,
) -> _O: ...
@overload
def log_softmax(
    x: AnyArray, axis: Axes | None = None, *, where: Mask | None = None, out: _O | None = None,
    dtype: DTypeLike | None = None, temperature: float = 1.0, return_lse: bool,
) -> Any: ...

# ---- categorical distributions ----

@overload
def categorical_entropy(
    logits: NDArray[_C] | _C | _Numbers | _Number, axis: None = None
) -> _C: ...
@overload
def categorical_entropy(
    logits: NDArray[_C] | _Numbers, axis: _Axes | None = None, *, keepdims: Literal[True]
) -> NDArray[_C]: ...
@overload
def categorical_entropy(logits: AnyArray, axis: Axes | None = None, *, keepdims: bool = False) -> Any: ...
def importance_weights(log_w: AnyArray, axis: Axis = -1) -> _ImportanceWeights: ...
def sample_categorical(
    logits: AnyArray, rng: np.random.Generator | int | None = None, axis: Axis = -1, *, temperature: float = 1.0
) -> Any: ...

@type_check_only
class _ImportanceWeights(NamedTuple):
    weights: Any
    log_mean: Any
    ess: Any

# ---- losses: reduced to a scalar, or one by one; gradients and Hessians follow the loss ----

@overload
def binary_cross_entropy_with_logits(
    logits: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, pos_weight: ArrayLike | None = None,
    reduction: _Reduced = "mean", *, label_smoothing: float = 0.0,
) -> _C: ...
@overload
def binary_cross_entropy_with_logits(
    logits: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, pos_weight: ArrayLike | None = None,
    *, reduction: Literal["none"], label_smoothing: float = 0.0,
) -> NDArray[_C]: ...
@overload
def binary_cross_entropy_with_logits(
    logits: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, pos_weight: ArrayLike | None = None,
    reduction: _Reduced = "mean", *, label_smoothing: float = 0.0, return_grad: Literal[True],
    return_hess: Literal[False] = False,
) -> tuple[_C, NDArray[_C]]: ...
@overload
def binary_cross_entropy_with_logits(
    logits: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, pos_weight: ArrayLike | None = None,
    reduction: _Reduced = "mean", *, label_smoothing: float = 0.0, return_grad: bool = False,
    return_hess: Literal[True],
) -> tuple[_C, NDArray[_C], NDArray[_C]]: ...
@overload
def binary_cross_entropy_with_logits(
    logits: AnyArray, targets: AnyArray, weight: AnyArray | None = None, pos_weight: AnyArray | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean", *, label_smoothing: float = 0.0, return_grad: bool = False,
    return_hess: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def focal_loss(
    logits: NDArray[_C], targets: ArrayLike, alpha: float | None = None, gamma: float = 2.0,
    reduction: _Reduced = "mean", *, weight: ArrayLike | None = None,
) -> _C: ...
@overload
def focal_loss(
    logits: NDArray[_C], targets: ArrayLike, alpha: float | None = None, gamma: float = 2.0,
    *, reduction: Literal["none"], weight: ArrayLike | None = None,
) -> NDArray[_C]: ...
@overload
def focal_loss(
    logits: NDArray[_C], targets: ArrayLike, alpha: float | None = None, gamma: float = 2.0,
    reduction: _Reduced = "mean", *, weight: ArrayLike | None = None, return_grad: Literal[True],
    return_hess: Literal[False] = False,
) -> tuple[_C, NDArray[_C]]: ...
@overload
def focal_loss(
    logits: NDArray[_C], targets: ArrayLike, alpha: float | None = None, gamma: float = 2.0,
    reduction: _Reduced = "mean", *, weight: ArrayLike | None = None, return_grad: bool = False,
    return_hess: Literal[True],
) -> tuple[_C, NDArray[_C], NDArray[_C]]: ...
@overload
def focal_loss(
    logits: AnyArray, targets: AnyArray, alpha: float | None = None, gamma: float = 2.0,
    reduction: Literal["mean", "sum", "none"] = "mean", *, weight: AnyArray | None = None, return_grad: bool = False,
    return_hess: bool = False,
) -> Any: ...
@overload
def softmax_focal_loss(
    logits: NDArray[_C], targets: ArrayLike, alpha: ArrayLike | None = None, gamma: float = 2.0,
    reduction: _Reduced = "mean", *, ignore_index: int | None = -100, axis: int = -1,
    return_grad: Literal[False] = False,
) -> _C: ...
@overload
def softmax_focal_loss(
    logits: NDArray[_C], targets: ArrayLike, alpha: ArrayLike | None = None, gamma: float = 2.0,
    reduction: _Reduced = "mean", *, ignore_index: int | None = -100, axis: int = -1, return_grad: Literal[True],
) -> tuple[_C, NDArray[_C]]: ...
@overload
def softmax_focal_loss(
    logits: AnyArray, targets: AnyArray, alpha: AnyArray | None = None, gamma: float = 2.0,
    reduction: Literal["mean", "sum", "none"] = "mean", *, ignore_index: int | None = -100, axis: Axis = -1,
    return_grad: bool = False,
) -> Any: ...
@overload
def kl_divergence(
    log_q: NDArray[_C], p: ArrayLike, *, log_target: bool = False, axis: _Axes | None = -1,
    reduction: Literal["mean", "batchmean", "sum"] = "mean",
) -> _C: ...
@overload
def kl_divergence(
    log_q: AnyArray, p: AnyArray, *, log_target: bool = False, axis: Axes | None = -1,
    reduction: Literal["mean", "batchmean", "sum", "none"] = "mean",
) -> Any: ...
@overload
def cross_entropy(
    logits: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, ignore_index: int | None = -100,
    reduction: _Reduced = "mean", label_smoothing: float = 0.0, *, axis: int = -1,
    sample_weight: ArrayLike | None = None, temperature: float | None = None,
) -> _C: ...
@overload
def cross_entropy(
    logits: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, ignore_index: int | None = -100,
    reduction: _Reduced = "mean", label_smoothing: float = 0.0, *, axis: int = -1,
    sample_weight: ArrayLike | None = None, temperature: None = None, return_grad: Literal[True],
    return_hess: Literal[False] = False,
) -> tuple[_C, NDArray[_C]]: ...
@overload
def cross_entropy(
    logits: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, ignore_index: int | None = -100,
    reduction: _Reduced = "mean", label_smoothing: float = 0.0, *, axis: int = -1,
    sample_weight: ArrayLike | None = None, temperature: None = None, return_grad: bool = False,
    return_hess: Literal[True],
) -> tuple[_C, NDArray[_C], NDArray[_C]]: ...
@overload
def cross_entropy(
    logits: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, ignore_index: int | None = -100,
    reduction: _Reduced = "mean", label_smoothing: float = 0.0, *, axis: int = -1,
    sample_weight: ArrayLike | None = None, temperature: float, return_grad: Literal[True],
    return_hess: Literal[False] = False,
) -> tuple[_C, NDArray[_C], _C]: ...
@overload
def cross_entropy(
    logits: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, ignore_index: int | None = -100,
    reduction: _Reduced = "mean", label_smoothing: float = 0.0, *, axis: int = -1,
    sample_weight: ArrayLike | None = None, temperature: float, return_grad: bool = False,
    return_hess: Literal[True],
) -> tuple[_C, NDArray[_C], NDArray[_C], _C]: ...
@overload
def cross_entropy(
    logits: AnyArray, targets: AnyArray, weight: AnyArray | None = None, ignore_index: int | None = -100,
    reduction: Literal["mean", "sum", "none"] = "mean", label_smoothing: float = 0.0, *, axis: Axis = -1,
    sample_weight: AnyArray | None = None, temperature: float | None = None, return_grad: bool = False,
    return_hess: bool = False,
) -> Any: ...
@overload
def nll_loss(
    log_probs: NDArray[_C], targets: ArrayLike, weight: ArrayLike | None = None, ignore_index: int | None = -100,
    reduction: _Reduced = "mean", *, axis: int = -1,
) -> _C: ...
@overload
def nll_loss(
    log_probs: AnyArray, targets: AnyArray, weight: AnyArray | None = None, ignore_index: int | None = -100,
    reduction: Literal["mean", "sum", "none"] = "mean", *, axis: Axis = -1,
) -> Any: ...

# fmt: on

# ---- running sums ----

class LogSumExp(Generic[_V]):  # Its values are scalars where all axes are summed, of the dtype of the chunks.
    @overload
    def __init__(self: LogSumExp[np.floating[Any]], axis: None = None, *, keepdims: Literal[False] = False) -> None: ...
    @overload
    def __init__(
        self: LogSumExp[NDArray[np.floating[Any]]], axis: _Axes | None = None, *, keepdims: Literal[True]
    ) -> None: ...
    @overload
    def __init__(self: LogSumExp[Any], axis: _Axes | None = None, *, keepdims: bool = False) -> None: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def update(self, a: ArrayLike, b: ArrayLike | None = None, *, where: Mask | None = None) -> Self: ...
    def merge(self, other: LogSumExp[Any]) -> Self: ...
    @property
    def parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
    @property
    def value(self) -> _V: ...
    @property
    def mean(self) -> _V: ...
    @property
    def sign(self) -> _V: ...

# ---- drop-in, configuration ----

_Target: TypeAlias = Literal["numpy", "scipy", "sklearn", "arviz", "arviz_stats", "pymbar", "hmmlearn"]

@type_check_only
class _Patch(Protocol):
    targets: tuple[str, ...]

    @property
    def refused(self) -> dict[str, str]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

def patch(
    targets: _Target | Iterable[_Target] | None = None,
    *,
    functions: Mapping[str, str] | None = None,
    verbose: bool = False,
    strict: bool = False,
) -> _Patch: ...
def unpatch() -> None: ...
def is_patched(target: str | None = None) -> bool: ...
def get_include() -> str: ...
@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...

# ---- threads ----

def get_num_threads() -> int: ...
def set_num_threads(n: SupportsIndex | Literal["auto"]) -> None: ...
def num_threads(n: SupportsIndex | Literal["auto"]) -> AbstractContextManager[None]: ...
def usable_cpus() -> int: ...
