"""The list of what is measured: functions, how each library is called, and the shapes of the arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Name -> shape and axis. Functions of elements have no axis.
SHAPES: dict[str, tuple[tuple[int, ...], int | None]] = {
    "call of 10": ((10,), None),
    "1 000": ((1_000,), None),
    "10 000": ((10_000,), None),
    "1 million": ((1_000_000,), None),
    "10 million": ((10_000_000,), None),
    "call of 1 × 10": ((1, 10), -1),
    "30000 × 2": ((30_000, 2), -1),
    "30000 × 3": ((30_000, 3), -1),
    "30000 × 5": ((30_000, 5), -1),
    "100000 × 10": ((100_000, 10), -1),
    "1000 × 32": ((1_000, 32), -1),
    "20000 × 50": ((20_000, 50), -1),
    "200 × 200": ((200, 200), -1),
    "1000 × 1000": ((1_000, 1_000), -1),
    "10000 × 1000": ((10_000, 1_000), -1),
    "64 × 32000": ((64, 32_000), -1),
    "row of 1 million": ((1_000_000,), -1),
    "2 × 30000, axis 0": ((2, 30_000), 0),
    "3 × 30000, axis 0": ((3, 30_000), 0),
    "5 × 30000, axis 0": ((5, 30_000), 0),
    "10 × 30000, axis 0": ((10, 30_000), 0),
    "32 × 3000, axis 0": ((32, 3_000), 0),
    "3 × 100000, axis 0": ((3, 100_000), 0),
    "8 × 3 × 12000, axis 1": ((8, 3, 12_000), 1),
    "1000 × 32, axis 0": ((1_000, 32), 0),
    "100000 × 10, axis 0": ((100_000, 10), 0),
    "1000 × 1000, axis 0": ((1_000, 1_000), 0),
    "10000 × 1000, axis 0": ((10_000, 1_000), 0),
    "64 × 32000, axis 0": ((64, 32_000), 0),
}
CALLS = ("call of 10", "call of 1 × 10")
# The summary and the picture have these sizes: they fit into the cache, and the time of a call no longer matters.
HEADLINE = ("10 000", "1000 × 1000")
QUICK = (*CALLS, *HEADLINE, "8 × 3 × 12000, axis 1")

# Functions of elements are measured at some sizes; those that many use, at all of them.
ALL = tuple(name for name, (_, axis) in SHAPES.items() if axis is None)
SOME = ("call of 10", "10 000", "1 million")
# So are functions of rows.
ALL_ROWS = tuple(
    name for name, (_, axis) in SHAPES.items() if axis is not None and name not in ("20000 × 50", "200 × 200")
)
SOME_ROWS = ("call of 1 × 10", "100000 × 10", "1000 × 1000", "1000 × 1000, axis 0")
LOSSES = (*SOME_ROWS, "30000 × 2", "1000 × 32", "64 × 32000", "8 × 3 × 12000, axis 1")
TARGETS = ("20000 × 50", "100000 × 10", "1000 × 1000")
MATRICES = ("call of 1 × 10", "100000 × 10", "1000 × 1000", "10000 × 1000")
HALF = ("100000 × 10", "1000 × 1000", "64 × 32000")


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
        The arrays that it needs, from the list in bench/arrays.py.
    shapes : tuple of str
        The names of `SHAPES` that are measured.
    calls : dict
        Library -> the Python expression that is timed. It can use arrays of the library under the names of `arguments`,
        an array `out` for the result, NumPy's generator `rng`, `axis`, and the number `n` of elements along it. JAX's
        expression is the body of a jitted function. numba's is the body of a jitted loop over the elements; if it adds
        to a `total`, it is a statement. onnxruntime's is the name of an operator.
    half : tuple of str
        The names of `SHAPES` that are measured in float16, too.
    relative : bool
        Whether every result has digits to lose, however small it is. A library that misses a thousandth of a result is
        loose. If this is not so, it may miss a thousandth of the mean of the results.
    """

    name: str
    row: str
    arguments: tuple[str, ...]
    shapes: tuple[str, ...]
    calls: dict[str, str]
    half: tuple[str, ...] = ()
    relative: bool = False

    @property
    def along_rows(self) -> bool:
        """Return whether it works along an axis."""
        return SHAPES[self.shapes[0]][1] is not None


