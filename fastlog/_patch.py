"""Existing code on fastlog, without a change to it: NumPy's, SciPy's and scikit-learn's functions replaced in place."""

from __future__ import annotations

import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType, TracebackType
from typing import Any

import numpy as np

from fastlog._core import INDEX, functions, loop_of, replace_loop, run_rows
from fastlog._methods import attach_row_methods, detach_row_methods
from fastlog._reductions import log_softmax, logsumexp, softmax

_Undo = Callable[[], object]

# Versions whose functions have been looked at, from the first to the last, by the packages' own names.
_KNOWN = {
    "numpy": ("numpy", (2, 0), (2, 4)),
    "scipy": ("scipy", (1, 14), (1, 17)),
    "sklearn": ("scikit-learn", (1, 5), (1, 9)),
}
# SciPy's ufuncs: their names, and fastlog's in the table.
_SCIPY_UFUNCS = {
    "expit": "sigmoid",
    "log_expit": "log_sigmoid",
    "logit": "logit",
    "xlogy": "xlogy",
    "xlog1py": "xlog1py",
    "entr": "entr",
    "rel_entr": "rel_entr",
}
_PLAIN = (np.ndarray, list, tuple, int, float, complex, bool, type(None))

_lock = threading.RLock()
_undo: dict[str, list[_Undo]] = {}  # what is replaced now, by package


class Patch:
    """What one call of `patch` has replaced: a context manager that puts it back.

    Attributes
    ----------
    targets : tuple of str
        The packages that this call has patched; those that were patched already are left to whoever did it.
    """

    def __init__(self, done: dict[str, list[_Undo]]) -> None:
        self.targets = tuple(done)
        self._done = done

    def __enter__(self) -> Patch:
        with _lock:
            gone = [target for target, done in self._done.items() if _undo.get(target) is not done]
        if gone:
            raise RuntimeError(f"what this call of patch did to {', '.join(gone)} has been undone; call patch again")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _lock:
            for target, done in reversed(self._done.items()):
                if _undo.get(target) is done:
                    _restore(target)

    def __repr__(self) -> str:
        return f"<fastlog.patch of {', '.join(self.targets) or 'nothing more'}>"


def patch(targets: Iterable[str] = ("numpy", "scipy", "sklearn"), *, verbose: bool = False) -> Patch:
    """Replace functions of NumPy, SciPy and scikit-learn by fastlog's, wherever they are held.

    Parameters
    ----------
    targets : iterable of {'numpy', 'scipy', 'sklearn'}, optional
        The packages to patch; by default those of them that are installed.
    verbose : bool, optional
        Whether to print to the standard error what is replaced, and in how many modules.

    Returns
    -------
    Patch
        A context manager: ``with fastlog.patch():`` patches for the length of a block.

    Raises
    ------
    ValueError
        If a target is unknown.
    ImportError
        If a target that is named is not installed.
    RuntimeError
        If fastlog does not know the installed version of a package, or finds another signature than it knows. Nothing
        is replaced then.

    See Also
    --------
    unpatch, is_patched

    Notes
    -----
    Replaced are the loops on float32 and float64 of NumPy's `logaddexp` and SciPy's `expit`, `log_expit`, `logit`,
    `xlogy`, `xlog1py`, `entr` and `rel_entr`, and the code of the Python functions `logsumexp`, `softmax`,
    `log_softmax` and `softplus` of SciPy, `_logsumexp` and `utils.extmath.softmax` of scikit-learn. All of them remain
    the objects that they were: whoever holds one, under whatever name, calls fastlog from then on. Arrays of other
    libraries, masked arrays and other subclasses of ndarray still go to the original code.

    SciPy's ufuncs stay silent at poles and invalid points; fastlog's loops do not ask `scipy.special.errstate`.

    Out of reach are compiled copies (SciPy's ``cython_special``, scikit-learn's losses), and other processes, until
    they call `patch` themselves.

    ``python -m fastlog script.py`` runs a script that way, ``python -m fastlog -m module`` a module.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlog
    >>> with fastlog.patch():
    ...     float(np.logaddexp.reduce(np.full(1000, -0.5, np.float32)))
    6.407755374908447
    >>> fastlog.is_patched()
    False
    """
    explicit = not _is_default(targets)
    wanted = tuple(dict.fromkeys((targets,) if isinstance(targets, str) else targets))
    unknown = [target for target in wanted if target not in _KNOWN]
    if unknown:
        raise ValueError(f"patch: targets are {', '.join(map(repr, _KNOWN))}, not {unknown[0]!r}")
    with _lock:
        new = tuple(target for target in wanted if target not in _undo and _is_known(target, explicit))
        plans = {target: list(_PLANS[target]()) for target in new}
        try:
            for target, plan in plans.items():
                done = _undo[target] = []
                for name, replace in plan:
                    undo, where = replace()
                    done.append(undo)
                    if verbose:
                        print(f"fastlog: {name}, {where}", file=sys.stderr)
        except BaseException:
            for target in new:
                _restore(target)
            raise
        return Patch({target: _undo[target] for target in new})


