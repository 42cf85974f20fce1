"""Dask arrays: functions compute lazily, block by block, over any chunks of any axes.

Sums of exponentials are carried from block to block as LogSumExp carries them, in a tree; such sums normalise chunked
axes, too. Losses are sums of the blocks' sums, in float64.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial, reduce
from inspect import BoundArguments
from typing import Any

import dask.array as da
import numpy as np

from fastlog._arguments import REDUCTIONS, check_reduction, one_hot_hint, row_weight_error
from fastlog._arrays import as_axes, as_divisor, cast, fits, refuse_mask, working_dtype
from fastlog._categorical import ImportanceWeights
from fastlog._elementwise import logaddexp
from fastlog._libraries import each
from fastlog._running import NOTHING, Sums, mean_of, merged, normalized, sign_of, size_of, sums_of_chunk, value_of
from fastlog._softmax import softmax

_Function = Callable[..., Any]


def call(function: _Function, bound: BoundArguments) -> Any:
    """Compute a function of fastlog's on a Dask array."""
    bound.apply_defaults()
    name, options = function.__name__, bound.arguments
    if options.pop("out", None) is not None:
        raise TypeError(f"{name}: out= is for NumPy's arrays; store the result, for example with dask.array.store")
    if name not in _COMPUTATIONS:
        raise TypeError(
            f"{name}: not computed for Dask arrays; call it on blocks in memory, or compute the array first"
        )
    first = options.pop(next(iter(options)))
    x = _floating(name, first, options.pop("dtype", None))
    computation: _Function = _COMPUTATIONS[name]
    result = computation(function, x, **options)
    if not hasattr(first, "to_dask_array") or "reduction" in bound.signature.parameters:
        return result
    return each(lambda y: _framed(y, first), result)


def _framed(y: Any, frame: Any) -> Any:
    """Return results for the rows of a DataFrame or Series with its index, and its columns if they have as many.

    Other results stay arrays.
    """
    rows = frame.npartitions
    if y.ndim == 0 or y.numblocks != (rows,) + (1,) * (y.ndim - 1) or not math.isnan(y.shape[0]):
        return y
    if y.ndim == frame.ndim:
        columns = list(frame.columns) if y.ndim == 2 else frame.name
        if y.ndim == 2 and y.shape[1] != len(columns):
            return y
    elif y.ndim == 1:
        columns = None
    else:
        return y
    return sys.modules["dask.dataframe"].from_dask_array(y, columns=columns, index=frame.index)


def _as_dask(a: Any) -> Any:
    """Return any array as a Dask array."""
    return a.to_dask_array() if hasattr(a, "to_dask_array") else da.asarray(a)


def _is_masked(x: Any) -> bool:
    return isinstance(x._meta, np.ma.MaskedArray)


def _unmasked(name: str, argument: str, a: Any) -> Any:
    """Return an argument, which must not have masked elements, as a Dask array; None stays None."""
    refuse_mask(name, argument, a)
    a = None if a is None else _as_dask(a)
    if a is None or not _is_masked(a):
        return a
    return a.map_blocks(partial(_unmasked_block, name, argument), dtype=a.dtype, meta=np.empty((0,) * a.ndim, a.dtype))


def _unmasked_block(name: str, argument: str, block: np.ndarray) -> np.ndarray:
    refuse_mask(name, argument, block)
    return np.ma.getdata(block)


def _floating(name: str, a: Any, dtype: Any = None) -> Any:
    x = _as_dask(a)
    wanted = np.dtype(np.float64 if dtype is None and x.dtype.kind in "biu" else dtype or x.dtype)
    if (wanted.kind != "f" and wanted.name != "bfloat16") or working_dtype(wanted) is None:
        raise TypeError(f"{name}: Dask arrays are computed for real numbers up to float64, not for {wanted}")
    return x.astype(wanted)


def _alike(x: Any, *others: Any) -> list[Any]:
    """Return Dask arrays without masks broadcast together and cut into the same blocks; None stays None.

    Blocks of unknown sizes are taken to fit where there are as many.
    """
    given = [x, *[a for a in others if a is not None]]
    layouts = [(a.numblocks, tuple(-1 if math.isnan(n) else n for n in a.shape)) for a in given]
    if layouts != layouts[:1] * len(given) or any(a.chunks != given[0].chunks for a in given if not math.isnan(a.size)):
        try:
            given = da.broadcast_arrays(*given)
        except ValueError:
            shapes = " and ".join(str(a.shape) for a in given)
            raise ValueError(f"the shapes {shapes} of Dask arrays do not broadcast together") from None
        axes = tuple(range(given[0].ndim))
        _, given = da.core.unify_chunks(*[part for a in given for part in (a, axes)])
    rest = iter(given)
    return [next(rest), *[None if a is None else next(rest) for a in others]]


