"""Python runs this module as it starts, in processes that a program under ``python -m fastlog --processes`` starts.

It patches what the environment variable FASTLOG_PATCH names, and runs the module of the same name that it hides.
"""

import os
import sys
from importlib import import_module
from typing import Any


def _start() -> None:
    """Run the hidden module, and patch."""
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != folder]
    this = sys.modules.pop("sitecustomize")
    try:
        import_module("sitecustomize")
    except ModuleNotFoundError as error:
        sys.modules["sitecustomize"] = this  # Python looks for it when this module ends.
        if error.name != "sitecustomize":
            raise

    targets = os.environ.get("FASTLOG_PATCH", "")
    if targets:
        try:
            import fastlog
        except ModuleNotFoundError:  # Another Python has been started, which has no fastlog.
            pass
        else:
            names: Any = None if targets == "all" else [target.strip() for target in targets.split(",")]
            fastlog.patch(names)


if __name__ == "sitecustomize":  # It is not when a tool imports this file as a part of the package.
    _start()
