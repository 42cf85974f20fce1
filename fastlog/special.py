"""scipy.special's names: ``from fastlog import special`` in place of ``from scipy import special``.

What fastlog does not have comes from SciPy, when that is installed.
"""

from typing import Any

from fastlog._elementwise import entr, expit, log_expit, logit, rel_entr, softplus, xlog1py, xlogy
from fastlog._reductions import log_softmax, logsumexp, softmax

__all__ = [
    "entr",
    "expit",
    "log_expit",
    "log_softmax",
    "logit",
    "logsumexp",
    "rel_entr",
    "softmax",
    "softplus",
    "xlog1py",
    "xlogy",
]


def __getattr__(name: str) -> Any:
    """Fetch from scipy.special what this module lacks."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import scipy.special
    except ImportError:
        raise AttributeError(f"fastlog.special has no {name!r}; with scipy installed it comes from there") from None
    try:
        return getattr(scipy.special, name)
    except AttributeError:
        raise AttributeError(f"neither fastlog.special nor scipy.special has {name!r}") from None


def __dir__() -> list[str]:
    return sorted(__all__)
