"""Expressions that run on torch or TensorFlow and on fastlog's door to it.

tests/tools/record_doors.py writes the values of torch and TensorFlow into tests/data/doors.json, an expression a line.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

RECORDS = Path(__file__).parents[1] / "data" / "doors.json"
INF, NAN = np.inf, np.nan
_RNG = np.random.default_rng(12)  # draws the arrays below, and nothing else

# The arrays that expressions see, float32 unless the name ends in 64.
ARRAYS: dict[str, np.ndarray] = {
    "x": _RNG.normal(0, 3, (4, 5)),
    "z": _RNG.random((4, 5)),
    "hard": _RNG.integers(0, 2, (4, 5)).astype(float),
    "w": _RNG.random(5),
    "rows_w": _RNG.random((4, 1)),
    "p": _RNG.dirichlet(np.ones(5), 4),
    "one_p": _RNG.dirichlet(np.ones(5), 1),
    "p_hole": np.array([[0.5, 0.5, 0, 0, 0], [0, 0, 1, 0, 0], [0.2] * 5, [0, 0, 0, 0, 1.0]]),
    "image": _RNG.normal(0, 3, (2, 5, 3, 2)),
    "image_p": _RNG.dirichlet(np.ones(5), (2, 3, 2)).transpose(0, 3, 1, 2),
    "vector": _RNG.normal(0, 3, 5),
    "vector_p": _RNG.dirichlet(np.ones(5)),
    "holes": np.array([[-INF, 0, 1, 2, 3], [0, 1, -INF, 3, 4]]),
    "holes_p": np.array([[0, 0.5, 0.5, 0, 0], [0.25, 0.25, 0, 0.25, 0.25]]),
    "signed": np.array([[1, -1, 0, 0, 0], [0.5, 0.5, -1, 0, 0], [0, 0, 0, 0, 0], [2, -1, 0, 0, 0.0]]),
    "limits": np.array([INF, -INF, INF, -INF]),
    "limits_z": np.array([1.0, 0, 0, 1]),
    "empty": np.empty((0, 5)),
    "zero_w": np.array([0.0, 1, 1, 1, 1]),
    "far": np.array([20.02, 30.0, -30.0]),
    "tiny": np.array([[0.0, -17.0]]),
}
ARRAYS = {name: a.astype(np.float32) for name, a in ARRAYS.items()}
ARRAYS |= {
    f"{name}64": ARRAYS[name].astype(np.float64) for name in ("x", "z", "p", "w", "image", "far", "limits", "holes")
}
ARRAYS |= {
    "y": np.array([0, 4, 2, 2]),
    "y32": np.array([0, 4, 2, 2], np.int32),
    "y_bytes": np.array([0, 4, 2, 2], np.uint8),
    "y_ignored": np.array([0, -100, 2, -100]),
    "y_none": np.full(4, -100),
    "y_wrong": np.array([0, 5, 2, 2]),
    "y_below": np.array([0, -1, 2, 2]),
    "y_image": _RNG.integers(0, 5, (2, 3, 2)),
    "y_short": np.array([0, 1]),
    "y_two": np.array([[0, 4, 2, 2]]),
    "no_labels": np.empty(0, np.int64),
    "bits": ARRAYS["hard"].astype(np.int64),
    "flags": ARRAYS["hard"].astype(bool),
    "onehot": np.eye(5, dtype=np.int64)[[0, 4, 2, 2]],
}

REDUCTIONS = ("'none'", "'sum'", "'mean'")


def reduced(call: str, *arguments: str, reductions: Sequence[str] = REDUCTIONS) -> list[str]:
    """Return calls with each of the arguments and each of the reductions."""
    return [f"{call}({one}, reduction={reduction})" for reduction in reductions for one in arguments]


def through(*calls: str) -> list[str]:
    """Return the calls with each of TensorFlow's modules of losses in the place of DOOR."""
    return [call.replace("DOOR", door) for door in ("nn", "compat.v1.nn") for call in calls]


