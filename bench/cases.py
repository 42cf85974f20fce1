"""The list of what is measured: functions, how each library is called, and the arrays."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Function:
    """A function that users call.

    Parameters
    ----------
    name : str
        The name that is shown.
    row : str
        The row of csrc/functions.def whose kernel does the work.
    arguments : tuple of str
        The arrays that it needs: logits `x` and `y`, the greater `high` and the smaller `low` of the two, `x` made
        `negative` and `positive`, probabilities `p` and `q` and their logarithms `log_p` and `log_q`, targets `z` (0
        or 1), class `labels`.
    along_rows : bool
        Whether it works along an axis.
    calls : dict
        Library -> the Python expression that is timed. It can use arrays of the library under the names of `arguments`,
        an array `out` for the result, and `axis`. JAX's expression is the body of a jitted function. numba's is the
        body of a jitted loop over the elements; if it adds to a `total`, it is a statement.
    """

    name: str
    row: str
    arguments: tuple[str, ...]
    along_rows: bool
    calls: dict[str, str]


# This is the only list of what is compared. A function has a line for each library that has it, or a usual formula for
# it. logsumexp has no `out=`, because its results are too few for that to matter.
FUNCTIONS = (
    Function("softplus", "softplus", ("x",), False, {
        "fastlog": "fastlog.softplus(x, out=out)",
        "SciPy": "special.softplus(x, out=out)",
        "NumPy": "np.logaddexp(0, x, out=out)",
        "PyTorch": "F.softplus(x, out=out)",
        "JAX": "jax.nn.softplus(x)",
        "numexpr": "evaluate('where(x > 0, x, 0) + log1p(exp(-abs(x)))', out=out)",
        "numba": "max(x, zero) + log1p(exp(-abs(x)))",
    }),
    Function("log_sigmoid", "log_sigmoid", ("x",), False, {
        "fastlog": "fastlog.log_sigmoid(x, out=out)",
        "SciPy": "special.log_expit(x, out=out)",
        "NumPy": "np.negative(np.logaddexp(0, np.negative(x, out=out), out=out), out=out)",
        "PyTorch": "F.logsigmoid(x, out=out)",
        "JAX": "jax.nn.log_sigmoid(x)",
        "numexpr": "evaluate('where(x < 0, x, 0) - log1p(exp(-abs(x)))', out=out)",
        "numba": "min(x, zero) - log1p(exp(-abs(x)))",
    }),
    Function("sigmoid", "sigmoid", ("x",), False, {
        "fastlog": "fastlog.sigmoid(x, out=out)",
        "SciPy": "special.expit(x, out=out)",
        "PyTorch": "torch.sigmoid(x, out=out)",
        "JAX": "jax.nn.sigmoid(x)",
        "numexpr": "evaluate('1 / (1 + exp(-x))', out=out)",
        "numba": "one / (one + exp(-x))",
    }),
    Function("silu", "silu", ("x",), False, {
        "fastlog": "fastlog.silu(x, out=out)",
        "SciPy": "np.multiply(x, special.expit(x, out=out), out=out)",
        "PyTorch": "F.silu(x)",
        "JAX": "jax.nn.silu(x)",
        "numexpr": "evaluate('x / (1 + exp(-x))', out=out)",
        "numba": "x / (one + exp(-x))",
    }),
    Function("mish", "mish", ("x",), False, {
        "fastlog": "fastlog.mish(x, out=out)",
        "SciPy": "np.multiply(x, np.tanh(special.softplus(x, out=out), out=out), out=out)",
        "NumPy": "np.multiply(x, np.tanh(np.logaddexp(0, x, out=out), out=out), out=out)",
        "PyTorch": "F.mish(x)",
        "JAX": "jax.nn.mish(x)",
        "numexpr": "evaluate('x * tanh(where(x > 0, x, 0) + log1p(exp(-abs(x))))', out=out)",
    }),
    Function("logaddexp", "logaddexp", ("x", "y"), False, {
        "fastlog": "fastlog.logaddexp(x, y, out=out)",
        "NumPy": "np.logaddexp(x, y, out=out)",
        "PyTorch": "torch.logaddexp(x, y, out=out)",
        "JAX": "jax.numpy.logaddexp(x, y)",
        "numexpr": "evaluate('where(x > y, x, y) + log1p(exp(-abs(x - y)))', out=out)",
        "numba": "max(x, y) + log1p(exp(-abs(x - y)))",
    }),
    Function("logaddexp2", "logaddexp2", ("x", "y"), False, {
        "fastlog": "fastlog.logaddexp2(x, y, out=out)",
        "NumPy": "np.logaddexp2(x, y, out=out)",
        "PyTorch": "torch.logaddexp2(x, y, out=out)",
        "JAX": "jax.numpy.logaddexp2(x, y)",
        "numexpr": "evaluate('where(x > y, x, y) + log1p(exp(-abs(x - y) * log(2))) / log(2)', out=out)",
    }),
    Function("logsubexp", "logsubexp", ("high", "low"), False, {
        "fastlog": "fastlog.logsubexp(high, low, out=out)",
        "NumPy": "np.add(high, np.log(-np.expm1(np.subtract(low, high, out=out), out=out), out=out), out=out)",
        "PyTorch": "high + torch.log(-torch.expm1(low - high))",
        "JAX": "high + jax.nn.log1mexp(high - low)",
        "numexpr": "evaluate('high + log(-expm1(low - high))', out=out)",
    }),
    Function("log1mexp", "log1mexp", ("negative",), False, {
        "fastlog": "fastlog.log1mexp(negative, out=out)",
        "NumPy": "np.where(negative > -0.7, np.log(-np.expm1(negative)), np.log1p(-np.exp(negative)))",
        "PyTorch": "torch.where(negative > -0.7, torch.log(-torch.expm1(negative)), torch.log1p(-torch.exp(negative)))",
        "JAX": "jax.nn.log1mexp(-negative)",
        "numexpr": "evaluate('where(negative > -0.7, log(-expm1(negative)), log1p(-exp(negative)))', out=out)",
    }),
    Function("logexpm1", "logexpm1", ("positive",), False, {
        "fastlog": "fastlog.logexpm1(positive, out=out)",
        "NumPy": "np.add(positive, np.log(-np.expm1(-positive)), out=out)",
        "PyTorch": "positive + torch.log(-torch.expm1(-positive))",
        "JAX": "positive + jax.nn.log1mexp(positive)",
        "numexpr": "evaluate('positive + log(-expm1(-positive))', out=out)",
    }),
    Function("logit", "logit", ("p",), False, {
        "fastlog": "fastlog.logit(p, out=out)",
        "SciPy": "special.logit(p, out=out)",
        "NumPy": "np.subtract(np.log(p, out=out), np.log1p(-p), out=out)",
        "PyTorch": "torch.logit(p, out=out)",
        "JAX": "jax.scipy.special.logit(p)",
        "numexpr": "evaluate('log(p / (1 - p))', out=out)",
    }),
    Function("xlogy", "xlogy", ("p", "q"), False, {
        "fastlog": "fastlog.xlogy(p, q, out=out)",
        "SciPy": "special.xlogy(p, q, out=out)",
        "NumPy": "np.where(p == 0, 0, p * np.log(q))",
        "PyTorch": "torch.xlogy(p, q, out=out)",
        "JAX": "jax.scipy.special.xlogy(p, q)",
        "numexpr": "evaluate('where(p == 0, 0, p * log(q))', out=out)",
    }),
    Function("xlog1py", "xlog1py", ("p", "q"), False, {
        "fastlog": "fastlog.xlog1py(p, q, out=out)",
        "SciPy": "special.xlog1py(p, q, out=out)",
        "NumPy": "np.where(p == 0, 0, p * np.log1p(q))",
        "PyTorch": "torch.special.xlog1py(p, q, out=out)",
        "JAX": "jax.scipy.special.xlog1py(p, q)",
        "numexpr": "evaluate('where(p == 0, 0, p * log1p(q))', out=out)",
    }),
    Function("entr", "entr", ("p",), False, {
        "fastlog": "fastlog.entr(p, out=out)",
        "SciPy": "special.entr(p, out=out)",
        "NumPy": "np.where(p == 0, 0, -p * np.log(p))",
        "PyTorch": "torch.special.entr(p, out=out)",
        "JAX": "jax.scipy.special.entr(p)",
        "numexpr": "evaluate('where(p == 0, 0, -p * log(p))', out=out)",
    }),
    Function("rel_entr", "rel_entr", ("p", "q"), False, {
        "fastlog": "fastlog.rel_entr(p, q, out=out)",
        "SciPy": "special.rel_entr(p, q, out=out)",
        "NumPy": "np.where(p == 0, 0, p * np.log(p / q))",
        "JAX": "jax.scipy.special.rel_entr(p, q)",
        "numexpr": "evaluate('where(p == 0, 0, p * log(p / q))', out=out)",
    }),
    Function("binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits", ("x", "z"), False, {
        "fastlog": "fastlog.binary_cross_entropy_with_logits(x, z, reduction='none', out=out)",
        "SciPy": "np.subtract((1 - z) * x, special.log_expit(x, out=out), out=out)",
        "NumPy": "np.subtract(np.logaddexp(0, x, out=out), x * z, out=out)",
        "PyTorch": "F.binary_cross_entropy_with_logits(x, z, reduction='none')",
        "JAX": "jax.nn.softplus(x) - x * z",
        "numexpr": "evaluate('where(x > 0, x, 0) - x * z + log1p(exp(-abs(x)))', out=out)",
        "numba": "max(x, zero) - x * z + log1p(exp(-abs(x)))",
    }),
    Function("binary_cross_entropy_with_logits, mean", "binary_cross_entropy_with_logits", ("x", "z"), False, {
        "fastlog": "fastlog.binary_cross_entropy_with_logits(x, z)",
        "SciPy": "np.mean((1 - z) * x - special.log_expit(x))",
        "NumPy": "np.mean(np.logaddexp(0, x) - x * z)",
        "PyTorch": "F.binary_cross_entropy_with_logits(x, z)",
        "JAX": "jax.numpy.mean(jax.nn.softplus(x) - x * z)",
        "numexpr": "evaluate('where(x > 0, x, 0) - x * z + log1p(exp(-abs(x)))', out=out).mean()",
        "numba": "total += max(x, zero) - x * z + log1p(exp(-abs(x)))",
    }),
    Function("binary_cross_entropy_with_logits, loss and gradient", "binary_cross_entropy_with_logits", ("x", "z"), False, {  # noqa: E501
        "fastlog": "fastlog.binary_cross_entropy_with_logits(x, z, return_grad=True)[1]",
        "SciPy": "(special.expit(x, out=out) - z) / x.size + 0 * np.mean((1 - z) * x - special.log_expit(x))",
        "NumPy": "(1 / (1 + np.exp(-x)) - z) / x.size + 0 * np.mean(np.logaddexp(0, x) - x * z)",
        "PyTorch": "torch.autograd.grad("
        "F.binary_cross_entropy_with_logits(leaf := x.detach().requires_grad_(), z), leaf)[0]",
        "JAX": "(lambda value, gradient: gradient + 0 * value)(*jax.value_and_grad("
        "lambda x: jax.numpy.mean(jax.nn.softplus(x) - x * z))(x))",
        "numba": "t = exp(-abs(x)); total += max(x, zero) - x * z + log1p(t);"
        " out[i] = ((one if x >= zero else t) / (one + t) - z) / n",
    }),
    Function("focal_loss", "focal_loss", ("x", "z"), False, {
        "fastlog": "fastlog.focal_loss(x, z)",
        "SciPy": "np.mean(((1 - z) * x - special.log_expit(x)) * special.expit(np.where(z, -x, x)) ** 2)",
        "PyTorch": "(F.binary_cross_entropy_with_logits(x, z, reduction='none')"
        " * torch.sigmoid(torch.where(z > 0, -x, x)) ** 2).mean()",
        "JAX": "jax.numpy.mean((jax.nn.softplus(x) - x * z) * jax.nn.sigmoid(jax.numpy.where(z > 0, -x, x)) ** 2)",
    }),
    Function("kl_divergence", "kl_divergence", ("log_p", "q"), False, {
        "fastlog": "fastlog.kl_divergence(log_p, q)",
        "SciPy": "np.mean(special.xlogy(q, q) - q * log_p)",
        "PyTorch": "F.kl_div(log_p, q, reduction='sum') / q.numel()",
        "JAX": "jax.numpy.mean(jax.scipy.special.xlogy(q, q) - q * log_p)",
    }),
    Function("kl_divergence, log_target", "kl_divergence_of_logs", ("log_p", "log_q"), False, {
        "fastlog": "fastlog.kl_divergence(log_p, log_q, log_target=True)",
        "NumPy": "np.mean(np.exp(log_q) * (log_q - log_p))",
        "PyTorch": "F.kl_div(log_p, log_q, reduction='sum', log_target=True) / log_q.numel()",
        "JAX": "jax.numpy.mean(jax.numpy.exp(log_q) * (log_q - log_p))",
    }),
    Function("logsumexp", "logsumexp", ("x",), True, {
        "fastlog": "fastlog.logsumexp(x, axis=axis)",
        "SciPy": "special.logsumexp(x, axis=axis)",
        "NumPy": "np.logaddexp.reduce(x, axis=axis)",
        "PyTorch": "torch.logsumexp(x, axis)",
        "JAX": "jax.nn.logsumexp(x, axis)",
    }),
    Function("softmax", "softmax", ("x",), True, {
        "fastlog": "fastlog.softmax(x, axis=axis, out=out)",
        "SciPy": "special.softmax(x, axis=axis)",
        "PyTorch": "torch.softmax(x, axis, out=out)",
        "JAX": "jax.nn.softmax(x, axis)",
    }),
    Function("log_softmax", "log_softmax", ("x",), True, {
        "fastlog": "fastlog.log_softmax(x, axis=axis, out=out)",
        "SciPy": "special.log_softmax(x, axis=axis)",
        "PyTorch": "torch.log_softmax(x, axis, out=out)",
        "JAX": "jax.nn.log_softmax(x, axis)",
    }),
    Function("cross_entropy, mean", "cross_entropy", ("x", "labels"), True, {
        "fastlog": "fastlog.cross_entropy(x, labels, axis=axis)",
        "SciPy": "-np.mean(np.take_along_axis(special.log_softmax(x, axis=axis), np.expand_dims(labels, axis), axis))",
        "PyTorch": "F.cross_entropy(rows, labels)",
        "JAX": "-jax.numpy.mean(jax.numpy.take_along_axis("
        "jax.nn.log_softmax(x, axis), jax.numpy.expand_dims(labels, axis), axis))",
    }),
    Function("cross_entropy, loss and gradient", "cross_entropy", ("x", "labels"), True, {
        "fastlog": "fastlog.cross_entropy(x, labels, axis=axis, return_grad=True)[1]",
        "PyTorch": "torch.autograd.grad(F.cross_entropy("
        "(leaf := x.detach().requires_grad_()).movedim(axis, -1), labels), leaf)[0]",
        "JAX": "(lambda value, gradient: gradient + 0 * value)(*jax.value_and_grad("
        "lambda x: -jax.numpy.mean(jax.numpy.take_along_axis("
        "jax.nn.log_softmax(x, axis), jax.numpy.expand_dims(labels, axis), axis)))(x))",
    }),
    Function("nll_loss", "nll_loss", ("x", "labels"), True, {
        "fastlog": "fastlog.nll_loss(x, labels, axis=axis)",
        "NumPy": "-np.mean(np.take_along_axis(x, np.expand_dims(labels, axis), axis))",
        "PyTorch": "F.nll_loss(rows, labels)",
        "JAX": "-jax.numpy.mean(jax.numpy.take_along_axis(x, jax.numpy.expand_dims(labels, axis), axis))",
    }),
    Function("logsumexp, weighted", "logsumexp_weighted", ("x", "positive"), True, {
        "fastlog": "fastlog.logsumexp(x, axis=axis, b=positive)",
        "SciPy": "special.logsumexp(x, axis=axis, b=positive)",
        "JAX": "jax.scipy.special.logsumexp(x, axis=axis, b=positive)",
    }),
    Function("logsumexp, where", "logsumexp_weighted", ("x", "positive"), True, {
        "fastlog": "fastlog.logsumexp(x, axis=axis, where=positive > 0.5)",
        "SciPy": "special.logsumexp(x, axis=axis, b=positive > 0.5)",
        "JAX": "jax.scipy.special.logsumexp(x, axis=axis, where=positive > 0.5)",
    }),
    Function("logmeanexp", "logmeanexp", ("x",), True, {
        "fastlog": "fastlog.logmeanexp(x, axis=axis)",
        "SciPy": "special.logsumexp(x, axis=axis, b=1 / x.shape[axis])",
        "JAX": "jax.scipy.special.logsumexp(x, axis=axis, b=1 / x.shape[axis])",
    }),
    Function("logaddexp.reduce", "logaddexp", ("x",), True, {
        "fastlog": "fastlog.logaddexp.reduce(x, axis=axis)",
        "NumPy": "np.logaddexp.reduce(x, axis=axis)",
    }),
    Function("logaddexp.accumulate", "logaddexp", ("x",), True, {
        "fastlog": "fastlog.logaddexp.accumulate(x, axis=axis, out=out)",
        "NumPy": "np.logaddexp.accumulate(x, axis=axis, out=out)",
        "PyTorch": "torch.logcumsumexp(x, axis, out=out)",
        "JAX": "jax.lax.cumlogsumexp(x, axis % 2)",  # it takes no negative axis
    }),
)  # fmt: skip

ELEMENTWISE = {
    "call of 10": (10,),
    "1 000": (1_000,),
    "10 000": (10_000,),
    "1 million": (1_000_000,),
    "10 million": (10_000_000,),
}
ALONG_ROWS = {
    "call of 10": ((1, 10), -1),
    "100000 × 10": ((100_000, 10), -1),
    "31250 × 32": ((31_250, 32), -1),
    "1000 × 1000": ((1_000, 1_000), -1),
    "31 × 32000": ((31, 32_000), -1),
    "1000 × 1000, axis 0": ((1_000, 1_000), 0),
    "10000 × 1000, axis 0": ((10_000, 1_000), 0),
}
BEYOND_CACHE = "10000 × 1000, axis 0"
CALL = "call of 10"
# Sizes of the summary and the picture: they fit into the cache, and the time of a call no longer matters.
HEADLINE = ("10 000", "1000 × 1000")
QUICK = (CALL, *HEADLINE, "1 million", "1000 × 1000, axis 0")
# Functions of the README's short table and picture.
MAIN = (
    "softplus", "log_sigmoid", "sigmoid", "silu", "logaddexp", "logit", "logsumexp", "softmax", "log_softmax",
    "binary_cross_entropy_with_logits, mean", "binary_cross_entropy_with_logits, loss and gradient",
    "cross_entropy, mean",
)  # fmt: skip
MAIN_LIBRARIES = ("SciPy", "NumPy", "PyTorch")
LONGEST = 10_000_000


@dataclass(frozen=True)
class Case:
    """A function on arrays of one dtype, shape and axis; `size` names the shape."""

    function: Function
    dtype: str
    size: str
    shape: tuple[int, ...]
    axis: int | None

    @property
    def elements(self) -> int:
        """Return the number of logits."""
        return int(np.prod(self.shape))


def all_cases(quick: bool) -> list[Case]:
    """List every function x dtype x size; if `quick`, only the headline sizes and a few more."""
    return [
        Case(function, dtype, size, shape, axis)
        for function in FUNCTIONS
        for dtype in ("float32", "float64")
        for size, shape, axis in _sizes(function)
        if not quick or size in QUICK
    ]


def _sizes(function: Function) -> Iterator[tuple[str, tuple[int, ...], int | None]]:
    if function.along_rows:
        for size, (shape, axis) in ALONG_ROWS.items():
            if size != BEYOND_CACHE or function.name in ("logsumexp", "softmax", "log_softmax"):
                yield size, shape, axis
    else:
        for size, shape in ELEMENTWISE.items():
            yield size, shape, None


@cache
def _normal(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, LONGEST)


def _probability(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def make_arrays(case: Case) -> dict[str, Any]:
    """Return the arguments of a case as NumPy arrays, `axis`, and `out`.

    `out` is None for the shortest calls, because making the result is a part of what a call costs.
    """
    u, v = (_normal(seed)[: case.elements].reshape(case.shape) for seed in (0, 1))
    x, y = u.astype(case.dtype), v.astype(case.dtype)
    makers = {
        "y": lambda: y,
        "high": lambda: np.maximum(x, y),
        "low": lambda: np.minimum(x, y),
        "positive": lambda: np.abs(x),
        "negative": lambda: -np.abs(x),
        "p": lambda: _probability(u).astype(case.dtype),
        "q": lambda: _probability(v).astype(case.dtype),
        "log_p": lambda: np.log(_probability(u)).astype(case.dtype),
        "log_q": lambda: np.log(_probability(v)).astype(case.dtype),
        "z": lambda: (v > 0).astype(case.dtype),
        "labels": lambda: np.random.default_rng(2).integers(0, x.shape[case.axis], x.size // x.shape[case.axis]),
    }
    made = {name: make() for name, make in makers.items() if name in case.function.arguments}
    return {"x": x, "axis": case.axis, "out": None if case.size == CALL else np.empty_like(x), **made}


def _numpy_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import scipy.special

    import fastlog

    return call, {**arrays, "fastlog": fastlog, "np": np, "special": scipy.special}


def _torch_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import torch

    torch.set_num_threads(1)
    names = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}
    if case.axis is not None:
        names["rows"] = names["x"].movedim(case.axis, -1)  # torch's cross_entropy wants the classes on axis 1
    return call, {**names, "torch": torch, "F": torch.nn.functional}


def _jax_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import jax

    jax.config.update("jax_enable_x64", True)
    arguments = ", ".join(case.function.arguments)
    jitted = jax.jit(eval(f"lambda {arguments}: {call}", {"jax": jax, "axis": case.axis}))
    names = {name: jax.numpy.asarray(arrays[name]) for name in case.function.arguments}
    return f"jitted({arguments}).block_until_ready()", {**names, "jitted": jitted}


def _numexpr_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    import numexpr

    numexpr.set_num_threads(1)
    return call, {**arrays, "evaluate": numexpr.evaluate}


def _numba_names(arrays: dict[str, Any], case: Case, call: str) -> tuple[str, dict[str, Any]]:
    """Make one fused loop, as users of numba write it. numba vectorises it if Intel's SVML is installed."""
    import math

    import numba

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

# Library -> its module, which is also the name of its package, and a function of arrays, case and call that returns the
# timed statement and the names that it uses. fastlog is the first: the answers of the others are compared with its own.
LIBRARIES: dict[str, tuple[str, Names]] = {
    "fastlog": ("fastlog", _numpy_names),
    "SciPy": ("scipy", _numpy_names),
    "NumPy": ("numpy", _numpy_names),
    "PyTorch": ("torch", _torch_names),
    "JAX": ("jax", _jax_names),
    "numexpr": ("numexpr", _numexpr_names),
    "numba": ("numba", _numba_names),
}


def installed() -> list[str]:
    """Return the names of the libraries that can be imported."""
    found = []
    for name, (module, _) in LIBRARIES.items():
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        found.append(name)
    return found
