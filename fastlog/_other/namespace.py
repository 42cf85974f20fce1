"""The same functions on arrays of other libraries, in the words of the array API standard.

Where a library has its own function, that computes: on its device, as lazily as it likes, differentiable, fit for its
compiler. So nothing here looks at a value, but where a wrong label can be found without harm to that.

Tensors of torch that are on the CPU and want no gradient are as good as NumPy's arrays: fastlog's kernels run on their
memory.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from fastlog._arrays import as_axes, check_reduction, label_error
from fastlog._other import public


def call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Compute a function of fastlog's with the library of the first argument."""
    first = args[0] if args else next(iter(kwargs.values()))
    library = _library(first)
    with_numpy = library.by_numpy(name, args, kwargs)
    if with_numpy is not None:
        return with_numpy
    with np.errstate(all="ignore"):  # of those libraries that are NumPy underneath
        return globals()[name](library, *args, **kwargs)


# ---- the libraries ----


class _Library:
    """What any library that follows the standard can do."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def by_numpy(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result of fastlog's kernels on the memory of the arguments; None where that is not possible."""
        return None

    def array(self, a: Any, like: Any) -> Any:
        foreign = hasattr(a, "__array_namespace__") and not isinstance(a, (np.ndarray, np.generic))
        return a if foreign else self.xp.asarray(a)

    def floating(self, name: str, a: Any, dtype: Any = None, like: Any = None) -> Any:
        """Return `a` as an array of real numbers, of `dtype`, its own, or the library's default."""
        xp = self.xp
        if like is not None and isinstance(a, (bool, int, float)):
            return xp.full_like(like, float(a))
        x = self.array(a, like)
        if dtype is not None:
            return xp.astype(
                x, getattr(xp, np.dtype(dtype).name) if isinstance(dtype, (str, type, np.dtype)) else dtype
            )
        if xp.isdtype(x.dtype, ("bool", "integral")):
            return xp.astype(x, xp.asarray(0.0).dtype if like is None else like.dtype)
        if not xp.isdtype(x.dtype, "real floating"):
            raise TypeError(f"{name}: computed for real numbers in {xp.__name__}, not for {x.dtype}")
        return x

    def is_known(self, flag: Any) -> bool:
        """Whether a condition is true, as far as can be told: compilers trace with values that nobody knows yet."""
        try:
            return bool(flag)
        except Exception:  # every library has its own
            return False

    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        top, rest = self._partition(x, axes)
        y = top + self.xp.log1p(rest)
        return y if keepdims else self.xp.squeeze(y, axis=axes)

    def log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        top, rest = self._partition(x, axes)
        return (x - top) - self.xp.log1p(rest)

    def softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        top = self.xp.max(x, axis=axes, keepdims=True)
        return self.xp.exp(self.log_softmax(x, axes)) + (top - top)  # nan in rows whose maximum is infinite

    def _partition(self, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        """Return the largest element M and the sum of the others' exponentials in units of exp(M).

        Elements as large as M are counted, so that the sum keeps its digits when one element dominates.
        """
        xp = self.xp
        top = xp.max(x, axis=axes, keepdims=True)
        is_top = x == top
        others = xp.where(is_top, xp.zeros_like(x), xp.exp(x - xp.where(xp.isfinite(top), top, xp.zeros_like(top))))
        ties = xp.sum(xp.astype(is_top, x.dtype), axis=axes, keepdims=True) - 1
        rest = xp.sum(others, axis=axes, keepdims=True) + xp.where(xp.isfinite(top), ties, xp.zeros_like(ties))
        return top, rest

    def logcumsumexp(self, x: Any, axis: int) -> Any:
        """By doubling: each pass adds to every sum the one that ends where it begins."""
        xp, n, reach = self.xp, x.shape[axis], 1
        before: tuple[slice, ...] = (slice(None),) * axis
        while reach < n:
            nothing = xp.full_like(x[(*before, slice(0, reach), ...)], -math.inf)
            earlier = xp.concat([nothing, x[(*before, slice(0, n - reach), ...)]], axis=axis)
            x = self.logaddexp(x, earlier)
            reach *= 2
        return x

    def logaddexp(self, x: Any, y: Any) -> Any:
        return self.xp.logaddexp(x, y)

    def softplus(self, x: Any) -> Any:
        return self.logaddexp(x, self.xp.zeros_like(x))

    def log_sigmoid(self, x: Any) -> Any:
        return -self.softplus(-x)

    def sigmoid(self, x: Any) -> Any:
        return self.xp.exp(self.log_sigmoid(x))


class _Torch(_Library):
    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        self.torch = sys.modules["torch"]
        self.functional = self.torch.nn.functional

    def by_numpy(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        torch = self.torch
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)]
        plain = {torch.Tensor, torch.nn.Parameter}
        if torch.compiler.is_compiling() or any(
            type(a) not in plain
            or a.device.type != "cpu"
            or (a.requires_grad and torch.is_grad_enabled())
            or torch.autograd.forward_ad.unpack_dual(a).tangent is not None
            for a in tensors
        ):
            return None

        def numpy(a: Any) -> Any:
            return a.detach().numpy() if isinstance(a, torch.Tensor) else a

        def tensor(y: Any) -> Any:
            return tuple(map(tensor, y)) if isinstance(y, tuple) else torch.from_numpy(np.asarray(y))

        try:
            args, kwargs = tuple(map(numpy, args)), {key: numpy(a) for key, a in kwargs.items()}
        except (TypeError, RuntimeError):  # bfloat16, and tensors that torch's transformations have wrapped
            return None
        if kwargs.get("dtype") is torch.bfloat16:
            return None
        if isinstance(kwargs.get("dtype"), torch.dtype):
            kwargs["dtype"] = str(kwargs["dtype"]).removeprefix("torch.")
        return tensor(public(name)(*args, **kwargs))

    def array(self, a: Any, like: Any) -> Any:
        return a if isinstance(a, self.torch.Tensor) else self.torch.asarray(a, device=like.device)

    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return self.torch.logsumexp(x, dim=axes, keepdim=bool(keepdims))

    def softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.torch.softmax(x, axes[0]) if len(axes) == 1 else super().softmax(x, axes)

    def log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        if len(axes) == 1:
            return self.functional.log_softmax(x, axes[0])
        return x - self.torch.logsumexp(x, dim=axes, keepdim=True)

    def logcumsumexp(self, x: Any, axis: int) -> Any:
        return self.torch.logcumsumexp(x, axis)

    def softplus(self, x: Any) -> Any:
        return -self.functional.logsigmoid(-x)  # torch's own softplus is x above a threshold

    def log_sigmoid(self, x: Any) -> Any:
        return self.functional.logsigmoid(x)

    def sigmoid(self, x: Any) -> Any:
        return self.torch.sigmoid(x)