# This is the only list of what is compared. A function has a line for each library that has it, or a usual formula for
# it. logsumexp has no `out=`, because its results are too few for that to matter.
FUNCTIONS = (
    Function("softplus", "softplus", ("x",), ALL, {
        "fastlog": "fastlog.softplus(x, out=out)",
        "SciPy": "special.softplus(x, out=out)",
        "NumPy": "np.logaddexp(0, x, out=out)",
        "PyTorch": "F.softplus(x, out=out)",
        "JAX": "jax.nn.softplus(x)",
        "onnxruntime": "Softplus",
        "numexpr": "evaluate('where(x > 0, x, 0) + log1p(exp(-abs(x)))', out=out)",
        "numba": "max(x, zero) + log1p(exp(-abs(x)))",
    }, relative=True),
    Function("log_sigmoid", "log_sigmoid", ("x",), ALL, {
        "fastlog": "fastlog.log_sigmoid(x, out=out)",
        "SciPy": "special.log_expit(x, out=out)",
        "NumPy": "np.negative(np.logaddexp(0, np.negative(x, out=out), out=out), out=out)",
        "PyTorch": "F.logsigmoid(x, out=out)",
        "JAX": "jax.nn.log_sigmoid(x)",
        "numexpr": "evaluate('where(x < 0, x, 0) - log1p(exp(-abs(x)))', out=out)",
        "numba": "min(x, zero) - log1p(exp(-abs(x)))",
    }, relative=True),
    Function("sigmoid", "sigmoid", ("x",), ALL, {
        "fastlog": "fastlog.sigmoid(x, out=out)",
        "SciPy": "special.expit(x, out=out)",
        "PyTorch": "torch.sigmoid(x, out=out)",
        "JAX": "jax.nn.sigmoid(x)",
        "onnxruntime": "Sigmoid",
        "oneDNN": "torch.sigmoid(dnn)",
        "numexpr": "evaluate('1 / (1 + exp(-x))', out=out)",
        "numba": "one / (one + exp(-x))",
    }, relative=True),
    Function("silu", "silu", ("x",), ALL, {
        "fastlog": "fastlog.silu(x, out=out)",
        "SciPy": "np.multiply(x, special.expit(x, out=out), out=out)",
        "PyTorch": "F.silu(x)",
        "JAX": "jax.nn.silu(x)",
        "numexpr": "evaluate('x / (1 + exp(-x))', out=out)",
        "numba": "x / (one + exp(-x))",
    }, relative=True),
    Function("mish", "mish", ("x",), SOME, {
        "fastlog": "fastlog.mish(x, out=out)",
        "SciPy": "np.multiply(x, np.tanh(special.softplus(x, out=out), out=out), out=out)",
        "NumPy": "np.multiply(x, np.tanh(np.logaddexp(0, x, out=out), out=out), out=out)",
        "PyTorch": "F.mish(x)",
        "JAX": "jax.nn.mish(x)",
        "numexpr": "evaluate('x * tanh(where(x > 0, x, 0) + log1p(exp(-abs(x))))', out=out)",
    }, relative=True),
    Function("logaddexp", "logaddexp", ("x", "y"), ALL, {
        "fastlog": "fastlog.logaddexp(x, y, out=out)",
        "NumPy": "np.logaddexp(x, y, out=out)",
        "PyTorch": "torch.logaddexp(x, y, out=out)",
        "JAX": "jax.numpy.logaddexp(x, y)",
        "numexpr": "evaluate('where(x > y, x, y) + log1p(exp(-abs(x - y)))', out=out)",
        "numba": "max(x, y) + log1p(exp(-abs(x - y)))",
    }),
    Function("logaddexp2", "logaddexp2", ("x", "y"), SOME, {
        "fastlog": "fastlog.logaddexp2(x, y, out=out)",
        "NumPy": "np.logaddexp2(x, y, out=out)",
        "PyTorch": "torch.logaddexp2(x, y, out=out)",
        "JAX": "jax.numpy.logaddexp2(x, y)",
        "numexpr": "evaluate('where(x > y, x, y) + log1p(exp(-abs(x - y) * log(2))) / log(2)', out=out)",
    }),
    Function("logsubexp", "logsubexp", ("high", "low"), SOME, {
        "fastlog": "fastlog.logsubexp(high, low, out=out)",
        "NumPy": "np.add(high, np.log(-np.expm1(np.subtract(low, high, out=out), out=out), out=out), out=out)",
        "PyTorch": "high + torch.log(-torch.expm1(low - high))",
        "JAX": "high + jax.nn.log1mexp(high - low)",
        "numexpr": "evaluate('high + log(-expm1(low - high))', out=out)",
    }),
    Function("log1mexp", "log1mexp", ("negative",), SOME, {
        "fastlog": "fastlog.log1mexp(negative, out=out)",
        "NumPy": "np.where(negative > -0.7, np.log(-np.expm1(negative)), np.log1p(-np.exp(negative)))",
        "PyTorch": "torch.where(negative > -0.7, torch.log(-torch.expm1(negative)), torch.log1p(-torch.exp(negative)))",
        "JAX": "jax.nn.log1mexp(-negative)",
        "numexpr": "evaluate('where(negative > -0.7, log(-expm1(negative)), log1p(-exp(negative)))', out=out)",
    }, relative=True),
    Function("logexpm1", "logexpm1", ("positive",), SOME, {
        "fastlog": "fastlog.logexpm1(positive, out=out)",
        "NumPy": "np.add(positive, np.log(-np.expm1(-positive)), out=out)",
        "PyTorch": "positive + torch.log(-torch.expm1(-positive))",
        "JAX": "positive + jax.nn.log1mexp(positive)",
        "numexpr": "evaluate('positive + log(-expm1(-positive))', out=out)",
    }),
    Function("logit", "logit", ("p",), SOME, {
        "fastlog": "fastlog.logit(p, out=out)",
        "SciPy": "special.logit(p, out=out)",
        "NumPy": "np.subtract(np.log(p, out=out), np.log1p(-p), out=out)",
        "PyTorch": "torch.logit(p, out=out)",
        "JAX": "jax.scipy.special.logit(p)",
        "numexpr": "evaluate('log(p / (1 - p))', out=out)",
    }),
    Function("xlogy", "xlogy", ("p", "q"), SOME, {
        "fastlog": "fastlog.xlogy(p, q, out=out)",
        "SciPy": "special.xlogy(p, q, out=out)",
        "NumPy": "np.where(p == 0, 0, p * np.log(q))",
        "PyTorch": "torch.xlogy(p, q, out=out)",
        "JAX": "jax.scipy.special.xlogy(p, q)",
        "numexpr": "evaluate('where(p == 0, 0, p * log(q))', out=out)",
    }),
    Function("xlog1py", "xlog1py", ("p", "q"), SOME, {
        "fastlog": "fastlog.xlog1py(p, q, out=out)",
        "SciPy": "special.xlog1py(p, q, out=out)",
        "NumPy": "np.where(p == 0, 0, p * np.log1p(q))",
        "PyTorch": "torch.special.xlog1py(p, q, out=out)",
        "JAX": "jax.scipy.special.xlog1py(p, q)",
        "numexpr": "evaluate('where(p == 0, 0, p * log1p(q))', out=out)",
    }),
    Function("entr", "entr", ("p",), SOME, {
        "fastlog": "fastlog.entr(p, out=out)",
        "SciPy": "special.entr(p, out=out)",
        "NumPy": "np.where(p == 0, 0, -p * np.log(p))",
        "PyTorch": "torch.special.entr(p, out=out)",
        "JAX": "jax.scipy.special.entr(p)",
        "numexpr": "evaluate('where(p == 0, 0, -p * log(p))', out=out)",
    }),
    Function("rel_entr", "rel_entr", ("p", "q"), SOME, {
        "fastlog": "fastlog.rel_entr(p, q, out=out)",
        "SciPy": "special.rel_entr(p, q, out=out)",
        "NumPy": "np.where(p == 0, 0, p * np.log(p / q))",
        "JAX": "jax.scipy.special.rel_entr(p, q)",
        "numexpr": "evaluate('where(p == 0, 0, p * log(p / q))', out=out)",
    }),
    Function("binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits", ("x", "z"), ALL, {
        "fastlog": "fastlog.binary_cross_entropy_with_logits(x, z, reduction='none', out=out)",
        "SciPy": "np.subtract((1 - z) * x, special.log_expit(x, out=out), out=out)",
        "NumPy": "np.subtract(np.logaddexp(0, x, out=out), x * z, out=out)",
        "PyTorch": "F.binary_cross_entropy_with_logits(x, z, reduction='none')",
        "JAX": "jax.nn.softplus(x) - x * z",
        "numexpr": "evaluate('where(x > 0, x, 0) - x * z + log1p(exp(-abs(x)))', out=out)",
        "numba": "max(x, zero) - x * z + log1p(exp(-abs(x)))",
    }),
    Function("binary_cross_entropy_with_logits, mean", "binary_cross_entropy_with_logits", ("x", "z"), ALL, {
        "fastlog": "fastlog.binary_cross_entropy_with_logits(x, z)",
        "SciPy": "np.mean((1 - z) * x - special.log_expit(x))",
        "NumPy": "np.mean(np.logaddexp(0, x) - x * z)",
        "PyTorch": "F.binary_cross_entropy_with_logits(x, z)",
        "JAX": "jax.numpy.mean(jax.nn.softplus(x) - x * z)",
        "numexpr": "evaluate('where(x > 0, x, 0) - x * z + log1p(exp(-abs(x)))', out=out).mean()",
        "numba": "total += max(x, zero) - x * z + log1p(exp(-abs(x)))",
    }, half=("1 million",)),
    Function("binary_cross_entropy_with_logits, loss and gradient", "binary_cross_entropy_with_logits", ("x", "z"), ALL, {  # noqa: E501
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
    Function("focal_loss", "focal_loss", ("x", "z"), SOME, {
        "fastlog": "fastlog.focal_loss(x, z)",
        "SciPy": "np.mean(((1 - z) * x - special.log_expit(x)) * special.expit(np.where(z, -x, x)) ** 2)",
        "PyTorch": "(F.binary_cross_entropy_with_logits(x, z, reduction='none')"
        " * torch.sigmoid(torch.where(z > 0, -x, x)) ** 2).mean()",
        "JAX": "jax.numpy.mean((jax.nn.softplus(x) - x * z) * jax.nn.sigmoid(jax.numpy.where(z > 0, -x, x)) ** 2)",
    }),
    Function("kl_divergence", "kl_divergence", ("log_p", "q"), SOME, {
        "fastlog": "fastlog.kl_divergence(log_p, q)",
        "SciPy": "np.mean(special.xlogy(q, q) - q * log_p)",
        "PyTorch": "F.kl_div(log_p, q, reduction='sum') / q.numel()",
        "JAX": "jax.numpy.mean(jax.scipy.special.xlogy(q, q) - q * log_p)",
    }),
    Function("kl_divergence, log_target", "kl_divergence_of_logs", ("log_p", "log_q"), SOME, {
        "fastlog": "fastlog.kl_divergence(log_p, log_q, log_target=True)",
        "NumPy": "np.mean(np.exp(log_q) * (log_q - log_p))",
        "PyTorch": "F.kl_div(log_p, log_q, reduction='sum', log_target=True) / log_q.numel()",
        "JAX": "jax.numpy.mean(jax.numpy.exp(log_q) * (log_q - log_p))",
    }),
    Function("logsumexp", "logsumexp", ("x",), ALL_ROWS, {
        "fastlog": "fastlog.logsumexp(x, axis=axis)",
        "SciPy": "special.logsumexp(x, axis=axis)",
        "NumPy": "np.logaddexp.reduce(x, axis=axis)",
        "PyTorch": "torch.logsumexp(x, axis)",
        "JAX": "jax.nn.logsumexp(x, axis)",
        "onnxruntime": "ReduceLogSumExp",
    }, half=HALF),
    Function("softmax", "softmax", ("x",), ALL_ROWS, {
        "fastlog": "fastlog.softmax(x, axis=axis, out=out)",
        "SciPy": "special.softmax(x, axis=axis)",
        "PyTorch": "torch.softmax(x, axis, out=out)",
        "JAX": "jax.nn.softmax(x, axis)",
        "onnxruntime": "Softmax",
        "oneDNN": "torch.softmax(dnn, axis)",
    }, half=HALF, relative=True),
    Function("log_softmax", "log_softmax", ("x",), ALL_ROWS, {
        "fastlog": "fastlog.log_softmax(x, axis=axis, out=out)",
        "SciPy": "special.log_softmax(x, axis=axis)",
        "PyTorch": "torch.log_softmax(x, axis, out=out)",
        "JAX": "jax.nn.log_softmax(x, axis)",
        "onnxruntime": "LogSoftmax",
    }, half=HALF),
    Function("cross_entropy, mean", "cross_entropy", ("x", "labels"), LOSSES, {
        "fastlog": "fastlog.cross_entropy(x, labels, axis=axis)",
        "SciPy": "-np.mean(np.take_along_axis(special.log_softmax(x, axis=axis), np.expand_dims(labels, axis), axis))",
        "PyTorch": "F.cross_entropy(rows, labels)",
        "JAX": "-jax.numpy.mean(jax.numpy.take_along_axis("
        "jax.nn.log_softmax(x, axis), jax.numpy.expand_dims(labels, axis), axis))",
    }, half=HALF),
    Function("cross_entropy, loss and gradient", "cross_entropy", ("x", "labels"), LOSSES, {
        "fastlog": "fastlog.cross_entropy(x, labels, axis=axis, return_grad=True)[1]",
        "PyTorch": "torch.autograd.grad(F.cross_entropy("
        "(leaf := x.detach().requires_grad_()).movedim(axis, 1), labels), leaf)[0]",
        "JAX": "(lambda value, gradient: gradient + 0 * value)(*jax.value_and_grad("
        "lambda x: -jax.numpy.mean(jax.numpy.take_along_axis("
        "jax.nn.log_softmax(x, axis), jax.numpy.expand_dims(labels, axis), axis)))(x))",
    }),
    Function("cross_entropy, label_smoothing", "cross_entropy", ("x", "labels"), TARGETS, {
        "fastlog": "fastlog.cross_entropy(x, labels, axis=axis, label_smoothing=0.1)",
        "SciPy": "-np.mean((logs := special.log_softmax(x, axis=axis)) * 0.1"
        " + 0.9 * np.take_along_axis(logs, np.expand_dims(labels, axis), axis))",
        "PyTorch": "F.cross_entropy(rows, labels, label_smoothing=0.1)",
        "JAX": "-jax.numpy.mean((logs := jax.nn.log_softmax(x, axis)) * 0.1"
        " + 0.9 * jax.numpy.take_along_axis(logs, jax.numpy.expand_dims(labels, axis), axis))",
    }),
    Function("cross_entropy, probabilities", "cross_entropy", ("x", "shares"), TARGETS, {
        "fastlog": "fastlog.cross_entropy(x, shares, axis=axis)",
        "SciPy": "-np.sum(shares * special.log_softmax(x, axis=axis)) * n / x.size",
        "PyTorch": "F.cross_entropy(x, shares)",
        "JAX": "-jax.numpy.sum(shares * jax.nn.log_softmax(x, axis)) * n / x.size",
    }),
    Function("cross_entropy, sample_weight", "cross_entropy", ("x", "labels", "of_rows"), TARGETS, {
        "fastlog": "fastlog.cross_entropy(x, labels, axis=axis, sample_weight=of_rows)",
        "SciPy": "-np.sum(of_rows * np.take_along_axis(special.log_softmax(x, axis=axis), "
        "np.expand_dims(labels, axis), axis).squeeze(axis)) / np.sum(of_rows)",
        "PyTorch": "(F.cross_entropy(rows, labels, reduction='none') * of_rows).sum() / of_rows.sum()",
        "JAX": "-jax.numpy.sum(of_rows * jax.numpy.take_along_axis(jax.nn.log_softmax(x, axis), "
        "jax.numpy.expand_dims(labels, axis), axis).squeeze(axis)) / jax.numpy.sum(of_rows)",
    }),
    Function("nll_loss", "nll_loss", ("x", "labels"), LOSSES, {
        "fastlog": "fastlog.nll_loss(x, labels, axis=axis)",
        "NumPy": "-np.mean(np.take_along_axis(x, np.expand_dims(labels, axis), axis))",
        "PyTorch": "F.nll_loss(rows, labels)",
        "JAX": "-jax.numpy.mean(jax.numpy.take_along_axis(x, jax.numpy.expand_dims(labels, axis), axis))",
    }),
    Function("logsumexp, b = 1/n", "logsumexp_weighted", ("x",), SOME_ROWS, {
        "fastlog": "fastlog.logsumexp(x, axis=axis, b=1 / n)",
        "SciPy": "special.logsumexp(x, axis=axis, b=1 / n)",
        "PyTorch": "torch.logsumexp(x, axis) - math.log(n)",
        "JAX": "jax.scipy.special.logsumexp(x, axis=axis, b=1 / n)",
    }),
    Function("logmeanexp", "logmeanexp", ("x",), SOME_ROWS, {
        "fastlog": "fastlog.logmeanexp(x, axis=axis)",
        "SciPy": "special.logsumexp(x, axis=axis) - math.log(n)",
        "PyTorch": "torch.logsumexp(x, axis) - math.log(n)",
        "JAX": "jax.nn.logmeanexp(x, axis)",
    }),
    Function("logsumexp, b along the axis", "logsumexp_weighted", ("x", "weights"), SOME_ROWS, {
        "fastlog": "fastlog.logsumexp(x, axis=axis, b=weights)",
        "SciPy": "special.logsumexp(x, axis=axis, b=weights)",
        "PyTorch": "torch.logsumexp(x + torch.log(weights), axis)",
        "JAX": "jax.scipy.special.logsumexp(x, axis=axis, b=weights)",
    }),
    Function("logsumexp, full b", "logsumexp_weighted", ("x", "positive"), SOME_ROWS, {
        "fastlog": "fastlog.logsumexp(x, axis=axis, b=positive)",
        "SciPy": "special.logsumexp(x, axis=axis, b=positive)",
        "PyTorch": "torch.logsumexp(x + torch.log(positive), axis)",
        "JAX": "jax.scipy.special.logsumexp(x, axis=axis, b=positive)",
    }),
    Function("logsumexp, b of both signs", "logsumexp_weighted", ("x", "y"), SOME_ROWS, {
        "fastlog": "fastlog.logsumexp(x, axis=axis, b=y, return_sign=True)[0]",
        "SciPy": "special.logsumexp(x, axis=axis, b=y, return_sign=True)[0]",
        "JAX": "jax.scipy.special.logsumexp(x, axis=axis, b=y, return_sign=True)[0]",
    }),
    Function("logmatmulexp, matrix times vector", "logdotexp", ("x", "vector"), MATRICES, {
        "fastlog": "fastlog.logmatmulexp(x, vector)",
        "SciPy": "special.logsumexp(x + vector, axis=1)",
        "NumPy": "np.logaddexp.reduce(x + vector, axis=1)",
        "PyTorch": "torch.logsumexp(x + vector, 1)",
        "JAX": "jax.nn.logsumexp(x + vector, 1)",
    }),
    Function("logmatmulexp, vector times matrix", "logdotexp", ("x", "column"), MATRICES, {
        "fastlog": "fastlog.logmatmulexp(column, x)",
        "SciPy": "special.logsumexp(x + column[:, None], axis=0)",
        "NumPy": "np.logaddexp.reduce(x + column[:, None], axis=0)",
        "PyTorch": "torch.logsumexp(x + column[:, None], 0)",
        "JAX": "jax.nn.logsumexp(x + column[:, None], 0)",
    }),
    Function("logmatmulexp, square", "logdotexp", ("x",), ("200 × 200",), {
        "fastlog": "fastlog.logmatmulexp(x, x.T)",
        "SciPy": "special.logsumexp(x[:, None, :] + x[None, :, :], axis=2)",
        "PyTorch": "torch.logsumexp(x[:, None, :] + x[None, :, :], 2)",
        "JAX": "jax.nn.logsumexp(x[:, None, :] + x[None, :, :], 2)",
    }),
    Function("categorical_entropy", "categorical_entropy", ("x",), SOME_ROWS, {
        "fastlog": "fastlog.categorical_entropy(x, axis=axis)",
        "SciPy": "np.sum(special.entr(special.softmax(x, axis=axis)), axis=axis)",
        "NumPy": "(lambda p: -np.sum(p * np.log(p), axis=axis))((e := np.exp(x - np.max(x, axis=axis, keepdims=True)))"
        " / np.sum(e, axis=axis, keepdims=True))",
        "PyTorch": "-(torch.softmax(x, axis) * torch.log_softmax(x, axis)).sum(axis)",
        "JAX": "-(jax.nn.softmax(x, axis) * jax.nn.log_softmax(x, axis)).sum(axis)",
    }),
    Function("importance_weights", "softmax_and_logsumexp", ("x",), SOME_ROWS, {
        "fastlog": "fastlog.importance_weights(x, axis=axis).ess",
        "SciPy": "np.exp(2 * (lse := special.logsumexp(x, axis=axis)) - special.logsumexp(2 * x, axis=axis))"
        " + 0 * np.exp(x - np.expand_dims(lse, axis)).sum(axis=axis)",
        "NumPy": "(lambda w: 1 / np.sum((w / np.sum(w, axis=axis, keepdims=True)) ** 2, axis=axis)"
        " + 0 * np.log(np.mean(w, axis=axis)))(np.exp(x - np.max(x, axis=axis, keepdims=True)))",
    }),
    Function("sample_categorical", "softmax", ("x",), ("call of 1 × 10", "100000 × 10", "1000 × 1000", "64 × 32000"), {
        # Samples differ, so their products with 0 are compared.
        "fastlog": "0.0 * fastlog.sample_categorical(x, rng, axis=axis)",
        "SciPy": "(lambda p, u: 0.0 * np.argmax(np.cumsum(p, axis=1) > u[:, None], axis=1))"
        "(special.softmax(x, axis=1), rng.random(len(x)))",
        "NumPy": "0.0 * np.argmax(x + rng.gumbel(size=x.shape), axis=axis)",
        "PyTorch": "0.0 * torch.multinomial(torch.softmax(x, 1), 1)[:, 0]",
        "JAX": "0.0 * jax.random.categorical(jax.random.key(0), x, axis)",
    }),
    Function("logsumexp, where=", "logsumexp_weighted", ("x", "mask"), SOME_ROWS, {
        "fastlog": "fastlog.logsumexp(x, axis=axis, where=mask)",
        "SciPy": "special.logsumexp(np.where(mask, x, -np.inf), axis=axis)",
        "NumPy": "np.logaddexp.reduce(x, axis=axis, where=mask, initial=-np.inf)",
        "PyTorch": "torch.logsumexp(torch.where(mask, x, -math.inf), axis)",
        "JAX": "jax.nn.logsumexp(x, axis, where=mask)",
    }),
    Function("softmax, temperature=", "softmax", ("x",), SOME_ROWS, {
        "fastlog": "fastlog.softmax(x, axis=axis, temperature=2.5, out=out)",
        "SciPy": "special.softmax(x / 2.5, axis=axis)",
        "PyTorch": "torch.softmax(x / 2.5, axis, out=out)",
        "JAX": "jax.nn.softmax(x / 2.5, axis)",
    }, relative=True),
    Function("softmax, where=", "softmax", ("x", "mask"), SOME_ROWS, {
        "fastlog": "fastlog.softmax(x, axis=axis, where=mask, out=out)",
        "SciPy": "special.softmax(np.where(mask, x, -np.inf), axis=axis)",
        "PyTorch": "torch.softmax(torch.where(mask, x, -math.inf), axis, out=out)",
        "JAX": "jax.nn.softmax(x, axis, where=mask)",
    }, relative=True),
    Function("logaddexp.reduce", "logaddexp", ("x",), SOME_ROWS, {
        "fastlog": "fastlog.logaddexp.reduce(x, axis=axis)",
        "NumPy": "np.logaddexp.reduce(x, axis=axis)",
    }),
    Function("logaddexp.accumulate", "logaddexp", ("x",), SOME_ROWS, {
        "fastlog": "fastlog.logaddexp.accumulate(x, axis=axis, out=out)",
        "NumPy": "np.logaddexp.accumulate(x, axis=axis, out=out)",
        "PyTorch": "torch.logcumsumexp(x, axis, out=out)",
        "JAX": "jax.lax.cumlogsumexp(x, axis % 2)",  # it takes no negative axis
    }),
    Function("segment_logsumexp", "segment_logsumexp", ("x", "groups"), SOME[1:], {
        "fastlog": "fastlog.segment_logsumexp(x, groups, 100)",
        "NumPy": "((m := np.full(100, -np.inf, x.dtype)), np.maximum.at(m, groups, x), (s := np.zeros(100, x.dtype)), "
        "np.add.at(s, groups, np.exp(x - m[groups])), m + np.log(s))[-1]",
        "PyTorch": "(m := torch.full((100,), -torch.inf, dtype=x.dtype).scatter_reduce(0, groups, x, 'amax')) + "
        "torch.zeros(100, dtype=x.dtype).index_add(0, groups, torch.exp(x - m[groups])).log()",
        "JAX": "(m := jax.ops.segment_max(x, groups, 100)) + "
        "jax.numpy.log(jax.ops.segment_sum(jax.numpy.exp(x - m[groups]), groups, 100))",
    }),
    Function("segment_softmax", "segment_softmax", ("x", "groups"), SOME[1:], {
        "fastlog": "fastlog.segment_softmax(x, groups, 100)",
        "NumPy": "((m := np.full(100, -np.inf, x.dtype)), np.maximum.at(m, groups, x), (s := np.zeros(100, x.dtype)), "
        "(e := np.exp(x - m[groups])), np.add.at(s, groups, e), e / s[groups])[-1]",
        "PyTorch": "((m := torch.full((100,), -torch.inf, dtype=x.dtype).scatter_reduce(0, groups, x, 'amax')), "
        "(e := torch.exp(x - m[groups])), "
        "e / torch.zeros(100, dtype=x.dtype).index_add(0, groups, e)[groups])[-1]",
        "JAX": "((m := jax.ops.segment_max(x, groups, 100)), (e := jax.numpy.exp(x - m[groups])), "
        "e / jax.ops.segment_sum(e, groups, 100)[groups])[-1]",
    }),
    Function("segment_log_softmax", "segment_log_softmax", ("x", "groups"), SOME[1:], {
        "fastlog": "fastlog.segment_log_softmax(x, groups, 100)",
        "NumPy": "((m := np.full(100, -np.inf, x.dtype)), np.maximum.at(m, groups, x), (s := np.zeros(100, x.dtype)), "
        "(d := x - m[groups]), np.add.at(s, groups, np.exp(d)), d - np.log(s)[groups])[-1]",
        "JAX": "((m := jax.ops.segment_max(x, groups, 100)), (d := x - m[groups]), "
        "d - jax.numpy.log(jax.ops.segment_sum(jax.numpy.exp(d), groups, 100))[groups])[-1]",
    }),
    Function("log_forward", "log_forward", ("x", "start", "steps"), ("1000 × 32",), {
        "fastlog": "fastlog.log_forward(start, steps, x)",
        "SciPy": "np.array(list(__import__('itertools').accumulate(x[1:], "
        "lambda a, e: special.logsumexp(a[:, None] + steps, axis=0) + e, initial=start + x[0])))",
        "JAX": "jax.numpy.concatenate([(start + x[0])[None], jax.lax.scan("
        "lambda a, e: ((b := jax.nn.logsumexp(a[:, None] + steps, axis=0) + e), b), start + x[0], x[1:])[1]])",
    }),
    Function("log_backward", "log_backward", ("x", "steps"), ("1000 × 32",), {
        "fastlog": "fastlog.log_backward(steps, x)",
        "SciPy": "np.array(list(__import__('itertools').accumulate(x[:0:-1], "
        "lambda a, e: special.logsumexp(steps + e + a, axis=1), initial=0 * x[0])))[::-1]",
        "JAX": "jax.numpy.concatenate([jax.lax.scan("
        "lambda a, e: ((b := jax.nn.logsumexp(steps + e + a, axis=1)), b), 0 * x[0], x[1:], reverse=True)[1], "
        "0 * x[:1]])",
    }),
    Function("log_transitions", "log_transitions", ("x", "y", "steps"), ("1000 × 32",), {
        "fastlog": "fastlog.log_transitions(steps, y, x, y)",
        "SciPy": "steps + special.logsumexp(x[:-1, :, None] + (y + y)[1:, None, :], axis=0) - special.logsumexp(x[-1])",
        "JAX": "steps + jax.nn.logsumexp(x[:-1, :, None] + (y + y)[1:, None, :], axis=0) - jax.nn.logsumexp(x[-1])",
    }),
    Function("logaddexp.at", "logaddexp", ("x", "y", "places"), ("10 000",), {
        "fastlog": "(np.copyto(out, x), fastlog.logaddexp.at(out, places, y), out)[-1]",
        "NumPy": "(np.copyto(out, x), np.logaddexp.at(out, places, y), out)[-1]",
    }),
)  # fmt: skip

# Functions of the README's short table and picture.
MAIN = (
    "softplus", "log_sigmoid", "sigmoid", "silu", "logaddexp", "logit", "logsumexp", "softmax", "log_softmax",
    "binary_cross_entropy_with_logits, mean", "binary_cross_entropy_with_logits, loss and gradient",
    "cross_entropy, mean",
)  # fmt: skip


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
        return math.prod(self.shape)

    @property
    def name(self) -> str:
        """Return the name of this row."""
        return f"{self.function.name}, {self.dtype}, {self.size}"


def all_cases(quick: bool = False, only: str = "") -> list[Case]:
    """List every function x dtype x size.

    Parameters
    ----------
    quick : bool
        Whether to list the headline sizes and a few more alone.
    only : str
        A part of the names of the rows.
    """
    cases = [
        Case(function, dtype, size, *SHAPES[size])
        for function in FUNCTIONS
        for dtype in ("float16", "float32", "float64")
        for size in (function.half if dtype == "float16" else function.shapes)
        if not quick or size in QUICK
    ]
    return [case for case in cases if only in case.name]
