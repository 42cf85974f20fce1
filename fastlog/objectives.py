"""Losses as objectives of XGBoost, LightGBM and CatBoost, each with its metric, and of scipy.optimize.

`binary`, `multiclass` and `focal` make objectives for boosting. `LinearModel` is an objective for scipy.optimize, with
its gradient and with products of its Hessian.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import fastlog
from fastlog._arguments import real_array, target_array
from fastlog._arrays import as_array

__all__ = ["LinearModel", "Metric", "Objective", "binary", "focal", "multiclass"]

LIBRARIES = ("xgboost", "lightgbm", "catboost")


# ---- losses: each returns the weighted sum, and with `derivatives` its gradient and its Hessian's diagonal ----


def _binary(x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, derivatives: bool) -> Any:
    y = _probabilities(y)
    return fastlog.binary_cross_entropy_with_logits(x, y, weight, reduction="sum", return_hess=derivatives)


def _focal(x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, derivatives: bool, **options: Any) -> Any:
    return fastlog.focal_loss(x, _probabilities(y), **options, weight=weight, reduction="sum", return_hess=derivatives)


def _multiclass(x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, derivatives: bool) -> Any:
    if x.ndim != 2:
        raise ValueError(
            f"a multiclass objective needs margins of the shape (rows, classes), not {x.shape}: set num_class to the "
            "number of classes; XGBoost before 2.1 and LightGBM before 4.0 have other margins"
        )
    return fastlog.cross_entropy(
        x, _class_labels(y), ignore_index=None, reduction="sum", sample_weight=weight, return_hess=derivatives
    )


_LOSSES: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "binary": ("binary_cross_entropy", _binary),
    "multiclass": ("cross_entropy", _multiclass),
    "focal": ("focal_loss", _focal),
}


def _probabilities(y: np.ndarray) -> np.ndarray:
    """Refuse targets outside [0, 1], such as -1."""
    if y.size and not (y.min() >= 0 and y.max() <= 1):
        raise ValueError(
            "a binary objective needs labels 0 and 1, or probabilities; labels -1 and +1 need (y + 1) / 2, and more "
            "classes the multiclass objective"
        )
    return y


def _unmasked(a: Any) -> np.ndarray:
    """Return an argument as an array. Masked elements are refused as losses refuse them."""
    return real_array("objectives", a)[0] if isinstance(a, np.ma.MaskedArray) else np.asarray(a)


def _class_labels(y: np.ndarray) -> np.ndarray:
    """Return class labels, which the libraries keep as floats, as integers."""
    if y.dtype.kind in "biu":
        return y
    with np.errstate(invalid="ignore"):  # nan is refused below
        labels = y.astype(np.int32)
    if not np.array_equal(labels, y):
        raise ValueError("a multiclass objective needs whole numbers from 0 on as labels")
    return labels


# ---- boosting ----


class _Callable:
    """What an objective and its metric share: the loss, and the arguments of the libraries' calls."""

    no_jit = True  # CatBoost does not try to compile the methods with numba, nor warn that it cannot

    def __init__(self, library: str, loss: str, options: Mapping[str, Any]) -> None:
        if library not in LIBRARIES:
            raise ValueError(f"library must be one of {', '.join(map(repr, LIBRARIES))}, not {library!r}")
        self.library, self.loss, self.options = library, loss, dict(options)
        self.__name__ = _LOSSES[loss][0]  # XGBoost shows it
        self._sum(np.zeros((0, 2) if loss == "multiclass" else 0), np.zeros(0), None, False)  # refuses wrong options

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"<{type(self).__name__.lower()} {self.loss}({self.library!r}{options})>"

    def _sum(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, derivatives: bool) -> Any:
        return _LOSSES[self.loss][1](x, y, weight, derivatives, **self.options)

    @staticmethod
    def _arguments(first: Any, second: Any, weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, bool]:
        """Return margins, targets, weights, and whether the call is one of the native interface."""
        native = hasattr(second, "get_label")
        if native:
            first, second, weight = second.get_label(), first, second.get_weight()
        if weight is not None:
            weight = _unmasked(weight)
        if weight is not None and not weight.size:  # XGBoost's word for none
            weight = None
        return _unmasked(second), _unmasked(first), weight, native