class _Jax(_Library):
    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        self.jax = sys.modules["jax"]

    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return self.jax.nn.logsumexp(x, axis=axes, keepdims=keepdims)

    def softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.jax.nn.softmax(x, axis=axes)

    def log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.jax.nn.log_softmax(x, axis=axes)

    def logcumsumexp(self, x: Any, axis: int) -> Any:
        return self.jax.lax.cumlogsumexp(x, axis=axis)

    def softplus(self, x: Any) -> Any:
        return self.jax.nn.softplus(x)

    def log_sigmoid(self, x: Any) -> Any:
        return self.jax.nn.log_sigmoid(x)

    def sigmoid(self, x: Any) -> Any:
        return self.jax.nn.sigmoid(x)


class _CuPy(_Library):
    """By the names that CuPy's documentation gives; there has been no GPU to test it on."""

    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        from cupyx.scipy import special

        self.special = special

    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        return self.special.logsumexp(x, axis=axes, keepdims=keepdims)

    def softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.special.softmax(x, axis=axes)

    def log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.special.log_softmax(x, axis=axes)

    def log_sigmoid(self, x: Any) -> Any:
        return self.special.log_expit(x)

    def sigmoid(self, x: Any) -> Any:
        return self.special.expit(x)


_OWN = {"torch": _Torch, "jax": _Jax, "cupy": _CuPy}
_libraries: dict[str, _Library] = {}


