"""Log-space arithmetic for NumPy: softplus, logsumexp, log-softmax and the losses made of them."""

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

from fastlog._config import __version__, show_config
from fastlog._elementwise import expit, log1pexp, log_expit, log_sigmoid, logaddexp, sigmoid, silu, softplus
from fastlog._losses import binary_cross_entropy_with_logits, cross_entropy, nll_loss
from fastlog._reductions import log_softmax, logsumexp, softmax

__all__ = [
    "__version__",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "expit",
    "log1pexp",
    "log_expit",
    "log_sigmoid",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "nll_loss",
    "show_config",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]


def __getattr__(name: str) -> _ModuleType:
    """Import a door when it is first asked for: ``fastlog.special``, ``fastlog.nn``, ``fastlog.tf``."""
    if name in ("special", "nn", "tf"):
        return _import_module(f"fastlog.{name}")
    raise AttributeError(f"module 'fastlog' has no attribute {name!r}")
