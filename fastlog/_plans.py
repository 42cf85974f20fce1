"""The plans: which functions of other packages `patch` replaces, and the code that they get."""

from __future__ import annotations

import inspect
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from fastlog import _chains, _elementwise, _logsumexp, _sklearn_losses, _softmax
from fastlog._replace import (
    Change,
    Find,
    UnknownError,
    attribute,
    code,
    compiled,
    is_plain,
    is_real_array,
    loops,
    original_of,
    reductions,
    with_code,
)

# ---- the code that functions get ----
# Each function has the signature of the original. It imports what it needs, as it runs among the original's globals.


def _scipy_logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False):  # type: ignore[no-untyped-def]
    import numpy as np

    from fastlog._logsumexp import logsumexp
    from fastlog._replace import is_plain, theirs

    # To SciPy, Python's numbers have no dtype of their own beside weights.
    ours = is_plain(a) and is_plain(b) and (b is None or type(a) not in (bool, int, float, complex))
    keeps_axes = keepdims or (type(axis) is tuple and not axis)
    if ours and keeps_axes:  # To SciPy, a scalar is an array of one element then.
        ours = not np.ndim(a) == 0 == np.ndim(b)
    return (logsumexp if ours else theirs["scipy.special.logsumexp"])(a, axis, b, keepdims, return_sign)


def _scipy_softmax(x, axis=None):  # type: ignore[no-untyped-def]
    from fastlog._replace import is_plain, theirs
    from fastlog._softmax import softmax

    return (softmax if is_plain(x) else theirs["scipy.special.softmax"])(x, axis)


def _scipy_log_softmax(x, axis=None):  # type: ignore[no-untyped-def]
    from fastlog._replace import is_plain, theirs
    from fastlog._softmax import log_softmax

    return (log_softmax if is_plain(x) else theirs["scipy.special.log_softmax"])(x, axis)


def _scipy_softplus(x, **kwargs):  # type: ignore[no-untyped-def]
    from fastlog._core import functions
    from fastlog._replace import is_real_array, theirs

    return (functions()["softplus"] if is_real_array(x) else theirs["scipy.special.softplus"])(x, **kwargs)


def _sklearn_softmax(X, copy=True):  # type: ignore[no-untyped-def]  # noqa: N803
    from fastlog._replace import is_real_array, theirs
    from fastlog._softmax import softmax

    if is_real_array(X) and X.ndim == 2:
        return softmax(X, 1, out=None if copy else X)
    return theirs["sklearn.utils.extmath.softmax"](X, copy)


def _sklearn_logsumexp(array, axis=None, xp=None):  # type: ignore[no-untyped-def]
    from fastlog._logsumexp import logsumexp
    from fastlog._replace import is_real_array, theirs

    if is_real_array(array):
        return logsumexp(array, axis)
    return theirs["sklearn.utils._array_api._logsumexp"](array, axis, xp)


def _arviz_logsumexp(ary, *, b=None, b_inv=None, axis=None, keepdims=False, out=None, copy=True):  # type: ignore[no-untyped-def]
    from fastlog._plans import scaled_logsumexp
    from fastlog._replace import theirs

    result = scaled_logsumexp(ary, b, b_inv, axis, keepdims, out)
    if result is None:
        original = theirs[f"{__name__}.logsumexp"]  # ArviZ has copies of the function in two modules.
        return original(ary, b=b, b_inv=b_inv, axis=axis, keepdims=keepdims, out=out, copy=copy)
    return result


def scaled_logsumexp(ary: Any, b: Any, b_inv: Any, axis: Any, keepdims: Any, out: Any) -> Any:
    """Return the log of b, or of 1 / b_inv, times the sum of exponentials; None where ArviZ has another answer.

    ArviZ has answers of its own where a sum is infinite, 0 or nan, or where it is scaled by 0, nan or an array.
    """
    factor = b if b_inv is None else b_inv
    if not is_real_array(ary) or out is not None or not (factor is None or type(factor) in (int, float)):
        return None
    if factor is not None and not 0 < factor < np.inf:
        return None
    result = np.asarray(_logsumexp.logsumexp(ary, axis, keepdims=keepdims))
    if not np.isfinite(result).all():
        return None
    if factor is not None:
        result += np.log(factor if b_inv is None else 1 / factor)
    return result[()]


