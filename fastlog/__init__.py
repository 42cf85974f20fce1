"""Log-space arithmetic for NumPy: softplus, logsumexp, log-softmax and the losses made of them."""

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

from fastlog._config import __version__, show_config
from fastlog._elementwise import (
    entr,
    expit,
    log1mexp,
    log1pexp,
    log_expit,
    log_sigmoid,
    logaddexp,
    logexpm1,
    logit,
    logsubexp,
    mish,
    rel_entr,
    sigmoid,
    silu,
    softplus,
    softplus_inverse,
    xlog1py,
    xlogy,
)
from fastlog._logsumexp import logcumsumexp, logmeanexp, logsumexp
from fastlog._losses import binary_cross_entropy_with_logits, cross_entropy, focal_loss, kl_divergence, nll_loss
from fastlog._patch import is_patched, patch, unpatch
from fastlog._running import LogSumExp
from fastlog._softmax import log_softmax, softmax

__all__ = [
    "LogSumExp",
    "__version__",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "entr",
    "expit",
    "focal_loss",
    "is_patched",
    "kl_divergence",
    "log1mexp",
    "log1pexp",
    "log_expit",
    "log_sigmoid",
    "log_softmax",
    "logaddexp",
    "logcumsumexp",
    "logexpm1",
    "logit",
    "logmeanexp",
    "logsubexp",
    "logsumexp",
    "mish",
    "nll_loss",
    "patch",
    "rel_entr",
    "show_config",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softplus_inverse",
    "unpatch",
    "xlog1py",
    "xlogy",
]


def __getattr__(name: str) -> _ModuleType:
    """Import a door when it is first asked for: ``fastlog.special``, ``fastlog.nn``, ``fastlog.tf``."""
    if name in ("special", "nn", "tf"):
        return _import_module(f"fastlog.{name}")
    raise AttributeError(f"module 'fastlog' has no attribute {name!r}")
