"""Setuptools builds packages that cimport fastlog: the one of docs/c-api.md, and one that uses everything."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastlog
from fastlog._core import functions, supported_targets

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[1] / "docs" / "c-api.md").read_text()
EXAMPLE, SETUP = (re.search(rf"```{kind}\n(.*?)```", PAGE, re.S).group(1) for kind in ("cython", "python"))
UNARY = [name for name, f in functions().items() if f.signature is None and f.nin == 1]
BINARY = [name for name, f in functions().items() if f.signature is None and f.nin == 2]


def everything():
    """Return the source of a module that calls every function on every element of arrays, on both types."""
    lines = ["# cython: language_level=3", "from cython cimport floating", "from fastlog cimport ("]
    lines += [f"    {name}," for name in (*UNARY, *BINARY, "expit", "log_expit", "logsumexp", "softmax", "log_softmax")]
    lines += [")", ""]
    for name in (*UNARY, "expit", "log_expit"):
        lines += [
            f"def run_{name}(const floating[::1] x, floating[::1] z):",
            "    cdef Py_ssize_t i",
            "    with nogil:",
        ]
        lines += ["        for i in range(x.shape[0]):", f"            z[i] = {name}(x[i])", ""]
    for name in BINARY:
        lines += [f"def run_{name}(const floating[::1] x, const floating[::1] y, floating[::1] z):"]
        lines += ["    cdef Py_ssize_t i", "    with nogil:", "        for i in range(x.shape[0]):"]
        lines += [f"            z[i] = {name}(x[i], y[i])", ""]
    lines += [
        "def run_logsumexp(const floating[::1] x):",
        "    return logsumexp(&x[0] if x.shape[0] else NULL, x.shape[0])",
    ]
    for name in ("softmax", "log_softmax"):
        lines += [f"def run_{name}(const floating[:, ::1] x, floating[:, ::1] y):", "    with nogil:"]
        lines += [f"        {name}(&x[0, 0], &y[0, 0], x.shape[0], x.shape[1])"]
    return "\n".join(lines) + "\n"


C_EXAMPLE = re.search(r"```c\n(.*?)```", PAGE, re.S).group(1)


def run(folder, *command, **environment):
    import os

    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder in which both modules have been built."""
    folder = tmp_path_factory.mktemp("downstream")
    # An editable install has its .pxd files in the source tree, where Cython looks if it is told to.
    setup = SETUP.replace("cythonize([", "cythonize([Extension('everything', ['everything.pyx']), ")
    setup = setup.replace("])]))", f"])], include_path=[{str(Path(fastlog.__file__).parents[1])!r}]))")
    assert setup.count("include_path") == 1
    (folder / "setup.py").write_text(setup)
    (folder / "mixture.pyx").write_text(EXAMPLE)
    (folder / "everything.pyx").write_text(everything())
    header = "include_dirs=[fastlog.get_include()])"  # of one module in C, and of the same one in C++
    extensions = f"Extension('loglik', ['loglik.c'], {header}, Extension('loglikpp', ['loglikpp.cpp'], {header}"
    assert f'Extension("loglik", ["loglik.c"], {header}' in PAGE
    (folder / "loglik.c").write_text(C_EXAMPLE)
    (folder / "loglikpp.cpp").write_text(C_EXAMPLE.replace("loglik", "loglikpp"))
    (folder / "setup_c.py").write_text(
        f"import fastlog\nfrom setuptools import Extension, setup\nsetup(name='loglik', ext_modules=[{extensions}])\n"
    )
    run(folder, "setup_c.py", "-q", "build_ext", "--inplace", CFLAGS="-O0 -Wall -Werror")
    run(folder, "setup.py", "-q", "build_ext", "--inplace", CFLAGS="-O0")  # what is called has been compiled before
    return folder


CHECK_EVERYTHING = """
    import itertools, threading
    import numpy as np
    import everything, fastlog
    from fastlog import _core

    edges = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, -1e-300, 88.0, -88.0, 710.0, -745.0, np.inf, -np.inf, np.nan]
    ours = _core.functions()
    rng = np.random.default_rng(0)
    for dtype in "fd":
        with np.errstate(all="ignore"):
            x = np.concatenate([edges, rng.normal(0, 9, 300), rng.random(300)]).astype(dtype)
            pairs = np.array(list(itertools.product(x[:40], x[-40:]))).T.copy()
            pairs = [np.ascontiguousarray(p) for p in np.concatenate([pairs, [x, x[::-1]]], axis=1)]
            for name in {unary}:
                z = np.empty_like(x)
                getattr(everything, "run_" + name)(x, z)
                expected = ours[dict(expit="sigmoid", log_expit="log_sigmoid").get(name, name)](x)
                assert z.tobytes() == expected.tobytes(), (name, dtype)
            for name in {binary}:
                z = np.empty_like(pairs[0])
                getattr(everything, "run_" + name)(*pairs, z)
                expected = ours[name](*pairs)
                number = ~np.isnan(expected)  # of two nans, either may come out
                assert z[number].tobytes() == expected[number].tobytes(), (name, dtype)
                assert np.isnan(z[~number]).all()
        for n in (0, 1, 2, 3, 7, 8, 16, 17, 33, 64, 65, 500):
            row = rng.normal(0, 9, n).astype(dtype)
            assert everything.run_logsumexp(row) == fastlog.logsumexp(row), n
            if n:
                rows = rng.normal(0, 9, (5, n)).astype(dtype)
                for name in ("softmax", "log_softmax"):
                    y, f = np.empty_like(rows), getattr(everything, "run_" + name)
                    f(rows, y)
                    assert y.tobytes() == getattr(fastlog, name)(rows, 1).tobytes()
                    expected = getattr(fastlog, name)(y, 1)
                    f(y, y)
                    assert y.tobytes() == expected.tobytes()
        for row in ([np.inf, 1], [-np.inf, -np.inf], [np.nan, 1], [0.0, -40.0], [-0.0]):
            row = np.array(row, dtype)
            np.testing.assert_array_equal(everything.run_logsumexp(row), fastlog.logsumexp(row))

    x = rng.normal(0, 9, 200_000)
    results = [np.empty_like(x) for _ in range(4)]
    threads = [threading.Thread(target=everything.run_softplus, args=(x, z)) for z in results]
    [t.start() for t in threads], [t.join() for t in threads]
    assert all((z == fastlog.softplus(x)).all() for z in results)
    print(_core.active_target())
"""


