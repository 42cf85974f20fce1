"""Arrays of other libraries: which module here computes a call.

The first argument decides; for elementwise functions of two, the first that is no NumPy array. NumPy's arrays, and what
NumPy makes arrays of, never come here; nothing is imported that the caller has not imported.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

_F = TypeVar("_F", bound=Callable[..., Any])

# Package that defines a class -> an attribute of its arrays, and the module that computes with them.
_LIBRARIES = {
    "torch": ("requires_grad", "namespace"),
    "dask": ("__dask_graph__", "dask"),
    "pandas": ("iloc", "labelled"),
    "xarray": ("get_axis_num", "labelled"),
}
_found: WeakKeyDictionary[type, str | None] = WeakKeyDictionary()


def library_of(a: Any) -> str | None:
    """Return the module here that computes with `a`; None where NumPy does."""
    if isinstance(a, (np.ndarray, np.generic, list, tuple, int, float, complex)):
        return None
    kind = type(a)
    if kind not in _found:
        packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
        modules = [module for package, (mark, module) in _LIBRARIES.items() if package in packages and hasattr(a, mark)]
        _found[kind] = modules[0] if modules else "namespace" if hasattr(a, "__array_namespace__") else None
    return _found[kind]


def library_among(*arrays: Any) -> str | None:
    """Return the module that computes with the first array that NumPy does not compute with; masks are NumPy's."""
    for a in arrays:
        module = library_of(a)
        if module is not None or isinstance(a, np.ma.MaskedArray):
            return module
    return None


def computed(a: Any) -> Any:
    """Return what Dask has put off as an array in memory, which still shows what it masks; other things as they are."""
    return a.compute() if hasattr(a, "__dask_graph__") else a


def public(name: str) -> Any:
    """Return a function of fastlog's by its name, for what is called back with NumPy's arrays."""
    return getattr(import_module("fastlog"), name)


def arguments_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, inspect.BoundArguments]:
    """Return a public function, and the arguments of a call of it by name, defaults among them."""
    function = public(name)
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}() {error}") from None
    bound.apply_defaults()
    return function, bound


def of_any_array(function: _F) -> _F:
    """Decorate a public function: arrays of other libraries are computed by those."""
    name, first = function.__name__, next(iter(inspect.signature(function).parameters))

    @functools.wraps(function)
    def anyhow(*args: Any, **kwargs: Any) -> Any:
        a = args[0] if args else kwargs.get(first)
        if type(a) is not np.ndarray:
            module = library_of(a)
            if module is not None:
                if not args:
                    args, kwargs = (a,), {key: value for key, value in kwargs.items() if key != first}
                return import_module(f"fastlog._other.{module}").call(name, args, kwargs)
        others = map(computed, args[1:])
        return function(*args[:1], *others, **{key: computed(b) for key, b in kwargs.items()})

    return anyhow  # type: ignore[return-value]
