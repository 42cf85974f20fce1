"""Python runs this module as it starts, in processes that a program under ``python -m fastlog --processes`` starts.

It patches what the environment variable FASTLOG_PATCH names, and runs the module of the same name that it hides.
"""

import os
import sys
from importlib import import_module
from typing import Any

_folder = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _folder]
_this = sys.modules.pop("sitecustomize")
try:
    import_module("sitecustomize")
except ModuleNotFoundError as error:
    sys.modules["sitecustomize"] = _this  # Python looks for it when this module ends.
    if error.name != "sitecustomize":
        raise

_targets = os.environ.get("FASTLOG_PATCH", "")
if _targets:
    try:
        import fastlog
    except ModuleNotFoundError:  # Another Python has been started, which has no fastlog.
        pass
    else:
        _names: Any = None if _targets == "all" else [target.strip() for target in _targets.split(",")]
        fastlog.patch(_names)