def _fitting(name: str, argument: str, a: Any, x: Any) -> Any:
    """Return an argument, broadcast to the shape of `x` if that is known."""
    a = _unmasked(name, argument, a)
    if any(map(math.isnan, x.shape)):
        return a
    try:
        return da.broadcast_to(a, x.shape)
    except ValueError:
        raise ValueError(f"{name}: {argument} has the shape {a.shape}, which does not fit {x.shape}") from None


def _by_block(function: _Function, *arrays: Any, dtype: Any, **options: Any) -> Any:
    """Map blocks to blocks of the same shape, or of `chunks`; arguments that are None are passed on as such."""
    present = [a is not None for a in arrays]
    given = [a for a in arrays if a is not None]
    token = getattr(function, "func", function).__name__.strip("_")  # Dashboards show this name.
    options = {"meta": np.empty((0,) * arrays[0].ndim, dtype), "token": token, "dtype": dtype} | options
    return da.map_blocks(_with_gaps, *given, function=function, present=present, **options)


def _with_gaps(*blocks: Any, function: _Function, present: list[bool], **options: Any) -> Any:
    given = iter(blocks)
    return function(*[next(given) if there else None for there in present], **options)


def _one_per_block(x: Any, axes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple([(1,) * n if k in axes else c for k, (n, c) in enumerate(zip(x.numblocks, x.chunks, strict=True))])


# ---- sums of exponentials ----

_SUMS = np.dtype([(field, np.float64) for field in Sums._fields])


def _sum(name: str, x: Any, axis: Any, b: Any, where: Any, keepdims: bool) -> tuple[Any, np.dtype[Any], Any]:
    """Return sums over the axes (an array of structures), the dtype of results, and their mask or None."""
    number = b if type(b) in (bool, int, float) else None
    weight = None if number is not None else _unmasked(name, "b", b)
    dtype = x.dtype
    if weight is not None:
        dtype = np.result_type(dtype, np.float64 if weight.dtype.kind in "iu" else weight.dtype)
    where = None if where is None else _fitting(name, "where", where, x)
    mask = None
    if _is_masked(x):  # Broadcasting loses masks.
        mask = da.ma.getmaskarray(x)
        x, where = da.ma.getdata(x), ~mask if where is None else where & ~mask
    x, weight, where, mask = _alike(x, weight, where, mask)
    axes = as_axes(axis, x.ndim)
    options = {"axes": axes, "number": number, "chunks": _one_per_block(x, axes)}
    mask = mask if mask is None or not axes else mask.all(axis=axes, keepdims=keepdims)
    sums = _by_block(_sum_of_block, x, weight, where, dtype=_SUMS, **options)
    if axes:
        meta = np.empty((0,) * (x.ndim if keepdims else x.ndim - len(axes)), _SUMS)
        tree = {"chunk": _unchanged, "combine": _merge, "aggregate": _merge, "concatenate": False}
        sums = da.reduction(sums, axis=axes, keepdims=keepdims, dtype=_SUMS, meta=meta, **tree)
    return sums, dtype, mask


def _sum_of_block(x: Any, weight: Any, where: Any, axes: tuple[int, ...], number: float | None) -> np.ndarray:
    return _packed(sums_of_chunk("logsumexp", x, number if weight is None else weight, where, axes, True)[0])


def _packed(sums: Sums) -> np.ndarray:
    packed = np.empty(sums.max.shape, _SUMS)
    for name, part in zip(Sums._fields, sums, strict=True):
        packed[name] = part
    return packed


def _unpacked(packed: np.ndarray) -> Sums:
    return Sums(*[packed[name] for name in Sums._fields])


def _unchanged(block: np.ndarray, **_: Any) -> np.ndarray:
    return block


def _flat(blocks: Any) -> Iterator[np.ndarray]:
    if isinstance(blocks, list):
        for one in blocks:
            yield from _flat(one)
    else:
        yield blocks


def _merge(blocks: Any, axis: Any, keepdims: bool) -> np.ndarray:
    packed = _packed(reduce(merged, map(_unpacked, _flat(blocks))))
    return packed if keepdims else packed.squeeze(axis)


def _finished(sums: Any, mask: Any, result_of: _Function, dtype: np.dtype[Any]) -> Any:
    """Return results of sums, under a mask if there is one."""
    meta = np.empty((0,) * sums.ndim, dtype)
    if mask is not None:
        meta = np.ma.array(meta)
    return _by_block(partial(_finished_block, result_of=result_of, of=dtype), sums, mask, dtype=dtype, meta=meta)


def _finished_block(packed: np.ndarray, mask: Any, result_of: _Function, of: np.dtype[Any]) -> np.ndarray:
    y = result_of(_unpacked(packed), of)
    return y if mask is None else np.ma.array(y, mask=mask)


def _logsumexp(function: _Function, x: Any, axis: Any, b: Any, keepdims: bool, return_sign: bool, where: Any) -> Any:
    sums, dtype, mask = _sum(function.__name__, x, axis, b, where, keepdims)
    if not return_sign:
        return _finished(sums, mask, value_of, dtype)
    return _finished(sums, mask, size_of, dtype), _finished(sums, mask, sign_of, dtype)


def _logmeanexp(function: _Function, x: Any, axis: Any, b: Any, keepdims: bool, where: Any) -> Any:
    sums, dtype, mask = _sum(function.__name__, x, axis, b, where, keepdims)
    return _finished(sums, mask, mean_of, dtype)


def _logmatmulexp(function: _Function, x: Any, b: Any) -> Any:
    """Return the product of blocks; the axis that is summed over lies in one block."""
    name = function.__name__
    x, y = _unmasked(name, "a", x), _unmasked(name, "b", _floating(name, b))
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise ValueError(f"{name}: the shapes {x.shape} and {y.shape} do not fit")
    x, y = x.rechunk({x.ndim - 1: -1}), y.rechunk({max(y.ndim - 2, 0): -1})
    n = max(x.ndim, y.ndim, 2) - 2  # The batch has the axes 0 to n - 1, the matrices have n, n + 1 and n + 2.
    batch = tuple(range(n))
    of_x = (*batch[n + 2 - x.ndim :], n, n + 1) if x.ndim > 1 else (n + 1,)
    of_y = (*batch[n + 2 - y.ndim :], n + 1, n + 2) if y.ndim > 1 else (n + 1,)
    axes = (*batch, *([n] if x.ndim > 1 else []), *([n + 2] if y.ndim > 1 else []))
    return _blockwise(function, axes, [x, of_x, y, of_y], np.result_type(x, y))


def _logcumsumexp(function: _Function, x: Any, axis: Any, reverse: bool, exclusive: bool) -> Any:
    if axis is None:
        x, axis = x.reshape(-1) if x.size else da.empty_like(x, shape=0, chunks=-1), 0
    (k,) = as_axes((axis,), max(x.ndim, 1))
    x = da.atleast_1d(x)
    if x.size == 0:
        return x
    x = da.flip(x, k) if reverse else x
    options = {"axes": (k,), "number": None, "chunks": _one_per_block(x, (k,))}
    of_blocks = _by_block(_sum_of_block, x, None, None, dtype=_SUMS, **options)
    so_far = da.reductions.cumreduction(_unchanged, _merge_two, _packed(NOTHING), of_blocks, k, _SUMS)
    before = _shifted(so_far, k, _packed(NOTHING))
    y = _by_block(partial(_cumulative, function, axis=k), x, before, dtype=x.dtype)
    y = _shifted(y, k, -np.inf).rechunk(x.chunks) if exclusive else y
    y = _by_block(_masked_as, x, y, dtype=x.dtype, meta=x._meta)
    return da.flip(y, k) if reverse else y


def _shifted(x: Any, axis: int, first: Any) -> Any:
    """Return `x` with `first` in front, and without its last element, along an axis."""
    before = (slice(None),) * axis
    return da.concatenate([da.full_like(x[(*before, slice(0, 1))], first), x[(*before, slice(0, -1))]], axis=axis)


def _merge_two(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return _packed(merged(_unpacked(one), _unpacked(other)))


def _cumulative(function: _Function, x: np.ndarray, before: np.ndarray, axis: int) -> np.ndarray:
    """Return the cumulative sums of a block, without its mask, given the sum of all blocks before it."""
    y = np.ma.getdata(function(x, axis))
    total = value_of(_unpacked(before), np.dtype(np.float64))
    with np.errstate(all="ignore"):
        return cast(logaddexp(y, total), x.dtype)


def _normalized(
    function: _Function, x: Any, axis: Any, where: Any, temperature: float, return_lse: bool = False, *, logs: bool
) -> Any:
    """Return softmax, or its logarithms, and the logsumexp of the rows if wanted."""
    name = function.__name__
    axes = as_axes(axis, x.ndim)
    function(np.empty(0, x.dtype), temperature=temperature)  # This raises for a wrong temperature.
    if where is not None:
        x, where = _alike(x, _fitting(name, "where", where, x))
    if temperature != 1:
        x = _by_block(partial(_tempered, temperature=temperature), x, dtype=x.dtype, meta=x._meta)
    in_one = all(x.numblocks[k] == 1 for k in axes)
    if not in_one or return_lse:
        counted = where
        if logs:  # Elements above -inf count: the only one of a row gives 0.0, not -0.0.
            counted = da.ma.getdata(x) != -np.inf
            counted = counted if where is None else counted & where
        sums, _, mask = _sum(name, x, axis, None, counted, True)
    if in_one:
        y = _by_block(partial(_normalized_block, function, axes=axes), x, where, dtype=x.dtype)
    else:
        y = _by_block(partial(_part_of_rows, logs=logs), x, sums, where, dtype=x.dtype)
    if not return_lse:
        return y
    lse = _finished(sums, mask, value_of, x.dtype)
    return y, lse.squeeze(axes) if axes else lse


def _categorical_entropy(function: _Function, logits: Any, axis: Any, keepdims: bool) -> Any:
    """Return entropies; each distribution is moved into one block."""
    axes = as_axes(axis, logits.ndim)
    x = _unmasked(function.__name__, "the argument", logits).rechunk(dict.fromkeys(axes, -1))
    inner = tuple(range(x.ndim))
    y = _blockwise(partial(function, axis=axes), tuple(k for k in inner if k not in axes), [x, inner], x.dtype)
    return da.expand_dims(y, axes) if keepdims and axes else y


def _importance_weights(function: _Function, x: Any, axis: Any) -> Any:
    x = _unmasked(function.__name__, "the argument", x)
    (k,) = as_axes((axis,), x.ndim)
    weights = _normalized(softmax, x, k, None, 1.0, logs=False)
    squares = (weights.astype(np.float64) ** 2).sum(axis=k)
    log_mean = _logmeanexp(function, x, k, None, False, None)
    return ImportanceWeights(weights, log_mean, _quotient(1.0, squares, x.dtype, math.nan))


def _tempered(x: np.ndarray, temperature: Any) -> np.ndarray:
    with np.errstate(all="ignore"):
        return _masked_as(x, np.ma.getdata(x) / x.dtype.type(temperature))


def _masked_as(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return y under the mask of x, if x has one."""
    return np.ma.array(y, mask=np.ma.getmaskarray(x)) if isinstance(x, np.ma.MaskedArray) else y


def _normalized_block(function: _Function, x: Any, where: Any, axes: tuple[int, ...]) -> Any:
    return function(x, axes, where=where)


def _part_of_rows(x: np.ndarray, packed: np.ndarray, where: Any, logs: bool) -> np.ndarray:
    """Return softmax or, with `logs`, log_softmax of parts of rows, given the sums over whole rows."""
    working = working_dtype(x.dtype)
    with np.errstate(over="ignore"):  # Elements that do not count, and logarithms, may be too large.
        y = cast(normalized(np.ma.getdata(x).astype(working, copy=False), _unpacked(packed), logs), x.dtype)
    mask = np.ma.getmask(x)
    left_out = mask if where is None else mask | ~where
    np.copyto(y, -np.inf if logs else 0, where=left_out)
    return _masked_as(x, y)


# ---- losses ----


def _loss(
    function: _Function,
    x: Any,
    targets: Any,
    *,
    reduction: str,
    return_grad: bool = False,
    return_hess: bool = False,
    arrays: dict[str, Any] | None = None,
    axis: int | None = None,
    count: Any = None,
    **options: Any,
) -> Any:
    """Return a loss and its derivatives, from blocks that hold whole rows.

    `arrays` has further arguments that are arrays, or None: weights of elements, in the shape of the logits, of rows,
    or of classes. The class axis, if there is one, is in one block. A mean divides by `count`, by default the number
    of elements. If there is a temperature, the derivative by it comes with the others.
    """
    nothing = np.empty((0, 1), x.dtype), np.empty((0, 1) if axis is None else 0, int)
    function(*nothing, reduction=reduction, **options)  # This raises for a wrong option.
    if options.get("temperature") is not None:
        options["temperature"] = as_divisor(function.__name__, options["temperature"], x.dtype)
    inner = tuple(range(x.ndim))
    outer = tuple(k for k in inner if k != axis)
    count_of_derivatives = max(int(return_grad), 2 * int(return_hess))
    derivatives = range(1, 1 + count_of_derivatives)
    slopes = bool(derivatives) and options.get("temperature") is not None
    operands: list[Any] = [x, inner, targets, outer if targets.ndim < x.ndim else inner]
    for argument, a in (arrays or {}).items():
        axes = inner if axis is None else outer if argument == "sample_weight" else (axis,)
        operands += [a, None if a is None else axes]
    of_block = partial(_loss_of_block, function, tuple(arrays or ()), {} if axis is None else {"axis": axis}, options)

    def blocks(part: int, reduction: str, axes: tuple[int, ...], dtype: Any, **adjusted: Any) -> Any:
        run = partial(of_block, part, reduction, count_of_derivatives)
        return _blockwise(run, axes, operands, dtype, **adjusted)

    if reduction == "none":
        results = [blocks(0, reduction, outer, x.dtype)]
        results += [blocks(k, reduction, inner, x.dtype) for k in derivatives]
        results += [blocks(-1, reduction, outer, x.dtype)] if slopes else []
    else:
        ones = {"adjust_chunks": {k: (1,) * x.numblocks[k] for k in outer}}
        total = blocks(0, "sum", outer, np.float64, **ones).sum()
        scale = 1.0 if reduction == "sum" else _size(x) if count is None else count
        results = [_quotient(total, scale, x.dtype, math.nan)]
        results += [_quotient(blocks(k, "sum", inner, np.float64), scale, x.dtype, 0.0) for k in derivatives]
        if slopes:
            results.append(_quotient(blocks(-1, "sum", outer, np.float64, **ones).sum(), scale, x.dtype, 0.0))
    return results[0] if len(results) == 1 else tuple(results)


def _blockwise(function: _Function, axes: tuple[int, ...], operands: list[Any], dtype: Any, **adjusted: Any) -> Any:
    """Return a function of whole blocks, given as arrays and their axes, in turn."""
    meta = np.empty((0,) * len(axes), dtype)
    return da.blockwise(function, axes, *operands, dtype=dtype, meta=meta, concatenate=True, **adjusted)


def _loss_of_block(
    function: _Function,
    names: tuple[str, ...],
    axis: dict[str, int],
    options: dict[str, Any],
    part: int,
    reduction: str,
    derivatives: int,
    x: Any,
    targets: Any,
    *arrays: Any,
) -> Any:
    """Compute the loss, gradient, Hessian or, as the last part, slope of a block; sums as arrays of one element."""
    wanted = dict(zip(names, arrays, strict=True))
    if reduction != "none":  # What is added up or divided by a sum is rounded to the dtype of the logits after that.
        x = x.astype(np.float64, copy=False)
    if part:
        wanted["return_hess" if derivatives == 2 else "return_grad"] = True
    result = function(x, targets, reduction=reduction, **wanted, **axis, **options)
    result = result[part] if isinstance(result, tuple) else result
    if reduction == "none" or part > 0:
        return result
    return np.full((1,) * (x.ndim - len(axis)), result, np.float64)


def _quotient(a: Any, b: Any, dtype: np.dtype[Any], of_nothing: float) -> Any:
    return da.core.elemwise(partial(_quotient_of_block, of=dtype, of_nothing=of_nothing), a, b, dtype=dtype)


def _quotient_of_block(a: Any, b: Any, of: np.dtype[Any], of_nothing: float) -> Any:
    with np.errstate(all="ignore"):
        return np.where(b == 0, of_nothing, np.divide(a, b)).astype(of)


def _size(x: Any) -> Any:
    """Return the number of elements, which may not be known yet."""
    return _by_block(partial(np.ones_like, dtype=bool), x, dtype=bool).sum() if math.isnan(x.size) else x.size


def _refuse_others(name: str, x: Any, z: Any, shape: tuple[float, ...]) -> None:
    """Refuse targets of another shape than this one, which those of the logits `x` have.

    Targets of known lengths are refused for logits of unknown ones, and the reverse: nothing tells which belong
    together. Chunks of a DataFrame, or of an array that a condition has chosen, have unknown lengths.
    """
    unknown = [any(map(math.isnan, a.shape)) for a in (x, z)]
    if unknown[0] != unknown[1]:
        one, other = ("logits", "targets") if unknown[0] else ("targets", "logits")
        raise ValueError(
            f"{name}: the chunks of the {one} have unknown lengths, those of the {other} known ones; call "
            f"x.compute_chunk_sizes() on the {one}, or frame.to_dask_array(lengths=True) if they are a DataFrame; or "
            f"take {other} from the same DataFrame"
        )
    if unknown[0] and x.numblocks[0] != z.numblocks[0]:
        raise ValueError(
            f"{name}: logits and targets of unknown lengths have {x.numblocks[0]} and {z.numblocks[0]} chunks; call "
            "compute_chunk_sizes() on both, or give both the same partitions"
        )
    if any(n != m and not math.isnan(n + m) for n, m in itertools.zip_longest(z.shape, shape, fillvalue=-1)):
        hint = one_hot_hint(name, z.shape, x.shape)
        raise ValueError(f"{name}: targets must have the shape {shape} for logits of {x.shape}, not {z.shape}{hint}")


def _of_elements(function: _Function, x: Any, targets: Any, reduction: str, **options: Any) -> Any:
    """Return a loss of elements; of its options, `weight` and `pos_weight` are arrays or None."""
    name = function.__name__
    arrays: dict[str, Any] = {k: options.pop(k) for k in ("weight", "pos_weight") if k in options}
    x, z = _unmasked(name, "the first argument", x), _unmasked(name, "targets", targets)
    _refuse_others(name, x, z, x.shape)
    x, z, *given = _alike(x, z, *[None if a is None else _fitting(name, k, a, x) for k, a in arrays.items()])
    arrays = dict(zip(arrays, given, strict=True))
    return _loss(function, x, z, reduction=reduction, arrays=arrays, **options)


def _segment_logsumexp(function: _Function, x: Any, segment_ids: Any, num_segments: int | None) -> Any:
    """Return the sums that blocks along the first axis have for every segment, added up, all in float64."""
    x = _unmasked("segment_logsumexp", "data", x)
    ids = _unmasked("segment_logsumexp", "segment_ids", segment_ids)
    if ids.ndim != 1 or x.ndim == 0 or (ids.shape != x.shape[:1] and not math.isnan(ids.shape[0] + x.shape[0])):
        raise ValueError(f"segment_logsumexp: segment_ids has the shape {ids.shape}, and data {x.shape}")
    n = num_segments
    if n is None:
        largest = partial(np.max, initial=-1)  # There may be no indices at all.
        n = 1 + int(da.reduction(ids.astype(np.int64), largest, largest, dtype=np.int64).compute())
    s, inner = x.ndim, tuple(range(x.ndim))

    def of_block(block: np.ndarray, its_ids: np.ndarray) -> np.ndarray:
        sums: np.ndarray = function(block.astype(np.float64), its_ids, n)
        return sums[np.newaxis]

    adjusted = {"new_axes": {s: n}, "adjust_chunks": {0: 1}}
    sums = _blockwise(of_block, (0, s, *inner[1:]), [x, inner, ids, (0,)], np.float64, **adjusted)
    return _logsumexp(function, sums, 0, None, False, False, None).astype(x.dtype)


def _kl_divergence(function: _Function, x: Any, p: Any, log_target: bool, axis: Any, reduction: str) -> Any:
    check_reduction("kl_divergence", reduction, (*REDUCTIONS, "batchmean"))
    axes = as_axes(axis, x.ndim)
    if reduction == "none":
        dtype, z = x.dtype, _unmasked("kl_divergence", "p", p)
        _refuse_others("kl_divergence", x, z, x.shape)
        x, z = _alike(_unmasked("kl_divergence", "log_q", x).astype(np.float64), z)
        each = _by_block(partial(function, log_target=log_target, axis=(), reduction="none"), x, z, dtype=x.dtype)
        return (each.sum(axis=axes) if axes else each).astype(dtype)
    count = None
    if reduction == "batchmean":
        reduction, count = "mean", next((n for k, n in enumerate(x.shape) if k not in axes), 1)
    return _of_elements(function, x, p, reduction, log_target=log_target, count=count)


def _of_rows(
    function: _Function, x: Any, targets: Any, weight: Any, ignore_index: Any, reduction: str, axis: Any, **options: Any
) -> Any:
    """Return a loss of rows, each of which is moved into one block."""
    name, sample_weight = function.__name__, options.pop("sample_weight", None)
    (k,) = as_axes((axis,), x.ndim)
    x = _unmasked(name, "the first argument", x).rechunk({k: -1})
    z = _unmasked(name, "targets", targets)
    of_labels = z.dtype.kind != "f"
    inner = tuple(range(x.ndim))
    outer = tuple(i for i in inner if i != k)
    _refuse_others(name, x, z, tuple(x.shape[i] for i in (outer if of_labels else inner)))
    z = z.rechunk({k: -1}) if not of_labels else z
    rows = None if sample_weight is None else _row_weights(name, sample_weight, x, outer)
    pairs = [x, inner, z, outer if of_labels else inner, *([] if rows is None else [rows, outer])]
    _, (x, z, *given) = da.core.unify_chunks(*pairs)
    rows = given[0] if given else None
    if weight is not None:
        weight = _unmasked(name, "weight", weight).rechunk(-1)
        if weight.shape != (x.shape[k],):
            raise ValueError(f"{name}: weight must have the shape ({x.shape[k]},), one per class, not {weight.shape}")
    count = None
    if reduction == "mean":
        if of_labels:
            of_block = partial(_weight_of_block, ignore_index=ignore_index)
            ones = {"adjust_chunks": {i: (1,) * x.numblocks[i] for i in outer}}
            operands = [z, outer, weight, None if weight is None else (k,), rows, None if rows is None else outer]
            count = _blockwise(of_block, outer, operands, np.float64, **ones).sum()
        elif rows is not None:
            count = rows.sum(dtype=np.float64)
        else:
            count = _size(x) / x.shape[k] if x.shape[k] else math.prod(x.shape[i] for i in outer)
    arrays = {"weight": weight} if rows is None else {"weight": weight, "sample_weight": rows}
    options |= {"arrays": arrays, "axis": k, "count": count, "ignore_index": ignore_index}
    return _loss(function, x, z, reduction=reduction, **options)


def _row_weights(name: str, weight: Any, x: Any, outer: tuple[int, ...]) -> Any:
    w, rows = _unmasked(name, "sample_weight", weight), tuple(x.shape[i] for i in outer)
    if any(map(math.isnan, w.shape + rows)):
        if w.numblocks != tuple(x.numblocks[i] for i in outer):
            raise ValueError(f"{name}: sample_weight needs chunks like those of the rows, whose lengths are not known")
        return w
    if not fits(w.shape, rows):
        raise row_weight_error(name, w.shape, rows)
    return da.broadcast_to(w, rows)


def _weight_of_block(labels: np.ndarray, weight: Any, rows: Any, ignore_index: int | None) -> np.ndarray:
    """Return the summed weight of the labels that count; the loss, not this function, checks labels."""
    each = np.ones(labels.shape) if weight is None else np.take(weight, labels, mode="clip").astype(np.float64)
    if rows is not None:
        each = np.multiply(each, rows, where=(each != 0) & (rows != 0), out=np.zeros(labels.shape))
    total = np.sum(each, where=True if ignore_index is None else labels != ignore_index)
    return np.full((1,) * labels.ndim, total, np.float64)


_COMPUTATIONS: dict[str, _Function] = {
    "logsumexp": _logsumexp,
    "logmeanexp": _logmeanexp,
    "logcumsumexp": _logcumsumexp,
    "segment_logsumexp": _segment_logsumexp,
    "logmatmulexp": _logmatmulexp,
    "softmax": partial(_normalized, logs=False),
    "log_softmax": partial(_normalized, logs=True),
    "categorical_entropy": _categorical_entropy,
    "importance_weights": _importance_weights,
    "binary_cross_entropy_with_logits": _of_elements,
    "focal_loss": _of_elements,
    "kl_divergence": _kl_divergence,
    "cross_entropy": _of_rows,
    "nll_loss": _of_rows,
}
