"""Patches: functions of NumPy, SciPy and scikit-learn are replaced in place, and existing code runs on fastlog."""

from __future__ import annotations

import importlib
import inspect
import operator
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from itertools import chain, compress, starmap
from types import FunctionType, TracebackType
from typing import Any, NamedTuple

import numpy as np

from fastlog._core import INDEX, functions, loop_of, replace_loop, run_rows
from fastlog._methods import row_methods

__all__ = ["is_patched", "patch", "unpatch"]

_Call = tuple[Any, ...]  # It is a function written in C, and its arguments.


class _Change(NamedTuple):
    """How one function is replaced, and how it is put back, even if it was replaced only in part or not at all."""

    name: str
    what: str
    do: list[_Call]
    undo: Callable[[], list[_Call]]


class _Record(NamedTuple):
    """The functions of a package that are replaced; those left alone, and why; and how many handles hold them so."""

    changes: tuple[_Change, ...]
    refused: dict[str, str]
    holders: int


# The list holds one dict, which has the records of the packages that are patched. It is exchanged, never changed.
_state: list[dict[str, _Record]] = [{}]


def _step(before: dict[str, _Record], calls: list[_Call]) -> bool:
    """Run the calls if `before` is still the state, and return whether it was.

    All of it is one call of functions written in C: Python runs signal handlers, other threads and trace functions
    between two instructions of Python code, so none of them comes in between. A lock would do less: an exception could
    leave work half done under it, and a fork could copy it locked.
    """
    ran: list[Any] = []
    still_valid = compress([calls], map(operator.is_, _state, [before]))
    ran.extend(starmap(operator.call, chain.from_iterable(still_valid)))
    return bool(ran)


class Patch:
    """The functions that one call of `patch` holds replaced; as a context manager, it lets go of them at the end.

    Attributes
    ----------
    targets : tuple of str
        The packages that this call has patched. Others that it was asked for were patched already; they, too, stay
        patched until this handle lets go of them.
    refused : dict of str to str
        The functions that were left alone, and why.
    """

    def __init__(self) -> None:
        self.targets: tuple[str, ...] = ()
        self.refused: dict[str, str] = {}
        self._held: dict[str, tuple[_Change, ...]] = {}

    def __enter__(self) -> Patch:
        held = self._held or dict.fromkeys(self.targets)  # The handle may hold nothing any more.
        gone = [target for target in held if not _holds(self, target, _state[0].get(target))]
        if gone:
            raise RuntimeError(f"the patch of {', '.join(gone)} by this call has been undone; call patch again")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _release(self)

    def __repr__(self) -> str:
        return f"<fastlog.patch of {', '.join(self.targets) or 'nothing more'}>"


