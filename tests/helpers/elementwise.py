"""All elementwise functions of a target: its ufuncs, and the loss that has a claim of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastlog._core import INDEX, functions, run_loss

BCE = "binary_cross_entropy_with_logits"


class LossOfElements:
    """The binary cross-entropy of every element by the loop of a target, called as a ufunc is.

    float16 is computed in float32, as by the public function.
    """

    nin = 2

    def __init__(self, target: str | None) -> None:
        self.target = target

    def __call__(self, x: Any, z: Any) -> np.ndarray:
        """Return the losses, which have the broadcast shape of the arguments."""
        dtype = np.result_type(x, z)
        own = np.float32 if dtype == np.float16 else dtype
        x, z = (np.array(a, own) for a in np.broadcast_arrays(x, z))
        y = np.empty(x.shape, own)
        run_loss(INDEX[BCE], (x, z, None, None, y, None, None, None), target=self.target)
        with np.errstate(over="ignore", under="ignore"):
            return y.astype(dtype)[()]


def elementwise(target: str | None = None) -> dict[str, Any]:
    """Return the functions of the table by name, on the active target or another one."""
    return {**functions(target), BCE: LossOfElements(target)}
