"""Ways to replace a function of another package in place: the loops of a ufunc, the code of a Python function."""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
from collections.abc import Callable
from itertools import starmap
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from fastlog._core import INDEX, functions, loop_of, replace_loop, run_rows
from fastlog._methods import row_methods

Call = tuple[Any, ...]  # It is a function written in C, and its arguments.


class Change(NamedTuple):
    """How one function is replaced, and how it is put back, even if it was replaced only in part or not at all."""

    name: str
    what: str
    of: Any  # The object that is changed: no other change may be of the same one.
    do: list[Call]
    undo: Callable[[], list[Call]]


# It gets the names of a module and of a function in it. It returns None where this version needs no such function.
Find = Callable[[str, str], "Change | None"]


class UnknownError(Exception):
    """A function is not what fastlog knows."""


def attribute(module: str, name: str, optional: bool = False) -> Any:
    """Return the object of this name, such as ``Class.method``, in a module; or None if it is missing and optional."""
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part, None)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # Broken installations raise these.
        raise UnknownError(f"{module} cannot be imported ({type(error).__name__}: {error})") from error
    if found is None and not optional:
        raise UnknownError("it is not there")
    return found


def loops(function: str, types: str, quiet: bool, module: str, name: str) -> Change:
    """Give a ufunc the loops of a function of the table."""
    ufunc = attribute(module, name)
    if not isinstance(ufunc, np.ufunc) and module == "scipy.special":  # It is a wrapper.
        ufunc = attribute("scipy.special._ufuncs", name)
    nin = functions()[function].nin
    wanted = [f"{type_ * nin}->{type_}" for type_ in types]
    if not isinstance(ufunc, np.ufunc) or ufunc.signature is not None or not {*wanted} <= {*ufunc.types}:
        found = ", ".join(ufunc.types) if isinstance(ufunc, np.ufunc) else type(ufunc).__name__
        raise UnknownError(f"it is no ufunc with the loops {', '.join(wanted)}, but has {found}")
    new = [(replace_loop, ufunc, type_, loop_of(INDEX[function], type_, quiet)) for type_ in types]
    old: list[Any] = []  # The former loops come here when they are replaced.
    return Change(
        f"{module}.{name}",
        "its loops on " + ", ".join(np.dtype(type_).name for type_ in types),
        ufunc,
        [(old.extend, starmap(operator.call, new))],
        lambda: [(replace_loop, ufunc, type_, loop) for type_, loop in zip(types, old, strict=False)],
    )


def reductions(module: str, name: str) -> Change | None:
    """Give the logaddexp of NumPy methods of its own, where NumPy's ufuncs can have them."""
    ufunc = np.logaddexp
    if not hasattr(ufunc, "__dict__"):  # This is NumPy before 2.2.
        return None
    methods = row_methods({**functions(), "logaddexp": ufunc}, run_rows, INDEX["logsumexp"], "numpy")
    return Change(
        f"{module}.{name}",
        "two methods",
        ufunc.__dict__,
        [(ufunc.__dict__.update, methods)],
        lambda: [(ufunc.__dict__.pop, method, None) for method in methods],
    )


def code(shim: Any, module: str, name: str, optional: bool = False) -> Change | None:
    """Give a Python function the code of another one of the same signature, where it is there."""
    found = attribute(module, name, optional)
    if found is None:
        return None
    full = f"{module}.{name}"
    function = inspect.unwrap(found)
    original = original_of(function, full)
    signature, known = inspect.signature(original), inspect.signature(shim)
    if str(signature) != str(known):
        raise UnknownError(f"its signature is {signature}, and fastlog knows {known}")
    return with_code(function, original, shim.__code__)


def original_of(function: Any, full: str) -> FunctionType:
    """Return another function that does what this one does, and goes on doing so when this one gets other code."""
    if not isinstance(function, FunctionType):
        raise UnknownError(f"it is no Python function, but {type(function).__name__}")
    code = function.__code__
    original = FunctionType(code, function.__globals__, full, function.__defaults__, function.__closure__)
    original.__kwdefaults__ = function.__kwdefaults__
    return original


def with_code(function: FunctionType, original: FunctionType, new: CodeType) -> Change:
    """Give a Python function other code; it stays the same object for all who hold it, under any name."""
    old = function.__code__
    if old.co_freevars:
        raise UnknownError("it is a closure, and fastlog knows a plain function")
    return Change(
        original.__name__,
        "its code",
        function,
        [(theirs.__setitem__, original.__name__, original), (setattr, function, "__code__", new)],
        lambda: [(setattr, function, "__code__", old)],
    )


def compiled(ours: Callable[..., Any], module: str, name: str) -> Change:
    """Put a function into the place of a compiled one in its module, where callers look it up at each call.

    `ours` gets the original as its first argument. Compiled functions show how many arguments they have by the first
    line of their docstring alone.
    """
    original = attribute(module, name)
    known = tuple(inspect.signature(ours).parameters)[1:]
    signature = (getattr(original, "__doc__", None) or "").strip().partition("\n")[0]
    if not callable(original) or signature.count("arg") != len(known) or not signature.startswith(f"{name}(arg0:"):
        raise UnknownError(f"its docstring begins with {signature!r}, and fastlog knows {', '.join(known)}")
    new = functools.wraps(original)(functools.partial(ours, original))
    place = importlib.import_module(module)
    return Change(
        f"{module}.{name}",
        "by a function of the same arguments",
        original,
        [(setattr, place, name, new)],
        lambda: [(setattr, place, name, original)],
    )


_PLAIN = (int, float, complex, bool, type(None))

theirs: dict[str, FunctionType] = {}  # The original functions get the arguments that fastlog leaves to them.


def is_plain(a: Any) -> bool:
    """Tell whether the original function, too, would make a plain ndarray of numbers of `a`."""
    if type(a) in (list, tuple):
        a = np.asarray(a)
    if type(a) is np.ndarray or isinstance(a, np.generic):
        return a.dtype.kind in "biufc"
    return type(a) in _PLAIN


def is_real_array(a: Any) -> bool:
    """Tell whether `a` is exactly an ndarray of float32 or float64."""
    return type(a) is np.ndarray and a.dtype.char in "fd"
