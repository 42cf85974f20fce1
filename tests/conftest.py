"""Fixtures of elementwise functions, and how hypothesis searches.

A test that asks for `f` runs once for each elementwise function on each target of this CPU; with `dtype` besides, once
for each of those and each dtype: some 15 functions, 3 targets and 3 dtypes.
"""

import os
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers.elementwise import elementwise
from hypothesis import settings

from fastlog import _core


def needs_more_than_a_wheel(text):
    """Return whether a file of tests reads the source tree, or a package that it or a helper imports is missing."""
    for helper in re.findall(r"^from helpers\.(\w+) import", text, re.M):
        text += (Path(__file__).parent / "helpers" / f"{helper}.py").read_text()
    imported = re.findall(r"^(?:import|from) (\w+)", text, re.M)
    return "__file__).parents[1]" in text or not all(map(find_spec, imported))


# `make wheel` runs a copy of the tests beside an installed wheel: no source tree, and few other packages.
if not (Path(__file__).parents[1] / "csrc").exists():
    collect_ignore = [p.name for p in Path(__file__).parent.glob("test_*.py") if needs_more_than_a_wheel(p.read_text())]

# NumPy's library believes this variable, which names the kernels of this CPU; some tests emulate another one.
os.environ.pop("OPENBLAS_CORETYPE", None)

# Neither a clock nor a file of earlier failures decides whether a test passes. `make fuzz` searches among new examples.
settings.register_profile("fixed", deadline=None, database=None, derandomize=True, max_examples=60)
settings.register_profile("fuzz", deadline=None, database=None, max_examples=2000, print_blob=True)
settings.load_profile("fixed")


def pytest_collection_modifyitems(items):
    """Mark what `make quick` spares, targets between the best and the portable one, and what `make test-ends` does.

    JAX compiles every call. Versions of NumPy can break a target only if they break the best one, too.
    """
    _, *others = _core.supported_targets()
    for item in items:
        target = item.callspec.params.get("target") if hasattr(item, "callspec") else None
        if target in others:
            item.add_marker("other_target")
        if target in others[:-1] or "jax" in item.name:
            item.add_marker("slow")


ELEMENTWISE = [name for name, f in _core.functions().items() if f.signature is None]
BINARY = [name for name in ELEMENTWISE if _core.functions()[name].nin == 2]


@pytest.fixture(scope="session", params=_core.supported_targets())
def target(request):
    """Each target that this CPU supports."""
    return request.param


@pytest.fixture(scope="session", params=["float16", "float32", "float64"])
def dtype(request):
    """Each dtype of the elementwise functions."""
    return np.dtype(request.param)


@pytest.fixture(scope="session", params=ELEMENTWISE)
def name(request):
    """Each elementwise function's name in the table."""
    return request.param


@pytest.fixture(scope="session")
def f(target, name):
    """Each elementwise ufunc."""
    return _core.functions(target)[name]


@pytest.fixture(scope="session", params=BINARY)
def binary(request, target):
    """Each elementwise ufunc of two arguments."""
    return _core.functions(target)[request.param]


@pytest.fixture(scope="session")
def ufuncs(target):
    """All elementwise functions of the target, and its other ufuncs, by name."""
    return elementwise(target)
