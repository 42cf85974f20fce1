"""Patches: functions of NumPy, SciPy and scikit-learn are replaced in place, and existing code runs on fastlog.

A package that has not been imported is patched when it is: a finder in `sys.meta_path` waits for its modules.
"""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec
from itertools import chain, compress, starmap
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from fastlog._plans import PLANS, STAND_INS, Plan, stand_in
from fastlog._replace import Call, Change, UnknownError

__all__ = ["is_patched", "patch", "unpatch"]


class _Record(NamedTuple):
    """The functions of a package that are replaced, and the modules whose functions will be, once they are imported.

    The dict of the functions that are left alone, and why, is shared with all handles of the record; by it, a handle
    knows the record.
    """

    changes: tuple[Change, ...]
    waiting: Plan
    refused: dict[str, str]
    holders: int
    verbose: bool


# The list holds one dict, which has the records of the packages that are patched. It is exchanged, never changed.
_state: list[dict[str, _Record]] = [{}]


def _step(before: dict[str, _Record], calls: list[Call]) -> bool:
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
        The packages and functions that this call has patched. Others that it was asked for were patched already; they,
        too, stay patched until this handle lets go of them.
    """

    def __init__(self) -> None:
        self.targets: tuple[str, ...] = ()
        self._refused: tuple[dict[str, str], ...] = ()
        self._held: dict[str, dict[str, str]] = {}

    @property
    def refused(self) -> dict[str, str]:
        """The functions that were left alone, and why."""
        return {name: why for refused in self._refused for name, why in refused.items()}

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


def patch(
    targets: str | Iterable[str] | None = None,
    *,
    functions: Mapping[str, str] | None = None,
    verbose: bool = False,
    strict: bool = False,
) -> Patch:
    """Replace functions of NumPy, SciPy, scikit-learn and others by fastlog's, wherever they are held.

    Parameters
    ----------
    targets : iterable of {'numpy', 'scipy', 'sklearn', 'arviz', 'arviz_stats', 'pymbar', 'hmmlearn'}, optional
        The packages to patch; by default, all of them that are installed. A package that is not imported yet is patched
        when it is.
    functions : dict of str to str, optional
        Other Python functions to replace, and what stands in for each: ``{"package.module.lse": "logsumexp"}``. Their
        modules are imported. The first argument is the array, under whatever name; the others must have the names that
        they have in fastlog's function. Arguments that are no plain arrays and numbers go to the original.
    verbose : bool, optional
        Whether to print to the standard error what is replaced, and what is not.
    strict : bool, optional
        Whether a function that cannot be replaced is an error; by default it is left alone, with a warning. All targets
        are imported at once then.

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
        If a target is unknown, or a function in `functions` cannot be replaced; the message says why.
    ImportError
        If a target that is named is not installed, or the module of a function cannot be imported.
    RuntimeError
        If `strict` is true, and a function would be left alone. Nothing is replaced then.

    See Also
    --------
    unpatch, is_patched

    Notes
    -----
    Replaced are the loops on float32 and float64 of NumPy's `logaddexp` and SciPy's `expit`, `log_expit`, `logit`,
    `xlogy`, `xlog1py`, `entr` and `rel_entr`, and the code of the Python functions `logsumexp`, `softmax`,
    `log_softmax` and `softplus` of SciPy, `_logsumexp` and `utils.extmath.softmax` of scikit-learn, the methods of its
    binomial and multinomial losses, and the `logsumexp` of ArviZ and pymbar. All of them remain the objects that they
    were: whoever holds one, under whatever name, calls fastlog from then on. Arrays of other libraries, masked arrays
    and other subclasses of ndarray still go to the original code.

    A function is known by its signature, whatever the version of its package: a ufunc by its loops, a Python function
    by its parameters and their defaults.

    SciPy's ufuncs stay silent at poles and invalid points; fastlog's loops do not ask `scipy.special.errstate`.

    Blocks may overlap, in several threads, too: the last one that ends puts the functions back. Whatever interrupts
    `patch` or `unpatch`, either all is replaced, and `is_patched` says so, or nothing is. NumPy does not synchronise
    the replacement of a loop with the execution of its ufunc: call `patch` and `unpatch` while no other thread runs one
    of these ufuncs, best of all at the start of the program.

    Out of reach are compiled copies (SciPy's ``cython_special``), and other processes, until they call `patch`
    themselves.

    ``python -m fastlog script.py`` runs a script that way, ``python -m fastlog -m module`` a module, and with
    ``--processes``, the processes that it starts are patched, too.

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
        present = [target for target in PLANS if _is_installed(target)]
    else:
        present = list(dict.fromkeys((targets,) if isinstance(targets, str) else targets))
        for target in present:
            _check_target("patch", target)
        for target in present:
            if not _is_installed(target):
                raise ImportError(f"patch: {target} is not installed; leave {target!r} out of targets")
    plans = {target: PLANS[target] for target in present}
    for name, ours in dict(functions or {}).items():
        _check_function(name, ours)
        module, _, attribute = name.rpartition(".")
        plans[name] = {module: {attribute: partial(stand_in, ours)}}
    for module in chain.from_iterable(plans.values()):
        if strict or sys.modules.get(module) is not None:
            with suppress(Exception):  # What is wrong with it is found out when its functions are looked up.
                import_module(module)  # If another thread imports it at the moment, this waits until it has.
    handle = Patch()
    try:
        while not _hold(handle, plans, strict, verbose):
            pass
        if verbose:
            for target in handle.targets:
                record = _state[0].get(target)
                if record is not None and _holds(handle, target, record):
                    _print(record.changes, {})
                    for module in record.waiting:
                        print(f"fastlog: {module} will be patched when it is imported", file=sys.stderr)
            _print((), handle.refused)
    except BaseException:
        _release(handle)
        raise
    return handle


def _print(changes: Iterable[Change], refused: dict[str, str]) -> None:
    for change in changes:
        print(f"fastlog: {change.name}, {change.what}", file=sys.stderr)
    for name, why in refused.items():
        print(f"fastlog: {name} is left alone: {why}", file=sys.stderr)


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
    """Tell whether functions are replaced at the moment, or will be when their package is imported.

    Parameters
    ----------
    target : str, optional
        A package that `patch` knows, such as 'scipy', or the full name of a function that was given to it; any of them
        by default.

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
    if "." not in target:
        _check_target("is_patched", target)
    return target in _state[0]


def _check_target(function: str, target: str) -> None:
    if target not in PLANS:
        raise ValueError(f"{function}: targets are {', '.join(map(repr, PLANS))}, not {target!r}")


def _check_function(name: str, ours: str) -> None:
    """Raise an error that says what to do unless `ours` may stand in for the function of this name."""
    module, _, attribute = name.rpartition(".")
    if not module or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"patch: functions are named as 'package.module.function', not {name!r}")
    if ours not in STAND_INS:
        raise ValueError(f"patch: {ours!r} cannot stand in for {name}; these can: {', '.join(sorted(STAND_INS))}")
    for target, plan in PLANS.items():
        if attribute in plan.get(module, ()):
            raise ValueError(f"patch: {name} is one of the functions of the target {target!r}; leave it out")
    try:
        import_module(module)
    except ImportError as error:
        raise ImportError(f"patch: {module}, the module of {name}, cannot be imported ({error})") from error
    known = _state[0].get(name)
    what = f"by fastlog.{ours}"
    if known is not None and any(change.what != what for change in known.changes):
        raise ValueError(f"patch: {name} is replaced already, {known.changes[0].what}; unpatch it first")


def _is_installed(target: str) -> bool:
    if target in sys.modules:
        return sys.modules[target] is not None
    spec = _find(target)
    return spec is not None and spec.origin is not None  # A folder of that name is no package.


def _hold(handle: Patch, plans: dict[str, Plan], strict: bool, verbose: bool) -> bool:
    """Patch what is not patched yet, and let the handle hold all of it; False where another thread came first."""
    before = _state[0]
    taken = _taken(before)
    records = {}
    for target, plan in plans.items():
        record = before.get(target)
        if record is None:
            record, refused = _advanced(_Record((), plan, {}, 0, verbose), taken, None, strict)
            record.refused.update(refused)
        records[target] = record
    handle._refused = tuple(record.refused for record in records.values())
    wrong = [f"{name}: {why}" for target, record in records.items() if "." in target
             for name, why in record.refused.items()]  # fmt: skip
    if wrong:
        raise ValueError(f"patch cannot replace {'; '.join(wrong)}")
    if handle.refused:
        if strict:
            raise RuntimeError(f"{_message(handle.refused)}. Without strict=True, the others are replaced.")
        _warn(handle.refused, 4)
    held = {target: record for target, record in records.items() if record.changes or record.waiting}
    handle.targets = tuple(target for target in held if target not in before)
    after = before | {target: record._replace(holders=record.holders + 1) for target, record in held.items()}
    # The state comes first: if memory runs out after it, unpatch still knows all that there is to put back.
    calls = [call for target in handle.targets for change in held[target].changes for call in change.do]
    holds = {target: record.refused for target, record in held.items()}
    first: list[Call] = [(_state.__setitem__, 0, after), (setattr, handle, "_held", holds), _finder_for(after)]
    return _step(before, [*first, *calls])


def _holds(handle: Patch, target: str, record: _Record | None) -> bool:
    return record is not None and handle._held.get(target) is record.refused


def _message(refused: dict[str, str]) -> str:
    return "patch leaves alone " + "; ".join(f"{name}: {why}" for name, why in refused.items())


def _warn(refused: dict[str, str], level: int) -> None:
    message = f"{_message(refused)}. The others are replaced; a newer fastlog may know these."
    warnings.warn(message, RuntimeWarning, level)


def _taken(state: dict[str, _Record]) -> dict[int, str]:
    """Return the names of the functions that are replaced, by the identity of what is changed."""
    return {id(change.of): change.name for record in state.values() for change in record.changes}


def _advanced(
    record: _Record, taken: dict[int, str], finished: str | None = None, all_of_them: bool = False
) -> tuple[_Record, dict[str, str]]:
    """Return the record with all changes to modules that are imported by now, and functions that are left alone.

    `finished` is a module whose import ends at the moment. `taken` gets the functions that will be replaced.
    """
    ready = [m for m in record.waiting if all_of_them or m == finished or _is_imported(m)]
    changes, refused = [*record.changes], {}
    for module in ready:
        for name, find in record.waiting[module].items():
            full = f"{module}.{name}"
            try:
                change = find(module, name)
                if change is not None and id(change.of) in taken:
                    raise UnknownError(f"it is {taken[id(change.of)]}, which is replaced already")
            except UnknownError as error:
                refused[full] = str(error)
            else:
                if change is not None:
                    taken[id(change.of)] = full
                    changes.append(change)
    waiting = {module: plan for module, plan in record.waiting.items() if module not in ready}
    return record._replace(changes=tuple(changes), waiting=waiting), refused


def _release(handle: Patch | None) -> None:
    """Let go of all that the handle, or without one anybody, holds; put back functions that nobody holds then."""
    done = False
    while not done:
        before = _state[0]
        after = {}
        calls: list[Call] = []
        for target, record in before.items():
            holders = record.holders - _holds(handle, target, record) if handle else 0
            if holders:
                after[target] = record._replace(holders=holders)
            else:
                calls += [call for change in reversed(record.changes) for call in change.undo()]
        if handle:
            calls.append((setattr, handle, "_held", {}))
        done = after == before or _step(before, [*calls, (_state.__setitem__, 0, after), _finder_for(after)])


# ---- packages that are imported later ----


def _waited_for(state: dict[str, _Record]) -> Iterator[str]:
    return chain.from_iterable(record.waiting for record in state.values())


def _is_imported(module: str) -> bool:
    """Tell whether the import of a module has ended; a module that is None will never be imported."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return module in sys.modules and not getattr(spec, "_initializing", False)


def _arrive(finished: str | None = None) -> None:
    """Replace the functions of all modules that were waited for and have been imported; one of them right now."""
    done = False
    while not done:
        before = _state[0]
        if not any(module == finished or _is_imported(module) for module in _waited_for(before)):
            return
        after, calls, taken, news = dict(before), [], _taken(before), []
        for target, record in before.items():
            after[target], refused = _advanced(record, taken, finished)
            new = after[target].changes[len(record.changes) :]
            calls += [(record.refused.update, refused), *(call for change in new for call in change.do)]
            news.append((record.verbose, new, refused))
        done = _step(before, [(_state.__setitem__, 0, after), _finder_for(after), *calls])
    for verbose, new, refused in news:
        if verbose:
            _print(new, refused)
        if refused:
            _warn(refused, 2)


class _Loader:
    """A module's loader, after which the functions of the module are replaced; all else is the loader's own."""

    _loader: Any = None

    def __init__(self, loader: Any, name: str) -> None:
        self._loader, self._name = loader, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader  # The module sees the loader that it has without fastlog.
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _arrive(self._name)


def _find(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
    """Let the other finders find a module, without Python's lock on imports, which an exception might leave locked."""
    for finder in sys.meta_path:
        find = None if finder is _finder else getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find(name, path, target) if find is not None else None
        if spec is not None:
            return spec
    return None


class _Finder:
    """It stands first in `sys.meta_path` as long as modules are waited for."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Let the other finders find a module, and give it another loader if it is waited for."""
        _arrive()  # The import of a module may have begun before the finder stood here, in another thread.
        if name not in _waited_for(_state[0]):
            return None
        spec = _find(name, path, target)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader, name)  # type: ignore[assignment]
        return spec


_finder: Any = _Finder()


def _finder_for(state: dict[str, _Record]) -> Call:
    """Return the call that puts the finder where it belongs: first, or nowhere if no module is waited for."""
    others = filter(partial(operator.is_not, _finder), sys.meta_path)
    wanted = (_finder,) if any(_waited_for(state)) else ()
    return sys.meta_path.__setitem__, slice(None), chain(wanted, others)