def patch(targets: str | Iterable[str] | None = None, *, verbose: bool = False, strict: bool = False) -> Patch:
    """Replace functions of NumPy, SciPy and scikit-learn by fastlog's, wherever they are held.

    Parameters
    ----------
    targets : iterable of {'numpy', 'scipy', 'sklearn'}, optional
        The packages to patch; by default, all three that are installed.
    verbose : bool, optional
        Whether to print to the standard error what is replaced, and what is not.
    strict : bool, optional
        Whether a function that cannot be replaced is an error; by default it is left alone, with a warning.

    Returns
    -------
    Patch
        A context manager: ``with fastlog.patch():`` patches for the length of a block. Its attribute `targets` has the
        packages that were patched, `refused` the functions that were left alone, and why.

    Warns
    -----
    RuntimeWarning
        If a function of the installed version is not there, or has another signature than fastlog knows. It is left
        alone, and the others are replaced.

    Raises
    ------
    ValueError
        If a target is unknown.
    ImportError
        If a target that is named is not installed.
    RuntimeError
        If `strict` is true, and a function would be left alone. Nothing is replaced then.

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

    A function is known by its signature, whatever the version of its package: a ufunc by its loops, a Python function
    by its parameters and their defaults.

    SciPy's ufuncs stay silent at poles and invalid points; fastlog's loops do not ask `scipy.special.errstate`.

    Blocks may overlap, in several threads, too: the last one that ends puts the functions back. Whatever interrupts
    `patch` or `unpatch`, either all is replaced, and `is_patched` says so, or nothing is. NumPy does not exclude that a
    ufunc runs in another thread while its loop is exchanged: a call that is under way may end by either loop.

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
    if targets is None:
        present = [target for target in _PLANS if _is_installed(target)]
    else:
        present = list(dict.fromkeys((targets,) if isinstance(targets, str) else targets))
        for target in present:
            _check_target("patch", target)
        for target in present:
            if not _is_installed(target):
                raise ImportError(f"patch: {target} is not installed; leave {target!r} out of targets")
    handle = Patch()
    try:
        while not _hold(handle, present, strict):
            pass
        if verbose:
            for target in handle.targets:
                for change in handle._held[target]:
                    print(f"fastlog: {change.name}, {change.what}", file=sys.stderr)
            for name, why in handle.refused.items():
                print(f"fastlog: {name} is left alone: {why}", file=sys.stderr)
    except BaseException:
        _release(handle)
        raise
    return handle


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
    _release(None)


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
    if target is None:
        return bool(_state[0])
    _check_target("is_patched", target)
    return target in _state[0]


def _check_target(function: str, target: str) -> None:
    if target not in _PLANS:
        raise ValueError(f"{function}: targets are {', '.join(map(repr, _PLANS))}, not {target!r}")


def _is_installed(target: str) -> bool:
    if target in sys.modules:
        return sys.modules[target] is not None
    spec = find_spec(target)
    return spec is not None and spec.origin is not None  # A folder of that name is no package.


def _hold(handle: Patch, targets: list[str], strict: bool) -> bool:
    """Patch what is not patched yet, and let the handle hold all of it; False where another thread came first."""
    before = _state[0]
    records = {target: before[target] if target in before else _plan(target) for target in targets}
    handle.refused = {name: why for record in records.values() for name, why in record.refused.items()}
    if handle.refused:
        message = "patch leaves alone " + "; ".join(f"{name}: {why}" for name, why in handle.refused.items())
        if strict:
            raise RuntimeError(f"{message}. Without strict=True, the others are replaced.")
        warnings.warn(f"{message}. The others are replaced; a newer fastlog may know these.", RuntimeWarning, 3)
    held = {target: record for target, record in records.items() if record.changes}
    handle.targets = tuple(target for target in held if target not in before)
    after = before | {target: record._replace(holders=record.holders + 1) for target, record in held.items()}
    # The state comes first: if memory runs out after it, unpatch still knows all that there is to put back.
    calls = [call for target in handle.targets for change in held[target].changes for call in change.do]
    holds = {target: record.changes for target, record in held.items()}
    return _step(before, [(_state.__setitem__, 0, after), (setattr, handle, "_held", holds), *calls])


def _holds(handle: Patch, target: str, record: _Record | None) -> bool:
    return record is not None and handle._held.get(target) is record.changes


def _plan(target: str) -> _Record:
    """Find all functions of a package that are to be replaced."""
    changes, refused = [], {}
    for name, find in _PLANS[target].items():
        try:
            change = find(name)
        except _UnknownError as error:
            refused[name] = str(error)
        else:
            if change is not None:
                changes.append(change)
    return _Record(tuple(changes), refused, 0)


def _release(handle: Patch | None) -> None:
    """Let go of all that the handle, or without one anybody, holds; put back functions that nobody holds then."""
    done = False
    while not done:
        before = _state[0]
        after = {}
        calls: list[_Call] = []
        for target, record in before.items():
            holders = record.holders - _holds(handle, target, record) if handle else 0
            if holders:
                after[target] = record._replace(holders=holders)
            else:
                calls += [call for change in reversed(record.changes) for call in change.undo()]
        if handle:
            calls.append((setattr, handle, "_held", {}))
        done = after == before or _step(before, [*calls, (_state.__setitem__, 0, after)])


# ---- ways to replace things: a plan names one for each function ----

_Find = Callable[[str], "_Change | None"]  # It returns None where this version has no such function and needs none.


class _UnknownError(Exception):
    """A function is not what fastlog knows."""


def _attribute(name: str, optional: bool = False) -> Any:
    """Return the object of this name, or None if it is missing and optional."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # Broken installations raise these.
        raise _UnknownError(f"{module} cannot be imported ({type(error).__name__}: {error})") from error
    if found is None and not optional:
        raise _UnknownError("it is not there")
    return found


