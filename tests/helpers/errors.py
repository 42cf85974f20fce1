"""The errors of functions at given points: exact results, ulp, and what a claim covers; for tests, tools and bench."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import gmpy2
import numpy as np

from helpers import hardest
from helpers.elementwise import elementwise
from helpers.hardest import Point
from helpers.reference import exact, wide

BLOCK = 2**16  # inputs at a time: their doubles stay in the cache

Function = Callable[..., np.ndarray]


@dataclass
class Errors:
    """The errors over some inputs.

    `worst` holds the largest error of each block and its input, the largest first; `wrong_at` is the first input whose
    result is wrong.
    """

    worst: list[tuple[float, Point]] = field(default_factory=list)
    misrounded: int = 0
    wrong: int = 0
    count: int = 0
    wrong_at: Point = ()

    def add(self, other: Errors) -> None:
        """Add the errors over other inputs."""
        self.worst = hardest.largest(self.worst + other.worst)
        self.misrounded += other.misrounded
        self.wrong += other.wrong
        self.count += other.count
        self.wrong_at = self.wrong_at or other.wrong_at

    @property
    def largest(self) -> float:
        """The largest error in ulp."""
        return self.worst[0][0] if self.worst else 0.0

    @property
    def at(self) -> Point:
        """The arguments that have the largest error."""
        return self.worst[0][1] if self.worst else ()


@dataclass
class Expected:
    """Exact results, as `value` + `rest` units in the last place.

    Attributes
    ----------
    value : ndarray of float64
    rest : ndarray of float64 or 0
        The exact result minus `value`, in ulp.
    ulp : ndarray of float64
        Unit in the last place of the exact result rounded to the function's dtype; the smallest subnormal below the
        normal numbers.
    signed : ndarray of bool or True
        True where the sign of a zero in `value` is known.
    """

    value: np.ndarray
    rest: np.ndarray | float
    ulp: np.ndarray
    signed: np.ndarray | bool

    def __getitem__(self, kept: np.ndarray) -> Expected:
        """Return some of the results."""
        rest, signed = (a[kept] if isinstance(a, np.ndarray) else a for a in (self.rest, self.signed))
        return Expected(self.value[kept], rest, self.ulp[kept], signed)


def ulps(value: np.ndarray, dtype: type) -> np.ndarray:
    """Return the units in the last place of numbers rounded to `dtype`, as doubles; they follow from the exponents."""
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        power = value.astype(dtype)
        bits = power.view(f"u{info.dtype.itemsize}")
        bits &= np.array(np.inf, dtype).view(bits.dtype)
        np.maximum(power, info.smallest_normal, out=power)
        unit = power.astype(np.float64)
        unit *= info.eps
    return unit


def by_double(name: str, dtype: type, *x: np.ndarray) -> Expected:
    """Return results of float32 functions by their float64 kernels, whose errors are below 1e-7 float32 ulp."""
    with np.errstate(all="ignore"):  # casting a signalling nan is invalid
        value = elementwise()[name](*(a.astype(np.float64) for a in x))
    return Expected(value, 0.0, ulps(value, dtype), True)


def by_numpy(name: str, dtype: type, *x: np.ndarray) -> Expected:
    """Return results of float32 functions by NumPy, without fastlog's kernels; zeros have no sign."""
    value = wide(name, *x).astype(np.float64)
    return Expected(value, 0.0, ulps(value, dtype), value != 0)


def from_mpfr(exactly: list[gmpy2.mpfr], dtype: type, least: float = 0.0) -> Expected:
    """Return results that are known in 400 bits; `least` is the smallest unit, 0 for the dtype's own."""
    value = np.array([float(v) for v in exactly])
    unit = np.maximum(ulps(value, dtype), least)
    rest = [float((v - r) / u) for v, r, u in zip(exactly, value.tolist(), unit.tolist(), strict=True)]
    return Expected(value, np.array(rest), unit, np.array([not least and not gmpy2.is_zero(v) for v in exactly]))


def by_mpfr(name: str, dtype: type, *x: np.ndarray) -> Expected:
    """Return results of any function in 400 bits, for float64; one takes some 10 µs."""
    return from_mpfr([exact(name, *point) for point in zip(*(a.tolist() for a in x), strict=True)], dtype)


