"""Every example in a docstring or on a page runs and prints what it says."""

import doctest
import importlib
import inspect
import pkgutil
import re
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


LONG = ("arrays.md", "objectives.md")  # their examples import JAX, or train models
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if ">>> " in page.read_text()]


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.name in LONG)) for page in PAGES]
)
def test_pages(page):
    results = doctest.testfile(str(page), module_relative=False)
    assert results.attempted == len(re.findall("^>>> ", page.read_text(), re.M))
    assert results.failed == 0


def test_the_site_documents_every_public_name_once():
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    documented = re.findall(r"^\.\. auto(?:function|class):: (\w+)$", pages, re.M)
    aliases = {"log1pexp", "log_expit", "expit", "softplus_inverse"}
    public = sorted(set(fastlog.__all__) - aliases - {"__version__"})
    # docs/conf.py lists the ufuncs where these two lines stand.
    assert pages.count("\n<!-- elementwise functions: table -->\n") == 1
    assert pages.count("\n.. elementwise functions: docstrings\n") == 1
    others = sorted(set(public) - set(UFUNCS))
    assert sorted(documented) == others
    assert sorted(re.findall(r"`~fastlog\.(\w+)`", (ROOT / "docs" / "functions.md").read_text())) == others


def test_links_between_pages_lead_somewhere():
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_promise_names_tests_that_exist():
    page = (ROOT / "docs" / "promises.md").read_text()
    rows = [row for row in re.findall(r"^\| (.*) \|$", page, re.M) if not row.startswith(("|", ":--"))]
    assert len(rows) >= 30
    for row in rows:
        promise, tests = row.rsplit(" | ", 1)
        named = re.findall(r"`(\w+)(?:: (\w+))?`", tests)
        assert named, promise
        for file, name in named:
            text = (ROOT / "tests" / f"test_{file}.py").read_text()
            assert f"\ndef test_{name}" + ("(" if name else "") in text, f"{file}: {name}"


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