# Expressions of which both give the same value.
TORCH = [
    *reduced("F.binary_cross_entropy_with_logits", "x, z", "x64, z64", "x, hard", "x, z, w", "x, z, rows_w",
             "x, z, w, pos_weight=w", "x, z, pos_weight=rows_w"),
    "F.binary_cross_entropy_with_logits(x, z, w, None, None, 'sum', w)",
    "F.binary_cross_entropy_with_logits(x, z, size_average=False)",
    "F.binary_cross_entropy_with_logits(x, z, reduce=False)",
    "F.binary_cross_entropy_with_logits(x, z, size_average=True, reduce=True)",
    "F.binary_cross_entropy_with_logits(x, 3 * z)",
    "F.binary_cross_entropy_with_logits(empty, empty)",
    "F.binary_cross_entropy_with_logits(empty, empty, reduction='sum')",
    *reduced("F.cross_entropy", "x, y", "x64, y", "x, y_bytes", "x, y, w", "x, y_ignored", "x, y_ignored, w",
             "x, y, ignore_index=2", "x, y, w, label_smoothing=0.3", "x, y_ignored, label_smoothing=0.3",
             "x, y_ignored, w, label_smoothing=1.0", "x, p", "x, p, w", "x, p, w, label_smoothing=0.3", "x64, p64",
             "x, p_hole", "x, p, ignore_index=-1", "image, y_image", "image, y_image, w, ignore_index=3",
             "image64, y_image", "image, image_p", "image, image_p, w", "vector, y[0]", "vector, vector_p"),
    "F.cross_entropy(x, y, w, None, 2, None, 'sum', 0.1)",
    "F.cross_entropy(x, y_none)",
    "F.cross_entropy(x, y_none, reduction='sum')",
    "F.cross_entropy(x, y_none, reduction='none')",
    "F.cross_entropy(empty, no_labels)",
    "F.cross_entropy(empty, no_labels, reduction='sum')",
    *reduced("F.nll_loss", "x, y", "x, y, w", "x, y_ignored, w", "x, y, ignore_index=2", "image, y_image",
             "vector, y[0]"),
    *reduced("F.kl_div", "x, p", "x64, p64", "x, p_hole", "x, vector_p", "vector, p", "x[:1], p", "vector, vector_p",
             "image, image_p", "x, z, log_target=True", reductions=(*REDUCTIONS, "'batchmean'")),
    "F.softmax(x, 0)", "F.softmax(x, 1)", "F.softmax(x, -1)",
    "F.log_softmax(x, 0)", "F.log_softmax(x, 1)", "F.log_softmax(x, -1)",
    "F.softmin(x, 0)", "F.softmin(x, 1)", "F.softmin(x, -1)",
    "F.logsumexp(x, 0)", "F.logsumexp(x, 1)", "F.logsumexp(x, -1)",
    "F.softmax(image, dim=1)", "F.log_softmax(image, dim=2)", "F.softmax(x)", "F.log_softmax(vector)",
    "F.softmax(image[0])", "F.logsumexp(image, (1, 2), keepdim=True)", "F.softmax(empty, 1)", "F.softmax(empty, 0)",
    "F.softmax(bits, 1, dtype=float64)", "F.log_softmax(x, 1, dtype=float64)",
    "F.logsigmoid(x)", "F.sigmoid(x)", "F.silu(x)", "F.mish(x)", "F.softplus(x)", "F.softplus(x, 2)",
    "F.softplus(x, beta=0.5, threshold=100)", "F.softplus(x, beta=-1.5)", "F.cross_entropy(x, signed)",
    "F.logsigmoid(limits)",
    "nn.LogSigmoid()(x)", "nn.Sigmoid()(x)", "nn.SiLU()(x)", "nn.Mish()(x)",
    "nn.Softplus()(x)", "nn.Softplus(2.0, 30.0)(x)", "nn.Softmax(dim=1)(x)", "nn.Softmin(dim=1)(x)",
    "nn.LogSoftmax(dim=0)(x)", "nn.BCEWithLogitsLoss()(x, z)", "nn.BCEWithLogitsLoss(w, None, None, 'sum', w)(x, z)",
    "nn.CrossEntropyLoss()(x, y)", "nn.CrossEntropyLoss(w, ignore_index=2, label_smoothing=0.1)(x, y)",
    "nn.CrossEntropyLoss(w, None, 2, None, 'none')(x, y)", "nn.NLLLoss(w, reduction='sum')(x, y)",
    "nn.KLDivLoss(reduction='batchmean', log_target=True)(x, z)", "nn.KLDivLoss(None, None, 'sum')(x, p)",
    "nn.CrossEntropyLoss(size_average=False)(x, y)",
    "repr(nn.LogSigmoid())", "repr(nn.Sigmoid())", "repr(nn.SiLU())", "repr(nn.SiLU(True))", "repr(nn.Mish())",
    "repr(nn.Softplus())", "repr(nn.Softplus(2, 10))", "repr(nn.Softmax(dim=1))", "repr(nn.Softmax())",
    "repr(nn.Softmin(1))", "repr(nn.LogSoftmax(-1))", "repr(nn.BCEWithLogitsLoss(reduction='sum'))",
    "repr(nn.KLDivLoss())", "repr(nn.CrossEntropyLoss(label_smoothing=0.1))", "repr(nn.NLLLoss(ignore_index=1))",
]  # fmt: skip