def unpatch() -> None:
    """Put back all that `patch` has replaced, in every module that holds it; nothing, where nothing is patched.

    Examples
    --------
    >>> import fastlog
    >>> handle = fastlog.patch(["numpy"])
    >>> fastlog.unpatch()
    >>> fastlog.is_patched()
    False
    """
    with _lock:
        for target in list(_undo):
            _restore(target)


def is_patched(target: str | None = None) -> bool:
    """Tell whether functions are replaced at the moment.

    Parameters
    ----------
    target : {'numpy', 'scipy', 'sklearn'}, optional
        The package in question; any of them by default.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If the target is unknown.

    Examples
    --------
    >>> import fastlog
    >>> with fastlog.patch(["numpy"]):
    ...     fastlog.is_patched(), fastlog.is_patched("scipy")
    (True, False)
    """
    if target is not None and target not in _KNOWN:
        raise ValueError(f"is_patched: targets are {', '.join(map(repr, _KNOWN))}, not {target!r}")
    return bool(_undo) if target is None else target in _undo


def _is_default(targets: Iterable[str]) -> bool:
    return targets is patch.__defaults__[0]  # type: ignore[index]


_versions: dict[str, str | None] = {}  # of packages that have been looked up


def _version(package: str) -> str | None:
    """Version of a package, if it is installed."""
    from importlib.metadata import PackageNotFoundError, version  # half as slow to import as all of fastlog

    if package not in _versions:
        try:
            _versions[package] = version(package)
        except PackageNotFoundError:
            _versions[package] = None
    return _versions[package]


def _is_known(target: str, explicit: bool) -> bool:
    """Whether the package is there, of a version that is known."""
    package, first, last = _KNOWN[target]
    installed = _version(package)
    if installed is None:
        if explicit:
            raise ImportError(f"patch: {package} is not installed; leave {target!r} out of targets")
        return False
    number = tuple(int(part) for part in installed.split(".")[:2])
    if not first <= number <= last:
        known = " to ".join(".".join(map(str, bound)) for bound in (first, last))
        raise RuntimeError(
            f"patch: this is {package} {installed}, and fastlog knows {known}; get a newer fastlog, or another "
            f"{package}, or leave {target!r} out of targets"
        )
    return True


def _restore(target: str) -> None:
    for undo in reversed(_undo.pop(target, [])):
        undo()


# ---- how things are replaced: a plan's steps return how to undo them, and what they have done ----

_Step = tuple[str, Callable[[], tuple[_Undo, str]]]


def _loops(name: str, ufunc: np.ufunc, function: str, types: str, quiet: bool) -> _Step:
    loops = [(type_, loop_of(INDEX[function], type_, quiet)) for type_ in types]

    def replace() -> tuple[_Undo, str]:
        old: list[tuple[str, Any]] = []

        def undo() -> None:
            for type_, loop in old:
                replace_loop(ufunc, type_, loop)

        try:
            for type_, loop in loops:
                old.append((type_, replace_loop(ufunc, type_, loop)))
        except BaseException:
            undo()
            raise
        return undo, "its loops on " + ", ".join(np.dtype(type_).name for type_ in types)

    return name, replace


def _code(name: str, function: Any, shim: Any) -> _Step:
    """Give a Python function other code; it remains the object that all who hold it hold, under every name.

    The code runs among the globals of the function's own module, so a shim imports what it calls.
    """
    if not isinstance(function, FunctionType) or str(inspect.signature(function)) != str(inspect.signature(shim)):
        raise RuntimeError(
            f"patch: {name}{inspect.signature(function)} is not what fastlog knows, {name}{inspect.signature(shim)}; "
            "get a newer fastlog"
        )
    if function.__code__.co_freevars:
        raise RuntimeError(f"patch: {name} is a closure here, which fastlog does not know; get a newer fastlog")

    def replace() -> tuple[_Undo, str]:
        code = function.__code__
        theirs[name] = FunctionType(code, function.__globals__, name, function.__defaults__)
        theirs[name].__kwdefaults__ = function.__kwdefaults__
        function.__code__ = shim.__code__
        return lambda: setattr(function, "__code__", code), "its code"

    return name, replace


theirs: dict[str, FunctionType] = {}  # what the functions were, for arguments that are not ours


def _is_plain(a: Any) -> bool:
    """Whether the original function, too, would make a plain ndarray of it, and has no better way."""
    return type(a) in _PLAIN or isinstance(a, np.generic)


