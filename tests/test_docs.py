"""Every example in a docstring or on a page runs and prints what it says."""

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import fastlog

ROOT = Path(__file__).parents[1]
MODULES = ["fastlog", *(m.name for m in pkgutil.walk_packages(fastlog.__path__, "fastlog."))]


@pytest.mark.parametrize("name", MODULES)
def test_module_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


UFUNCS = [name for name in fastlog.__all__ if isinstance(getattr(fastlog, name), np.ufunc)]


@pytest.mark.parametrize("name", UFUNCS)
def test_ufunc_examples(name):
    ufunc = getattr(fastlog, name)
    examples = doctest.DocTestParser().get_doctest(ufunc.__doc__, {}, name, None, 0)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0


@pytest.mark.parametrize("page", ["README.md", "docs/objectives.md"])
def test_pages(page):
    results = doctest.testfile(str(ROOT / page), module_relative=False)
    assert results.attempted > 5
    assert results.failed == 0


@pytest.mark.parametrize("name", fastlog.__all__)
def test_public_functions_are_documented(name):
    public = getattr(fastlog, name)
    if name == "__version__":
        return
    sections = ["Examples\n"]
    if isinstance(public, np.ufunc) or inspect.signature(public).parameters:
        sections += ["Parameters\n", "Raises\n"] + ([] if inspect.isclass(public) else ["Returns\n"])
    for section in sections:
        assert section in inspect.getdoc(public), f"{name} has no section {section.strip()}"
