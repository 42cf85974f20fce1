"""The modules of torch.nn, on NumPy arrays: small callables that hold their options."""

from __future__ import annotations

from typing import Any, Literal

from fastlog.nn import functional

__all__ = [
    "BCEWithLogitsLoss", "CrossEntropyLoss", "KLDivLoss", "LogSigmoid", "LogSoftmax", "Mish", "NLLLoss", "SiLU",
    "Sigmoid", "Softmax", "Softmin", "Softplus", "functional",
]  # fmt: skip


class _Module:
    """A function with options: ``Module(options)(input)`` is ``Module(options).forward(input)``."""

    shown: tuple[str, ...] = ()  # The options that repr shows, as torch does; losses show none.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any) -> Any:
        """Apply the module."""
        raise TypeError(f"{type(self).__name__} is not a module by itself")

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.shown)
        return f"{type(self).__name__}({options})"


class _WithoutOptions(_Module):
    """An elementwise function, which accepts arguments and ignores them, as torch does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


class LogSigmoid(_WithoutOptions):
    """The logarithm of the sigmoid, log(1 / (1 + exp(-x))), elementwise. It ignores all arguments, as torch does."""

    def forward(self, input: Any) -> Any:
        """Return `fastlog.log_sigmoid` of the input."""
        return functional.logsigmoid(input)


class Sigmoid(_WithoutOptions):
    """The sigmoid, 1 / (1 + exp(-x)), elementwise. It ignores all arguments, as torch does."""

    def forward(self, input: Any) -> Any:
        """Return `fastlog.sigmoid` of the input."""
        return functional.sigmoid(input)


class _InPlace(_Module):
    """An elementwise function that may overwrite its input."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace
        self.shown = ("inplace",) if inplace else ()


class SiLU(_InPlace):
    """The sigmoid-weighted linear unit, x sigmoid(x), elementwise. It may overwrite its input."""

    def forward(self, input: Any) -> Any:
        """Return `functional.silu` of the input."""
        return functional.silu(input, self.inplace)


class Mish(_InPlace):
    """The function mish, x tanh(softplus(x)), elementwise. It may overwrite its input."""

    def forward(self, input: Any) -> Any:
        """Return `functional.mish` of the input."""
        return functional.mish(input, self.inplace)


class Softplus(_Module):
    """The function softplus, log(1 + exp(beta x)) / beta, elementwise."""

    shown = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Any) -> Any:
        """Return `functional.softplus` of the input."""
        return functional.softplus(input, self.beta, self.threshold)


class _AlongAxis(_Module):
    """A function over the axis `dim`."""

    shown = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim


class Softmax(_AlongAxis):
    """The softmax over the axis `dim`."""

    def forward(self, input: Any) -> Any:
        """Return `functional.softmax` of the input."""
        return functional.softmax(input, self.dim, _stacklevel=5)


class Softmin(_AlongAxis):
    """The softmax of -x over the axis `dim`."""

    def forward(self, input: Any) -> Any:
        """Return `functional.softmin` of the input."""
        return functional.softmin(input, self.dim, _stacklevel=5)


class LogSoftmax(_AlongAxis):
    """The logarithm of the softmax over the axis `dim`."""

    def forward(self, input: Any) -> Any:
        """Return `functional.log_softmax` of the input."""
        return functional.log_softmax(input, self.dim, _stacklevel=5)


class BCEWithLogitsLoss(_Module):
    """The binary cross-entropy of logits and targets."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: Literal["mean", "sum", "none"] = "mean",
        pos_weight: Any = None,
    ) -> None:
        self.weight = weight
        self.reduction = functional.legacy_reduction(size_average, reduce, reduction)
        self.pos_weight = pos_weight

    def forward(self, input: Any, target: Any) -> Any:
        """Return `functional.binary_cross_entropy_with_logits` of the input and the target."""
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class NLLLoss(_Module):
    """The negative log-likelihood of class labels, given log-probabilities."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: Literal["mean", "sum", "none"] = "mean",
    ) -> None:
        self.weight = weight
        self.ignore_index = ignore_index
        self.reduction = functional.legacy_reduction(size_average, reduce, reduction)

    def forward(self, input: Any, target: Any) -> Any:
        """Return `functional.nll_loss` of the input and the target."""
        return functional.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(_Module):
    """The cross-entropy of logits with class labels or class probabilities."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: Literal["mean", "sum", "none"] = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight = weight
        self.ignore_index = ignore_index
        self.reduction = functional.legacy_reduction(size_average, reduce, reduction)
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """Return `functional.cross_entropy` of the input and the target."""
        options: dict[str, Any] = {"ignore_index": self.ignore_index, "label_smoothing": self.label_smoothing}
        return functional.cross_entropy(input, target, self.weight, reduction=self.reduction, **options)


class KLDivLoss(_Module):
    """The Kullback-Leibler divergence of target probabilities from log-probabilities."""

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: Literal["mean", "sum", "none", "batchmean"] = "mean",
        log_target: bool = False,
    ) -> None:
        self.reduction = functional.legacy_reduction(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        """Return `functional.kl_div` of the input and the target."""
        return functional.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
