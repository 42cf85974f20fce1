"""Arrays of other libraries: the choice of the module here that computes a call.

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

# The packages that define classes of arrays have an attribute of these arrays, and the module here that computes them.
_LIBRARIES = {
    "torch": ("requires_grad", "array_api"),
    "dask": ("__dask_graph__", "dask"),
    "pandas": ("iloc", "labelled"),
    "xarray": ("broadcast_equals", "labelled"),
}
_OFTEN = {np.ndarray, bool, int, float, str, list, type(None)}  # To look for a missing attribute takes 100 ns.
_found: WeakKeyDictionary[type, str | None] = WeakKeyDictionary()


def library_of(a: Any) -> str | None:
    """Return the module here that computes with `a`; None where NumPy does."""
    if isinstance(a, (np.ndarray, np.generic, list, tuple, int, float, complex)):
        return None
    kind = type(a)
    if kind not in _found:
        packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
        modules = [module for package, (mark, module) in _LIBRARIES.items() if package in packages and hasattr(a, mark)]
        _found[kind] = modules[0] if modules else "array_api" if hasattr(a, "__array_namespace__") else None
    return _found[kind]


def library_among(*arrays: Any) -> str | None:
    """Return the module that computes with the first array that is not NumPy's; masked arrays are NumPy's."""
    for a in arrays:
        module = library_of(a)
        if module is not None or isinstance(a, np.ma.MaskedArray):
            return module
    return None


def computed(a: Any) -> Any:
    """Return a Dask array as an array in memory, which still shows its mask; return other things as they are."""
    return a.compute() if type(a) not in _OFTEN and hasattr(a, "__dask_graph__") else a


def each(function: Callable[[Any], Any], y: Any) -> Any:
    """Apply a function to a result, or to all results of a tuple, which keeps its names if it has any."""
    if not isinstance(y, tuple):
        return function(y)
    parts = [function(part) for part in y]
    return y._make(parts) if hasattr(y, "_make") else tuple(parts)


def _binder(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], inspect.BoundArguments]:
    """Return what binds arguments as ``signature.bind`` does, which alone takes longer than a short call."""
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    required = {p.name for p in parameters if p.default is p.empty}

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        arguments: dict[str, Any] = dict(zip(by_position, args, strict=False))
        twice = not arguments.keys().isdisjoint(kwargs)
        arguments.update(kwargs)
        names = arguments.keys()
        if twice or len(args) > len(by_position) or not required <= names <= signature.parameters.keys():
            return signature.bind(*args, **kwargs)  # This raises.
        if next(iter(names)) != by_position[0]:
            arguments = {by_position[0]: arguments.pop(by_position[0]), **arguments}
        return inspect.BoundArguments(signature, arguments)

    return bind


def _axis_named(name: str, a: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return keywords with `axis` in place of `dim`, xarray's word: a name, several of them, None or ... for all."""
    if "axis" in kwargs:
        raise TypeError(f"{name}() got both axis and dim, which are two words for the same")
    dim = kwargs["dim"]
    axis = None if dim is ... else tuple(dim) if isinstance(dim, list) else dim
    if axis is not None and hasattr(a, "get_axis_num"):  # a Dataset has none
        axis = a.get_axis_num(axis)
    return {key: value for key, value in kwargs.items() if key != "dim"} | {"axis": axis}


def of_any_array(function: _F) -> _F:
    """Decorate a public function: arrays of other libraries are computed by the module for their library.

    That module gets the public function and the arguments of the call, bound to the function's parameters. So names,
    order and defaults of the parameters stand in the definition of the function alone.
    """
    parameters = inspect.signature(function).parameters
    first = next(iter(parameters))
    calls: dict[str, Callable[..., Any]] = {}  # Looking modules up by name takes as long as binding the arguments.
    bind = _binder(function)

    @functools.wraps(function)
    def route(*args: Any, **kwargs: Any) -> Any:
        a = args[0] if args else kwargs.get(first)
        if type(a) is not np.ndarray:
            module = library_of(a)
            if module is not None:
                if "dim" in kwargs and "axis" in parameters and hasattr(a, "broadcast_equals"):
                    kwargs = _axis_named(function.__name__, a, kwargs)
                try:
                    bound = bind(args, kwargs)
                except TypeError as error:
                    raise TypeError(f"{function.__name__}() {error}") from None
                # The module of the function holds it with all its decorators.
                public = function.__globals__[function.__name__]
                if module not in calls:
                    calls[module] = import_module(f"fastlog._libraries.{module}").call
                return calls[module](public, bound)
        others = map(computed, args[1:])
        return function(*args[:1], *others, **{key: b if key == "out" else computed(b) for key, b in kwargs.items()})

    return route  # type: ignore[return-value]
