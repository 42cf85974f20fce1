"""The names of tf.compat.v1."""

from fastlog.tf import math
from fastlog.tf.compat.v1 import nn
from fastlog.tf.math import log_sigmoid, sigmoid

__all__ = ["log_sigmoid", "math", "nn", "sigmoid"]
