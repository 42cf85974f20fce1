from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

NAMES: tuple[str, ...]
INDEX: dict[str, int]
_F = TypeVar("_F", bound=Callable[..., Any])

def compiled_targets() -> list[str]: ...
def supported_targets() -> list[str]: ...
def active_target() -> str: ...
def claims() -> dict[str, dict[str, tuple[float, tuple[float, ...]]]]: ...
def functions(target: str | None = None) -> dict[str, np.ufunc]: ...
def short_way_for_reduction(function: int) -> Callable[[_F], _F]: ...
def short_way_for_normalization(function: int) -> Callable[[_F], _F]: ...
def run_over(
    function: int,
    arrays: tuple[np.ndarray, ...],
    axes: tuple[int, ...],
    keepdims: bool = False,
    target: str | None = None,
) -> tuple[np.ndarray, ...] | None: ...
def run_rows(function: int, a: Any, axis: Any, out: Any = None, target: str | None = None) -> Any: ...
def short_way_for_elements(function: int) -> Callable[[_F], _F]: ...
def short_way_for_rows(function: int) -> Callable[[_F], _F]: ...
def run_loss(
    function: int,
    arrays: tuple[np.ndarray | None, ...],
    axis: int | None = None,
    *,
    scale: float = 1.0,
    smoothing: float = 0.0,
    positive: float = 1.0,
    negative: float = 1.0,
    gamma: float = 0.0,
    class_weight: np.ndarray | None = None,
    ignored: int | None = None,
    probabilities: bool = False,
    only_weights: bool = False,
    target: str | None = None,
) -> tuple[float, float, int]: ...