def _library(a: Any) -> _Library:
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
        _libraries[xp.__name__] = _OWN.get(package, _Library)(xp)
    return _libraries[xp.__name__]


def _no_output(name: str, out: Any) -> None:
    if out is not None:
        raise TypeError(f"{name}: out= is for NumPy's arrays")


# ---- elementwise ----


def softplus(lib: _Library, x: Any) -> Any:
    return lib.softplus(lib.floating("softplus", x))


def log_sigmoid(lib: _Library, x: Any) -> Any:
    return lib.log_sigmoid(lib.floating("log_sigmoid", x))


def sigmoid(lib: _Library, x: Any) -> Any:
    return lib.sigmoid(lib.floating("sigmoid", x))


def silu(lib: _Library, x: Any, out: Any = None) -> Any:
    _no_output("silu", out)
    x = lib.floating("silu", x)
    return x * lib.sigmoid(x)


def mish(lib: _Library, x: Any, out: Any = None) -> Any:
    _no_output("mish", out)
    x = lib.floating("mish", x)
    return x * lib.xp.tanh(lib.softplus(x))


def xlogy(lib: _Library, x: Any, y: Any) -> Any:
    return _xlog(lib, "xlogy", lib.xp.log, 1, x, y)


def xlog1py(lib: _Library, x: Any, y: Any) -> Any:
    return _xlog(lib, "xlog1py", lib.xp.log1p, 0, x, y)


def _xlog(lib: _Library, name: str, logarithm: Callable[..., Any], harmless: int, x: Any, y: Any) -> Any:
    xp, x = lib.xp, lib.floating(name, x)
    y = lib.floating(name, y, like=x)
    zero = (x == 0) & ~xp.isnan(y)
    return xp.where(zero, xp.zeros_like(x), x * logarithm(xp.where(zero, xp.full_like(y, harmless), y)))


# ---- reductions ----


def logsumexp(
    lib: _Library,
    a: Any,
    axis: Any = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
    *,
    where: Any = None,
    out: Any = None,
    dtype: Any = None,
) -> Any:
    _no_output("logsumexp", out)
    xp, x = lib.xp, lib.floating("logsumexp", a, dtype)
    if b is None and not return_sign:
        if where is not None:
            x = xp.where(lib.array(where, x), x, xp.full_like(x, -math.inf))
        axes = as_axes(axis, x.ndim)
        if not axes:
            return x
        if 0 in [x.shape[k] for k in axes]:
            return xp.sum(x, axis=axes, keepdims=keepdims) - math.inf
        return lib.logsumexp(x, axes, keepdims)
    weights = xp.ones_like(x) if b is None else lib.floating("logsumexp", b, like=x)
    x, weights = xp.broadcast_arrays(x, weights)
    if where is not None:
        weights = xp.where(lib.array(where, x), weights, xp.zeros_like(weights))
    y, total = _weighted_sum(lib, x, weights, as_axes(axis, x.ndim), keepdims)
    return (y, xp.sign(total)) if return_sign else xp.where(total < 0, xp.full_like(y, math.nan), y)