TENSORFLOW = [
    "tf.math.log_sigmoid(x)", "tf.math.sigmoid(x)", "tf.math.softplus(x)", "tf.math.softmax(x)",
    "tf.math.log_softmax(x)", "tf.math.reduce_logsumexp(x)", "tf.nn.softmax(x)", "tf.nn.log_softmax(x)",
    "tf.nn.sigmoid(x)", "tf.nn.softplus(x)", "tf.nn.silu(x)", "tf.nn.swish(x)", "tf.compat.v1.log_sigmoid(x)",
    "tf.compat.v1.sigmoid(x)", "tf.compat.v1.nn.softmax(x)", "tf.compat.v1.nn.log_softmax(x)",
    "tf.compat.v1.nn.softplus(x)",
    "tf.math.log_sigmoid(x64, name='y')", "tf.nn.silu(x, beta=2.0)", "tf.math.xlogy(p, z)", "tf.math.xlog1py(p, z)",
    "tf.math.reduce_logsumexp(x, axis=0)", "tf.math.reduce_logsumexp(x, [0, 1], True)",
    "tf.math.reduce_logsumexp(image, axis=[1, -1])", "tf.nn.softmax(x, axis=0)", "tf.nn.log_softmax(image, 1)",
    "tf.nn.softmax(empty)", "tf.compat.v1.nn.softmax(x, dim=0)", "tf.compat.v1.nn.log_softmax(image, axis=1)",
    "tf.math.cumulative_logsumexp(x64)", "tf.math.cumulative_logsumexp(x64, 1, True, True)",
    "tf.math.cumulative_logsumexp(x64, axis=1, reverse=True)",
    *through(
        "tf.DOOR.sigmoid_cross_entropy_with_logits(labels=z, logits=x)",
        "tf.DOOR.sigmoid_cross_entropy_with_logits(labels=z64, logits=x64)",
        "tf.DOOR.sigmoid_cross_entropy_with_logits(labels=hard, logits=x)",
        "tf.DOOR.sigmoid_cross_entropy_with_logits(labels=empty, logits=empty)"),
    "tf.nn.sigmoid_cross_entropy_with_logits(z, x)",
    *through(
        "tf.DOOR.weighted_cross_entropy_with_logits(labels=z, logits=x, pos_weight=2.5)",
        "tf.DOOR.weighted_cross_entropy_with_logits(labels=z, logits=x, pos_weight=w)"),
    "tf.nn.weighted_cross_entropy_with_logits(z, x, 0.5)",
    "tf.compat.v1.nn.weighted_cross_entropy_with_logits(targets=z, logits=x, pos_weight=2.0)",
    *through(
        "tf.DOOR.softmax_cross_entropy_with_logits(labels=p, logits=x)",
        "tf.DOOR.softmax_cross_entropy_with_logits(labels=p64, logits=x64)",
        "tf.DOOR.softmax_cross_entropy_with_logits(labels=p_hole, logits=x)",
        "tf.DOOR.softmax_cross_entropy_with_logits(labels=onehot, logits=x)",
        "tf.DOOR.softmax_cross_entropy_with_logits(labels=one_p, logits=x)",
        "tf.DOOR.softmax_cross_entropy_with_logits(labels=z, logits=x)"),
    "tf.nn.softmax_cross_entropy_with_logits(p, x, 0)",
    "tf.nn.softmax_cross_entropy_with_logits(image_p, image, axis=1)",
    "tf.compat.v1.nn.softmax_cross_entropy_with_logits(labels=p, logits=x, dim=0)",
    "tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2(p, x)",
    "tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2(p, x, dim=0)",
    *through(
        "tf.DOOR.sparse_softmax_cross_entropy_with_logits(labels=y, logits=x)",
        "tf.DOOR.sparse_softmax_cross_entropy_with_logits(labels=y32, logits=x64)",
        "tf.DOOR.sparse_softmax_cross_entropy_with_logits(labels=no_labels, logits=empty)"),
]  # fmt: skip

