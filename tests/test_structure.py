"""The rules of the house: the table is complete, includes and imports point one way, vectors stay in vec/."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from reference import ELEMENTWISE

import fastlog
from fastlog._core import INDEX, NAMES, claims, functions
from fastlog._docs import DOCS

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
SOURCES = sorted(p for p in CSRC.rglob("*") if p.suffix in (".c", ".h", ".def"))


@pytest.mark.parametrize("name", NAMES)
def test_row_is_complete(name):
    """Docstring, reference, claim, export and benchmark of a row of the table."""
    assert len(DOCS.get(name, "").split()) > 5, "no docstring in fastlog/_docs.py"
    ufunc = functions()[name]
    if ufunc.signature is None:
        assert name in ELEMENTWISE, "no reference in tests/reference.py"
        assert all(ulp > 0 for ulp, _ in claims()[name].values()), "no claim in csrc/functions.def"
        assert name in fastlog.__all__, "not exported by fastlog/__init__.py"
        public = getattr(fastlog, name)
        if isinstance(public, np.ufunc):
            assert public is ufunc
            assert "Examples\n" in ufunc.__doc__
            assert "Parameters\n" in ufunc.__doc__


def test_every_public_row_has_a_benchmark():
    cases = (ROOT / "bench" / "cases.py").read_text()
    for name in INDEX:
        if name in fastlog.__all__ or name not in NAMES:  # or is a loss
            assert f'"{name}"' in cases, f"no benchmark of {name} in bench/cases.py"


def test_docstrings_state_the_claims_of_the_table():
    for name, claim in claims().items():
        public = getattr(fastlog, name)
        for ulp, _ in claim.values():
            if isinstance(public, np.ufunc) or name in ("logsumexp", "softmax", "log_softmax"):
                assert f"{ulp:g} ulp" in public.__doc__, f"{name} does not state its error of {ulp:g} ulp"


def test_the_page_on_accuracy_states_the_claims_of_the_table():
    page = (ROOT / "docs" / "accuracy.md").read_text()
    for name, claim in claims().items():
        rows = re.findall(rf"^\| `{name}` \|(.*\*\*.*)$", page, re.M)
        stated = [re.findall(r"\*\*(.*?)\*\*", row) for row in rows]
        assert stated == [[f"{ulp:g}" for ulp, _ in claim.values()]], f"{name}: run python -m bench --readme"


def test_public_names():
    assert sorted(fastlog.__all__) == list(fastlog.__all__)
    for name in fastlog.__all__:
        assert getattr(fastlog, name) is not None
    assert fastlog.softplus is fastlog.log1pexp
    assert fastlog.log_sigmoid is fastlog.log_expit
    assert fastlog.sigmoid is fastlog.expit
    assert fastlog.logexpm1 is fastlog.softplus_inverse


# What a file may include: itself and what stands before it.
LEVELS = ["coefficients", "vec", "math", "kernels", "status.h", "functions.def", "fastlog.h", "loops.h", "row_sums.h",
          "rows.h", "losses.h", "row_losses.h", "scan.h", "weighted.h", "target.c", "dispatch.c"]  # fmt: skip


def level(path: Path) -> int:
    inside = path.relative_to(CSRC)
    return LEVELS.index(inside.parts[0])


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CSRC)))
def test_includes_point_down(path):
    for name in re.findall(r'^#include "(.+)"', path.read_text(), re.M):
        found = [base / name for base in (path.parent, CSRC) if (base / name).exists()]
        assert found, f"{name} is not in csrc/"
        assert level(found[0]) <= level(path), f"{path.name} includes {name}"


# Python modules by level; a module may import from lower levels only.
PYTHON = {
    "_docs": 0, "_arrays": 0, "_arguments": 1, "_methods": 1, "_core": 2, "_config": 3, "_elementwise": 3, "_rows": 3,
    "_running": 4,
    "_other.__init__": 3, "_other.namespace": 4, "_other.elementwise": 4, "_other.labelled": 4, "_other.dask": 5,
    "_reductions": 4, "_losses": 4, "_patch": 5, "__init__": 6, "__main__": 7, "special": 7, "nn.functional": 7,
    "nn.__init__": 8, "tf.math": 7, "tf.nn": 8, "tf.compat.v1.nn": 9, "tf.compat.v1.__init__": 10,
    "tf.compat.__init__": 11, "tf.__init__": 12,
}  # fmt: skip


def test_imports_point_down():
    package = ROOT / "fastlog"
    modules = {".".join(p.relative_to(package).with_suffix("").parts): p for p in package.rglob("*.py")}
    assert set(modules) | {"_core"} == set(PYTHON)
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            imported = []
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastlog"):
                inside = node.module.split(".")[1:]
                imported = [".".join([*inside, alias.name]) for alias in node.names]
                imported = [i if i in PYTHON else i + ".__init__" if i + ".__init__" in PYTHON else ".".join(inside)
                            for i in imported]  # fmt: skip
            elif isinstance(node, ast.Import):
                imported = ["" for alias in node.names if alias.name == "fastlog"]
            for one in imported:
                other = one if one in PYTHON else (one + ".__init__").lstrip(".")
                # Code that runs among another module's globals imports its own module.
                assert other == name or PYTHON[other] < PYTHON[name], f"{name} imports {other}"


def test_the_c_core_knows_no_python():
    for path in SOURCES:
        assert not re.search(r"Python\.h|numpy/|npy_\w+\(|PyObject", path.read_text()), path.name


def test_intrinsics_stay_in_vec():
    """Apart from the status register, no intrinsic and no vector type of an instruction set stands outside vec/."""
    for path in SOURCES:
        if path.parent.name != "vec":
            found = set(re.findall(r"_mm\w*|__m\d+\w*|\bv\w+q_[fsu]\d+", path.read_text()))
            assert found <= ({"_mm_getcsr", "_mm_setcsr"} if path.name == "status.h" else set()), path.name


def test_every_vector_header_has_every_operation():
    def operations(path):
        return set(re.findall(r"^INLINE \w+ ([vim]_\w+)\(", path.read_text(), re.M))

    headers = {p.name: operations(p) for p in (CSRC / "vec").glob("*.h") if p.name != "vec.h"}
    assert set(headers) == {"portable.h", "avx2.h", "avx512.h", "neon.h"}
    capabilities = {"v_lookup"}  # of those headers that announce them
    for name, found in headers.items():
        assert found | capabilities == headers["portable.h"], name
    documented = set(re.findall(r"\b([vim]_[a-z_]+)\b", (CSRC / "vec" / "vec.h").read_text()))
    assert headers["portable.h"] == documented - {"v_"}


def test_kernels_are_short_and_plain():
    """No conditional and no macro in a kernel, and no function longer than 25 lines."""
    for path in (CSRC / "kernels").glob("*.h"):
        text = path.read_text()
        assert not re.search(r"^#\s*(if(?!ndef FASTLOG_)|el|define (?!FASTLOG_))", text, re.M), path.name
        for body in re.findall(r"^INLINE [^;{]*\{\n(.*?)^\}", text, re.M | re.S):
            assert body.count("\n") <= 25, path.name
