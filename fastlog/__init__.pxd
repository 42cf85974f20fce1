"""``cimport fastlog``: functions of numbers and of arrays, without the GIL. docs/c-api.md explains them."""

from fastlog._core cimport *
