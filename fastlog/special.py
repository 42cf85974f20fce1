"""The names of scipy.special: ``from fastlog import special`` in place of ``from scipy import special``.

What fastlog does not have comes from SciPy, when that is installed: other functions, and the dtypes that fastlog's own
do not compute, such as longdouble in `expit` and complex numbers in `xlogy`.
"""

from typing import Any as _Any

import numpy as _np

from fastlog import _elementwise
from fastlog._core import with_loops_of as _with_loops_of
from fastlog._logsumexp import logsumexp as _logsumexp
from fastlog._softmax import log_softmax as log_softmax
from fastlog._softmax import softmax as softmax

try:
    import scipy.special as _scipy
except ImportError:
    _scipy = None


def _ufunc(name: str) -> _np.ufunc:
    """Return fastlog's ufunc, with SciPy's loops on the types that it does not compute."""
    own: _np.ufunc = getattr(_elementwise, name)
    other = getattr(_scipy, name, None)
    other = getattr(other, "__wrapped__", other)  # SciPy may have wrapped it for arrays of other libraries
    return _with_loops_of(own, other) if isinstance(other, _np.ufunc) else own


entr = _ufunc("entr")
expit = _ufunc("expit")
log_expit = _ufunc("log_expit")
logit = _ufunc("logit")
rel_entr = _ufunc("rel_entr")
xlog1py = _ufunc("xlog1py")
xlogy = _ufunc("xlogy")


def softplus(x: _Any, **kwargs: _Any) -> _Any:
    """Softplus, log(1 + exp(x)), elementwise: `fastlog.softplus`, with a ufunc's keywords."""
    try:
        return _elementwise.softplus(x, **kwargs)
    except TypeError as error:
        if not hasattr(_scipy, "softplus") or "keyword" in str(error):
            raise
    return _scipy.softplus(x, **kwargs)


def logsumexp(
    a: _Any, axis: _Any = None, b: _Any = None, keepdims: bool = False, return_sign: bool = False, **kwargs: _Any
) -> _Any:
    """Logarithm of a sum of exponentials: `fastlog.logsumexp`, to which scalars are arrays of one element, as in SciPy.

    That shows in the shape, (1,), where no axis is reduced, and with `keepdims`.
    """
    if (keepdims or (type(axis) is tuple and not axis)) and _np.ndim(a) == 0 and _np.ndim(b) == 0:
        a = a.reshape((1,)) if hasattr(a, "reshape") else _np.reshape(a, 1)
    return _logsumexp(a, axis, b, keepdims, return_sign, **kwargs)


def __getattr__(name: str) -> _Any:
    """Fetch from scipy.special what this module lacks."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _scipy is None:
        raise AttributeError(f"fastlog.special has no {name!r}; with scipy installed it comes from there")
    try:
        return getattr(_scipy, name)
    except AttributeError:
        raise AttributeError(f"neither fastlog.special nor scipy.special has {name!r}") from None


def __dir__() -> list[str]:
    return _own


_own = sorted(name for name in globals() if not name.startswith("_"))
if _scipy is not None:  # ``from fastlog.special import *`` takes only names that are here
    globals().update({name: getattr(_scipy, name) for name in _scipy.__all__ if name not in globals()})
