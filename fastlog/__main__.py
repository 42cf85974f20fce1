"""``python -m fastlog (script.py | -m module | -c command)``: run code that knows nothing of fastlog."""

from __future__ import annotations

import os
import sys
from importlib.machinery import BuiltinImporter, ModuleSpec, PathFinder, SourceFileLoader, SourcelessFileLoader
from importlib.util import MAGIC_NUMBER, find_spec
from pkgutil import get_importer
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from fastlog._config import __version__
from fastlog._patch import patch
from fastlog._threads import set_default

if TYPE_CHECKING:
    import argparse


def _parser() -> argparse.ArgumentParser:
    """Make the parser of the options; a command line without any is read without it, as it takes long to load."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m fastlog",
        usage="python -m fastlog [option ...] (script.py | folder | app.pyz | -m module | -c command) [argument ...]",
        description="Run Python code with log-space functions of NumPy, SciPy and scikit-learn replaced by fastlog's.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastlog {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="print what is replaced, and what is not")
    parser.add_argument("--strict", action="store_true", help="run nothing unless all that is known can be replaced")
    parser.add_argument("--targets", metavar="NAME,...", help="the packages to patch (default: those installed)")
    parser.add_argument("--processes", action="store_true", help="patch the Python processes that it starts, too")
    parser.add_argument("--threads", metavar="N", help="the number of threads of large calls, or auto (default: 1)")
    return parser


def main(arguments: list[str]) -> None:
    """Patch what `fastlog.patch` patches, and run the command line (without the program's name) as Python would."""
    theirs = list(arguments)
    while theirs and (theirs[0] in ("-v", "--verbose", "--strict", "--processes", "--version", "-h", "--help")
                      or theirs[0].partition("=")[0] in ("--targets", "--threads")):  # fmt: skip
        del theirs[: 2 if theirs[0] in ("--targets", "--threads") else 1]
    words = arguments[: len(arguments) - len(theirs)]
    given = _parser().parse_args(words) if words else None
    kind = theirs[0][:2] if theirs else ""
    if kind in ("-m", "-c") and len(theirs[0]) > 2:  # The option and its value are one word.
        theirs[:1] = [kind, theirs[0][2:]]
    if theirs[:1] == ["--"]:
        kind, theirs = "", theirs[1:]
    if not theirs or (kind in ("-m", "-c") and len(theirs) < 2):
        _parser().error("nothing to run: name a script, or a module with -m")
    if theirs[0].startswith("-") and kind not in ("-m", "-c") and theirs[0] != "-":
        _parser().error(f"unknown option {theirs[0]}")
    _prepare(given)
    if kind == "-m":  # Here, sys.path[0] is right already.
        _run_module(theirs[1:])
    elif kind == "-c":
        _run_text(theirs[1], "<string>", ["-c", *theirs[2:]])
    elif theirs[0] == "-":
        _run_text(sys.stdin.read(), "<stdin>", theirs)
    else:
        _run_script(theirs)


def _prepare(given: argparse.Namespace | None) -> None:
    """Set the number of threads, and patch this process and its children, as the options say."""
    options: dict[str, Any] = {}
    if given is not None:
        options = {"verbose": given.verbose, "strict": given.strict}
        if given.targets is not None:
            options["targets"] = [target.strip() for target in given.targets.split(",")]
        try:
            if given.threads is not None:
                set_default(given.threads)
        except ValueError:
            _parser().error(f"--threads must be an integer or auto, not {given.threads}")
    try:
        patch(**options)
    except ValueError as error:
        _parser().error(str(error))
    except (ImportError, RuntimeError) as error:
        sys.exit(f"fastlog: {error}")
    if given is not None and given.processes:
        _patch_children(given.targets, given.threads)


def _patch_children(targets: str | None, threads: str | None) -> None:
    """Let Python processes that inherit the environment find a module that they run as they start, and that patches."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_children")
    os.environ["FASTLOG_PATCH"] = targets or "all"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    if threads is not None:
        os.environ["FASTLOG_NUM_THREADS"] = threads


def _run(code: CodeType, arguments: list[str], **attributes: Any) -> None:
    """Run code as the main module, which stays alive: threads, exit handlers and pickle look names up in it."""
    module = ModuleType("__main__")
    module.__dict__.update({"__builtins__": __builtins__, **attributes})
    # Keep the old main module alive: Python clears a module that nobody refers to.
    _run.ours = sys.modules["__main__"]  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    sys.argv[:] = arguments
    exec(code, module.__dict__)


def _run_text(source: str, name: str, arguments: list[str]) -> None:
    _exchange_path("")
    _run(compile(source, name, "exec", dont_inherit=True), arguments, __loader__=BuiltinImporter)


def _exchange_path(folder: str) -> None:
    """Let sys.path begin with the folder that Python would put there; with -P and -I, it puts none there."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _run_spec(spec: ModuleSpec | None, name: str, arguments: list[str]) -> None:
    """Run a module that has been found; its file is the first argument unless arguments[0] is given."""
    code = None if spec is None or spec.loader is None else spec.loader.get_code(spec.name)  # type: ignore[attr-defined]
    if spec is None or code is None:
        sys.exit(f"fastlog: there is no module {name!r} to run")
    arguments[0] = arguments[0] or spec.origin or name
    _run(
        code,
        arguments,
        __file__=spec.origin,
        __cached__=spec.cached,
        __loader__=spec.loader,
        __package__=spec.parent,
        __spec__=spec,
    )


def _run_module(arguments: list[str]) -> None:
    name = arguments[0]
    try:
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name = f"{name}.__main__"
            spec = find_spec(name)
    except ImportError:
        spec = None
    _run_spec(spec, name, ["", *arguments[1:]])


def _run_script(arguments: list[str]) -> None:
    script = os.path.join(os.getcwd(), arguments[0])
    if not os.path.exists(script):
        sys.exit(f"fastlog: there is no file {arguments[0]!r}; a module wants -m before its name")
    if get_importer(script) is not None:  # The script is a folder or an archive.
        sys.path[: 0 if sys.flags.safe_path else 1] = [script]
        _run_spec(PathFinder.find_spec("__main__", [script]), f"{arguments[0]}/__main__", arguments)
        return
    _exchange_path(os.path.dirname(os.path.realpath(script)))
    with open(script, "rb") as file:
        source = file.read()
    loader: Any
    if source.startswith(MAGIC_NUMBER) or script.endswith(".pyc"):
        loader = SourcelessFileLoader("__main__", script)
        try:
            code = loader.get_code("__main__")
        except ImportError as error:
            sys.exit(f"fastlog: {arguments[0]}: {error}")
    else:
        loader = SourceFileLoader("__main__", script)
        code = compile(source, script, "exec", dont_inherit=True)
    _run(code, arguments, __file__=script, __cached__=None, __loader__=loader, __package__=None, __spec__=None)


if __name__ == "__main__":
    main(sys.argv[1:])
