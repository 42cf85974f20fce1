"""The rules of the house: the table is complete, includes and imports point one way, vectors stay in vec/."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import hardest
from helpers.reference import ELEMENTWISE
from helpers.special_values import SPECIAL

import fastlog
from fastlog._core import INDEX, NAMES, claims, functions
from fastlog._docs import DOCS

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "csrc"
SOURCES = sorted(p for p in CSRC.rglob("*") if p.suffix in (".c", ".h", ".def"))


def words_of(path: str) -> set[str]:
    """Return all words of a file."""
    return set(re.findall(r"\w+", (ROOT / path).read_text()))


def missing_steps(name: str) -> Iterator[str]:
    """Yield what CONTRIBUTING's "Add a function" asks for and a row of the table does not have yet."""
    ufunc = functions()[name]
    if len(DOCS.get(name, "").split()) <= 5:
        yield "its docstring in fastlog/_docs.py"
    if ufunc.signature is not None:
        return
    if name not in ELEMENTWISE:
        yield "its reference in tests/helpers/reference.py"
    if name not in SPECIAL:
        yield "its limits in tests/helpers/special_values.py"
    if not all(ulp > 0 for ulp, _ in claims()[name].values()):
        yield "its claims in csrc/functions.def"
    if not all(hardest.read().get((name, dtype)) for dtype in ("float32", "float64")):
        yield f"its hardest inputs in tests/data/hardest.csv: run tests/tools/accuracy.py --functions {name}"
    if name not in fastlog.__all__:
        yield "its name in fastlog/_elementwise.py"
    if name not in words_of("fastlog/__init__.pyi"):
        yield "its type in fastlog/__init__.pyi"
    if getattr(fastlog, name, ufunc) is not ufunc:
        yield f"the ufunc of its row in fastlog/_elementwise.py, in the place of another {name}"
    for section in ("Examples", "Parameters"):
        if f"{section}\n" not in (ufunc.__doc__ or ""):
            yield f"the section {section} of its docstring in fastlog/_docs.py"
    for path in ("fastlog/_cimport.pxi", "fastlog/_core.pxd"):
        if name not in words_of(path):
            yield f"its function for other extensions in {path}"


@pytest.mark.parametrize("name", NAMES)
def test_row_is_complete(name):
    missing = list(missing_steps(name))
    assert not missing, f"the function {name} lacks " + "; ".join(missing)


def test_every_public_row_has_a_benchmark():
    cases = runpy.run_path(str(ROOT / "bench" / "cases.py"))
    measured = {function.row for function in cases["FUNCTIONS"]}
    for name in INDEX:
        if name in fastlog.__all__ or name not in NAMES:  # or is a loss
            assert name in measured, f"no line of FUNCTIONS in bench/cases.py measures {name}"


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
    assert dir(fastlog) == sorted([*fastlog.__all__, "bench", "nn", "objectives", "special", "tf"])
    assert fastlog.softplus is fastlog.log1pexp
    assert fastlog.log_sigmoid is fastlog.log_expit
    assert fastlog.sigmoid is fastlog.expit
    assert fastlog.logexpm1 is fastlog.softplus_inverse


# What a file may include: itself and what stands before it.
LEVELS = ["functions.def", "fastlog.h", "pool.h", "coefficients", "vec", "math", "memory", "kernels", "sums", "loops",
          "pool.c", "target.c", "dispatch.c"]  # fmt: skip


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
    "_docs": 0, "_typing": 0, "_arrays": 0, "_arguments": 1, "_methods": 1, "_by_numpy": 1, "_core": 2, "_chains": 3,
    "_threads": 3, "_threadpoolctl": 3, "_config": 4,
    "_elementwise": 3, "_rows": 3, "_libraries.__init__": 3, "_running": 4, "_libraries.elementwise": 4,
    "_libraries.labelled": 4, "_libraries.library": 4, "_logsumexp": 4, "_softmax": 4, "_losses": 4,
    "_segments": 4, "_matmul": 4, "_softmax_focal": 4, "_categorical": 5,
    "_libraries.dask": 6, "_libraries.formulas": 6, "_libraries.torch": 5, "_libraries.jax": 5, "_libraries.cupy": 5,
    "_replace": 3, "_sklearn_losses": 4, "_plans": 5, "_patch": 6, "_libraries.loss_formulas": 7, "__init__": 7,
    "_libraries.array_api": 8, "__main__": 8, "_children.sitecustomize": 8, "special": 8, "nn.functional": 8,
    "bench": 8, "objectives": 8,
    "tf.math": 8, "nn.__init__": 9, "tf.nn": 9, "tf.compat.v1.nn": 10, "tf.compat.v1.__init__": 11,
    "tf.compat.__init__": 12, "tf.__init__": 13,
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


