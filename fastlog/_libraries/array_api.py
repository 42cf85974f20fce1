"""Arrays that follow the array API standard, and torch's tensors: the formulas of fastlog, computed by their library.

Where a library has its own function, that function computes: on its device, as lazily as it likes, differentiable, fit
for its compiler. So no formula looks at a value, except where a wrong label can be found without harm to that. A
formula has the name of its public function.

Tensors of torch on the CPU that need no gradient are as good as NumPy's arrays: fastlog's kernels run on their memory.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import BoundArguments
from typing import Any

import numpy as np

from fastlog._libraries import formulas, library_of, loss_formulas
from fastlog._libraries.cupy import CuPy
from fastlog._libraries.jax import Jax
from fastlog._libraries.library import Library
from fastlog._libraries.torch import Torch

# The dtypes of these arguments count for the dtype of the result, as that of the first argument does.
_OTHER = {"xlog1py": "y", "xlogy": "y", "logsumexp": "b", "logmeanexp": "b", "logmatmulexp": "b"}
_OWN: dict[str, type[Library]] = {"torch": Torch, "jax": Jax, "cupy": CuPy}
_libraries: dict[str, Library] = {}


def library_for(a: Any) -> Library:
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
    is_loss, other, first = hasattr(loss_formulas, name), _OTHER.get(name, ""), next(iter(arguments))
    owner = next(a for a in arguments.values() if library_of(a) == "array_api")
    library, x = library_for(owner), arguments[first]
    if x is not owner:
        x = library.floating(name, x, like=library.floating(name, owner, wide=False), wide=False)
    x = arguments[first] = library.admitted(x, arguments.get("dtype"), is_loss)
    with_numpy = library.by_numpy(function, bound, other)
    if with_numpy is not None:
        return with_numpy
    bound.apply_defaults()
    arguments = bound.arguments
    if arguments.pop("out", None) is not None:
        raise TypeError(f"{name}: out= is for NumPy's arrays")
    with np.errstate(all="ignore"):  # Some libraries are NumPy underneath.
        y = getattr(loss_formulas if is_loss else formulas, name)(library, **arguments)
        return library.rounded(name, y, x, arguments.get("dtype"), arguments.get(other))