def scipy_logsumexp(a: Any, axis: Any, b: Any, keepdims: Any, return_sign: Any) -> Any:
    """Compute SciPy's logsumexp."""
    function = logsumexp if _is_plain(a) and _is_plain(b) else theirs["scipy.special.logsumexp"]
    return function(a, axis, b, keepdims, return_sign)


def scipy_softmax(x: Any, axis: Any) -> Any:
    """Compute SciPy's softmax."""
    return (softmax if _is_plain(x) else theirs["scipy.special.softmax"])(x, axis)


def scipy_log_softmax(x: Any, axis: Any) -> Any:
    """Compute SciPy's log_softmax."""
    return (log_softmax if _is_plain(x) else theirs["scipy.special.log_softmax"])(x, axis)


def scipy_softplus(x: Any, kwargs: dict[str, Any]) -> Any:
    """Compute SciPy's softplus."""
    if type(x) is np.ndarray and x.dtype.char in "fd":
        return functions()["softplus"](x, **kwargs)
    return theirs["scipy.special.softplus"](x, **kwargs)


def sklearn_logsumexp(array: Any, axis: Any, xp: Any) -> Any:
    """Compute scikit-learn's own logsumexp."""
    if type(array) is np.ndarray and array.dtype.char in "fd":
        return logsumexp(array, axis)
    return theirs["sklearn.utils._array_api._logsumexp"](array, axis, xp)


def sklearn_softmax(X: Any, copy: Any) -> Any:  # noqa: N803
    """Compute scikit-learn's softmax of rows."""
    if type(X) is np.ndarray and X.dtype.char in "fd" and X.ndim == 2:
        return softmax(X, 1, out=None if copy else X)
    return theirs["sklearn.utils.extmath.softmax"](X, copy)


# The code that the functions get: with their signatures.


def _scipy_logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False):  # type: ignore[no-untyped-def]
    from fastlog._patch import scipy_logsumexp

    return scipy_logsumexp(a, axis, b, keepdims, return_sign)


def _scipy_softmax(x, axis=None):  # type: ignore[no-untyped-def]
    from fastlog._patch import scipy_softmax

    return scipy_softmax(x, axis)


def _scipy_log_softmax(x, axis=None):  # type: ignore[no-untyped-def]
    from fastlog._patch import scipy_log_softmax

    return scipy_log_softmax(x, axis)


def _scipy_softplus(x, **kwargs):  # type: ignore[no-untyped-def]
    from fastlog._patch import scipy_softplus

    return scipy_softplus(x, kwargs)


def _sklearn_softmax(X, copy=True):  # type: ignore[no-untyped-def]  # noqa: N803
    from fastlog._patch import sklearn_softmax

    return sklearn_softmax(X, copy)


def _sklearn_logsumexp(array, axis=None, xp=None):  # type: ignore[no-untyped-def]
    from fastlog._patch import sklearn_logsumexp

    return sklearn_logsumexp(array, axis, xp)


# ---- what is replaced ----


def _numpy() -> Iterator[_Step]:
    yield _loops("numpy.logaddexp", np.logaddexp, "logaddexp", "efd", False)

    def replace() -> tuple[_Undo, str]:
        attach_row_methods({**functions(), "logaddexp": np.logaddexp}, run_rows, "numpy")
        return lambda: detach_row_methods(np.logaddexp), "two methods"

    if hasattr(np.logaddexp, "__dict__"):
        yield "numpy.logaddexp.reduce and .reduceat", replace


def _scipy() -> Iterator[_Step]:
    special = importlib.import_module("scipy.special")
    ufuncs = importlib.import_module("scipy.special._ufuncs")  # scipy.special may hold wrappers of them
    for name, function in _SCIPY_UFUNCS.items():
        yield _loops(f"scipy.special.{name}", getattr(ufuncs, name), function, "fd", True)

    yield _code("scipy.special.logsumexp", special.logsumexp, _scipy_logsumexp)
    yield _code("scipy.special.softmax", special.softmax, _scipy_softmax)
    yield _code("scipy.special.log_softmax", special.log_softmax, _scipy_log_softmax)
    if hasattr(special, "softplus"):  # SciPy 1.15
        yield _code("scipy.special.softplus", special.softplus, _scipy_softplus)


def _sklearn() -> Iterator[_Step]:
    extmath = importlib.import_module("sklearn.utils.extmath")
    array_api = importlib.import_module("sklearn.utils._array_api")
    yield _code("sklearn.utils.extmath.softmax", extmath.softmax, _sklearn_softmax)
    if hasattr(array_api, "_logsumexp"):  # earlier versions use SciPy's
        yield _code("sklearn.utils._array_api._logsumexp", array_api._logsumexp, _sklearn_logsumexp)


_PLANS: dict[str, Callable[[], Iterator[_Step]]] = {"numpy": _numpy, "scipy": _scipy, "sklearn": _sklearn}
