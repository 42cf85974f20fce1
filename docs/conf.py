"""Settings of Sphinx: MyST reads Markdown, numpydoc reads docstrings, formulas become MathML, nothing is downloaded."""

import re
from typing import Any

import numpy as np
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import fastlog
from fastlog._core import NAMES
from fastlog._docs import DOCS

project = "fastlog"
author = "The fastlog authors"
copyright = author
version = release = fastlog.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # docstrings say more than the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
default_role = "code"
nitpicky = True
exclude_patterns = ["_templates"]

html_theme = "furo"
html_title = f"fastlog {version}"
html_static_path = ["_static"]
html_css_files = ["fastlog.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
pygments_style, pygments_dark_style = "friendly", "monokai"

# These pages document the names that docstrings refer to; Sphinx's own way would download inventories.
ELSEWHERE = {
    "numpy": "https://numpy.org/doc/stable/reference/generated/{}.html",
    "scipy": "https://docs.scipy.org/doc/scipy/reference/generated/{}.html",
}


def link_elsewhere(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Link names of NumPy and SciPy to their pages."""
    name = node.get("reftarget", "")
    pattern = ELSEWHERE.get(name.partition(".")[0])
    return pattern and nodes.reference("", "", content, refuri=pattern.format(name), internal=False)


def inline_formula(writer: Any, node: Any) -> None:
    """Write a formula that stands in a line of text."""
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def displayed_formula(writer: Any, node: Any) -> None:
    """Write a formula that has a line of its own."""
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def link_functions(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Make links of names such as `fastlog.softmax` in the docstrings of other libraries' names."""
    lines[:] = [re.sub(r"(?<!`)`fastlog\.(\w+)`", r":obj:`~fastlog.\1`", line) for line in lines]


def short_labels(app: Any, document: Any) -> None:
    """Show references to the literature as [1]; numpydoc gives them names that are unique among all pages."""
    for text in list(document.findall(nodes.Text)):
        if found := re.fullmatch(r"\[R[0-9a-f]{12}-(\w+)\]", text):
            text.parent.replace(text, nodes.Text(f"[{found[1]}]"))


def list_elementwise(app: Any, name: str, source: list[str]) -> None:
    """Put the elementwise functions where a page asks for their table, or for their docstrings."""
    table = ["| function | value | also |", "| :-- | :-- | :-- |"]
    docstrings = []
    for function in NAMES:
        ufunc = getattr(fastlog, function, None)
        if isinstance(ufunc, np.ufunc):
            value = " ".join(DOCS[function].strip().partition("\n\n")[0].split()).replace(", elementwise", "")
            others = [
                f"`{other}`" for other in fastlog.__all__ if getattr(fastlog, other) is ufunc and other != function
            ]
            table.append(f"| {{obj}}`~fastlog.{function}` | {value} | {', '.join(others)} |")
            docstrings.append(f".. autofunction:: {function}")
    source[0] = source[0].replace("<!-- elementwise functions: table -->", "\n".join(table))
    source[0] = source[0].replace(".. elementwise functions: docstrings", "\n".join(docstrings))


def without_last_lines(app: Any, name: str, source: list[str]) -> None:
    """Remove the empty lines that end examples; doctest needs them, readers do not."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")


def setup(app: Any) -> None:
    """Register the functions above."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (displayed_formula, None))
    app.connect("doctree-read", short_labels)
    app.connect("source-read", list_elementwise)
    app.connect("source-read", without_last_lines)
    app.connect("missing-reference", link_elsewhere)
    app.connect("autodoc-process-docstring", link_functions)