REFERENCES = {np.float32: by_double, np.float64: by_mpfr}


def errors(got: np.ndarray, expected: Expected) -> np.ndarray:
    """Return errors in ulp; they are inf where an infinity, a nan or the sign of a zero is wrong."""
    with np.errstate(all="ignore"):
        error = np.subtract(got, expected.value)
        error /= expected.ulp
        error -= expected.rest
        np.abs(error, out=error)
        rounded = expected.value.astype(got.dtype)
        if not error.max(initial=0) < np.inf:
            same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
            np.copyto(error, np.where(same, 0, np.inf), where=~(error < np.inf))
    integer = f"i{got.dtype.itemsize}"
    sign = got.view(integer) ^ rounded.view(integer)
    if sign.min(initial=0) < 0:
        error[(sign < 0) & ((got == 0) | (rounded == 0)) & expected.signed] = np.inf
    return error


def claimed(name: str, x: tuple[np.ndarray, ...], expected: np.ndarray, reference: Function) -> np.ndarray:
    """Tell where the claim holds and the reference has digits enough.

    logaddexp2 claims ulp away from cancellation only. Where logaddexp and logsubexp cancel, long doubles lack the
    digits.
    """
    of_sums = 2.0**-14 if reference is by_numpy else 0.0
    nearest = {"logaddexp2": 2.0**-4, "logaddexp": of_sums, "logsubexp": of_sums}.get(name, 0.0)
    if not nearest:
        return np.ones(expected.shape, bool)
    return np.abs(expected) > np.maximum(np.abs(x[0]), np.abs(x[1])).astype(expected.dtype) * nearest


def blocks(
    name: str, dtype: type, x: tuple[np.ndarray, ...], reference: Function | None = None
) -> Iterator[tuple[tuple[np.ndarray, ...], Expected]]:
    """Cut arguments into blocks; yield the arguments and the expected results where there is a claim.

    References other than `by_double` are for finite arguments only.
    """
    reference = reference or REFERENCES[dtype]
    for first in range(0, x[0].size, BLOCK):
        point = tuple(a[first : first + BLOCK] for a in x)
        if reference is not by_double:
            finite = np.all([np.isfinite(a) for a in point], axis=0)
            point = tuple(a[finite] for a in point)
        expected = reference(name, dtype, *point)
        if not (kept := claimed(name, point, expected.value, reference)).all():
            point, expected = tuple(a[kept] for a in point), expected[kept]
        yield point, expected


def summarise(x: tuple[np.ndarray, ...], error: np.ndarray) -> Errors:
    """Return the largest finite error and the counts."""
    if not error.size:
        return Errors()
    k = int(error.argmax())
    wrong, wrong_at = 0, ()
    if error[k] == np.inf:
        wrong_at = tuple(float(a[k]) for a in x)
        wrong = int(np.count_nonzero(error == np.inf))
        error = np.where(error == np.inf, 0, error)
        k = int(error.argmax())
    worst = [(float(error[k]), tuple(float(a[k]) for a in x))] if error[k] > 0 else []
    return Errors(worst, int(np.count_nonzero(error > 0.5)), wrong, error.size, wrong_at)


def measure(
    name: str,
    dtype: type,
    x: tuple[np.ndarray, ...],
    candidates: dict[str, Function],
    reference: Function | None = None,
) -> dict[str, Errors]:
    """Measure the errors of implementations of one function.

    Parameters
    ----------
    name : str
        The row of the table.
    dtype : type
        The dtype of arguments and results.
    x : tuple of ndarray
        The arguments.
    candidates : dict
        Implementations by name, for example fastlog's on each target.
    reference : callable, optional
        ``by_double``, ``by_numpy`` or ``by_mpfr``; as REFERENCES says for the dtype if it is left out.

    Returns
    -------
    dict
        `Errors` by name.
    """
    found = {candidate: Errors() for candidate in candidates}
    for point, expected in blocks(name, dtype, x, reference):
        for candidate, f in candidates.items():
            with np.errstate(all="ignore"):  # other tests hold the floating-point exceptions
                got = f(*point)
            found[candidate].add(summarise(point, errors(got, expected)))
    return found


def on_targets(name: str, targets: list[str]) -> dict[str, Function]:
    """Return one of fastlog's functions on each target."""
    return {target: elementwise(target)[name] for target in targets}