def _loops(function: str, types: str, quiet: bool, name: str) -> _Change:
    """Give a ufunc the loops of a function of the table."""
    ufunc = _attribute(name)
    if not isinstance(ufunc, np.ufunc) and name.startswith("scipy.special."):  # It is a wrapper.
        ufunc = _attribute(name.replace("special", "special._ufuncs"))
    nin = functions()[function].nin
    wanted = [f"{type_ * nin}->{type_}" for type_ in types]
    if not isinstance(ufunc, np.ufunc) or ufunc.signature is not None or not {*wanted} <= {*ufunc.types}:
        found = ", ".join(ufunc.types) if isinstance(ufunc, np.ufunc) else type(ufunc).__name__
        raise _UnknownError(f"it is no ufunc with the loops {', '.join(wanted)}, but has {found}")
    new = [(replace_loop, ufunc, type_, loop_of(INDEX[function], type_, quiet)) for type_ in types]
    old: list[Any] = []  # The former loops come here when they are replaced.
    return _Change(
        name,
        "its loops on " + ", ".join(np.dtype(type_).name for type_ in types),
        [(old.extend, starmap(operator.call, new))],
        lambda: [(replace_loop, ufunc, type_, loop) for type_, loop in zip(types, old, strict=False)],
    )


def _reductions(name: str) -> _Change | None:
    """Give the logaddexp of NumPy methods of its own, where NumPy's ufuncs can have them."""
    ufunc = np.logaddexp
    if not hasattr(ufunc, "__dict__"):  # This is NumPy before 2.2.
        return None
    methods = row_methods({**functions(), "logaddexp": ufunc}, run_rows, INDEX["logsumexp"], "numpy")
    return _Change(
        name,
        "two methods",
        [(ufunc.__dict__.update, methods)],
        lambda: [(ufunc.__dict__.pop, method, None) for method in methods],
    )


def _code(shim: Any, name: str, optional: bool = False) -> _Change | None:
    """Give a Python function other code; it stays the same object for all who hold it, under any name."""
    found = _attribute(name, optional)
    if found is None:
        return None
    function = inspect.unwrap(found)
    if not isinstance(function, FunctionType):
        raise _UnknownError(f"it is no Python function, but {type(function).__name__}")
    code = function.__code__
    original = FunctionType(code, function.__globals__, name, function.__defaults__, function.__closure__)
    original.__kwdefaults__ = function.__kwdefaults__
    signature, known = inspect.signature(original), inspect.signature(shim)
    if str(signature) != str(known):
        raise _UnknownError(f"its signature is {signature}, and fastlog knows {known}")
    if code.co_freevars:
        raise _UnknownError("it is a closure, and fastlog knows a plain function")
    return _Change(
        name,
        "its code",
        [(theirs.__setitem__, name, original), (setattr, function, "__code__", shim.__code__)],
        lambda: [(setattr, function, "__code__", code)],
    )


_PLAIN = (np.ndarray, list, tuple, int, float, complex, bool, type(None))

theirs: dict[str, FunctionType] = {}  # The original functions get the arguments that fastlog leaves to them.