@pytest.mark.parametrize("target", supported_targets())
def test_every_function(folder, target):
    code = textwrap.dedent(CHECK_EVERYTHING.format(unary=[*UNARY, "expit", "log_expit"], binary=BINARY))
    assert run(folder, "-c", code, FASTLOG_TARGET=target) == f"{target}\n"


CHECK_EXAMPLE = """
    import numpy as np
    import mixture, fastlog

    x = np.random.default_rng(1).normal(0, 5, (100, 7))
    assert np.isclose(mixture.log_likelihood(x), fastlog.logsumexp(x, axis=1).sum(), rtol=1e-14)
    expected = fastlog.softmax(x, axis=1)
    mixture.responsibilities(x)
    assert (x == expected).all()
    assert mixture.hinge(2.0) == fastlog.softplus(np.float32(-2))
    y = np.zeros(50)
    for column in (x[:50, 3], x[50::-1, 3][:50], np.broadcast_to(x[0, 0], 50).copy()):
        mixture.apply(b"log_sigmoid", column, y)
        assert y.tobytes() == fastlog.log_sigmoid(column).tobytes()
        mixture.apply(b"log_sigmoid", y, y)
    for name in (b"no_such_function", b"cross_entropy", b"logaddexp", b"softmax_and_logsumexp"):
        try:
            mixture.apply(name, y, y)
        except ValueError as error:
            print(error)
    for short in (y[:3], y[:0]):
        try:
            mixture.apply(b"entr", y, short)
        except ValueError as error:
            print(error)
"""


def test_the_example_of_the_page(folder):
    printed = run(folder, "-c", textwrap.dedent(CHECK_EXAMPLE))
    names = ("no_such_function", "cross_entropy", "logaddexp", "softmax_and_logsumexp")
    expected = [f"fastlog has no function {name!r} of one argument" for name in names]
    assert printed.splitlines() == [*expected, *["x and y must have the same number of elements, one at least"] * 2]


CHECK_C = """
    import numpy as np
    import fastlog, loglik, loglikpp

    x = np.random.default_rng(1).normal(0, 5, (60, 8))
    for module in (loglik, loglikpp):
        for rows in (x, x.T, x[::-2, ::3], x[:0], np.full((2, 3), -np.inf)):
            assert np.isclose(module.log_likelihood(rows), fastlog.logsumexp(rows, axis=1).sum(), rtol=1e-14)
        for wrong in (x[0], x.astype("f"), x.astype(">f8")):
            try:
                module.log_likelihood(wrong)
            except ValueError as error:
                print(error)
"""


def test_the_example_in_c(folder):
    lines = run(folder, "-c", textwrap.dedent(CHECK_C)).splitlines()
    assert lines == ["log_likelihood needs an array of float64 with two axes"] * 6


MISSING = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fastlog_loops.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "missing", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_missing(void) {
    return fastlog_find("softplus", 'd', 3) ? PyModule_Create(&definition) : NULL;
}
"""


def test_a_loop_that_is_missing_is_an_error_of_the_import(tmp_path):
    (tmp_path / "missing.c").write_text(MISSING)
    (tmp_path / "setup.py").write_text(
        "import fastlog\nfrom setuptools import Extension, setup\n"
        "setup(name='missing', ext_modules=[Extension('missing', ['missing.c'], include_dirs=[fastlog.get_include()])])"
    )
    run(tmp_path, "setup.py", "-q", "build_ext", "--inplace", CFLAGS="-O0")
    code = (
        "import sys\ntry:\n    import missing\nexcept ValueError as error:\n    print(error)\n"
        "sys.modules['fastlog._core'] = None  # as if fastlog were not installed\n"
        "try:\n    import missing\nexcept ImportError as error:\n    print(type(error).__name__)\n"
    )
    assert run(tmp_path, "-c", code).splitlines() == [
        "fastlog has no loop softplus of 3 arguments on 'd'",
        "ModuleNotFoundError",
    ]


def test_the_page_names_every_function():
    """The elementwise functions have one word, as another page lists them."""
    for name in ("every [elementwise function]", "`logsumexp`", "`softmax`", "`log_softmax`"):
        assert name in PAGE.split("```")[0], f"docs/c-api.md does not name {name}"