def _weighted_sum(lib: _Library, x: Any, weights: Any, axes: tuple[int, ...], keepdims: bool) -> tuple[Any, Any]:
    """Return log|sum of weights * exp(x)| and the sum in units of the largest term; log|weight| joins the exponent."""
    xp = lib.xp
    none = weights == 0
    size = xp.log(xp.abs(xp.where(none, xp.ones_like(weights), weights)))
    term = xp.where(none, xp.full_like(x, -math.inf), xp.where(none, xp.zeros_like(x), x) + size)
    if not axes or 0 in [x.shape[k] for k in axes]:
        if axes:
            total = xp.sum(x, axis=axes, keepdims=keepdims)
            return total - math.inf, total
        nothing = term == -math.inf
        sign = xp.where(nothing, xp.zeros_like(term), xp.sign(weights))
        return term, xp.where(xp.isnan(term), xp.full_like(term, math.nan), sign)
    top = xp.max(term, axis=axes, keepdims=True)
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    total = xp.sum(xp.sign(weights) * xp.exp(term - top), axis=axes, keepdims=keepdims)
    return xp.log(xp.abs(total)) + (top if keepdims else xp.squeeze(top, axis=axes)), total


def logmeanexp(
    lib: _Library,
    a: Any,
    axis: Any = None,
    b: Any = None,
    keepdims: bool = False,
    *,
    where: Any = None,
    out: Any = None,
    dtype: Any = None,
) -> Any:
    y = logsumexp(lib, a, axis, b, keepdims, where=where, out=out, dtype=dtype)
    xp, x = lib.xp, lib.floating("logmeanexp", a, dtype)
    counted = xp.ones_like(x)
    if b is not None:  # whatever they weigh
        counted, _ = xp.broadcast_arrays(counted, lib.floating("logmeanexp", b, like=x))
    if where is not None:
        counted = xp.where(lib.array(where, x), counted, xp.zeros_like(counted))
    axes = as_axes(axis, counted.ndim)
    return y - xp.log(xp.sum(counted, axis=axes, keepdims=keepdims)) if axes else y - xp.log(counted)


def logcumsumexp(
    lib: _Library,
    a: Any,
    axis: Any = None,
    *,
    reverse: bool = False,
    exclusive: bool = False,
    out: Any = None,
    dtype: Any = None,
) -> Any:
    _no_output("logcumsumexp", out)
    xp, x = lib.xp, lib.floating("logcumsumexp", a, dtype)
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    (k,) = as_axes((axis,), max(x.ndim, 1))
    x = xp.reshape(x, (1,)) if x.ndim == 0 else x
    y = lib.logcumsumexp(xp.flip(x, axis=k) if reverse else x, k)
    if exclusive and y.shape[k]:
        before: tuple[slice, ...] = (slice(None),) * k
        nothing = xp.full_like(y[(*before, slice(0, 1), ...)], -math.inf)
        y = xp.concat([nothing, y[(*before, slice(0, y.shape[k] - 1), ...)]], axis=k)
    return xp.flip(y, axis=k) if reverse else y


def softmax(
    lib: _Library,
    x: Any,
    axis: Any = None,
    *,
    where: Any = None,
    out: Any = None,
    dtype: Any = None,
    temperature: float = 1.0,
    return_lse: bool = False,
) -> Any:
    y = _normalize(lib, "softmax", x, axis, where, out, dtype, temperature)
    if not return_lse:
        return y
    x = lib.floating("softmax", x, dtype)
    return y, logsumexp(lib, x if temperature == 1 else x / temperature, axis, where=where)


def log_softmax(
    lib: _Library,
    x: Any,
    axis: Any = None,
    *,
    where: Any = None,
    out: Any = None,
    dtype: Any = None,
    temperature: float = 1.0,
) -> Any:
    return _normalize(lib, "log_softmax", x, axis, where, out, dtype, temperature)


def _normalize(
    lib: _Library, name: str, x: Any, axis: Any, where: Any, out: Any, dtype: Any, temperature: float
) -> Any:
    _no_output(name, out)
    xp, x = lib.xp, lib.floating(name, x, dtype)
    axes = as_axes(axis, x.ndim)
    if not 0 < temperature < math.inf:
        raise ValueError(f"{name}: temperature must be a positive number, not {temperature!r}")
    x = x if temperature == 1 else x / temperature
    empty = 0.0 if name == "softmax" else -math.inf
    if math.prod(x.shape) == 0:
        return x
    include = None if where is None else xp.broadcast_to(lib.array(where, x), x.shape)
    if include is not None:
        x = xp.where(include, x, xp.full_like(x, -math.inf))
    if not axes:  # each element is all there is
        x, axes = xp.expand_dims(x, axis=-1), (x.ndim,)
        y = xp.squeeze(getattr(lib, name)(x, axes), axis=-1)
    else:
        y = getattr(lib, name)(x, axes)
    return y if include is None else xp.where(include, y, xp.full_like(y, empty))


