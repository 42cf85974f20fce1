"""The same functions on arrays of other libraries, in the words of the array API standard.

Where a library has its own function, that computes: on its device, as lazily as it likes, differentiable, fit for its
compiler. So nothing here looks at a value, but where a wrong label can be found without harm to that.

Tensors of torch that are on the CPU and want no gradient are as good as NumPy's arrays: fastlog's kernels run on their
memory.
"""

from __future__ import annotations

import functools
import math
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from fastlog._arguments import check_reduction, label_error
from fastlog._arrays import as_axes
from fastlog._other import computed, library_of, public

_LOSSES = ("binary_cross_entropy_with_logits", "cross_entropy", "focal_loss", "kl_divergence", "nll_loss")
_OF_TWO = ("logmeanexp", "logsumexp", "xlog1py", "xlogy")  # the second argument counts for the dtype of the result


def call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], of_numpy: Callable[[str], Any] = public) -> Any:
    """Compute a function of fastlog's with the library of the first argument that has one.

    What is narrower than float32 is computed in float32, sums too, and the result is rounded in the end. Where NumPy's
    arrays will do, `of_numpy` tells which function computes with them.
    """
    owner = next(a for a in args if library_of(a) == "namespace")
    library = _library(owner)
    if args[0] is not owner:
        like = library.floating(name, owner, wide=False)
        args = (library.floating(name, args[0], like=like, wide=False), *args[1:])
    args = (library.admitted(name, args[0], kwargs.get("dtype")), *args[1:])
    with_numpy = library.by_numpy(name, args, kwargs, of_numpy)
    if with_numpy is not None:
        return with_numpy
    with np.errstate(all="ignore"):  # some libraries are NumPy underneath
        return library.rounded(globals()[name](library, *args, **kwargs), name, args, kwargs)


def overwrite(name: str, a: Any) -> Any:
    """Return `a`, overwritten by a function of it."""
    return _library(a).overwrite(name, a)


def floating(name: str, a: Any) -> Any:
    """Return integers and booleans as real numbers, in the library's default dtype; other arrays as they are."""
    return _library(a).floating(name, a, wide=False)


def broadcast(name: str, a: Any, other: Any) -> tuple[Any, Any]:
    """Return two arrays, in the library of the first, in the shape that they have together."""
    library = _library(a)
    one, two = library.xp.broadcast_arrays(a, library.array(name, other, a))
    return one, two


# ---- the libraries ----