# Extensions of C that GCC, Clang and clang-cl all have; dispatch.c has another way for Windows beside the first two.
EXTENSIONS = """
    __builtin_cpu_init __builtin_cpu_supports __get_cpuid __get_cpuid_count __declspec __attribute__ __asm__ __int128
    __builtin_expect __builtin_prefetch __builtin_inf __builtin_nan __builtin_fabs __builtin_isinf __builtin_fma
    __builtin_fmaf __builtin_clzll __builtin_ia32_pause
    __linux__ __x86_64__ __aarch64__ __m128i __m256 __m256d __m256i __m512 __m512d __m512i __mmask8 __mmask16
"""
ATTRIBUTES = {"always_inline", "noinline", "unused", "visibility"}


def test_extensions_of_c_are_those_that_all_compilers_have():
    for path in SOURCES:
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)  # without comments
        assert not re.search(r"^#pragma (?!once|GCC unroll \d+$)", text, re.M), path.name
        assert set(re.findall(r"\b(?:typeof|asm|__[a-z]\w*)\b", text)) <= set(EXTENSIONS.split()), path.name
        for attributes in re.findall(r"__attribute__\(\((.*)\)\)", text):
            assert {one.partition("(")[0].strip() for one in attributes.split(",")} <= ATTRIBUTES, path.name


def test_intrinsics_stay_in_vec():
    """Apart from the status register, no intrinsic and no vector type of an instruction set stands outside vec/."""
    for path in SOURCES:
        if path.parent.name != "vec":
            found = set(re.findall(r"_mm\w*|__m\d+\w*|\bv\w+q_[fsu]\d+", path.read_text()))
            assert found <= ({"_mm_getcsr", "_mm_setcsr"} if path.name == "status.h" else set()), path.name


def test_every_vector_header_has_every_operation():
    def operations(path):
        return set(re.findall(r"^INLINE \w+ ((?:[vi]|mask)_\w+)\(", path.read_text(), re.M))

    headers = {p.name: operations(p) for p in (CSRC / "vec").glob("*.h") if p.name != "vec.h"}
    assert set(headers) == {"portable.h", "avx2.h", "avx512.h", "neon.h"}
    capabilities = {"v_lookup", "v_lookup8", "v_pairs"}  # of those headers that announce them
    for name, found in headers.items():
        assert found | capabilities == headers["portable.h"], name
    documented = set(re.findall(r"\b((?:[vi]|mask)_[a-z_]+8?)\b", (CSRC / "vec" / "vec.h").read_text()))
    assert headers["portable.h"] == documented - {"v_"}


MOST_WORDS = 30  # of the vocabulary in a kernel, so that it reads like its derivation


def test_kernels_are_short_and_plain():
    """No conditional and no macro stands in a kernel, and no kernel has more words of the vocabulary than it should."""
    words = {}
    for path in (CSRC / "kernels").glob("*.h"):
        text = path.read_text()
        assert not re.search(r"^#\s*(if(?!ndef FASTLOG_)|el|define (?!FASTLOG_))", text, re.M), path.name
        for name, body in re.findall(r"^(?:INLINE|RARE|static) [^;{]*?(\w+)\([^;{]*\{\n(.*?)^\}", text, re.M | re.S):
            words[name] = len(re.findall(r"\b(?:v|m|i|p|dw|mask)_\w+\(", body))
    assert len(words) > 30
    assert {name: n for name, n in words.items() if n > MOST_WORDS} == {}, "cut these kernels"