# ---- losses ----


def binary_cross_entropy_with_logits(
    lib: _Library,
    logits: Any,
    targets: Any,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
    *,
    label_smoothing: float = 0.0,
    return_grad: bool = False,
    return_hess: bool = False,
    out: Any = None,
) -> Any:
    name = "binary_cross_entropy_with_logits"
    _no_output(name, out)
    x, z = _elements(lib, name, logits, targets)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: label_smoothing must be between 0 and 1, not {label_smoothing}")
    z = z if label_smoothing == 0 else (1 - label_smoothing) * z + label_smoothing / 2
    yes, no = z, 1 - z
    if pos_weight is not None:
        yes = yes * _fitting(lib, name, "pos_weight", pos_weight, x)
    if weight is not None:
        w = _fitting(lib, name, "weight", weight, x)
        yes, no = yes * w, no * w
    # One softplus for each side, instead of |x| and one: so the derivative is right at 0.
    loss = _product(lib, yes, lib.softplus(-x)) + _product(lib, no, lib.softplus(x))
    if not (return_grad or return_hess):
        return _reduced(lib, loss, reduction)
    p, q = lib.sigmoid(x), lib.sigmoid(-x)
    return _with_derivatives(lib, loss, reduction, no * p - yes * q, (yes + no) * p * q if return_hess else None)


def focal_loss(
    lib: _Library,
    logits: Any,
    targets: Any,
    alpha: float | None = None,
    gamma: float = 2.0,
    reduction: str = "mean",
    *,
    weight: Any = None,
    return_grad: bool = False,
    return_hess: bool = False,
) -> Any:
    xp = lib.xp
    x, z = _elements(lib, "focal_loss", logits, targets)
    if not 0 <= gamma < math.inf or not 0 <= (0 if alpha is None else alpha) <= 1:
        raise ValueError(f"focal_loss: gamma must be at least 0 and alpha in [0, 1], not {gamma} and {alpha}")
    factor = xp.ones_like(x) if alpha is None else z * alpha + (1 - z) * (1 - alpha)
    if weight is not None:
        factor = factor * _fitting(lib, "focal_loss", "weight", weight, x)
    p, q = lib.sigmoid(x), lib.sigmoid(-x)
    entropy = _product(lib, z, lib.softplus(-x)) + _product(lib, 1 - z, lib.softplus(x))
    missed = z * q + (1 - z) * p
    # Powers of m and their derivatives are 0 where m is, which the derivative of a power would not be.
    none = (missed == 0) if gamma else (missed != missed)
    base = xp.where(none, xp.ones_like(missed), missed)
    power = xp.where(none, xp.zeros_like(missed), base**gamma)
    loss = factor * _product(lib, power, entropy)
    if not (return_grad or return_hess):
        return _reduced(lib, loss, reduction)
    # m' = (1 - 2z) p q, m'' = m' (q - p); the entropy's derivatives are p - z and p q. Powers of m below 0 come with a
    # factor m' of the order of m.
    slope = (1 - 2 * z) * p * q / base
    grad = factor * power * (_product(lib, gamma * slope, entropy) + p - z)
    hess = None
    if return_hess:
        curved = _product(lib, gamma * slope * ((gamma - 1) * slope + q - p), entropy)
        hess = factor * power * (curved + 2 * gamma * slope * (p - z) + p * q)
    return _with_derivatives(lib, loss, reduction, grad, hess)