# Expressions that raise in both, and what fastlog raises.
TORCH_ERRORS = {
    "F.binary_cross_entropy_with_logits(x, w)": ValueError,
    "F.binary_cross_entropy_with_logits(x, z, reduction='median')": ValueError,
    "F.cross_entropy(x, y, reduction='median')": ValueError,
    "F.cross_entropy(x, y_wrong)": ValueError,
    "F.cross_entropy(x, y_below)": ValueError,
    "F.cross_entropy(x, y_short)": ValueError,
    "F.cross_entropy(x, y, label_smoothing=1.5)": ValueError,
    "F.cross_entropy(x, p, ignore_index=1)": ValueError,
    "F.cross_entropy(x, y, rows_w)": ValueError,
    "F.cross_entropy(x, onehot)": ValueError,
    "F.nll_loss(x, y_wrong)": ValueError,
    "F.nll_loss(x, p)": TypeError,
    "F.kl_div(x, p, reduction='median')": ValueError,
    "F.softmax(x, 2)": IndexError,
}
TENSORFLOW_ERRORS = {
    "tf.nn.sigmoid_cross_entropy_with_logits(labels=w, logits=x)": ValueError,
    "tf.nn.sigmoid_cross_entropy_with_logits(logits=x)": ValueError,
    "tf.nn.weighted_cross_entropy_with_logits(w, x, 2.0)": ValueError,
    "tf.nn.softmax_cross_entropy_with_logits(labels=vector, logits=image)": ValueError,
    "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y_wrong, logits=x)": ValueError,
    "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y_below, logits=x)": ValueError,
    "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y_two, logits=x)": ValueError,
    "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y_short, logits=x)": ValueError,
    "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=p, logits=x)": TypeError,
    "tf.compat.v1.nn.softmax(x, axis=0, dim=0)": ValueError,
}

# Expressions for which fastlog decides otherwise: its value, or an expression that has the same value.
HOLES_LOSS = [np.log(np.sum(np.exp([0, 1, 2, 3]))) - 0.5, np.log(np.sum(np.exp([0, 1, 3, 4]))) - 2]
TORCH_DIFFERENCES: dict[str, Any] = {
    # limits instead of nan
    "F.binary_cross_entropy_with_logits(limits, limits_z, reduction='none')": [0.0, 0.0, INF, INF],
    "F.cross_entropy(holes, holes_p, reduction='none')": HOLES_LOSS,
    "F.kl_div(holes, holes_p, reduction='none')[0][0]": 0.0,
    "F.nll_loss(holes[:1], y[:1], zero_w, reduction='none')[0]": 0.0,
    # any integer or boolean type is a target
    "F.binary_cross_entropy_with_logits(x, bits)": "F.binary_cross_entropy_with_logits(x, hard)",
    "F.binary_cross_entropy_with_logits(x, flags)": "F.binary_cross_entropy_with_logits(x, hard)",
    "F.cross_entropy(x, y32)": "F.cross_entropy(x, y)",
    # no threshold, and the digits of the dominant entry
    "F.softplus(far64)[0] - far64[0]": np.log1p(np.exp(-ARRAYS["far64"][0])),
    "F.log_softmax(tiny, 1)[0][0]": -4.139937e-08,
    "F.cross_entropy(tiny, y[:1])": 4.139937e-08,
    # as documented, arguments are accepted
    "nn.LogSigmoid(1, a=2)(x)": "nn.LogSigmoid()(x)",
}
TENSORFLOW_DIFFERENCES: dict[str, Any] = {
    "tf.nn.sigmoid_cross_entropy_with_logits(labels=limits_z, logits=limits)": [0.0, 0.0, INF, INF],
    "tf.nn.softmax_cross_entropy_with_logits(labels=holes_p, logits=holes)": HOLES_LOSS,
    # the labels' dtype does not count; TensorFlow refuses
    "tf.nn.sigmoid_cross_entropy_with_logits(z64, x)": "tf.nn.sigmoid_cross_entropy_with_logits(z, x)",
    "tf.nn.sigmoid_cross_entropy_with_logits(bits, x)": "tf.nn.sigmoid_cross_entropy_with_logits(hard, x)",
}

