"""Existing code on fastlog, without a change to it: NumPy's, SciPy's and scikit-learn's functions replaced in place."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
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

    def __init__(self, targets: tuple[str, ...]) -> None:
        self.targets = targets

    def __enter__(self) -> Patch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _lock:
            for target in reversed(self.targets):
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
    `xlogy`, `xlog1py`, `entr` and `rel_entr`, which are the same objects as before: whoever holds one runs the new
    loop. SciPy's `logsumexp`, `softmax`, `log_softmax` and `softplus`, and scikit-learn's own `_logsumexp` and
    `utils.extmath.softmax`, are Python functions. They are replaced in every module loaded so far that holds one under
    any name, and in their own modules, from where those to come get them. Arrays of other libraries, masked arrays and
    other subclasses of ndarray still go to the original functions.

    Out of reach are compiled copies (SciPy's ``cython_special``, scikit-learn's losses), references in closures,
    containers and default arguments, and other processes, until they call `patch` themselves.

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
    return Patch(new)


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


def _is_known(target: str, explicit: bool) -> bool:
    """Whether the package is there, of a version that is known."""
    from importlib.metadata import PackageNotFoundError, version  # half as slow to import as all of fastlog

    package, first, last = _KNOWN[target]
    try:
        installed = version(package)
    except PackageNotFoundError:
        if explicit:
            raise ImportError(f"patch: {package} is not installed; leave {target!r} out of targets") from None
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


def _held(name: str, original: Any, ours: Callable[..., Any], signature: str) -> _Step:
    """Replace a Python function in all modules, by one that looks the same."""
    if str(inspect.signature(original)) != signature:
        raise RuntimeError(
            f"patch: {name}{inspect.signature(original)} is not what fastlog knows, {name}{signature}; "
            "get a newer fastlog"
        )
    ours = functools.wraps(original)(ours)

    def replace() -> tuple[_Undo, str]:
        count = _exchange(original, ours)
        return lambda: _exchange(ours, original), f"in {count} module{'s' * (count > 1)}"

    return name, replace


def _exchange(old: Any, new: Any) -> int:
    """Set every global name of a module that is bound to `old`; return in how many modules there was one."""
    count = 0
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        found = [name for name, value in list(names.items()) if value is old] if isinstance(names, dict) else []
        for name in found:
            names[name] = new  # type: ignore[index]
        count += bool(found)
    return count


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

    def sum_(a: Any, axis: Any = None, b: Any = None, keepdims: Any = False, return_sign: Any = False) -> Any:
        of = logsumexp if _is_plain(a) and _is_plain(b) else originals["logsumexp"]
        return of(a, axis, b, keepdims, return_sign)

    def ratio(x: Any, axis: Any = None) -> Any:
        return softmax(x, axis) if _is_plain(x) else originals["softmax"](x, axis)

    def log_ratio(x: Any, axis: Any = None) -> Any:
        return log_softmax(x, axis) if _is_plain(x) else originals["log_softmax"](x, axis)

    def plus(x: Any, **kwargs: Any) -> Any:
        if type(x) is np.ndarray and x.dtype.char in "fd":
            return functions()["softplus"](x, **kwargs)
        return originals["softplus"](x, **kwargs)

    named: dict[str, tuple[Callable[..., Any], str]] = {
        "logsumexp": (sum_, "(a, axis=None, b=None, keepdims=False, return_sign=False)"),
        "softmax": (ratio, "(x, axis=None)"),
        "log_softmax": (log_ratio, "(x, axis=None)"),
        "softplus": (plus, "(x, **kwargs)"),
    }
    originals = {name: getattr(special, name) for name in named if hasattr(special, name)}  # softplus: since 1.15
    for name, original in originals.items():
        yield _held(f"scipy.special.{name}", original, *named[name])


def _sklearn() -> Iterator[_Step]:
    extmath = importlib.import_module("sklearn.utils.extmath")
    array_api = importlib.import_module("sklearn.utils._array_api")
    originals = {"softmax": extmath.softmax, "_logsumexp": getattr(array_api, "_logsumexp", None)}

    def ratio(X: Any, copy: Any = True) -> Any:  # noqa: N803
        if type(X) is np.ndarray and X.dtype.char in "fd" and X.ndim == 2:
            return softmax(X, 1, out=None if copy else X)
        return originals["softmax"](X, copy)

    def sum_(array: Any, axis: Any = None, xp: Any = None) -> Any:
        if type(array) is np.ndarray and array.dtype.char in "fd":
            return logsumexp(array, axis)
        return originals["_logsumexp"](array, axis, xp)

    yield _held("sklearn.utils.extmath.softmax", originals["softmax"], ratio, "(X, copy=True)")
    if originals["_logsumexp"] is not None:  # earlier versions use SciPy's
        signature = "(array, axis=None, xp=None)"
        yield _held("sklearn.utils._array_api._logsumexp", originals["_logsumexp"], sum_, signature)


_PLANS: dict[str, Callable[[], Iterator[_Step]]] = {"numpy": _numpy, "scipy": _scipy, "sklearn": _sklearn}


def _is_plain(a: Any) -> bool:
    """Whether the original function, too, would make a plain ndarray of it, and has no better way."""
    return type(a) in _PLAIN or isinstance(a, np.generic)