def kl_divergence(
    lib: _Library, log_q: Any, p: Any, *, log_target: bool = False, axis: Any = -1, reduction: str = "mean"
) -> Any:
    xp = lib.xp
    log_q, p = _elements(lib, "kl_divergence", log_q, p, "log_q", "p")
    check_reduction("kl_divergence", reduction, ("mean", "batchmean", "sum", "none"))
    axes = as_axes(axis, log_q.ndim)
    mass = xp.exp(p) if log_target else p
    none = mass == 0
    log_p = p if log_target else xp.log(xp.where(none, xp.ones_like(p), p))
    each = xp.where(none, xp.zeros_like(p), mass * (log_p - xp.where(none, xp.zeros_like(p), log_q)))
    if reduction == "none" and axes:
        return xp.sum(each, axis=axes)
    if reduction == "batchmean":
        return xp.sum(each) / next((n for k, n in enumerate(each.shape) if k not in axes), 1)
    return _reduced(lib, each, reduction)


def cross_entropy(
    lib: _Library,
    logits: Any,
    targets: Any,
    weight: Any = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    axis: int = -1,
    return_grad: bool = False,
    return_hess: bool = False,
) -> Any:
    x = lib.floating("cross_entropy", logits)
    (k,) = as_axes((axis,), x.ndim)
    parts, count = _class_parts(lib, "cross_entropy", x, targets, weight, ignore_index, label_smoothing, k)
    # Rows that do not count have no derivatives, whatever they hold.
    counts = lib.xp.sum(lib.xp.abs(parts), axis=k, keepdims=True) != 0
    log_p = lib.log_softmax(lib.xp.where(counts, x, lib.xp.zeros_like(x)), (k,))
    loss = _row_loss(lib, parts, log_p, k)
    if not (return_grad or return_hess):
        return _reduced(lib, loss, reduction, count)
    p, total = lib.xp.exp(log_p), lib.xp.sum(parts, axis=k, keepdims=True)
    hess = total * p * (1 - p) if return_hess else None
    return _with_derivatives(lib, loss, reduction, total * p - parts, hess, count)


def nll_loss(
    lib: _Library,
    log_probs: Any,
    targets: Any,
    weight: Any = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    *,
    axis: int = -1,
) -> Any:
    x = lib.floating("nll_loss", log_probs)
    (k,) = as_axes((axis,), x.ndim)
    if lib.xp.isdtype(lib.array(targets, x).dtype, "real floating"):
        raise TypeError("nll_loss: targets must be integer class labels")
    parts, count = _class_parts(lib, "nll_loss", x, targets, weight, ignore_index, 0.0, k)
    return _reduced(lib, _row_loss(lib, parts, x, k), reduction, count)


def _elements(
    lib: _Library, name: str, x: Any, z: Any, first: str = "logits", second: str = "targets"
) -> tuple[Any, Any]:
    x = lib.floating(name, x)
    z = lib.xp.astype(lib.floating(name, z, like=x), x.dtype)
    if x.shape != z.shape:
        raise ValueError(
            f"{name}: {first} and {second} must have the same shape, not {tuple(x.shape)} and {tuple(z.shape)}"
        )
    return x, z


def _fitting(lib: _Library, name: str, argument: str, a: Any, x: Any) -> Any:
    """Return a weight, which must broadcast to the shape of the logits, in their dtype."""
    w = lib.xp.astype(lib.floating(name, a, like=x), x.dtype)
    if tuple(lib.xp.broadcast_arrays(w, x)[0].shape) != tuple(x.shape):
        raise ValueError(f"{name}: {argument} has the shape {tuple(w.shape)}, which does not fit {tuple(x.shape)}")
    return w


def _product(lib: _Library, weight: Any, x: Any) -> Any:
    """Return the product, in which a weight of 0 counts for more than an infinite x."""
    return lib.xp.where(weight == 0, lib.xp.zeros_like(x), weight * x)