def is_plain(a: Any) -> bool:
    """Tell whether the original function, too, would make a plain ndarray of `a`."""
    return type(a) in _PLAIN or isinstance(a, np.generic)


def is_real_array(a: Any) -> bool:
    """Tell whether `a` is exactly an ndarray of float32 or float64."""
    return type(a) is np.ndarray and a.dtype.char in "fd"


# ---- the code that functions get ----
# Each function has the signature of the original. It imports what it needs, as it runs among the original's globals.


def _scipy_logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False):  # type: ignore[no-untyped-def]
    import numpy as np

    from fastlog._logsumexp import logsumexp
    from fastlog._patch import is_plain, theirs

    ours = is_plain(a) and is_plain(b)
    if ours and (keepdims or axis == ()):  # To SciPy, a scalar that keeps its axes is an array of one element.
        ours = not np.ndim(a) == 0 == np.ndim(b)
    return (logsumexp if ours else theirs["scipy.special.logsumexp"])(a, axis, b, keepdims, return_sign)


def _scipy_softmax(x, axis=None):  # type: ignore[no-untyped-def]
    from fastlog._patch import is_plain, theirs
    from fastlog._softmax import softmax

    return (softmax if is_plain(x) else theirs["scipy.special.softmax"])(x, axis)


def _scipy_log_softmax(x, axis=None):  # type: ignore[no-untyped-def]
    from fastlog._patch import is_plain, theirs
    from fastlog._softmax import log_softmax

    return (log_softmax if is_plain(x) else theirs["scipy.special.log_softmax"])(x, axis)


def _scipy_softplus(x, **kwargs):  # type: ignore[no-untyped-def]
    from fastlog._core import functions
    from fastlog._patch import is_real_array, theirs

    return (functions()["softplus"] if is_real_array(x) else theirs["scipy.special.softplus"])(x, **kwargs)


def _sklearn_softmax(X, copy=True):  # type: ignore[no-untyped-def]  # noqa: N803
    from fastlog._patch import is_real_array, theirs
    from fastlog._softmax import softmax

    if is_real_array(X) and X.ndim == 2:
        return softmax(X, 1, out=None if copy else X)
    return theirs["sklearn.utils.extmath.softmax"](X, copy)


def _sklearn_logsumexp(array, axis=None, xp=None):  # type: ignore[no-untyped-def]
    from fastlog._logsumexp import logsumexp
    from fastlog._patch import is_real_array, theirs

    if is_real_array(array):
        return logsumexp(array, axis)
    return theirs["sklearn.utils._array_api._logsumexp"](array, axis, xp)


# ---- the plans: which functions are replaced, and how ----

_PLANS: dict[str, dict[str, _Find]] = {
    "numpy": {
        "numpy.logaddexp": partial(_loops, "logaddexp", "efd", False),
        "numpy.logaddexp.reduce and .reduceat": _reductions,
    },
    "scipy": {
        "scipy.special.expit": partial(_loops, "sigmoid", "fd", True),
        "scipy.special.log_expit": partial(_loops, "log_sigmoid", "fd", True),
        **{
            f"scipy.special.{function}": partial(_loops, function, "fd", True)
            for function in ("logit", "xlogy", "xlog1py", "entr", "rel_entr")
        },
        "scipy.special.logsumexp": partial(_code, _scipy_logsumexp),
        "scipy.special.softmax": partial(_code, _scipy_softmax),
        "scipy.special.log_softmax": partial(_code, _scipy_log_softmax),
        "scipy.special.softplus": partial(_code, _scipy_softplus, optional=True),  # SciPy has it since 1.15.
    },
    "sklearn": {
        "sklearn.utils.extmath.softmax": partial(_code, _sklearn_softmax),
        # Earlier versions of scikit-learn use SciPy's function.
        "sklearn.utils._array_api._logsumexp": partial(_code, _sklearn_logsumexp, optional=True),
    },
}
