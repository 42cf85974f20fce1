"""Log-space arithmetic for NumPy: softplus, logsumexp, log-softmax and the losses made of them."""
# ruff: noqa: F403

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

try:
    _import_module("fastlog._core")
except ModuleNotFoundError as _error:
    if _error.name != "fastlog._core":
        raise
    raise ImportError(
        f"{__path__[0]} has no compiled part for this Python. If that is the source folder, install it with "
        "'pip install .' and start Python in another folder; if it is not, install fastlog again with this Python"
    ) from None
except ImportError as _error:
    if _error.path:  # The system cannot load the file; an error of fastlog's own names none.
        _error.add_note(f"{_error.path} is damaged, or made for another system; install fastlog again with this Python")
    raise

from fastlog._categorical import *
from fastlog._chains import *
from fastlog._config import *
from fastlog._elementwise import *
from fastlog._logsumexp import *
from fastlog._losses import *
from fastlog._matmul import *
from fastlog._patch import *
from fastlog._running import *
from fastlog._segments import *
from fastlog._softmax import *
from fastlog._softmax_focal import *
from fastlog._threads import *

__all__ = sorted(["__version__", *[name for name in globals() if not name.startswith("_")]])


_MODULES = ("bench", "nn", "objectives", "special", "tf")


def __getattr__(name: str) -> _ModuleType:
    """Import a module when it is first asked for, such as ``fastlog.special``."""
    if name in _MODULES:
        return _import_module(f"fastlog.{name}")
    raise AttributeError(f"module 'fastlog' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names and the modules, whether these have been imported or not."""
    return sorted([*__all__, *_MODULES])
