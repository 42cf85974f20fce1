"""Losses, with their gradients and Hessians and with torch's reductions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastlog._arguments import (
    REDUCTIONS,
    check_label_shape,
    check_reduction,
    class_axis,
    class_labels,
    class_weight_array,
    factor_array,
    focusing_power,
    ignored_label,
    in_unit_interval,
    logit_array,
    logits_and_targets,
    refuse_wrong_label,
    row_weight_array,
    target_array,
)
from fastlog._arrays import as_axes, as_divisor, cast, deliver, is_narrow, to_rows, working_dtype
from fastlog._core import INDEX, may_write, run_loss, short_way
from fastlog._libraries import of_any_array

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "focal_loss", "kl_divergence", "nll_loss"]

_Pair = tuple[np.ndarray | None, np.ndarray | None]

_MANY_CLASSES = 128  # NumPy picks one narrow number of a row in the time in which so many are converted.
_FAR = 2.0**16  # Weights in another unit are a copy, which is for those that are beyond this or below its reciprocal.
_LARGEST = {char: float(np.finfo(char).max) for char in "fd"}


@short_way(INDEX["binary_cross_entropy_with_logits"])
@of_any_array
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: str = "mean",
    *,
    label_smoothing: float = 0.0,
    return_grad: bool = False,
    return_hess: bool = False,
    out: np.ndarray | None = None,
) -> Any:
    """Binary cross-entropy of logits x and targets z, -z log(sigmoid(x)) - (1 - z) log(1 - sigmoid(x)).

    Parameters
    ----------
    logits : array_like
        Real numbers of any shape.
    targets : array_like
        Labels 0 and 1 (of any dtype), or probabilities, in the same shape. As in torch, their range is not checked,
        and the formula holds outside [0, 1], too; labels -1 and +1 need ``(targets + 1) / 2``.
    weight : array_like, optional
        Weight of each element, of a shape that broadcasts to that of `logits`.
    pos_weight : array_like, optional
        Weight of the positive part, the factor of z log(sigmoid(x)); broadcasts likewise.
    reduction : {'mean', 'sum', 'none'}, optional
        The mean divides by the number of elements, whatever their weights.
    label_smoothing : float, optional
        The part e of every target that is replaced by 1/2, so that z becomes (1 - e) z + e/2.
    return_grad : bool, optional
        Whether to return also the gradient of the reduced loss by the logits, from the same pass over memory. With
        'none', it is the derivative of each loss.
    return_hess : bool, optional
        Whether to return the gradient and the diagonal of the Hessian.
    out : ndarray, optional
        The array that gets the loss.

    Returns
    -------
    loss : scalar or ndarray
        In the dtype of `logits`; of their shape with reduction 'none'.
    grad, hess : ndarray
        With `return_grad` or `return_hess`; of the shape and dtype of `logits`.

    Raises
    ------
    ValueError
        If the shapes differ or a weight does not broadcast, `reduction` is unknown, `label_smoothing` is not in [0, 1],
        or `out` has another shape.
    TypeError
        If an argument is not numeric, complex, longdouble or has masked elements, or `out` is not an ndarray that the
        loss can be cast to.

    Notes
    -----
    Computed as abs(x) w + log1p(exp(-abs(x))), where w, the weight of the wrong side, is 1 - z for x >= 0 and z below.
    The gradient is sigmoid(x) - z, the Hessian sigmoid(x) (1 - sigmoid(x)), times the weights. Infinite logits follow
    the limit: (inf, 1) and (-inf, 0) are 0, (inf, 0) and (-inf, 1) are inf. An element that weighs 0 does not count,
    even if its loss is infinite or nan. The mean of nothing is nan, the sum 0.

    Sums of float32 losses are carried in float64 or better: in sums of unweighted losses, one logarithm serves the
    product of up to 120 factors 1 + exp(-abs(x)) [1]_. Results are the same for every call with the same layout.

    References
    ----------
    .. [1] The product form is that of N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed. (2002),
       section 3.4: a product of n factors has a relative error of n roundings at most, and its logarithm that error
       absolutely.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import binary_cross_entropy_with_logits
    >>> x, z = np.array([2.0, -1.0]), np.array([1, 0])
    >>> binary_cross_entropy_with_logits(x, z, reduction="none")
    array([0.12692801, 0.31326169])
    >>> binary_cross_entropy_with_logits(x, z, return_grad=True)
    (np.float64(0.22009484928059764), array([-0.05960146,  0.13447071]))
    """
    name = "binary_cross_entropy_with_logits"
    x, z, dtype = logits_and_targets(name, "logits", logits, targets)
    factors = factor_array(name, "weight", weight, x), factor_array(name, "pos_weight", pos_weight, x)
    check_reduction(name, reduction)
    smoothing = in_unit_interval(name, "label_smoothing", label_smoothing)
    derivatives = _derivatives(x, return_grad, return_hess)
    return _element_loss(INDEX[name], x, z, factors, derivatives, dtype, reduction, out, smoothing=smoothing)


@short_way(INDEX["focal_loss"])
@of_any_array
def focal_loss(
    logits: ArrayLike,
    targets: ArrayLike,
    alpha: float | None = None,
    gamma: float = 2.0,
    reduction: str = "mean",
    *,
    weight: ArrayLike | None = None,
    return_grad: bool = False,
    return_hess: bool = False,
) -> Any:
    """Focal loss of logits and binary targets: cross-entropy times the probability of the other target to a power.

    Parameters
    ----------
    logits : array_like
        Real numbers of any shape.
    targets : array_like
        Labels 0 and 1 (of any dtype), or probabilities z; of the same shape. Their range is not checked; labels -1
        and +1 need ``(targets + 1) / 2``.
    alpha : float, optional
        Weight of the target 1, that of 0 being 1 - alpha; z alpha + (1 - z) (1 - alpha) in general. By default both
        weigh 1.
    gamma : float, optional
        The power, at least 0. With 0, the loss is binary cross-entropy.
    reduction : {'mean', 'sum', 'none'}, optional
        The mean divides by the number of elements.
    weight : array_like, optional
        Weight of each element, of a shape that broadcasts to that of `logits`.
    return_grad, return_hess : bool, optional
        Whether to return the gradient, and the diagonal of the Hessian, as for `binary_cross_entropy_with_logits`. The
        Hessian may be negative, as the loss is not convex.

    Returns
    -------
    loss : scalar or ndarray
        In the dtype of `logits`; of their shape with reduction 'none'.
    grad, hess : ndarray
        With `return_grad` or `return_hess`; of the shape and dtype of `logits`.

    Raises
    ------
    ValueError
        If the shapes differ or `weight` does not broadcast, `reduction` is unknown, `alpha` is not in [0, 1], or
        `gamma` is negative or no finite number of the dtype.
    TypeError
        If an argument is not numeric, complex, longdouble or has masked elements.

    Notes
    -----
    weight * m**gamma * binary cross-entropy, m = z sigmoid(-x) + (1 - z) sigmoid(x) [1]_. For labels, m is never
    computed but by its logarithm -softplus(+-x), so that small powers keep their digits.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal loss for dense object detection", ICCV 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import focal_loss
    >>> focal_loss(np.array([2.0, -1.0]), np.array([1, 0]), reduction="none")
    array([0.00180356, 0.02265806])
    """
    name = "focal_loss"
    x, z, dtype = logits_and_targets(name, "logits", logits, targets)
    factors = factor_array(name, "weight", weight, x), None
    check_reduction(name, reduction)
    share = 1.0 if alpha is None else in_unit_interval(name, "alpha", alpha)
    gamma = focusing_power(name, gamma, x.dtype)
    balance: dict[str, Any] = {"positive": share, "negative": 1.0 if alpha is None else 1 - share, "gamma": gamma}
    derivatives = _derivatives(x, return_grad, return_hess)
    return _element_loss(INDEX[name], x, z, factors, derivatives, dtype, reduction, **balance)


@short_way(INDEX["kl_divergence"], INDEX["kl_divergence_of_logs"])
@of_any_array
def kl_divergence(
    log_q: ArrayLike,
    p: ArrayLike,
    *,
    log_target: bool = False,
    axis: int | tuple[int, ...] | None = -1,
    reduction: str = "mean",
) -> Any:
    """Kullback-Leibler divergence of q from p, the sum of p (log p - log q), given log q and p.

    Parameters
    ----------
    log_q : array_like
        Logarithms of the probabilities q, such as `log_softmax` gives.
    p : array_like
        Probabilities, of the same shape; or their logarithms, with `log_target`.
    log_target : bool, optional
        Whether `p` holds logarithms.
    axis : int, tuple of ints or None, optional
        The axes of a distribution, for the reduction 'none'; with ``()``, each element is left to itself.
    reduction : {'mean', 'batchmean', 'sum', 'none'}, optional
        'mean' divides the sum of all by the number of elements, 'batchmean' by the length of the first axis that is not
        one of `axis`, and by 1 if there is none.

    Returns
    -------
    scalar or ndarray
        In the dtype of `log_q`; with the reduction 'none' of its shape without `axis`.

    Raises
    ------
    ValueError
        If the shapes differ or `reduction` is unknown.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    TypeError
        If an argument is not numeric, complex, longdouble or has masked elements.

    Notes
    -----
    An element with p = 0 is 0, even where log q is -inf; one with p > 0 is inf there. log p is taken in two words, so
    its difference with log q keeps its digits where they are close.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import kl_divergence
    >>> p = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    >>> kl_divergence(np.log([[0.25, 0.25, 0.5]] * 2), p, reduction="none")
    array([0.69314718, 1.38629436])
    """
    name = "kl_divergence"
    x, z, dtype = logits_and_targets(name, "log_q", log_q, p, "p")
    check_reduction(name, reduction, (*REDUCTIONS, "batchmean"))
    axes = as_axes(axis, x.ndim)
    function = INDEX["kl_divergence_of_logs"] if log_target else INDEX["kl_divergence"]
    if reduction != "none" or not axes:
        count = None
        if reduction == "batchmean":
            reduction = "mean"
            count = next((n for k, n in enumerate(x.shape) if k not in axes), 1)
        return _element_loss(function, x, z, (None, None), (None, None), dtype, reduction, count=count)
    if len(axes) > 1:
        x, z, axes = to_rows(x, axes), to_rows(z, axes), (x.ndim - len(axes),)
    (k,) = axes
    sums = np.zeros(x.shape[:k] + x.shape[k + 1 :])
    run_loss(function, (x, z, None, None, None, None, None, sums), k)
    return cast(sums, dtype)[()]


@short_way(INDEX["cross_entropy"])
@of_any_array
def cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    axis: int = -1,
    sample_weight: ArrayLike | None = None,
    temperature: float | None = None,
    return_grad: bool = False,
    return_hess: bool = False,
) -> Any:
    """Cross-entropy of rows of logits with class labels or class probabilities.

    Parameters
    ----------
    logits : array_like
        Real numbers; `axis` runs over the classes.
    targets : array_like
        Labels: integers (or booleans) of the shape of `logits` without `axis`, from 0 to the number of classes less 1.
        Or probabilities: floats of the shape of `logits`, also for one-hot targets. The range of probabilities is not
        checked.
    weight : array_like, optional
        One weight per class.
    ignore_index : int or None, optional
        A label that does not count.
    reduction : {'mean', 'sum', 'none'}, optional
        The mean divides by the sum of class weight times sample weight over the labels that count; for probabilities,
        by the sum of the sample weights. Weights that are not given are 1.
    label_smoothing : float, optional
        The part e of the targets that is spread evenly over the classes: 1 - e is left to the label, and every one of K
        classes gets e/K.
    axis : int, optional
        The class axis.
    sample_weight : array_like, optional
        One weight per row, by which its loss and derivatives are multiplied; of a shape that broadcasts to that of
        `logits` without `axis`. A row of weight 0 does not count, even where its logits are infinite or nan.
    temperature : float, optional
        A positive number that `logits` is divided by, as in ``cross_entropy(logits / temperature, targets)`` and to the
        same bits, but without an array for the quotients. Derivatives are those by `logits`; a further one, by the
        temperature, comes with them.
    return_grad : bool, optional
        Whether to return also the gradient of the reduced loss by the logits. With 'none', it is that of each loss.
    return_hess : bool, optional
        Whether to return the gradient and the diagonal of the Hessian.

    Returns
    -------
    loss : scalar or ndarray
        In the dtype of `logits`; of their shape without `axis` with reduction 'none'.
    grad, hess : ndarray
        With `return_grad` or `return_hess`; of the shape and dtype of `logits`.
    slope : scalar or ndarray
        With these and `temperature`, the last result: the derivative of the reduced loss by the temperature, like
        `loss` in dtype and shape.

    Raises
    ------
    ValueError
        If a label is out of range, shapes do not fit, `axis` is not one axis, `reduction` is unknown, `label_smoothing`
        is not in [0, 1], `ignore_index` names a class and the targets are probabilities, or `temperature` is not a
        positive number of the dtype of `logits` that has a reciprocal there.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    TypeError
        If an argument is not numeric, complex, longdouble or has masked elements, or `ignore_index` is no integer.

    Notes
    -----
    A row's loss is the sum of a_c (log Z - x_c) over the classes c, where log Z is the `logsumexp` of the row and a_c
    the weight of the class: that of the label, else weight times probability. A class that weighs nothing does not
    count, even if its logit is -inf. It is summed up as a_c (max - x_c), and log1p of what the other classes add to Z,
    all terms being positive. If no label counts, the mean is nan and the sum 0.

    With A the sum of the a_c and p = softmax(x), the gradient is A p_c - a_c, the Hessian's diagonal A p_c (1 - p_c).
    1 - p_c comes from the other classes where one has most of the probability, so that it keeps its digits. With a
    temperature T, p = softmax(x / T), the gradient is divided by T, the Hessian by T^2, and the slope is the sum of
    (max - x_c) / T times the gradient: as a row's gradient adds up to 0, max changes nothing but the rounding.

    Labels are checked in the pass that uses them; nothing is returned if one is wrong. A row with a single infinite
    logit has the limit's loss.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import cross_entropy
    >>> logits = np.array([[2.0, 0.0], [0.0, 0.0]])
    >>> cross_entropy(logits, [0, 1], reduction="none")
    array([0.12692801, 0.69314718])
    >>> cross_entropy(logits, [[1.0, 0.0], [0.5, 0.5]])
    np.float64(0.4100375958014589)
    >>> cross_entropy(logits, [0, 1], return_grad=True)[1]
    array([[-0.05960146,  0.05960146],
           [ 0.25      , -0.25      ]])
    >>> cross_entropy(logits, [0, 1], sample_weight=[3.0, 1.0])
    np.float64(0.2684828034222157)
    >>> cross_entropy(logits, [0, 1], temperature=1.5, return_grad=True)[2]
    np.float64(0.09271490103379776)
    """
    name = "cross_entropy"
    check_reduction(name, reduction)
    x, dtype = logit_array(name, logits)
    k = class_axis(name, "logits", x, axis)
    z = target_array(name, targets, x.dtype)
    classes = x.shape[k]
    options: dict[str, Any] = {
        "smoothing": in_unit_interval(name, "label_smoothing", label_smoothing),
        "class_weight": class_weight_array(name, weight, classes),
        "probabilities": z.dtype.kind not in "biu",
    }
    labels, options["ignored"] = ignored_label(name, z, ignore_index)
    if not options["probabilities"]:
        z = labels
        check_label_shape(name, z, x, k)
    elif z.shape != x.shape:
        raise ValueError(
            f"{name}: class probabilities must have the shape of the logits, {x.shape}, not {z.shape}; class labels "
            "must be integers"
        )
    elif options["ignored"] is not None and options["ignored"] >= 0:
        raise ValueError(f"{name}: ignore_index is for labels; the targets are probabilities")
    if sample_weight is not None:
        options["sample_weight"] = row_weight_array(name, sample_weight, x.shape[:k] + x.shape[k + 1 :])
    if temperature is not None:
        options["temperature"] = as_divisor(name, temperature, x.dtype)
        if not 1 / options["temperature"] <= _LARGEST["f" if is_narrow(x.dtype) else x.dtype.char]:
            raise ValueError(f"{name}: the reciprocal of temperature must be finite in {x.dtype}, not {temperature!r}")
    return _row_loss(name, x, z, k, _derivatives(x, return_grad, return_hess), dtype, reduction, **options)


@short_way(INDEX["nll_loss"])
@of_any_array
def nll_loss(
    log_probs: ArrayLike,
    targets: ArrayLike,
    weight: ArrayLike | None = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    *,
    axis: int = -1,
) -> Any:
    """Negative log-likelihood of class labels, given log-probabilities.

    Parameters
    ----------
    log_probs : array_like
        Log-probabilities, such as `log_softmax` gives; `axis` runs over the classes.
    targets : array_like of int
        Labels of the shape of `log_probs` without `axis`, from 0 to the number of classes less 1.
    weight : array_like, optional
        One weight per class.
    ignore_index : int or None, optional
        A label that does not count.
    reduction : {'mean', 'sum', 'none'}, optional
        The mean divides by the summed class weight of the labels that count.
    axis : int, optional
        The class axis.

    Returns
    -------
    scalar or ndarray
        The loss, in the dtype of `log_probs`; of their shape without `axis` with reduction 'none'.

    Raises
    ------
    ValueError
        If a label is out of range, shapes do not fit, `axis` is not one axis, or `reduction` is unknown.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    TypeError
        If an argument is not numeric, complex, longdouble or has masked elements, or the labels or `ignore_index` are
        not integers.

    Notes
    -----
    Labels of a class that weighs nothing do not count, even where the logarithm is -inf.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import log_softmax, nll_loss
    >>> nll_loss(log_softmax(np.array([[2.0, 0.0], [0.0, 0.0]]), axis=1), [0, 1])
    np.float64(0.4100375958014589)
    """
    name = "nll_loss"
    check_reduction(name, reduction)
    x, dtype, k, z, ignored = class_labels(name, "log_probs", log_probs, targets, axis, ignore_index)
    class_weight = class_weight_array(name, weight, x.shape[k])
    if is_narrow(x.dtype) and x.shape[k] >= _MANY_CLASSES:
        x = _only_labels(x, z, k)
    return _row_loss(name, x, z, k, (None, None), dtype, reduction, class_weight=class_weight, ignored=ignored)


def _only_labels(x: np.ndarray, labels: np.ndarray, axis: int) -> np.ndarray:
    """Return an array of float32 whose rows have the number of their label for all classes, without memory for them."""
    right = (labels >= 0) & (labels < x.shape[axis])
    index = np.expand_dims(np.where(right, labels, 0).astype(np.intp), axis)
    return np.broadcast_to(np.take_along_axis(x, index, axis).astype(np.float32), x.shape)


def _derivatives(x: np.ndarray, return_grad: bool, return_hess: bool) -> _Pair:
    """Make arrays for the gradient and the Hessian; None stands for one that is not wanted."""
    return np.empty_like(x) if return_grad or return_hess else None, np.empty_like(x) if return_hess else None


def _result(loss: Any, derivatives: Iterable[Any], dtype: np.dtype, out: np.ndarray | None = None) -> Any:
    """Return the loss in its dtype, or in `out`, and with it the derivatives that are wanted."""
    if loss is not out:
        loss = deliver(cast(np.asarray(loss), dtype), out)
    wanted = [cast(np.asarray(d), dtype)[()] for d in derivatives if d is not None]
    return (loss, *wanted) if wanted else loss


def _element_loss(
    function: int,
    x: np.ndarray,
    z: np.ndarray,
    factors: _Pair,
    derivatives: _Pair,
    dtype: np.dtype,
    reduction: str,
    out: np.ndarray | None = None,
    **options: Any,
) -> Any:
    """Run the loop of a loss of elements, and return its results as they are wanted."""
    each = None
    if reduction == "none":  # Another output than one of the dtype of x gets all digits that are computed.
        own = x.dtype if out is None else working_dtype(x.dtype)
        each = out if may_write(out, x, (z, *factors)) else np.empty_like(x, own)
    value, _, _ = run_loss(function, (x, z, *factors, each, *derivatives, None), mean=reduction == "mean", **options)
    if each is not None and out is not None and each is not out:
        each = deliver(each, out)
    return _result(value if each is None else each, derivatives, dtype, out)


def _row_loss(
    name: str,
    x: np.ndarray,
    z: np.ndarray,
    axis: int,
    derivatives: _Pair,
    dtype: np.dtype,
    reduction: str,
    sample_weight: np.ndarray | None = None,
    **options: Any,
) -> Any:
    """Run the loop of the loss of rows of this name, and return its results as they are wanted.

    If there is a temperature, the derivative by it comes with the others.
    """
    mean, shape = reduction == "mean", x.shape[:axis] + x.shape[axis + 1 :]
    if mean:
        options["class_weight"], sample_weight = _near_one(z, options, sample_weight)
    each = np.zeros(shape, x.dtype) if reduction == "none" else None
    slopes = np.zeros(shape) if "temperature" in options and derivatives[0] is not None else None
    value, _, wrong = run_loss(
        INDEX[name], (x, z, sample_weight, each, *derivatives, slopes), axis, mean=mean, **options
    )
    if wrong:
        refuse_wrong_label(name, z, x.shape[axis], options["ignored"])
    slope = slopes if each is not None or slopes is None else np.sum(slopes)
    return _result(value if each is None else each, (*derivatives, slope), dtype)


def _near_one(
    z: np.ndarray, options: dict[str, Any], sample_weight: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return class weights and sample weights in other units, on which a mean does not depend, if some are far from 1.

    Near 1, they and their reciprocals are in a float's range. A unit is that of the largest weight that counts. So the
    others do not vanish beside that of an ignored row, or of a class without labels where labels are not smoothed.
    """
    weight, ignored = options["class_weight"], options["ignored"]
    by_label = not options.get("probabilities")
    if by_label and weight is not None and _some_are_far(weight):
        counts = (z >= 0) & (z < len(weight))
        if ignored is not None:
            counts &= z != ignored
        weight = _in_unit_of(weight, weight if options.get("smoothing") else weight[z[counts].astype(np.intp)])
    if sample_weight is not None and _some_are_far(sample_weight):
        those = sample_weight[z != ignored] if by_label and ignored is not None else sample_weight
        sample_weight = _in_unit_of(sample_weight, those)
    return weight, sample_weight


def _some_are_far(weight: np.ndarray) -> bool:
    """Tell whether a magnitude other than 0 is far from 1."""
    sizes = np.abs(weight)
    least = sizes.min(initial=1)
    if least == 0:
        least = sizes.min(where=sizes > 0, initial=1)
    return bool(least < 1 / _FAR or sizes.max(initial=1) > _FAR)


def _in_unit_of(weight: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Return weights divided by the power of two above the largest of those."""
    exponent = np.frexp(np.max(np.abs(those), initial=0))[1]
    with np.errstate(under="ignore", over="ignore"):
        return np.asarray(np.ldexp(weight, -exponent))
