"""torch.nn's modules, on NumPy arrays: small callables that hold their options."""

from __future__ import annotations

from typing import Any

from fastlog.nn import functional

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "LogSigmoid",
    "LogSoftmax",
    "NLLLoss",
    "Softmax",
    "Softplus",
    "functional",
]


class _Module:
    """A function with options: ``Module(options)(input)`` is ``Module(options).forward(input)``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any) -> Any:
        """Apply the module."""
        raise TypeError(f"{type(self).__name__} is not a module by itself")

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if value is not None)
        return f"{type(self).__name__}({options})"


class LogSigmoid(_Module):
    """log(1 / (1 + exp(-x))), elementwise; arguments are accepted and ignored, as torch does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        """Return `fastlog.log_sigmoid` of the input."""
        return functional.logsigmoid(input)


class Softplus(_Module):
    """log(1 + exp(beta x)) / beta, elementwise."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Any) -> Any:
        """Return `functional.softplus` of the input."""
        return functional.softplus(input, self.beta, self.threshold)


class Softmax(_Module):
    """Softmax over the axis `dim`."""

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Return `functional.softmax` of the input."""
        return functional.softmax(input, self.dim)


class LogSoftmax(_Module):
    """Logarithm of the softmax over the axis `dim`."""

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Return `functional.log_softmax` of the input."""
        return functional.log_softmax(input, self.dim)


class BCEWithLogitsLoss(_Module):
    """Binary cross-entropy of logits and targets."""

    def __init__(self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None) -> None:
        self.weight = weight
        self.reduction = reduction
        self.pos_weight = pos_weight

    def forward(self, input: Any, target: Any) -> Any:
        """Return `functional.binary_cross_entropy_with_logits`."""
        return functional.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class NLLLoss(_Module):
    """Negative log-likelihood of class labels, given log-probabilities."""

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        self.weight = weight
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        """Return `functional.nll_loss`."""
        return functional.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(_Module):
    """Cross-entropy of logits with class labels or class probabilities."""

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        self.weight = weight
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, input: Any, target: Any) -> Any:
        """Return `functional.cross_entropy`."""
        return functional.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )
