"""Arrays of other libraries, where these are installed, and derivatives by JAX and torch."""

import importlib.util
import sys

import numpy as np
import pytest

LIBRARIES = {"array_api_strict": "array_api_strict", "jax": "jaxlib", "torch": "torch", "torch with gradient": "torch"}


def library(name):
    """Return a library's module of arrays, or skip the test where it is not installed."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed; make peers brings it")
    module = importlib.import_module(name)
    if name == "jax":
        module.config.update("jax_enable_x64", True)
        return module.numpy
    return module


def numbers(a):
    """Return the numbers of an array of any library as one of NumPy."""
    return np.asarray(a.detach() if hasattr(a, "detach") else a)


def gradients(f, *arguments):
    """Yield the derivatives of the sum of f by each argument, as JAX finds them, and torch where it is installed.

    The first argument of f is a function that makes arrays of the library; the others are the arguments.
    """
    jnp, jax = library("jax"), sys.modules["jax"]
    arguments = [np.asarray(a, float) for a in arguments]
    g = jax.jit(jax.grad(lambda *a: f(jnp.asarray, *a).sum(), tuple(range(len(arguments)))))
    yield [np.asarray(part) for part in g(*map(jnp.asarray, arguments))]
    if importlib.util.find_spec("torch"):
        torch = library("torch")
        tensors = [torch.asarray(a).requires_grad_() for a in arguments]
        found = torch.autograd.grad(f(lambda b: torch.asarray(np.asarray(b)), *tensors).sum(), tensors)
        yield [part.numpy() for part in found]
