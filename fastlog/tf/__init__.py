"""The names and defaults of TensorFlow, on NumPy arrays: ``tf.math``, ``tf.nn``, ``tf.compat.v1``."""

from fastlog.tf import compat, math, nn

__all__ = ["compat", "math", "nn"]
