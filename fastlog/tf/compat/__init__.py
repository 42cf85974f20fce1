"""The names of tf.compat."""

from fastlog.tf.compat import v1

__all__ = ["v1"]
