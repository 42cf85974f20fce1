"""Hidden Markov chains in logarithms: the forward and backward recursions, and what Baum-Welch needs of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlog._arrays import as_array, refuse_mask, rounded, working_dtype
from fastlog._core import functions
from fastlog._typing import AnyArray

__all__ = ["log_backward", "log_forward", "log_transitions"]

_FORWARD, _BACKWARD, _TRANSITIONS = (functions()[name] for name in __all__[1::-1] + __all__[2:])
_LEAST = -690.0  # Smaller exponentials count as 0, and csrc/loops/chain.h finds out whether that matters.


def log_forward(log_start: AnyArray, log_transition: AnyArray, log_emission: AnyArray) -> Any:
    """Forward recursion of hidden Markov chains, in logarithms.

    Parameters
    ----------
    log_start : array_like
        Logarithms of the probabilities of the first state, of the shape ``(..., K)``.
    log_transition : array_like
        Logarithms of the probabilities to go from state i to state j, of the shape ``(..., K, K)``.
    log_emission : array_like
        Logarithms of the likelihoods of the observations in each state, of the shape ``(..., T, K)``. The axes before
        them, as those of the other arguments, are those of a batch, and broadcast.

    Returns
    -------
    ndarray
        Of the shape ``(..., T, K)``: element t, k is the logarithm of the joint likelihood of the observations up to
        the time t and of state k at that time. `logsumexp` of the last line is the log-likelihood of all observations.
        The dtype is the widest of the arguments'.

    Raises
    ------
    TypeError
        If an argument is no array of real numbers up to float64, or has masked elements.
    ValueError
        If the shapes do not fit.

    See Also
    --------
    log_backward, log_transitions

    Notes
    -----
    alpha_0 = start + emission_0, and alpha_t = logsumexp(alpha_t-1 + transition, over the states before) + emission_t
    (Rabiner, "A tutorial on hidden Markov models", Proceedings of the IEEE 77, 1989). A step multiplies exponentials,
    in units of the largest, with those of the transitions; where a sum is so small that terms may have been lost, it is
    computed again as a logsumexp. So probabilities may be as small as they like, and 0. The size of the results is
    carried in two words: their error is an ulp or two of the largest number of their line, for any number of times
    that was tried. All is computed in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import log_forward, logsumexp
    >>> start, transition = np.log([0.5, 0.5]), np.log([[0.9, 0.1], [0.2, 0.8]])
    >>> emission = np.log([[0.5, 0.1], [0.5, 0.1], [0.1, 0.7]])
    >>> alpha = log_forward(start, transition, emission)
    >>> np.exp(alpha)
    array([[0.25    , 0.05    ],
           [0.1175  , 0.0065  ],
           [0.010705, 0.011865]])
    >>> float(np.exp(logsumexp(alpha[-1])).round(6))
    0.02257
    """
    start, transition, emission, dtype = _arguments("log_forward", log_start, log_transition, log_emission)
    transition, shift = _moderate(transition)
    y = _FORWARD(start, transition, _exponentials(transition), emission)[0]
    return rounded(_with_shift(y, shift), dtype)


def log_backward(log_transition: AnyArray, log_emission: AnyArray) -> Any:
    """Backward recursion of hidden Markov chains, in logarithms.

    Parameters
    ----------
    log_transition, log_emission : array_like
        As for `log_forward`.

    Returns
    -------
    ndarray
        Of the shape ``(..., T, K)``: element t, k is the logarithm of the likelihood of the observations after the time
        t, given state k at that time; 0 for the last time. ``log_forward(...) + log_backward(...)``, less the
        log-likelihood, is the logarithm of the posterior probability of each state at each time.

    Raises
    ------
    TypeError, ValueError
        As `log_forward` does.

    See Also
    --------
    log_forward, log_transitions

    Notes
    -----
    beta_T-1 = 0, and beta_t = logsumexp(transition + emission_t+1 + beta_t+1, over the states after), computed as in
    `log_forward`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import log_backward
    >>> transition = np.log([[0.9, 0.1], [0.2, 0.8]])
    >>> np.exp(log_backward(transition, np.log([[0.5, 0.1], [0.5, 0.1], [0.1, 0.7]])))
    array([[0.0778, 0.0624],
           [0.16  , 0.58  ],
           [1.    , 1.    ]])
    """
    _, transition, emission, dtype = _arguments("log_backward", 0.0, log_transition, log_emission)
    transition, shift = _moderate(np.ascontiguousarray(np.swapaxes(transition, -1, -2)))
    y = _BACKWARD(np.zeros(emission.shape[-1]), transition, _exponentials(transition), emission)[0]
    return rounded(_with_shift(y, shift, backward=True), dtype)


def log_transitions(log_transition: AnyArray, log_emission: AnyArray, log_alpha: AnyArray, log_beta: AnyArray) -> Any:
    """Logarithms of the expected numbers of transitions, which Baum-Welch estimates transitions from.

    Parameters
    ----------
    log_transition, log_emission : array_like
        As for `log_forward`.
    log_alpha, log_beta : array_like
        What `log_forward` and `log_backward` return.

    Returns
    -------
    ndarray
        Of the shape ``(..., K, K)``: element i, j is the logarithm of the sum, over all times but the last, of the
        posterior probability of state i at that time and state j at the next one; -inf for fewer than two times, and
        nan if the observations are impossible. `softmax` over the last axis is the new matrix of transitions.

    Raises
    ------
    TypeError, ValueError
        As `log_forward` does.

    See Also
    --------
    log_forward, log_backward

    Notes
    -----
    logsumexp(alpha_t(i) + transition(i, j) + emission_t+1(j) + beta_t+1(j), over t), less the log-likelihood. The sum
    is a product of matrices of exponentials; elements so small that terms may have been lost are computed again, as a
    logsumexp. The rounding of alpha and beta, an ulp of numbers that grow with the number of times, shows in the
    result.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import log_backward, log_forward, log_transitions
    >>> start, transition = np.log([0.5, 0.5]), np.log([[0.9, 0.1], [0.2, 0.8]])
    >>> emission = np.log([[0.5, 0.1], [0.5, 0.1], [0.1, 0.7]])
    >>> alpha, beta = log_forward(start, transition, emission), log_backward(transition, emission)
    >>> np.exp(log_transitions(transition, emission, alpha, beta)).round(4)
    array([[1.2661, 0.4287],
           [0.0412, 0.2641]])
    """
    name = "log_transitions"
    _, transition, emission, dtype = _arguments(name, 0.0, log_transition, log_emission)
    alpha, beta = (_numbers(name, *a) for a in (("log_alpha", log_alpha), ("log_beta", log_beta)))
    for argument, a in (("log_alpha", alpha), ("log_beta", beta)):
        if a.ndim < 2 or a.shape[-2:] != emission.shape[-2:]:
            raise ValueError(f"{name}: {argument} has the shape {a.shape}, and log_emission {emission.shape}")
        dtype = np.result_type(dtype, a)
    batch = _batch(name, log_transition=transition.shape[:-2], log_emission=emission.shape[:-2])
    _batch(name, others=batch, log_alpha=alpha.shape[:-2], log_beta=beta.shape[:-2])
    alpha, beta = (np.ascontiguousarray(a, np.float64) for a in (alpha, beta))
    return rounded(_TRANSITIONS(transition, emission, alpha, beta)[0], dtype)


def _numbers(name: str, argument: str, a: Any) -> np.ndarray:
    """Return an argument as an array of real numbers."""
    refuse_mask(name, argument, a)
    x = as_array(name, a)
    if working_dtype(x.dtype) is None:
        raise TypeError(f"{name}: computed for real numbers up to float64, not for {x.dtype}")
    return x


def _arguments(name: str, log_start: Any, log_transition: Any, log_emission: Any) -> tuple[Any, Any, Any, np.dtype]:
    """Return the arguments as contiguous arrays of float64 whose shapes fit, and the dtype of the result."""
    start = _numbers(name, "log_start", log_start)
    transition = _numbers(name, "log_transition", log_transition)
    emission = _numbers(name, "log_emission", log_emission)
    states = emission.shape[-1] if emission.ndim > 1 else None
    if states is None or transition.shape[-2:] != (states, states) or (start.ndim and start.shape[-1] != states):
        raise ValueError(
            f"{name}: the shapes are (..., K) of log_start, (..., K, K) of log_transition and (..., T, K) of "
            f"log_emission, but there are {start.shape}, {transition.shape} and {emission.shape}"
        )
    _batch(name, log_start=start.shape[:-1], log_transition=transition.shape[:-2], log_emission=emission.shape[:-2])
    dtype = np.result_type(*[a for a in (start, transition, emission) if a.ndim])
    first, second, third = (np.ascontiguousarray(a, np.float64) for a in (start, transition, emission))
    return first, second, third, dtype


def _batch(name: str, **shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that the axes of a batch have together, or say which do not fit."""
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        found = ", ".join(f"{shape} in {argument}" for argument, shape in shapes.items())
        raise ValueError(f"{name}: the axes of the batch do not broadcast together: {found}") from None


def _exponentials(transition: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.where(transition < _LEAST, 0.0, np.exp(transition))


def _moderate(transition: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return transitions of which none is far above 0, nor all far below, and what was subtracted: 0 for probabilities.

    Weights that are no probabilities may have any size.
    """
    largest = np.max(transition, axis=(-2, -1), keepdims=True, initial=-np.inf)
    moderate = ((largest <= 1) & (largest > -100)) | ~np.isfinite(largest)
    if moderate.all():
        return transition, None
    shift = np.where(moderate, 0.0, np.rint(largest))
    return transition - shift, shift


def _with_shift(y: np.ndarray, shift: Any, backward: bool = False) -> np.ndarray:
    """Return a recursion with what was subtracted from the transitions of each step."""
    if shift is None:
        return y
    times = np.arange(y.shape[-2])[:, np.newaxis]
    with np.errstate(over="ignore"):
        moved: np.ndarray = y + (times[::-1] if backward else times) * shift
    return moved