class _Library:
    """What any library that follows the standard can do."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def by_numpy(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], of_numpy: Callable[[str], Any]) -> Any:
        """Return the result of fastlog's kernels on the memory of the arguments; None where that is not possible."""
        return None

    def admitted(self, name: str, x: Any, dtype: Any) -> Any:
        """Return the first argument as the function should see it."""
        return x

    def array(self, name: str, a: Any, like: Any) -> Any:
        """Return `a` as an array of the library, on the device of `like`."""
        return self.own_array(self.unmasked(name, a), like)

    def unmasked(self, name: str, a: Any) -> Any:
        """Return an argument as other libraries can convert it: computed, and without a mask."""
        a = computed(a)
        if not isinstance(a, np.ma.MaskedArray):
            return a
        if np.ma.is_masked(a):
            raise TypeError(f"{name}: an argument has masked elements; fill them first, as only numpy.ma knows masks")
        return a.data

    def own_array(self, a: Any, like: Any) -> Any:
        foreign = hasattr(a, "__array_namespace__") and not isinstance(a, (np.ndarray, np.generic))
        return a if foreign else self.xp.asarray(a)

    def mask(self, name: str, where: Any, x: Any) -> Any:
        """Return which elements of `x` count."""
        some = self.array(name, where, x)
        if not self.xp.isdtype(some.dtype, "bool"):
            raise TypeError(f"{name}: where must be an array of bool, not of {some.dtype}")
        return some

    def floating(self, name: str, a: Any, dtype: Any = None, like: Any = None, wide: bool = True) -> Any:
        """Return `a` as an array of real numbers, of `dtype`, its own, or the library's default; float32 at least."""
        xp = self.xp
        if like is not None and isinstance(a, (bool, int, float)):
            return xp.full_like(like, float(a))
        x = self.array(name, a, like)
        if dtype is not None:
            x = xp.astype(x, self.dtype(dtype))
        elif xp.isdtype(x.dtype, ("bool", "integral")):
            x = xp.astype(x, xp.asarray(0.0).dtype if like is None else like.dtype)
        if not xp.isdtype(x.dtype, "real floating"):
            raise TypeError(f"{name}: computed for real numbers in {xp.__name__}, not for {x.dtype}")
        return xp.astype(x, xp.float32) if wide and self.is_narrow(x.dtype) else x

    def dtype(self, dtype: Any) -> Any:
        """Return a dtype of the library's own, for which NumPy's names may stand."""
        return getattr(self.xp, np.dtype(dtype).name) if isinstance(dtype, (str, type, np.dtype)) else dtype

    def overwrite(self, name: str, x: Any) -> Any:
        raise TypeError(f"{name}: inplace=True is for arrays of NumPy and tensors of torch, not for {self.xp.__name__}")

    def is_narrow(self, dtype: Any) -> bool:
        """Whether a dtype is of real numbers with fewer bits than float32."""
        return bool(self.xp.isdtype(dtype, "real floating") and self.xp.finfo(dtype).bits < 32)

    def rounded(self, y: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a result in the dtype of the first argument or `dtype`, where that is narrower than float32."""
        dtype = kwargs.get("dtype")
        dtype = args[0].dtype if dtype is None else self.dtype(dtype)
        if not self.is_narrow(dtype):
            return y
        if name in _OF_TWO:
            operands = (*args[1:], *[a for key, a in kwargs.items() if key != "dtype"])
            others = [self.array(name, a, args[0]).dtype for a in operands if hasattr(a, "dtype")]
            if any(other != dtype and self.xp.isdtype(other, "real floating") for other in others):
                return y
        return tuple([self.xp.astype(part, dtype) for part in y]) if isinstance(y, tuple) else self.xp.astype(y, dtype)

    def known(self, flag: Any) -> bool | None:
        """Return whether a condition is true; None where that cannot be told, as compilers trace without values."""
        try:
            return bool(flag)
        except Exception:  # every library has its own
            return None

    def constant(self, x: Any) -> Any:
        """Return the values of an array, as a constant for derivatives."""
        return x

    def count(self, flags: Any, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
        """Return how many flags are true, as integers."""
        integers = self.xp.astype(flags, self.xp.asarray(0).dtype)
        return self.xp.sum(integers, axis=axes, keepdims=keepdims)

    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        top, rest = self._partition(x, axes)
        y = top + self.xp.log1p(rest)
        return y if keepdims else self.xp.squeeze(y, axis=axes)

    def log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        top, rest = self._partition(x, axes)
        return self._with_signs((x - top) - self.xp.log1p(rest), x, axes)

    def _with_signs(self, y: Any, x: Any, axes: tuple[int, ...]) -> Any:
        """Return log_softmax with the sign of a 0: a number below 0 that is too small, or 0 itself in a row of one."""
        alone = self.count(x > -math.inf, axes, keepdims=True) == 1
        return self.xp.where(alone, y + 0, -(0 - y))

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
        ties = xp.astype(self.count(is_top, axes, keepdims=True) - 1, x.dtype)
        rest = xp.sum(others, axis=axes, keepdims=True) + xp.where(xp.isfinite(top), ties, xp.zeros_like(ties))
        return top, rest

    def logcumsumexp(self, x: Any, axis: int) -> Any:
        """By doubling: each pass adds to every sum the one that ends where it begins."""
        xp, n, reach = self.xp, x.shape[axis], 1
        x = x * 1  # another array, also where there is nothing to add
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


class _Differentiable(_Library):
    """A library whose own functions compute, and have derivatives.

    Where all is -inf, the derivatives of its functions are nan. Here they are 0: these functions see other numbers in
    place of what is -inf, and the results are put in afterwards.
    """

    own_logsumexp: Callable[..., Any]  # keeps the axes
    own_softmax: Callable[..., Any]
    own_log_softmax: Callable[..., Any]
    own_logcumsumexp: Callable[..., Any]

    def _emptied(self, x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
        """Return `x` with 0 in rows of nothing but -inf, and which rows these are."""
        empty = self.xp.max(x, axis=axes, keepdims=True) == -math.inf
        return self.xp.where(empty, self.xp.zeros_like(x), x), empty

    def logsumexp(self, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        x, empty = self._emptied(x, axes)
        y = self.own_logsumexp(x, axes)
        y = self.xp.where(empty, self.xp.full_like(y, -math.inf), y)
        return y if keepdims else self.xp.squeeze(y, axis=axes)

    def softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        x, empty = self._emptied(x, axes)
        y = self.own_softmax(x, axes)
        return self.xp.where(empty, self.xp.full_like(y, math.nan), y)

    def log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        x, empty = self._emptied(x, axes)
        y = self._with_signs(self.own_log_softmax(x, axes), x, axes)
        return self.xp.where(empty, self.xp.full_like(y, math.nan), y)

    def logcumsumexp(self, x: Any, axis: int) -> Any:
        xp = self.xp
        empty = xp.cumulative_sum(xp.astype(x != -math.inf, xp.asarray(0).dtype), axis=axis) == 0
        lowest = xp.full_like(x, float(xp.finfo(x.dtype).min))
        y = self.own_logcumsumexp(xp.where(x == -math.inf, lowest, x), axis)
        return xp.where(empty, xp.full_like(y, -math.inf), y)


class _Torch(_Differentiable):
    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        self.torch = sys.modules["torch"]
        self.functional = self.torch.nn.functional

    def admitted(self, name: str, x: Any, dtype: Any) -> Any:
        """Return integers in torch's default dtype; inside `torch.autocast`, losses are in float32, as torch's are."""
        torch, device = self.torch, x.device.type
        if dtype is None and not (x.is_floating_point() or x.is_complex()):
            return x.to(torch.get_default_dtype())
        if name in _LOSSES and self.is_narrow(x.dtype) and torch.amp.is_autocast_available(device):
            return x.float() if torch.is_autocast_enabled(device) else x
        return x

    def by_numpy(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], of_numpy: Callable[[str], Any]) -> Any:
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
            a = a.detach().numpy() if isinstance(a, torch.Tensor) else self.unmasked(name, a)
            # Integers beside a tensor of real numbers do not widen it.
            integers = name in _OF_TWO and isinstance(a, np.ndarray) and a.dtype.kind in "iu"
            return a.astype(args[0].detach().numpy().dtype) if integers else a

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
        return tensor(of_numpy(name)(*args, **kwargs))

    def own_array(self, a: Any, like: Any) -> Any:
        return a if isinstance(a, self.torch.Tensor) else self.torch.asarray(a, device=like.device)

    def constant(self, x: Any) -> Any:
        return x.detach()

    def overwrite(self, name: str, x: Any) -> Any:
        if not x.is_floating_point():
            raise TypeError(f"{name}: the result does not fit into a tensor of {x.dtype}")
        return x.copy_(call(name, (x.clone(),), {}))  # the derivatives need what has been overwritten

    def own_logsumexp(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.torch.logsumexp(x, dim=axes, keepdim=True)

    def own_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self._on_one_axis(self.torch.softmax, x, axes)

    def own_log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self._on_one_axis(self.torch.log_softmax, x, axes)

    def _on_one_axis(self, function: Callable[..., Any], x: Any, axes: tuple[int, ...]) -> Any:
        """Apply a function that knows one axis to several, which are joined for it."""
        if len(axes) == 1:
            return function(x, axes[0])
        order = [k for k in range(x.ndim) if k not in axes] + list(axes)
        moved = x.permute(order)
        y = function(moved.flatten(x.ndim - len(axes)), -1)
        return y.reshape(moved.shape).permute([order.index(k) for k in range(x.ndim)])

    def own_logcumsumexp(self, x: Any, axis: int) -> Any:
        return self.torch.logcumsumexp(x, axis)

    def softplus(self, x: Any) -> Any:
        # Above the threshold, torch returns x. From 40 on, that is the nearest number of float64 and float32.
        return self.functional.softplus(x, 1, 40)

    def sigmoid(self, x: Any) -> Any:
        return self.torch.sigmoid(x)


class _Jax(_Differentiable):
    def __init__(self, xp: Any) -> None:
        super().__init__(xp)
        self.jax = sys.modules["jax"]

    def constant(self, x: Any) -> Any:
        return self.jax.lax.stop_gradient(x)

    def own_logsumexp(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.jax.nn.logsumexp(x, axis=axes, keepdims=True)

    def own_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.jax.nn.softmax(x, axis=axes)

    def own_log_softmax(self, x: Any, axes: tuple[int, ...]) -> Any:
        return self.jax.nn.log_softmax(x, axis=axes)

    def own_logcumsumexp(self, x: Any, axis: int) -> Any:
        y = self.jax.lax.cumlogsumexp(x, axis=axis)
        # JAX's derivative is wrong from an infinite element on. That of log(exp(x)) is nan there, as torch's is.
        infinite = self.xp.cumsum(self.xp.where(x == math.inf, x, self.xp.zeros_like(x)), axis=axis)
        return self.xp.where(infinite == math.inf, self.xp.log(self.xp.exp(infinite)), y)

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


def _is(option: Any, number: int) -> bool:
    """Whether an option is a certain number; an array is not, as there may be derivatives by it."""
    return isinstance(option, (int, float)) and option == number


def _number(
    lib: _Library, name: str, option: str, value: Any, x: Any, must: str = "", fits: Callable[[Any], Any] | None = None
) -> Any:
    """Return the number that an option is, in the dtype of `x` if it is an array.

    What does not fit raises ValueError. Where a compiler does not know the value, it becomes nan when it does not fit.
    """
    if not isinstance(value, (int, float)):
        value = lib.xp.astype(lib.floating(name, value, like=x), x.dtype)
        if value.shape != ():
            raise TypeError(f"{name}: {option} must be a number, not an array of shape {tuple(value.shape)}")
    if fits is None:
        return value
    known = lib.known(fits(value))
    if known is None:
        return lib.xp.where(fits(value), value, lib.xp.full_like(value, math.nan))
    if not known:
        raise ValueError(f"{name}: {option} must be {must}, not {value}")
    return value


def _in_unit_interval(lib: _Library, name: str, option: str, value: Any, x: Any) -> Any:
    return _number(lib, name, option, value, x, "between 0 and 1", lambda v: (v >= 0) & (v <= 1))


# ---- elementwise ----


def softplus(lib: _Library, x: Any, beta: Any = 1.0) -> Any:
    x = lib.floating("softplus", x)
    if _is(beta, 1):
        return lib.softplus(x)
    xp, beta = lib.xp, _number(lib, "softplus", "beta", beta, x)
    scaled = _clipped(lib, x) * _finite(lib, beta, x)
    far = scaled > 800  # softplus(scaled) is scaled itself there, to the last bit, and so are its derivatives
    return xp.where(far, x, lib.softplus(xp.where(far, xp.zeros_like(x), scaled)) / beta)


def log_sigmoid(lib: _Library, x: Any) -> Any:
    return lib.log_sigmoid(lib.floating("log_sigmoid", x))


def sigmoid(lib: _Library, x: Any) -> Any:
    return lib.sigmoid(lib.floating("sigmoid", x))


def silu(lib: _Library, x: Any, beta: Any = 1.0) -> Any:
    x = lib.floating("silu", x)
    factor = _finite(lib, _number(lib, "silu", "beta", beta, x), x)
    return _gated(lib, x, lambda y: lib.sigmoid(y * factor))


def mish(lib: _Library, x: Any) -> Any:
    return _gated(lib, lib.floating("mish", x), lambda y: lib.xp.tanh(lib.softplus(y)))


def _gated(lib: _Library, x: Any, gate: Callable[[Any], Any]) -> Any:
    """Return x gate(x), by the limit at both infinities, where a gate is either 0 or 1."""
    finite = _clipped(lib, x)
    share = gate(finite)
    return lib.xp.where(lib.xp.isinf(x) & (share > 0), x, finite * share)


def _clipped(lib: _Library, x: Any) -> Any:
    """Return `x` with the largest numbers in place of infinities, for 0 times them to be 0."""
    largest = float(lib.xp.finfo(x.dtype).max)
    return lib.xp.clip(x, -largest, largest)


def _finite(lib: _Library, beta: Any, x: Any) -> Any:
    """Return a factor that is no infinity in the dtype of `x`, for 0 times it to be 0."""
    largest = float(lib.xp.finfo(x.dtype).max)
    return math.copysign(largest, beta) if isinstance(beta, (int, float)) and abs(beta) > largest else beta


def xlogy(lib: _Library, x: Any, y: Any) -> Any:
    return _xlog(lib, "xlogy", lib.xp.log, 1, x, y)


def xlog1py(lib: _Library, x: Any, y: Any) -> Any:
    return _xlog(lib, "xlog1py", lib.xp.log1p, 0, x, y)


def _xlog(lib: _Library, name: str, logarithm: Callable[..., Any], harmless: int, x: Any, y: Any) -> Any:
    xp = lib.xp
    if isinstance(y, (bool, int, float)) or not xp.isdtype(lib.array(name, y, x).dtype, "real floating"):
        x = lib.floating(name, x)
        y = lib.floating(name, y, like=x)
    else:
        y = lib.floating(name, y, like=x)
        x = lib.floating(name, x, like=y)
    zero = (x == 0) & ~xp.isnan(y)
    # The derivatives are 0 where x is and y has no finite logarithm.
    none = zero & ~xp.isfinite(logarithm(y))
    product = x * logarithm(xp.where(none, xp.full_like(y, harmless), y))
    # The value at 0 is +0, whatever the signs; the derivative by x is that of the product.
    return xp.where(zero, product - lib.constant(product), product)


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
            x = xp.where(lib.mask("logsumexp", where, x), x, xp.full_like(x, -math.inf))
        axes = as_axes(axis, x.ndim)
        if not axes:
            return x + 0  # another array, with the sign of the logarithm of 1
        if 0 in [x.shape[k] for k in axes]:
            return xp.sum(x, axis=axes, keepdims=keepdims) - math.inf
        return lib.logsumexp(x, axes, keepdims)
    weights = xp.ones_like(x) if b is None else lib.floating("logsumexp", b, like=x)
    x, weights = xp.broadcast_arrays(x, weights)
    if where is not None:
        weights = xp.where(lib.mask("logsumexp", where, x), weights, xp.zeros_like(weights))
    y, total = _weighted_sum(lib, x, weights, as_axes(axis, x.ndim), keepdims)
    return (y, xp.sign(total)) if return_sign else xp.where(total < 0, xp.full_like(y, math.nan), y)


def _weighted_sum(lib: _Library, x: Any, weights: Any, axes: tuple[int, ...], keepdims: bool) -> tuple[Any, Any]:
    """Return log|sum of weights * exp(x)| and the sum in units of the largest term; log|weight| joins the exponent."""
    xp = lib.xp
    none = weights == 0
    size = xp.log(xp.abs(xp.where(none, xp.ones_like(weights), weights)))
    nowhere = xp.full_like(x, -math.inf)
    term = xp.where(none, nowhere, xp.where(none, xp.zeros_like(x), x) + size)
    if not axes or 0 in [x.shape[k] for k in axes]:
        if axes:
            total = xp.sum(x, axis=axes, keepdims=keepdims)
            return total - math.inf, total
        nothing = term == -math.inf
        sign = xp.where(nothing, xp.zeros_like(term), xp.sign(weights))
        return term, xp.where(xp.isnan(term), xp.full_like(term, math.nan), sign)
    top = lib.constant(xp.max(term, axis=axes, keepdims=True))
    empty = top == -math.inf
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    # A weight of 0 multiplies its exponential, for the derivative by it, unless that is no finite number.
    tame = none & (x - top < math.log(float(xp.finfo(x.dtype).max)) - 1)
    exponent = xp.where(tame, xp.where(tame, x, xp.zeros_like(x)), term) - top
    total = xp.sum(xp.where(none, weights, xp.sign(weights)) * xp.exp(exponent), axis=axes, keepdims=True)
    y = xp.log(xp.abs(xp.where(empty, xp.ones_like(total), total))) + top
    y = xp.where(empty, xp.full_like(y, -math.inf), y)
    return (y, total) if keepdims else (xp.squeeze(y, axis=axes), xp.squeeze(total, axis=axes))


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
    counted = xp.ones_like(x, dtype=xp.bool)
    if b is not None:  # whatever they weigh
        counted, _ = xp.broadcast_arrays(counted, lib.floating("logmeanexp", b, like=x))
    if where is not None:
        counted = counted & lib.mask("logmeanexp", where, x)
    axes = as_axes(axis, counted.ndim)
    n = lib.count(counted, axes, keepdims) if axes else counted
    return y - xp.log(xp.astype(n, y.dtype))


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
    return y, logsumexp(
        lib, _tempered(lib, "softmax", lib.floating("softmax", x, dtype), temperature), axis, where=where
    )


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


def _tempered(lib: _Library, name: str, x: Any, temperature: Any) -> Any:
    if _is(temperature, 1):
        return x
    return x / _number(
        lib, name, "temperature", temperature, x, "a positive number", lambda t: (t > 0) & (t < math.inf)
    )


def _normalize(lib: _Library, name: str, x: Any, axis: Any, where: Any, out: Any, dtype: Any, temperature: Any) -> Any:
    _no_output(name, out)
    xp, x = lib.xp, lib.floating(name, x, dtype)
    axes = as_axes(axis, x.ndim)
    x = _tempered(lib, name, x, temperature)
    if math.prod(x.shape) == 0:
        return x * 1  # another array
    if not axes:  # each element is all there is
        x, axes = xp.expand_dims(x, axis=-1), (x.ndim,)
        where = None if where is None else xp.expand_dims(lib.mask(name, where, x), axis=-1)
        return xp.squeeze(_normalize(lib, name, x, axes, where, None, None, 1), axis=-1)
    if where is None:
        return getattr(lib, name)(x, axes)
    include = xp.broadcast_to(lib.mask(name, where, x), x.shape)
    y = getattr(lib, name)(xp.where(include, x, xp.full_like(x, -math.inf)), axes)
    return xp.where(include, y, xp.full_like(y, 0.0 if name == "softmax" else -math.inf))


# ---- losses ----


def binary_cross_entropy_with_logits(
    lib: _Library,
    logits: Any,
    targets: Any,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
    *,
    label_smoothing: Any = 0.0,
    return_grad: bool = False,
    return_hess: bool = False,
    out: Any = None,
) -> Any:
    name = "binary_cross_entropy_with_logits"
    _no_output(name, out)
    x, z = _elements(lib, name, logits, targets)
    if not _is(label_smoothing, 0):
        smoothing = _in_unit_interval(lib, name, "label_smoothing", label_smoothing, x)
        z = (1 - smoothing) * z + smoothing / 2
    w = None if weight is None else _fitting(lib, name, "weight", weight, x)
    positive = None if pos_weight is None else _fitting(lib, name, "pos_weight", pos_weight, x)
    w, x, z, positive = _counted(lib, w, x, z, positive)
    yes, no = z if positive is None else _joint(lib, z, positive), 1 - z
    # There is one softplus for each side, instead of |x| and one, so that the derivative is right at 0.
    x_yes, x_no = _seen(lib, x, yes, w), _seen(lib, x, no, w)
    loss = _weighed(lib, w, _product(lib, yes, lib.softplus(-x_yes)) + _product(lib, no, lib.softplus(x_no)))
    if not (return_grad or return_hess):
        return _reduced(lib, loss, reduction)
    p, q = lib.sigmoid(x), lib.sigmoid(-x)
    grad = _weighed(lib, w, _product(lib, no, p) - _product(lib, yes, q))
    hess = _weighed(lib, w, _product(lib, yes + no, p * q)) if return_hess else None
    return _with_derivatives(lib, loss, reduction, grad, hess)


def focal_loss(
    lib: _Library,
    logits: Any,
    targets: Any,
    alpha: Any = None,
    gamma: Any = 2.0,
    reduction: str = "mean",
    *,
    weight: Any = None,
    return_grad: bool = False,
    return_hess: bool = False,
) -> Any:
    xp, name = lib.xp, "focal_loss"
    x, z = _elements(lib, name, logits, targets)
    gamma = _number(lib, name, "gamma", gamma, x, "a finite number of at least 0", lambda v: (v >= 0) & (v < math.inf))
    w = None if weight is None else _fitting(lib, name, "weight", weight, x)
    if alpha is not None:
        alpha = _in_unit_interval(lib, name, "alpha", alpha, x)
        balance = z * alpha + (1 - z) * (1 - alpha)
        w = balance if w is None else _joint(lib, balance, w)
    w, x, z = _counted(lib, w, x, z)
    x_yes, x_no = _seen(lib, x, z, w), _seen(lib, x, 1 - z, w)
    p, q = lib.sigmoid(x_no), lib.sigmoid(-x_yes)
    entropy = _product(lib, z, lib.softplus(-x_yes)) + _product(lib, 1 - z, lib.softplus(x_no))
    missed = z * q + (1 - z) * p
    # Powers of m and their derivatives are 0 where m is, which the derivative of a power would not be; but the power 0
    # is 1 everywhere. Numbers below the smallest normal one count as 0, as their reciprocals may be infinite.
    none = xp.abs(missed) < float(xp.finfo(x.dtype).smallest_normal)
    base = xp.where(none, xp.ones_like(missed), missed)
    power = xp.where(none & (gamma > 0), xp.zeros_like(missed), base**gamma) + 0 * gamma  # nan where gamma is
    loss = _weighed(lib, w, _product(lib, power, entropy))
    if not (return_grad or return_hess):
        return _reduced(lib, loss, reduction)
    p, q = lib.sigmoid(x), lib.sigmoid(-x)
    # m' = (1 - 2z) p q, m'' = m' (q - p); the entropy's derivatives are p - z and p q. Powers of m below 0 come with a
    # factor m' of the order of m.
    slope = (1 - 2 * z) * p * q / base
    grad = _weighed(lib, w, _product(lib, power, _product(lib, gamma * slope, entropy) + p - z))
    hess = None
    if return_hess:
        curved = _product(lib, gamma * slope * ((gamma - 1) * slope + q - p), entropy)
        hess = _weighed(lib, w, _product(lib, power, curved + 2 * gamma * slope * (p - z) + p * q))
    return _with_derivatives(lib, loss, reduction, grad, hess)


def kl_divergence(
    lib: _Library, log_q: Any, p: Any, *, log_target: bool = False, axis: Any = -1, reduction: str = "mean"
) -> Any:
    xp = lib.xp
    log_q, p = _elements(lib, "kl_divergence", log_q, p, "log_q", "p")
    check_reduction("kl_divergence", reduction, ("mean", "batchmean", "sum", "none"))
    axes = as_axes(axis, log_q.ndim)
    none = (xp.exp(p) if log_target else p) == 0
    # Where p is 0, p log p has an infinite derivative by p, or that of 0 by log p: it is left out.
    given = xp.where(none, xp.zeros_like(p) if log_target else xp.ones_like(p), p)
    mass, log_p = (xp.where(none, xp.zeros_like(p), xp.exp(given)), given) if log_target else (p, xp.log(given))
    each = _joint(lib, mass, log_p - log_q)
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
    label_smoothing: Any = 0.0,
    *,
    axis: int = -1,
    return_grad: bool = False,
    return_hess: bool = False,
) -> Any:
    x = lib.floating("cross_entropy", logits)
    (k,) = as_axes((axis,), x.ndim)
    parts, count = _class_parts(lib, "cross_entropy", x, targets, weight, ignore_index, label_smoothing, k)
    _, x = _counted(lib, lib.xp.sum(lib.xp.abs(parts), axis=k, keepdims=True), x)
    log_p = _log_probabilities(lib, x, k)
    loss = _row_loss(lib, parts, log_p, k)
    if not (return_grad or return_hess):
        return _reduced(lib, loss, reduction, count)
    p, total = lib.xp.exp(log_p), lib.xp.sum(parts, axis=k, keepdims=True)
    hess = _product(lib, total, p * (1 - p)) if return_hess else None
    return _with_derivatives(lib, loss, reduction, _product(lib, total, p) - parts, hess, count)


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
    if lib.xp.isdtype(lib.array("nll_loss", targets, x).dtype, "real floating"):
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
    """Return the product, in which a weight of 0 counts for more than an x that is infinite or nan.

    The derivative by a weight of 0 is x where that is a finite number, and 0 elsewhere.
    """
    xp = lib.xp
    weight, x = xp.broadcast_arrays(weight, x)
    return weight * xp.where((weight == 0) & ~xp.isfinite(x), xp.zeros_like(x), x)


def _joint(lib: _Library, weight: Any, other: Any) -> Any:
    """Return the product of two factors: 0 times an infinite one is 0, but what is nan stays nan."""
    xp = lib.xp
    weight, other = xp.broadcast_arrays(weight, other)
    one = xp.where((other == 0) & xp.isinf(weight), xp.zeros_like(weight), weight)
    return one * xp.where((weight == 0) & xp.isinf(other), xp.zeros_like(other), other)


def _weighed(lib: _Library, weight: Any, x: Any) -> Any:
    return x if weight is None else _product(lib, weight, x)


def _counted(lib: _Library, weight: Any, *parts: Any) -> tuple[Any, ...]:
    """Return the weights and parts of elements. All are 0, without derivatives, where an element cannot count.

    Such an element weighs 0, and one of its parts is nan or infinite. A weight or a part may be None.
    """
    if weight is None:
        return (weight, *parts)
    xp, counts = lib.xp, weight != 0
    finite = [xp.isfinite(part) for part in parts if part is not None]
    counts = functools.reduce(operator.and_, finite) | counts
    return tuple([None if a is None else xp.where(counts, a, xp.zeros_like(a)) for a in (weight, *parts)])


def _seen(lib: _Library, x: Any, side: Any, weight: Any) -> Any:
    """Return the logits of which one side of a loss is a function.

    An infinite weight times a side that weighs 0 is no number. So the logit of that side is a constant.
    """
    if weight is None:
        return x
    return lib.xp.where((side == 0) & lib.xp.isinf(weight), lib.xp.zeros_like(x), x)


def _log_probabilities(lib: _Library, x: Any, k: int) -> Any:
    """Return log_softmax, by the limit in rows with one infinite logit; nothing but -inf has the derivative nan."""
    xp, zeros, is_infinite = lib.xp, lib.xp.zeros_like(x), x == math.inf
    largest = xp.max(x, axis=k, keepdims=True)
    single = (largest == math.inf) & (lib.count(is_infinite, (k,), keepdims=True) == 1)
    log_p = lib.log_softmax(xp.where(single, zeros, x), (k,))
    empty = largest == -math.inf
    log_p = xp.where(empty, xp.sum(xp.where(empty, x, zeros), axis=k, keepdims=True) * math.nan, log_p)
    infinite = xp.sum(xp.where(is_infinite, x, zeros), axis=k, keepdims=True)
    return xp.where(single, xp.where(is_infinite, zeros, x - infinite), log_p)


def _class_parts(
    lib: _Library, name: str, x: Any, targets: Any, weight: Any, ignore_index: int | None, smoothing: Any, k: int
) -> tuple[Any, Any]:
    """Return what each class of each row weighs, and what a mean divides by."""
    xp, classes = lib.xp, x.shape[k]
    z = lib.array(name, targets, x)
    along: tuple[int, ...] = tuple([classes if i == k else 1 for i in range(x.ndim)])
    w = lib.floating(name, np.ones(classes, np.float32) if weight is None else weight, like=x)
    if tuple(w.shape) != (classes,):
        raise ValueError(f"{name}: weight must have the shape ({classes},), one per class, not {tuple(w.shape)}")
    w = xp.reshape(xp.astype(w, x.dtype), along)
    smooth = not _is(smoothing, 0)
    smoothing = _in_unit_interval(lib, name, "label_smoothing", smoothing, x)
    even = smoothing / max(classes, 1)
    if xp.isdtype(z.dtype, "real floating"):
        if z.shape != x.shape:
            raise ValueError(
                f"{name}: class probabilities must have the shape of the logits, {tuple(x.shape)}, "
                f"not {tuple(z.shape)}; class labels must be integers"
            )
        if ignore_index is not None and lib.known(ignore_index >= 0):
            raise ValueError(f"{name}: ignore_index is for labels; the targets are probabilities")
        w, z = _counted(lib, w, xp.astype(z, x.dtype))
        return _joint(lib, w, (1 - smoothing) * z + even if smooth else z), math.prod(x.shape) // max(classes, 1)
    expected = tuple(x.shape[:k]) + tuple(x.shape[k + 1 :])
    if tuple(z.shape) != expected:
        raise ValueError(f"{name}: labels must have the shape {expected}, not {tuple(z.shape)}")
    unsigned = xp.isdtype(z.dtype, "unsigned integer")
    z = xp.astype(z, xp.asarray(0).dtype)  # bool and unsigned labels can be compared with -100 then
    counts = xp.ones_like(z, dtype=xp.bool) if ignore_index is None else z != ignore_index
    if unsigned:
        counts = counts | (z < 0)  # a label that was too large to stay positive
    wrong = counts & ((z < 0) | (z >= classes))
    if lib.known(xp.any(wrong)):
        at = int(xp.argmax(xp.astype(xp.reshape(wrong, (-1,)), z.dtype)))
        where = tuple(int(i) for i in np.unravel_index(at, expected))
        label = int(xp.reshape(z, (-1,))[at])
        raise label_error(name, where, label % 2 ** xp.iinfo(z.dtype).bits if unsigned else label, classes)
    z, counts, wrong = (xp.expand_dims(part, axis=k) for part in (z, counts, wrong))
    is_label = xp.reshape(lib.array(name, np.arange(classes), x), along) == z
    of_label = xp.where(is_label & counts, w, xp.zeros_like(x))
    # Counts are integers: a float32 knows no odd number above 2**24.
    total = lib.count(counts & ~wrong) if weight is None else xp.sum(of_label)
    parts = of_label
    if smooth:
        parts = _joint(
            lib, xp.where(counts, w, xp.zeros_like(x)), (1 - smoothing) * xp.astype(is_label, x.dtype) + even
        )
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
    divisor = lib.xp.astype(lib.xp.where(none, lib.xp.ones_like(count), count), y.dtype)
    return lib.xp.where(none, lib.xp.full_like(y, empty), y / divisor)


def _with_derivatives(
    lib: _Library, loss: Any, reduction: str, grad: Any, hess: Any | None, count: Any = None
) -> tuple[Any, ...]:
    wanted = [grad] if hess is None else [grad, hess]
    if reduction == "mean":
        wanted = [_divided(lib, part, loss, count, 0.0) for part in wanted]
    return (_reduced(lib, loss, reduction, count), *wanted)