class Objective(_Callable):
    """An objective of a boosting library, made by `binary`, `multiclass` or `focal`.

    The library calls it: natively as ``objective(margins, data)``, from scikit-learn's classes as ``objective(y_true,
    margins)`` or ``objective(y_true, margins, sample_weight)``. `data` is known by its method `get_label`. CatBoost
    calls `calc_ders_range` and `calc_ders_multi`.

    Attributes
    ----------
    metric : Metric
        The mean of the loss, for early stopping.
    """

    def __init__(self, library: str, loss: str, options: Mapping[str, Any]) -> None:
        super().__init__(library, loss, options)
        self.metric = Metric(library, loss, options)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient and the diagonal of the Hessian, in the shape of the margins."""
        x, y, weight, _ = self._arguments(y_true, y_pred, sample_weight)
        _, grad, hess = self._sum(x, y, weight, True)
        if self.loss == "multiclass":
            classes = x.shape[1]
            hess *= {"xgboost": 2.0, "lightgbm": classes / max(classes - 1, 1), "catboost": 1.0}[self.library]
        return grad, np.abs(hess, out=hess) if self.loss == "focal" else hess

    def calc_ders_range(self, approxes: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """Return two columns for CatBoost, which maximizes: the derivatives of the negative loss."""
        grad, hess = self(targets, approxes, weights)
        return -np.stack((grad, hess), axis=1)

    def calc_ders_multi(self, approxes: np.ndarray, target: float, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and Hessian of one row for CatBoost, which maximizes: those of the negative loss."""
        p = fastlog.softmax(approxes)
        label = int(target)
        if label != target or not 0 <= label < len(p):
            raise ValueError(f"the label {target} is no whole number from 0 to {len(p) - 1}")
        hess = weight * np.outer(p, p)
        hess[np.diag_indices_from(hess)] -= weight * p
        grad = -weight * p
        grad[label] += weight
        return grad, hess


class Metric(_Callable):
    """The weighted mean of an objective's loss, as the metric of a boosting library.

    The library calls it as it calls the `Objective`. It returns what the library wants: XGBoost's native interface
    ``(name, value)``, its scikit-learn classes the value, LightGBM ``(name, value, False)``. CatBoost calls `evaluate`
    and `get_final_error`.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the metric of margins."""
        x, y, weight, native = self._arguments(y_true, y_pred, sample_weight)
        value = self.get_final_error(float(self._sum(x, y, weight, False)), _total(weight, y))
        if self.library == "lightgbm":
            return self.__name__, value, False
        return (self.__name__, value) if native else value

    def evaluate(self, approxes: Any, target: np.ndarray, weight: np.ndarray | None) -> tuple[float, float]:
        """Return the sum of the losses, and that of the weights, for CatBoost."""
        x = np.stack(approxes, axis=1) if self.loss == "multiclass" else np.asarray(approxes[0])
        return float(self._sum(x, target, weight, False)), _total(weight, target)

    def get_final_error(self, error: float, weight: float) -> float:
        """Return the mean, for CatBoost."""
        return error / weight if weight else float("nan")

    def is_max_optimal(self) -> bool:
        """Tell CatBoost that a small loss is a good one."""
        return False


def _total(weight: np.ndarray | None, y: np.ndarray) -> float:
    return float(len(y) if weight is None else np.sum(weight, dtype=np.float64))


