"""logmatmulexp: the product of matrices whose entries are given by their logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastlog._arrays import aligned, as_array, broadcast_shape, deliver, is_narrow, rounded, working_dtype
from fastlog._core import INDEX, run_over, short_way
from fastlog._libraries import of_any_array
from fastlog._typing import AnyArray, Out

__all__ = ["logmatmulexp"]

_DOT, _WEIGHTED = INDEX["logdotexp"], INDEX["logsumexp_weighted"]
_ALL = np.ones((), np.bool)
_FEW = 16  # A product of shorter sides, or of fewer terms than _FEW_TERMS, takes less time without np.matmul.
_FEW_TERMS = 1 << 16
_AT_ONCE = 1 << 20  # So many numbers are copied at a time.
_LEAST_FACTOR = -690.0  # Smaller factors than e**-690 > 2**-996 count as 0, as no subnormal number is to be multiplied.
_LEAST_SUM = 2.0**-900  # In larger sums of products, what was left out does not show.


@short_way(_DOT)
@of_any_array
def logmatmulexp(a: AnyArray, b: AnyArray, *, out: Out | None = None) -> Any:
    """Matrix product of exponentials, log(exp(a) @ exp(b)), without overflow or underflow.

    Parameters
    ----------
    a, b : array_like
        Logarithms of the entries, with shapes as for `numpy.matmul`: the last axis of `a` and the last axis but one of
        `b` are summed over, further axes are broadcast, and an array of one axis is a row in `a`, a column in `b`.
        float64, float32, float16 and bfloat16 keep their dtype; booleans and integers become float64.
    out : ndarray, optional
        Array for the result, of its shape.

    Returns
    -------
    ndarray or scalar
        The logarithms of the product, of the shape that `numpy.matmul` gives; -inf where there is nothing to sum.

    Raises
    ------
    TypeError
        If an array is ragged, not numeric, longdouble or complex, or has masked elements.
    ValueError
        If an array has no axes, or the shapes do not fit.

    See Also
    --------
    logsumexp : of one array, with weights
    numpy.matmul

    Notes
    -----
    Where one of the arrays is a vector or has few rows or columns, the other one is read once, and nothing of its size
    is made. Sums a + b are taken with their rounding errors, or the exponentials of the vector multiply those of the
    matrix in the unit of each row's largest element. The error is at most 1.5 ulp of max(1, abs(result)).

    Larger products are computed by `numpy.matmul` in float64, of the exponentials in units of the largest entry of each
    row of `a` and column of `b`, rounded to a whole number, so that no difference loses a digit. An entry of which
    products may have underflowed is computed again from its own row and column, and so are entries with infinities and
    nan. The error is at most 1 ulp of max(1, abs(result)) in float32. In float64 it is at most 1.5 ulp, and the
    rounding errors of the matrix product join that: (n/2 + 2) * 2**-52 for sums of n terms if all errors have one sign,
    and 4e-16 in effect for sums of a thousand. There are temporary arrays of float64 of the sizes of `a`, `b` and the
    result.

    -inf is the logarithm of 0, and inf - inf of two factors is nan. No floating-point exception is raised. Any number
    of threads that `set_num_threads` sets gives the same bits; `numpy.matmul` has threads of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlog import logmatmulexp
    >>> transition = np.log([[0.9, 0.1], [0.2, 0.8]])
    >>> logmatmulexp(np.array([-1000.0, -1001.0]), transition)
    array([-1000.0267795 , -1000.93063423])
    >>> np.exp(logmatmulexp(transition, transition))
    array([[0.83, 0.17],
           [0.34, 0.66]])
    """
    x, y = _operand("a", a), _operand("b", b)
    dtype = np.result_type(x, y)
    working = working_dtype(dtype)
    if working is None:
        raise TypeError(f"logmatmulexp: computed for real numbers up to float64, not for {dtype}")
    wanted = dtype if is_narrow(dtype) else working
    x, y = aligned(x, wanted), aligned(y, wanted)
    is_row, is_column = x.ndim == 1, y.ndim == 1
    x, y = x[np.newaxis] if is_row else x, y[:, np.newaxis] if is_column else y
    shape = _result_shape(x, y, is_row, is_column)
    if y.ndim == 2 and x.ndim > 2:  # Matrices that are multiplied by the same one are one matrix.
        x = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    columns = np.swapaxes(y, -1, -2)
    sides = x.shape[-2], x.shape[-1], columns.shape[-2]
    if x.shape[-1] == 0 or 0 in shape:
        product = np.full(shape, -np.inf, wanted)
    elif min(sides) < _FEW or math.prod(sides) < _FEW_TERMS:
        product = _by_pairs(x, columns)
    else:
        with np.errstate(all="ignore"):
            product = _by_matmul(x, columns)
    return deliver(rounded(product.reshape(shape), dtype), out)


def _operand(name: str, a: Any) -> np.ndarray:
    if isinstance(a, np.ma.MaskedArray) and np.ma.is_masked(a):
        raise TypeError(f"logmatmulexp: {name} has masked elements; fill them first, for example with -inf")
    return as_array("logmatmulexp", a)


def _result_shape(x: np.ndarray, y: np.ndarray, is_row: bool, is_column: bool) -> tuple[int, ...]:
    """Return the shape of the product, or refuse operands in the words of `numpy.matmul`."""
    for k, operand in enumerate((x, y)):
        if operand.ndim == 0:
            raise ValueError(
                f"logmatmulexp: Input operand {k} does not have enough dimensions (has 0, the signature "
                "(n?,k),(k,m?)->(n?,m?) requires 1)"
            )
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(
            "logmatmulexp: Input operand 1 has a mismatch in its core dimension 0, with the signature "
            f"(n?,k),(k,m?)->(n?,m?) (size {y.shape[-2]} is different from {x.shape[-1]})"
        )
    batch = broadcast_shape("logmatmulexp", x.shape[:-2], y.shape[:-2])
    return (*batch, *(() if is_row else x.shape[-2:-1]), *(() if is_column else y.shape[-1:]))


def _by_pairs(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the logarithms of the sums of exp(x + y) of all rows of `x` with all columns."""
    pair = x[..., :, np.newaxis, :], columns[..., np.newaxis, :, :]
    # The walker gives the loop the axis along which the first argument varies least: the longer one of both.
    arrays = pair if columns.shape[-2] >= x.shape[-2] else (pair[1], pair[0])
    made = run_over(_DOT, arrays, (max(part.ndim for part in pair) - 1,))
    assert made is not None
    return made[0]


