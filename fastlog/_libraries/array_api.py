"""Arrays that follow the array API standard, and torch's tensors: the formulas of fastlog, computed by their library.

Where a library has its own function, that function computes: on its device, as lazily as it likes, differentiable, fit
for its compiler. So no formula looks at a value, except where a wrong label can be found without harm to that.

torch's tensors on the CPU that need no gradient are as good as NumPy's arrays: fastlog's kernels run on their memory.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import BoundArguments
from typing import Any

import numpy as np

from fastlog._libraries import formulas, library_of, loss_formulas
from fastlog._libraries.cupy import CuPy
from fastlog._libraries.jax import Jax
from fastlog._libraries.library import Formula, Library
from fastlog._libraries.torch import Torch

_FORMULAS = {
    "log_sigmoid": Formula(formulas.log_sigmoid),
    "mish": Formula(formulas.mish),
    "sigmoid": Formula(formulas.sigmoid),
    "silu": Formula(formulas.silu),
    "softplus": Formula(formulas.softplus),
    "xlog1py": Formula(formulas.xlog1py, other="y"),
    "xlogy": Formula(formulas.xlogy, other="y"),
    "logsumexp": Formula(formulas.logsumexp, other="b"),
    "logmeanexp": Formula(formulas.logmeanexp, other="b"),
    "logcumsumexp": Formula(formulas.logcumsumexp),
    "softmax": Formula(formulas.softmax),
    "log_softmax": Formula(formulas.log_softmax),
    "binary_cross_entropy_with_logits": Formula(loss_formulas.binary_cross_entropy_with_logits, is_loss=True),
    "focal_loss": Formula(loss_formulas.focal_loss, is_loss=True),
    "kl_divergence": Formula(loss_formulas.kl_divergence, is_loss=True),
    "cross_entropy": Formula(loss_formulas.cross_entropy, is_loss=True),
    "nll_loss": Formula(loss_formulas.nll_loss, is_loss=True),
}
_OWN: dict[str, type[Library]] = {"torch": Torch, "jax": Jax, "cupy": CuPy}
_libraries: dict[str, Library] = {}


def _library(a: Any) -> Library:
    """Return what the library of an array can do."""
    if hasattr(a, "__array_namespace__"):
        xp = a.__array_namespace__()
    else:
        try:
            from array_api_compat import array_namespace
        except ImportError:
            raise ImportError(
                f"fastlog needs the package array-api-compat for arrays of {type(a).__module__.partition('.')[0]}: "
                "pip install array-api-compat"
            ) from None
        xp = array_namespace(a)
    if xp.__name__ not in _libraries:
        package = xp.__name__.removeprefix("array_api_compat.").partition(".")[0]
        _libraries[xp.__name__] = _OWN.get(package, Library)(xp)
    return _libraries[xp.__name__]


def call(function: Callable[..., Any], bound: BoundArguments) -> Any:
    """Compute a function of fastlog's with the library of the first argument that has one.

    Numbers that are narrower than float32 are computed in float32, sums too, and the result is rounded in the end.
    """
    name, arguments = function.__name__, bound.arguments
    formula, first = _FORMULAS[name], next(iter(arguments))
    owner = next(a for a in arguments.values() if library_of(a) == "array_api")
    library, x = _library(owner), arguments[first]
    if x is not owner:
        x = library.floating(name, x, like=library.floating(name, owner, wide=False), wide=False)
    x = arguments[first] = library.admitted(x, arguments.get("dtype"), formula.is_loss)
    with_numpy = library.by_numpy(function, bound, formula.other)
    if with_numpy is not None:
        return with_numpy
    bound.apply_defaults()
    arguments = bound.arguments
    if arguments.pop("out", None) is not None:
        raise TypeError(f"{name}: out= is for NumPy's arrays")
    with np.errstate(all="ignore"):  # some libraries are NumPy underneath
        y = formula.compute(library, **arguments)
        return library.rounded(name, y, x, arguments.get("dtype"), arguments.get(formula.other))


def overwrite(a: Any, function: Callable[[Any], Any]) -> Any:
    """Return `a`, overwritten by a function of it."""
    return _library(a).overwrite(function.__name__, a, function)


def floating(name: str, a: Any) -> Any:
    """Return integers and booleans as real numbers, in the library's default dtype; other arrays as they are."""
    return _library(a).floating(name, a, wide=False)


def broadcast(name: str, a: Any, other: Any) -> tuple[Any, Any]:
    """Return two arrays, in the library of the first, in the shape that they have together."""
    library = _library(a)
    one, two = library.xp.broadcast_arrays(a, library.array(name, other, a))
    return one, two
