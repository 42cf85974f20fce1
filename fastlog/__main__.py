"""``python -m fastlog (-m module | -c command | script.py)``: run code that knows nothing of fastlog."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

from fastlog._config import __version__
from fastlog._patch import patch


def main(arguments: list[str]) -> None:
    """Patch NumPy, SciPy and scikit-learn, and run a script, module or command as Python would.

    Parameters
    ----------
    arguments : list of str
        Of the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m fastlog",
        usage="python -m fastlog [--verbose] (script.py | -m module | -c command) [argument ...]",
        description="Run Python code with log-space functions of NumPy, SciPy and scikit-learn replaced by fastlog's.",
    )
    parser.add_argument("--version", action="version", version=f"fastlog {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="print what is replaced")
    own = next((k for k, a in enumerate(arguments) if a not in ("-v", "--verbose", "--version", "-h", "--help")), None)
    given = parser.parse_args(arguments[:own])
    theirs = [] if own is None else arguments[own:]
    kind = theirs[0][:2] if theirs else ""
    if kind in ("-m", "-c") and len(theirs[0]) > 2:  # written together
        theirs[:1] = [kind, theirs[0][2:]]
    if theirs[:1] == ["--"]:
        kind, theirs = "", theirs[1:]
    if not theirs or (kind in ("-m", "-c") and len(theirs) < 2):
        parser.error("nothing to run: name a script, or a module with -m")
    if theirs[0].startswith("-") and kind not in ("-m", "-c") and theirs[0] != "-":
        parser.error(f"unknown option {theirs[0]}")
    try:
        patch(verbose=given.verbose)
    except RuntimeError as error:
        sys.exit(f"fastlog: {error}")
    # sys.path[0] is the current folder, as Python has it for -m and -c.
    if kind == "-m":
        _run_module(theirs[1:])
    elif kind == "-c":
        _run(compile(theirs[1], "<string>", "exec", dont_inherit=True), ["-c", *theirs[2:]])
    elif theirs[0] == "-":
        _run(compile(sys.stdin.read(), "<stdin>", "exec", dont_inherit=True), theirs)
    else:
        _run_script(theirs)


def _run(code: CodeType, arguments: list[str], **attributes: Any) -> None:
    """Run code as the main module, which stays: threads, exit handlers and pickle look names up in it."""
    module = ModuleType("__main__")
    module.__dict__.update({"__builtins__": __builtins__, **attributes})
    _run.ours = sys.modules["__main__"]  # type: ignore[attr-defined]  # which would be emptied without a reference
    sys.modules["__main__"] = module
    sys.argv[:] = arguments
    exec(code, module.__dict__)


def _run_module(arguments: list[str]) -> None:
    name = arguments[0]
    try:
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name = f"{name}.__main__"
            spec = find_spec(name)
    except ImportError:
        spec = None
    code = None if spec is None or spec.loader is None else spec.loader.get_code(spec.name)  # type: ignore[attr-defined]
    if spec is None or code is None:
        sys.exit(f"fastlog: there is no module {name!r} to run")
    attributes = {"__spec__": spec, "__file__": spec.origin, "__package__": spec.parent, "__loader__": spec.loader}
    _run(code, [spec.origin or name, *arguments[1:]], **attributes)


def _run_script(arguments: list[str]) -> None:
    script = arguments[0]
    if not os.path.exists(script):
        sys.exit(f"fastlog: there is no file {script!r}; a module wants -m before its name")
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    if os.path.isdir(script):
        sys.argv[:] = arguments
        runpy.run_path(script, run_name="__main__")
        return
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    _run(code, arguments, __file__=os.path.abspath(script), __package__=None, __spec__=None)


if __name__ == "__main__":
    main(sys.argv[1:])