def _pymbar_logsumexp(a, axis=None, b=None, use_numexpr=True):  # type: ignore[no-untyped-def]
    import numpy as np

    from fastlog._logsumexp import logsumexp
    from fastlog._replace import is_real_array, theirs

    # With weights of another dtype, float32 has a dtype of its own there.
    wide = is_real_array(a) and a.dtype.char == "d" and type(b) is np.ndarray
    if is_real_array(a) and (b is None or (wide and b.dtype.kind in "iuf" and b.itemsize <= 8)):
        return logsumexp(a, axis, b)
    return theirs["pymbar.utils.logsumexp"](a, axis, b, use_numexpr)


# ---- functions that replace those of hmmlearn's extension module ----
# Its matrices are probabilities, but for the emissions and what the recursions return.

_LEAST_CHAIN = 4000  # Shorter chains take hmmlearn less time: this many times the square of the number of states.


def _hmm_logs(transitions: Any, emissions: Any, *others: Any) -> list[Any] | None:
    """Return logarithms of probabilities; None where hmmlearn's own function has to look at the arguments."""
    arrays = (transitions, emissions, *others)
    if not all(is_real_array(a) and a.dtype.char == "d" for a in arrays) or emissions.ndim != 2:
        return None
    times, states = emissions.shape
    if transitions.shape != (states, states) or times * states * states < _LEAST_CHAIN:
        return None
    with np.errstate(all="ignore"):
        return [np.log(transitions), *map(np.log, others)]


def _hmm_forward(original: Any, startprob: Any, transmat: Any, log_frameprob: Any) -> Any:
    logs = _hmm_logs(transmat, log_frameprob, startprob)
    if logs is None or startprob.shape != transmat.shape[:1]:
        return original(startprob, transmat, log_frameprob)
    alpha = _chains.log_forward(logs[1], logs[0], log_frameprob)
    return float(_logsumexp.logsumexp(alpha[-1])), alpha


def _hmm_backward(original: Any, startprob: Any, transmat: Any, log_frameprob: Any) -> Any:
    logs = _hmm_logs(transmat, log_frameprob)
    if logs is None:
        return original(startprob, transmat, log_frameprob)
    return _chains.log_backward(logs[0], log_frameprob)


def _hmm_transitions(original: Any, fwdlattice: Any, transmat: Any, bwdlattice: Any, log_frameprob: Any) -> Any:
    logs = _hmm_logs(transmat, log_frameprob)
    if logs is None or not all(is_real_array(a) and a.shape == log_frameprob.shape for a in (fwdlattice, bwdlattice)):
        return original(fwdlattice, transmat, bwdlattice, log_frameprob)
    return _chains.log_transitions(logs[0], log_frameprob, fwdlattice, bwdlattice)


# ---- functions that the user names ----

# These functions of fastlog can stand in for functions that it does not know.
STAND_INS: dict[str, Any] = {
    **{name: function for name, function in vars(_elementwise).items() if isinstance(function, np.ufunc)},
    "logsumexp": _logsumexp.logsumexp,
    "logmeanexp": _logsumexp.logmeanexp,
    "logcumsumexp": _logsumexp.logcumsumexp,
    "softmax": _softmax.softmax,
    "log_softmax": _softmax.log_softmax,
}

stand_ins: dict[str, Any] = {}  # The code of `stand_in` looks up here what it calls.