def binary(library: str) -> Objective:
    """Make the objective of binary cross-entropy, for labels 0 and 1 or probabilities.

    Parameters
    ----------
    library : {'xgboost', 'lightgbm', 'catboost'}
        The library that is to use it.

    Returns
    -------
    Objective
        The objective; its attribute `metric` is the metric.

    Raises
    ------
    ValueError
        If the library is none of these; when called, if a label is outside [0, 1].

    See Also
    --------
    fastlog.binary_cross_entropy_with_logits : the loss.

    Notes
    -----
    The gradient is w (p - y) and the Hessian w p (1 - p), where w is the sample weight and p = sigmoid(margin), as in
    the libraries' own objectives. Those start from the mean of the labels, a custom objective from 0: see the page
    "Losses as objectives" for the settings that make both equal.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import objectives
    >>> objective = objectives.binary("lightgbm")
    >>> objective(np.array([0, 1]), np.array([0.0, 0.0]))
    (array([ 0.5, -0.5]), array([0.25, 0.25]))
    >>> objective.metric(np.array([0, 1]), np.array([0.0, 0.0]))
    ('binary_cross_entropy', 0.6931471805599453, False)
    """
    return Objective(library, "binary", {})


def multiclass(library: str) -> Objective:
    """Make the objective of cross-entropy, for class labels from 0 on.

    Parameters
    ----------
    library : {'xgboost', 'lightgbm', 'catboost'}
        The library that is to use it.

    Returns
    -------
    Objective
        The objective; its attribute `metric` is the metric.

    Raises
    ------
    ValueError
        If the library is none of these; when called, if a label is no whole number or out of range, or the margins are
        not of the shape (rows, classes).

    See Also
    --------
    fastlog.cross_entropy : the loss.

    Notes
    -----
    The gradient is w (p - y), where w is the sample weight, p = softmax(margins) and y is 1 for the label's class. The
    diagonal of the Hessian, w p (1 - p), is multiplied by 2 for XGBoost and by K / (K - 1) for LightGBM, where K is the
    number of classes, as these libraries do themselves. CatBoost gets the whole Hessian of each row.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import objectives
    >>> grad, hess = objectives.multiclass("xgboost")(np.array([2.0]), np.zeros((1, 4)))
    >>> grad, hess
    (array([[ 0.25,  0.25, -0.75,  0.25]]), array([[0.375, 0.375, 0.375, 0.375]]))
    """
    return Objective(library, "multiclass", {})


def focal(library: str, alpha: float | None = None, gamma: float = 2.0) -> Objective:
    """Make the objective of the focal loss, for labels 0 and 1 or probabilities.

    Parameters
    ----------
    library : {'xgboost', 'lightgbm', 'catboost'}
        The library that is to use it.
    alpha : float, optional
        Weight of the label 1, that of 0 being 1 - alpha. By default both weigh 1.
    gamma : float, optional
        The power, at least 0.

    Returns
    -------
    Objective
        The objective; its attribute `metric` is the metric.

    Raises
    ------
    ValueError
        If the library is none of these, `alpha` is not in [0, 1] or `gamma` is negative; when called, if a label is
        outside [0, 1].

    See Also
    --------
    fastlog.focal_loss : the loss.

    Notes
    -----
    The focal loss is not convex. Where its Hessian is negative, its absolute value is returned, so that a step goes
    downhill.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import objectives
    >>> objectives.focal("catboost", gamma=1.0).metric.evaluate([np.zeros(3)], np.array([0, 1, 1]), None)
    (1.0397207708399179, 3.0)
    """
    return Objective(library, "focal", {"alpha": alpha, "gamma": gamma})


# ---- scipy.optimize ----