# Losses of torch, and those of fastlog whose derivatives autograd confirms. The logits come first.
DERIVATIVES = {
    "F.binary_cross_entropy_with_logits(x64, z64)": "bce(x64, z64{})",
    "F.binary_cross_entropy_with_logits(x64, z64, w64, None, None, 'sum', w64)": "bce(x64, z64, w64, w64, 'sum'{})",
    "F.cross_entropy(x64, y_ignored)": "ce(x64, y_ignored{})",
    "F.cross_entropy(x64, y, w64)": "ce(x64, y, w64{})",
    "F.cross_entropy(x64, y_ignored, w64, label_smoothing=0.3)": "ce(x64, y_ignored, w64, label_smoothing=0.3{})",
    "F.cross_entropy(x64, p64, w64, label_smoothing=0.3, reduction='sum')": "ce(x64, p64, w64, -100, 'sum', 0.3{})",
    "F.cross_entropy(image64, y_image, w64, ignore_index=3)": "ce(image64, y_image, w64, 3, axis=1{})",
    "F.cross_entropy(x64, y_none)": "ce(x64, y_none{})",
    "(F.binary_cross_entropy_with_logits(x64, z64, reduction='none')"
    " * (z64 + (1 - 2 * z64) * F.sigmoid(x64)) ** 2).sum()": "focal(x64, z64, None, 2.0, 'sum'{})",
}

LIBRARIES = {
    "torch": (TORCH, TORCH_ERRORS, TORCH_DIFFERENCES),
    "tensorflow": (TENSORFLOW, TENSORFLOW_ERRORS, TENSORFLOW_DIFFERENCES),
}


def installed(library: str) -> bool:
    """Tell whether the peer can be imported."""
    try:
        importlib.import_module(library)
    except ImportError:
        return False
    return True


def names_of(library: str) -> dict[str, Any]:
    """Return the names that expressions see, in the peer's kinds."""
    if library == "torch":
        import torch

        class Functions:  # torch itself has the functions that its functional module lacks
            def __getattr__(self, name: str) -> Any:
                return getattr(torch.nn.functional, name, None) or getattr(torch, name)

        arrays = {name: torch.from_numpy(a.copy()) for name, a in ARRAYS.items()}
        return {**arrays, "F": Functions(), "nn": torch.nn, "float64": torch.float64}
    if library == "tensorflow":
        import tensorflow as tf

        return {**{name: tf.constant(a) for name, a in ARRAYS.items()}, "tf": tf}
    import fastlog

    return {**ARRAYS, "F": fastlog.nn.functional, "nn": fastlog.nn, "tf": fastlog.tf, "float64": np.float64}


def evaluate(expression: str, names: dict[str, Any]) -> Any:
    """Return the value as nested lists, or the name of the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = eval(expression, dict(names))
        except RuntimeError:
            return "RuntimeError"  # Versions of torch raise different subclasses.
        except Exception as error:
            return type(error).__name__
    return value if isinstance(value, str) else np.asarray(value).tolist()


def autograd(expression: str) -> dict[str, Any]:
    """Return torch's gradient of a loss, and the diagonal of its Hessian, by the logits x64 or image64."""
    import torch

    names = names_of("torch")
    logits = names["image64" if "image64" in expression else "x64"].requires_grad_()
    (gradient,) = torch.autograd.grad(eval(expression, dict(names)), logits, create_graph=True)
    rows = [torch.autograd.grad(g, logits, retain_graph=True)[0].flatten() for g in gradient.flatten()]
    diagonal = torch.stack(rows).diagonal().reshape(logits.shape)
    return {"gradient": gradient.tolist(), "hessian": diagonal.tolist()}