def _by_matmul(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the same by the product of two matrices of exponentials; entries that it loses come from their pairs.

    The product in units of exp(tops) is right where no term of it can have underflowed: where all factors are above
    exp(-345), or where the sum is so large that terms that have do not show in it.
    """
    rows, top_of_rows, rows_are_wide, odd_rows = _factors(x)
    others, top_of_others, others_are_wide, odd_columns = _factors(columns)
    product = np.matmul(rows, np.swapaxes(others, -1, -2))
    tops = top_of_rows + np.swapaxes(top_of_others, -1, -2)  # These are whole numbers, and so is their sum.
    tops = np.broadcast_to(tops, product.shape)
    again = odd_rows | np.swapaxes(odd_columns, -1, -2)
    if rows_are_wide or others_are_wide:
        again = again | (product < _LEAST_SUM)
    log = np.log(product)
    y = np.asarray(tops + log)
    # Where the sum is much nearer to 0 than the logarithm, the digits that this was rounded to are not enough.
    loses = np.abs(log) > 2 * np.maximum(np.abs(y), 1)
    if x.dtype == np.float64 and np.any(loses):
        made = run_over(_WEIGHTED, (tops[loses][:, np.newaxis], product[loses][:, np.newaxis], _ALL), (1,))
        assert made is not None
        y[loses] = made[0]
    if not np.any(again):
        return y
    again = np.broadcast_to(again, y.shape)
    if 2 * np.count_nonzero(again) > again.size:
        return _by_pairs(x, columns)
    *batch, row, column = np.nonzero(again)
    x, columns = (np.broadcast_to(part, y.shape[:-2] + part.shape[-2:]) for part in (x, columns))
    step = max(_AT_ONCE // x.shape[-1], 1)
    for k in range(0, len(row), step):
        at = tuple([part[k : k + step] for part in batch])
        i, j = row[k : k + step], column[k : k + step]
        y[(*at, i, j)] = _by_pairs(x[(*at, i)][:, np.newaxis], columns[(*at, j)][:, np.newaxis])[:, 0, 0]
    return y


def _factors(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool, np.ndarray]:
    """Return exp(x - top) in float64, where `top` is a whole number next to the largest element of each row.

    The rounding error of the difference multiplies the exponential. Returned are also `top`, whether factors are so
    small that a product of two may underflow, and which rows have nan or inf, so that their factors mean nothing.
    """
    x = x.astype(np.float64, copy=False)
    top = np.max(x, axis=-1, keepdims=True)
    odd = ~(top < np.inf)
    top = np.where(np.isfinite(top), np.rint(top), 0.0)
    below = x - top
    factor = np.exp(below)
    part = below - x
    error = (x - (below - part)) - (top + part)
    factor += factor * np.where(np.isfinite(below), error, 0.0)
    is_small = below < _LEAST_FACTOR
    factor[is_small] = 0.0
    is_wide = np.any((below < _LEAST_FACTOR / 2) & (x > -np.inf))
    return factor, top, bool(is_wide), odd
