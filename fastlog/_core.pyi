from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

NAMES: tuple[str, ...]
INDEX: dict[str, int]
__pyx_capi__: dict[str, Any]  # docs/c-api.md describes it.
__test__: dict[str, Any]  # Cython makes it.
_F = TypeVar("_F", bound=Callable[..., Any])

def compiled_targets() -> list[str]: ...
def supported_targets() -> list[str]: ...
def active_target() -> str: ...
def claims() -> dict[str, dict[str, tuple[float, tuple[float, ...]]]]: ...
def functions(target: str | None = None) -> dict[str, np.ufunc]: ...
def with_loops_of(own: np.ufunc, other: np.ufunc) -> np.ufunc: ...
def loop_of(function: int, type: str, quiet: bool) -> Any: ...
def replace_loop(ufunc: np.ufunc, type: str, loop: Any) -> Any: ...
def run_over(
    function: int,
    arrays: tuple[np.ndarray, ...],
    axes: tuple[int, ...],
    keepdims: bool = False,
    target: str | None = None,
    divisor: float = 1.0,
    where: np.ndarray | None = None,
) -> tuple[np.ndarray, ...] | None: ...
def may_write(out: Any, x: np.ndarray, others: tuple[np.ndarray | None, ...] = ()) -> bool: ...
def run_rows(function: int, a: Any, axis: Any, out: Any = None, target: str | None = None) -> Any: ...
def short_way(function: int, second: int = -1) -> Callable[[_F], _F]: ...
def run_loss(
    function: int,
    arrays: tuple[np.ndarray | None, ...],
    axis: int | None = None,
    *,
    mean: bool = False,
    count: float | None = None,
    smoothing: float = 0.0,
    positive: float = 1.0,
    negative: float = 1.0,
    gamma: float = 0.0,
    class_weight: np.ndarray | None = None,
    ignored: int | None = None,
    probabilities: bool = False,
    target: str | None = None,
) -> tuple[float, float, int]: ...