def stand_in(ours: str, module: str, name: str) -> Change:
    """Let a function of fastlog stand in for any Python function whose parameters have the same names.

    The first parameter (in elementwise functions, every one) is known by its place, the others by their names.
    """
    full = f"{module}.{name}"
    function = inspect.unwrap(attribute(module, name))
    original = original_of(function, full)
    signature = inspect.signature(original)
    bare = [p.replace(default=p.empty, annotation=p.empty) for p in signature.parameters.values()]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in bare) or not bare:
        raise UnknownError(f"its signature {signature} does not name its parameters")
    places = STAND_INS[ours].nin if isinstance(STAND_INS[ours], np.ufunc) else 1
    known = () if isinstance(STAND_INS[ours], np.ufunc) else tuple(inspect.signature(STAND_INS[ours]).parameters)[1:]
    if len(bare) < places or (places < len(bare) and not {p.name for p in bare[places:]} <= {*known}):
        takes = ", ".join((f"{places} array{'s' * (places > 1)}", *known))
        raise UnknownError(f"its signature is {signature}, and fastlog.{ours} takes {takes}")
    # The new code has the same parameters, so that callers may name them; their defaults belong to the function.
    names = [p.name for p in bare]
    text = (
        f"def code{inspect.Signature(bare)}:\n"
        f"    from fastlog._plans import stand_ins as _stand_ins\n"
        f"    return _stand_ins[{full!r}]({', '.join(names)})\n"
    )
    space: dict[str, Any] = {}
    exec(compile(text, f"<fastlog.patch of {full}>", "exec"), space)
    run = partial(_run_stand_in, STAND_INS[ours], original, places, bare)
    change = with_code(function, original, space["code"].__code__)
    return change._replace(what=f"by fastlog.{ours}", do=[(stand_ins.__setitem__, full, run), *change.do])


def _run_stand_in(ours: Any, original: FunctionType, places: int, bare: list[inspect.Parameter], *values: Any) -> Any:
    if all(map(is_plain, values)):
        return ours(*values[:places], **{p.name: v for p, v in zip(bare[places:], values[places:], strict=True)})
    named = {p.name: v for p, v in zip(bare, values, strict=True) if p.kind == p.KEYWORD_ONLY}
    return original(*values[: len(values) - len(named)], **named)


# ---- the plans: which functions of which modules are replaced, and how ----

Plan = dict[str, dict[str, Find]]  # It has the functions of each module.

PLANS: dict[str, Plan] = {
    "numpy": {
        "numpy": {
            "logaddexp": partial(loops, "logaddexp", "efd", False),
            "logaddexp.reduce and .reduceat": reductions,
        },
    },
    "scipy": {
        "scipy.special": {
            "expit": partial(loops, "sigmoid", "fd", True),
            "log_expit": partial(loops, "log_sigmoid", "fd", True),
            **{
                function: partial(loops, function, "fd", True)
                for function in ("logit", "xlogy", "xlog1py", "entr", "rel_entr")
            },
            "logsumexp": partial(code, _scipy_logsumexp),
            "softmax": partial(code, _scipy_softmax),
            "log_softmax": partial(code, _scipy_log_softmax),
            "softplus": partial(code, _scipy_softplus, optional=True),  # SciPy has it since 1.15.
        },
    },
    "sklearn": {
        "sklearn.utils.extmath": {"softmax": partial(code, _sklearn_softmax)},
        # Earlier versions of scikit-learn use SciPy's function.
        "sklearn.utils._array_api": {"_logsumexp": partial(code, _sklearn_logsumexp, optional=True)},
        "sklearn._loss.loss": {name: partial(code, shim) for name, shim in _sklearn_losses.METHODS.items()},
    },
    "arviz": {"arviz.stats.stats_utils": {"logsumexp": partial(code, _arviz_logsumexp)}},
    "arviz_stats": {"arviz_stats.base.stats_utils": {"logsumexp": partial(code, _arviz_logsumexp)}},
    "pymbar": {"pymbar.utils": {"logsumexp": partial(code, _pymbar_logsumexp)}},
    "hmmlearn": {
        "hmmlearn._hmmc": {
            "forward_log": partial(compiled, _hmm_forward),
            "backward_log": partial(compiled, _hmm_backward),
            "compute_log_xi_sum": partial(compiled, _hmm_transitions),
        },
    },
}
