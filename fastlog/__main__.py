"""``python -m fastlog (-m module | -c command | script.py) ...``: run code that knows nothing of fastlog."""

from __future__ import annotations

import argparse
import os
import runpy
import sys

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
    parser.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="run a module")
    parser.add_argument("-c", dest="command", nargs=argparse.REMAINDER, help="run a command")
    parser.add_argument("script", nargs=argparse.REMAINDER, help="run a script")
    given = parser.parse_args(arguments)
    if not (given.module or given.command or given.script):
        parser.error("nothing to run: name a script, or a module with -m")
    try:
        patch(verbose=given.verbose)
    except RuntimeError as error:
        sys.exit(f"fastlog: {error}")
    # sys.path[0] is the current folder, as Python has it for -m and -c.
    if given.module:
        sys.argv[:] = given.module
        runpy.run_module(given.module[0], run_name="__main__", alter_sys=True)
    elif given.command:
        sys.argv[:] = ["-c", *given.command[1:]]
        names = sys.modules["__main__"].__dict__
        exec(compile(given.command[0], "<string>", "exec"), names)
    else:
        script = given.script[0]
        if not os.path.exists(script):
            sys.exit(f"fastlog: there is no file {script!r}; a module wants -m before its name")
        sys.argv[:] = given.script
        sys.path[0] = os.path.dirname(os.path.abspath(script))
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
