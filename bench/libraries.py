"""The libraries that stand beside fastlog: how each is called, and which of them are installed."""

from __future__ import annotations

import importlib
import math
import platform
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.cases import Case


def _numpy_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import fastlog

    return call, {**arrays, "fastlog": fastlog, "math": math, "np": np}


def _scipy_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import scipy.special

    return call, {**arrays, "math": math, "np": np, "special": scipy.special}


def _torch_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import torch

    torch.set_num_threads(1)
    names = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}
    if len(case.shape) > 1:
        names["rows"] = names["x"].movedim(case.axis, 1)  # torch's cross_entropy wants the classes on axis 1
    return call, {**names, "math": math, "torch": torch, "F": torch.nn.functional}


def _onednn_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import torch

    if case.dtype != "float32":
        raise NotImplementedError(case.dtype)
    torch.set_num_threads(1)
    return call, {"dnn": torch.from_numpy(arrays["x"]).to_mkldnn(), "torch": torch, "axis": case.axis}


def _onnxruntime_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    """Make a model of one operator, which reads `x` and writes the result without a copy."""
    import onnx
    import onnxruntime
    from onnx import helper

    x, axis = arrays["x"], case.axis
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    inputs, constants, options, shape = ["x"], [], {}, x.shape
    if call.startswith("Reduce"):
        inputs.append("axes")
        constants = [helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [axis])]
        options, shape = {"keepdims": 0}, tuple(int(i) for i in np.delete(x.shape, axis))
    elif axis is not None:
        options = {"axis": axis}
    ends = [helper.make_tensor_value_info(name, kind, end) for name, end in (("x", x.shape), ("y", shape))]
    graph = helper.make_graph([helper.make_node(call, inputs, ["y"], **options)], call, ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), settings, ["CPUExecutionProvider"])
    except Exception as error:  # each of its errors has a class of its own
        if type(error).__name__ == "NotImplemented":
            raise NotImplementedError(call) from error
        raise
    result = np.empty(shape, x.dtype)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
    binding.bind_output("y", "cpu", 0, x.dtype, list(shape), result.ctypes.data)
    return "(run(binding), result)[1]", {"run": session.run_with_iobinding, "binding": binding, "result": result}


def _jax_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import jax

    jax.config.update("jax_enable_x64", True)
    arguments = ", ".join(case.function.arguments)
    jitted = jax.jit(eval(f"lambda {arguments}: {call}", {"jax": jax, "axis": case.axis, "n": arrays["n"]}))
    names = {name: jax.numpy.asarray(arrays[name]) for name in case.function.arguments}
    return f"jitted({arguments}).block_until_ready()", {**names, "jitted": jitted}


def _numexpr_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import numexpr

    if case.dtype == "float16":
        raise NotImplementedError(case.dtype)
    numexpr.set_num_threads(1)
    return call, {**arrays, "evaluate": numexpr.evaluate}


def _numba_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    """Make one fused loop, as users of numba write it. numba vectorises it if Intel's SVML is installed."""
    import numba

    if case.dtype == "float16":
        raise NotImplementedError(case.dtype)
    arguments = case.function.arguments
    elements = "; ".join(f"{name} = {name}_all[i]" for name in arguments)
    parameters = ", ".join(f"{name}_all" for name in arguments)
    one, zero = arrays["x"].dtype.type(1), arrays["x"].dtype.type(0)  # a Python number would make float32 float64
    names = {"exp": math.exp, "log1p": math.log1p, "one": one, "zero": zero}
    body = call if "total" in call else f"out[i] = {call}"
    exec(
        f"def fused({parameters}, out):\n    n, total = x_all.size, 0.0\n"
        f"    for i in range(n): {elements}; {body}\n    return total / n\n",
        names,
    )
    fused = numba.njit(fastmath=True, error_model="numpy")(names["fused"])
    result = "out" if arrays["out"] is not None else "np.empty_like(x)"
    if "out[i]" not in body:
        return f"fused({', '.join(arguments)}, x)", {**arrays, "fused": fused}
    return f"(result := {result}, fused({', '.join(arguments)}, result))[0]", {**arrays, "fused": fused, "np": np}


Names = Callable[[dict[str, Any], Case, str], tuple[str, dict[str, Any]]]

# Library -> the modules that it needs, of which the first is also the name of its package, and a function of arrays,
# case and call that returns the timed statement and the names that it uses; it raises NotImplementedError if the
# library has no such function of this dtype. fastlog is the first: the answers of the others are compared with its own.
LIBRARIES: dict[str, tuple[tuple[str, ...], Names]] = {
    "fastlog": (("fastlog",), _numpy_names),
    "SciPy": (("scipy",), _scipy_names),
    "NumPy": (("numpy",), _numpy_names),
    "PyTorch": (("torch",), _torch_names),
    "oneDNN": (("torch",), _onednn_names),
    "JAX": (("jax",), _jax_names),
    "onnxruntime": (("onnxruntime", "onnx"), _onnxruntime_names),
    "numexpr": (("numexpr",), _numexpr_names),
    "numba": (("numba",), _numba_names),
}
MAIN_LIBRARIES = ("SciPy", "NumPy", "PyTorch")  # of the README's table
WRITTEN_BY_HAND = ("fastlog", "numba")  # the others are ready-made: their users write no loop


def installed() -> list[str]:
    """Return the names of the libraries that can be imported."""
    found = []
    for name, (modules, _) in LIBRARIES.items():
        try:
            first, *_ = [importlib.import_module(module) for module in modules]
        except ImportError:
            continue
        if name != "oneDNN" or first.backends.mkldnn.is_available():
            found.append(name)
    return found


def versions(libraries: list[str]) -> dict[str, str]:
    """Return the versions of Python and the libraries."""
    found = {"Python": platform.python_version()}
    for name in libraries:
        found[name] = str(importlib.import_module(LIBRARIES[name][0][0]).__version__)
    if "oneDNN" in found:  # it is a part of torch
        import torch

        built = re.search(r"MKL-DNN v([\d.]+)", torch.__config__.show())
        found["oneDNN"] = built[1] if built else "unknown"
    return found
