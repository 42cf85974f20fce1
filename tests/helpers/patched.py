"""What fastlog.patch replaces, as it is before and while that lasts."""

import ctypes

import numpy as np
import scipy.special
import sklearn.utils._array_api
import sklearn.utils.extmath

import fastlog
from fastlog import _core

special, extmath, array_api = scipy.special, sklearn.utils.extmath, sklearn.utils._array_api
HELD = [(special, "logsumexp"), (special, "softmax"), (special, "log_softmax"), (special, "softplus"),
        (extmath, "softmax"), (array_api, "_logsumexp")]  # fmt: skip
HELD = [(module, name) for module, name in HELD if hasattr(module, name)]  # earlier versions lack two of them
FUNCTIONS = [getattr(module, name) for module, name in HELD]
CODES = [function.__code__ for function in FUNCTIONS]

UFUNCS = [(np.logaddexp, "logaddexp", "efd", False)]
UFUNCS += [(getattr(special, name), ours, "fd", True) for name, ours in
           [("expit", "sigmoid"), ("log_expit", "log_sigmoid"), ("logit", "logit"), ("xlogy", "xlogy"),
            ("xlog1py", "xlog1py"), ("entr", "entr"), ("rel_entr", "rel_entr")]]  # fmt: skip
address = ctypes.pythonapi.PyCapsule_GetPointer
address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def snapshot():
    """Return all that may be replaced, as it is at the moment: the ufuncs' loops and methods, the functions' code."""
    loops = []
    for ufunc, ours, types, quiet in UFUNCS:
        for type_ in types:
            loop = _core.replace_loop(ufunc, type_, _core.loop_of(_core.INDEX[ours], type_, quiet))
            _core.replace_loop(ufunc, type_, loop)
            loops.append(address(loop, b"loop"))
    methods = sorted({"reduce", "reduceat"} & {*getattr(np.logaddexp, "__dict__", ())})
    return loops, methods, [function.__code__ for function in FUNCTIONS]


UNPATCHED = snapshot()
with fastlog.patch():
    PATCHED = snapshot()
assert all(ours != theirs for ours, theirs in zip(PATCHED[0], UNPATCHED[0], strict=True))

PAIR = np.array([0, -40.0])
