"""The version, the instruction sets that this build holds and uses, and the number of threads."""

import os
import platform
from typing import Any

from fastlog._core import active_target, compiled_targets, supported_targets
from fastlog._threads import get_num_threads, usable_cpus

__all__ = ["__version__", "get_include", "show_config"]

__version__ = "0.1.0"
_requested = os.environ.get("FASTLOG_TARGET")  # This was its value when the target was chosen.


def get_include() -> str:
    """Return the folder of `fastlog_loops.h`, with which C and C++ find fastlog's loops.

    Returns
    -------
    str
        The folder, for the list of folders of the compiler.

    Examples
    --------
    >>> import os
    >>> import fastlog
    >>> os.listdir(fastlog.get_include())
    ['fastlog_loops.h']
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print, or return, the version, the instruction sets and the number of threads.

    Parameters
    ----------
    mode : {'stdout', 'dicts'}
        Whether to print the configuration or to return it as a dictionary.

    Returns
    -------
    dict or None

    Raises
    ------
    ValueError
        For another `mode`.

    Examples
    --------
    >>> import fastlog
    >>> sorted(fastlog.show_config(mode="dicts"))
    ['active target', 'compiled targets', 'machine', 'reason', 'supported targets', 'threads', 'usable CPUs', 'version']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', not {mode!r}")
    config = {
        "version": __version__,
        "machine": platform.machine(),
        "compiled targets": compiled_targets(),
        "supported targets": supported_targets(),
        "active target": active_target(),
        "reason": "FASTLOG_TARGET names it" if _requested else "the best that this CPU supports",
        "threads": get_num_threads(),
        "usable CPUs": usable_cpus(),
    }
    if mode == "dicts":
        return config
    for key, value in config.items():
        print(f"{key + ':':19}{', '.join(value) if isinstance(value, list) else value}")
    return None