def _class_parts(
    lib: _Library, name: str, x: Any, targets: Any, weight: Any, ignore_index: int | None, smoothing: float, k: int
) -> tuple[Any, Any]:
    """Return what each class of each row weighs, and what a mean divides by."""
    xp, classes = lib.xp, x.shape[k]
    z = lib.array(targets, x)
    along: tuple[int, ...] = tuple([classes if i == k else 1 for i in range(x.ndim)])
    w = lib.floating(name, np.ones(classes, np.float32) if weight is None else weight, like=x)
    if tuple(w.shape) != (classes,):
        raise ValueError(f"{name}: weight must have the shape ({classes},), one per class, not {tuple(w.shape)}")
    w = xp.reshape(xp.astype(w, x.dtype), along)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"{name}: label_smoothing must be between 0 and 1, not {smoothing}")
    even = smoothing / max(classes, 1)
    if xp.isdtype(z.dtype, "real floating"):
        if z.shape != x.shape:
            raise ValueError(
                f"{name}: class probabilities must have the shape of the logits, {tuple(x.shape)}, "
                f"not {tuple(z.shape)}; class labels must be integers"
            )
        return w * ((1 - smoothing) * xp.astype(z, x.dtype) + even), math.prod(x.shape) // max(classes, 1)
    expected = tuple(x.shape[:k]) + tuple(x.shape[k + 1 :])
    if tuple(z.shape) != expected:
        raise ValueError(f"{name}: labels must have the shape {expected}, not {tuple(z.shape)}")
    z = xp.astype(z, xp.asarray(0).dtype)  # bool and unsigned labels can be compared with -100 then
    counts = xp.ones_like(z, dtype=xp.bool) if ignore_index is None else z != ignore_index
    wrong = counts & ((z < 0) | (z >= classes))
    if lib.is_known(xp.any(wrong)):
        at = int(xp.argmax(xp.astype(xp.reshape(wrong, (-1,)), z.dtype)))
        where = tuple(int(i) for i in np.unravel_index(at, expected))
        raise label_error(name, where, int(xp.reshape(z, (-1,))[at]), classes)
    z, counts, wrong = (xp.expand_dims(part, axis=k) for part in (z, counts, wrong))
    is_label = xp.astype(xp.reshape(lib.array(np.arange(classes), x), along) == z, x.dtype)
    of_label = w * is_label
    total = xp.sum(xp.where(counts, of_label, xp.zeros_like(of_label)))
    parts = of_label if smoothing == 0 else (1 - smoothing) * of_label + even * w
    parts = xp.where(counts, parts, xp.zeros_like(parts))
    return xp.where(wrong, xp.full_like(parts, math.nan), parts), total


def _row_loss(lib: _Library, parts: Any, log_p: Any, k: int) -> Any:
    return lib.xp.sum(_product(lib, parts, -log_p), axis=k)


def _reduced(lib: _Library, loss: Any, reduction: str, count: Any = None) -> Any:
    check_reduction("loss", reduction)
    if reduction == "none":
        return loss
    total = lib.xp.sum(loss)
    return total if reduction == "sum" else _divided(lib, total, loss, count, math.nan)


def _divided(lib: _Library, y: Any, loss: Any, count: Any, empty: float) -> Any:
    """Divide by the number of losses, or `count`; the mean of nothing is `empty`."""
    if count is None or isinstance(count, int):
        n = math.prod(loss.shape) if count is None else count
        return y / n if n else lib.xp.full_like(y, empty)
    none = count == 0
    return lib.xp.where(none, lib.xp.full_like(y, empty), y / lib.xp.where(none, lib.xp.ones_like(count), count))


def _with_derivatives(
    lib: _Library, loss: Any, reduction: str, grad: Any, hess: Any | None, count: Any = None
) -> tuple[Any, ...]:
    wanted = [grad] if hess is None else [grad, hess]
    if reduction == "mean":
        wanted = [_divided(lib, part, loss, count, 0.0) for part in wanted]
    return (_reduced(lib, loss, reduction, count), *wanted)