class LinearModel:
    """The loss of a linear model as a function of its coefficients, for scipy.optimize.

    Parameters
    ----------
    x : array_like or sparse matrix of shape (n, d)
        The data. A column of ones makes an intercept.
    y : array_like of shape (n,)
        Labels 0 and 1 or probabilities; class labels from 0 on with the loss 'multiclass'.
    loss : {'binary', 'multiclass', 'focal'}, optional
        The loss.
    weight : array_like of shape (n,), optional
        Sample weights.
    l2 : float or array_like, optional
        The penalty l2/2 w**2; an array of the shape of `coefficients(w)` or one that broadcasts to it penalizes each
        coefficient on its own: 0 for an intercept.
    **options : dict
        `alpha` and `gamma` of the focal loss.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is out of range, or the loss is unknown.
    TypeError
        If an argument is not numeric, complex, longdouble or has masked elements.

    Notes
    -----
    A call with the coefficients returns the sum of the losses, plus the penalty, and its gradient, for ``jac=True``.
    `hessp` returns the product of the Hessian with a vector, in two products with `x`. The second derivatives of the
    rows are kept until the coefficients change, so that the many steps of conjugate gradients in ``Newton-CG`` and
    ``trust-ncg`` compute them once.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.optimize import minimize
    >>> from fastlog.objectives import LinearModel
    >>> x, y = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]), np.array([0, 1, 0, 1])
    >>> model = LinearModel(x, y, l2=[0.0, 1.0])
    >>> fit = minimize(model, model.start(), jac=True, hessp=model.hessp, method="trust-ncg", tol=1e-10)
    >>> fit.x.round(4)
    array([-0.6793,  0.4529])
    """

    def __init__(
        self,
        x: Any,
        y: ArrayLike,
        loss: str = "binary",
        *,
        weight: ArrayLike | None = None,
        l2: ArrayLike = 0.0,
        **options: Any,
    ) -> None:
        if loss not in _LOSSES:
            raise ValueError(f"loss must be one of {', '.join(map(repr, _LOSSES))}, not {loss!r}")
        self._x = x if hasattr(x, "tocsr") else real_array("LinearModel", x)[0]
        self._y = target_array("LinearModel", y, np.dtype(np.float64))
        if self._x.ndim != 2 or self._y.shape != self._x.shape[:1]:
            raise ValueError(f"x of shape (n, d) needs y of shape (n,); got {self._x.shape} and {self._y.shape}")
        self._weight = None if weight is None else real_array("LinearModel", weight)[0]
        if self._weight is not None and self._weight.shape != self._y.shape:
            raise ValueError(f"weight must have the shape of y, {self._y.shape}, not {self._weight.shape}")
        self._shape: tuple[int, ...] = (self._x.shape[1],)
        if loss == "multiclass":
            self._y = _class_labels(self._y)
            self._shape += (int(self._y.max(initial=0)) + 1,)
        self._l2 = np.broadcast_to(real_array("LinearModel", l2)[0].astype(np.float64), self._shape)
        self._loss, self._options, self._multiclass = _LOSSES[loss][1], options, loss == "multiclass"
        self._kept: tuple[np.ndarray, np.ndarray] | None = None
        self(self.start())  # refuses wrong labels and options

    def start(self) -> np.ndarray:
        """Return coefficients to start from, all 0, in the flat form that scipy.optimize wants."""
        return np.zeros(int(np.prod(self._shape)))

    def coefficients(self, w: np.ndarray) -> np.ndarray:
        """Return flat coefficients in their shape, (d,), or (d, classes) for 'multiclass'."""
        return as_array("LinearModel", w).reshape(self._shape)

    def __call__(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient, flat."""
        c = self.coefficients(w)
        loss, grad, _ = self._loss(self._x @ c, self._y, self._weight, True, **self._options)
        return float(loss) + 0.5 * float(np.sum(self._l2 * c * c)), (self._x.T @ grad + self._l2 * c).ravel()

    def hessp(self, w: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the product of the Hessian at `w` with the vector `p`, flat."""
        second, direction = self._second(w), self.coefficients(p)
        change = self._x @ direction
        if self._multiclass:
            change -= np.sum(second * change, axis=1, keepdims=True)
            change *= second
            if self._weight is not None:
                change *= self._weight[:, np.newaxis]
        else:
            change *= second
        product: np.ndarray = self._x.T @ change + self._l2 * direction
        return product.ravel()

    def _second(self, w: np.ndarray) -> np.ndarray:
        """Return what the Hessian is made of, kept from the last call if that had the same coefficients.

        For 'multiclass', these are the probabilities; else the second derivatives of the rows.
        """
        kept = self._kept  # Another thread may replace it.
        if kept is None or not np.array_equal(kept[0], w):
            margin = self._x @ self.coefficients(w)
            if self._multiclass:
                second = fastlog.softmax(margin, axis=1)
            else:
                second = self._loss(margin, self._y, self._weight, True, **self._options)[2]
            self._kept = kept = np.array(w), second
        return kept[1]
