"""``python -m fastlog``: programs run as they do without it, on fastlog's functions."""

import py_compile
import subprocess
import sys
import textwrap
import zipapp

import pytest

import fastlog


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "fastlog", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


SCRIPT = """
    import sys
    import fastlog, scipy.special
    import beside
    print(__name__, sys.argv[1:], scipy.special.expit(-740.0) > 0, fastlog.is_patched(), beside.here)
    sys.exit(3)
"""


@pytest.mark.slow
def test_scripts(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    (tmp_path / "beside.py").write_text("here = True")
    result = run(str(tmp_path / "script.py"), "--verbose", "-m", "x")
    assert result.stdout == "__main__ ['--verbose', '-m', 'x'] True True True\n"
    assert result.returncode == 3
    assert result.stderr == ""


@pytest.mark.slow
def test_modules(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    (tmp_path / "beside.py").write_text("here = True")
    result = run("--verbose", "-m", "script", "-v", cwd=tmp_path)
    assert result.stdout == "__main__ ['-v'] True True True\n"
    assert "fastlog: scipy.special.logsumexp, its code" in result.stderr
    assert result.returncode == 3


@pytest.mark.slow
def test_commands_and_what_cannot_run():
    result = run("-c", "import sys, scipy.special; print(sys.argv, scipy.special.expit(-740.) > 0)", "a")
    assert result.stdout == "['-c', 'a'] True\n"
    assert "nothing to run" in run().stderr
    assert run().returncode == 2
    missing = run("no_such_script.py")
    assert "there is no file 'no_such_script.py'" in missing.stderr
    assert missing.returncode == 1
    assert run("--version").stdout == f"fastlog {fastlog.__version__}\n"


LATE = """
    import atexit, os, pickle, threading, time
    class A: pass
    def later():
        time.sleep(0.2)
        print(len(pickle.dumps(A())) > 0, flush=True)
    atexit.register(later)
    threading.Thread(target=later).start()
    print(os.path.isabs(__file__), __spec__ is None, "patch" in globals())
"""


@pytest.mark.slow
def test_the_main_module_stays(tmp_path):
    (tmp_path / "late.py").write_text(textwrap.dedent(LATE))
    assert run("late.py", cwd=tmp_path).stdout == "True True False\nTrue\nTrue\n"
    assert run("-m", "late", cwd=tmp_path).stdout == "True False False\nTrue\nTrue\n"
    command = "def f(x: int): pass\nprint(f.__annotations__, 'patch' in globals(), __name__)"
    assert run("-c", command).stdout == "{'x': <class 'int'>} False __main__\n"


@pytest.mark.slow
def test_ways_to_write_it(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    (tmp_path / "beside.py").write_text("here = True")
    assert run("-mscript", "x", cwd=tmp_path).stdout == "__main__ ['x'] True True True\n"
    assert run("--", "script.py", "x", cwd=tmp_path).stdout == "__main__ ['x'] True True True\n"
    assert run("-v", "-cprint(1)").stdout == "1\n"
    done = subprocess.run([sys.executable, "-m", "fastlog", "-", "a"], input="import sys; print(sys.argv)",
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stdout == "['-', 'a']\n"
    assert run("-m", "no_such.module").stderr == "fastlog: there is no module 'no_such.module' to run\n"
    assert "unknown option --fast" in run("--fast", "script.py").stderr


SHOW = """
    import os, pickle, sys
    class Here: pass
    for name in ("__name__", "__file__", "__package__", "__spec__", "__loader__", "__doc__"):
        print(name, str(globals().get(name, "none")).split(" object at")[0])
    print(sys.argv, sys.path[:2], sys._getframe().f_code.co_filename, sys.flags.safe_path)
    print(sys.modules["__main__"].__dict__ is globals(), len(pickle.dumps(Here())))
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Write one program in every form that Python runs."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("show.py", "script", "folder/__main__.py", "package/__main__.py", "package/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(textwrap.dedent(SHOW) if "init" not in name else "")
    (folder / "other").mkdir()
    (folder / "other" / "link.py").symlink_to(folder / "show.py")
    zipapp.create_archive(folder / "folder", folder / "app.pyz")
    zipapp.create_archive(folder / "folder", folder / "executable", interpreter=sys.executable)
    py_compile.compile(str(folder / "show.py"), cfile=str(folder / "x.pyc"), doraise=True)
    py_compile.compile(str(folder / "show.py"), cfile=str(folder / "compiled"), doraise=True)
    (folder / "bad.pyc").write_bytes(b"\0" * 40)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    ["show.py", "./show.py", "script", "folder", "./folder/", "app.pyz", "executable", "x.pyc", "compiled",
     "other/link.py", "-m show", "-m package", "-c", "-", "-P show.py", "-P app.pyz", "-I folder"],
)  # fmt: skip
def test_programs_see_what_they_see_without_fastlog(form, programs):
    options = [word for word in form.split() if word in ("-P", "-I")]
    program = [word for word in form.split() if word not in options] + ([textwrap.dedent(SHOW)] if form == "-c" else [])
    printed = []
    for runner in ([], ["-m", "fastlog", "--targets=numpy"]):
        command = [sys.executable, *options, *runner, *program, "-v", "x"]
        text = textwrap.dedent(SHOW) if form == "-" else None
        done = subprocess.run(command, cwd=programs, input=text, capture_output=True, text=True, check=True)
        # Python names a file "<stdin>" there, which is none.
        printed.append([line for line in done.stdout.splitlines() if form != "-" or not line.startswith("__file__")])
    assert printed[0] == printed[1]
    assert len(printed[0]) > 6


@pytest.mark.slow
def test_programs_that_cannot_run(programs):
    bad = run("--targets", "numpy", "bad.pyc", cwd=programs)
    assert bad.stderr.startswith("fastlog: bad.pyc: bad magic number")
    assert bad.returncode == 1
    empty = run("--targets", "numpy", "other", cwd=programs)
    assert empty.stderr == "fastlog: there is no module 'other/__main__' to run\n"


@pytest.mark.slow
def test_targets_of_the_command_line(tmp_path):
    code = "import fastlog, scipy.special; print([fastlog.is_patched(name) for name in ('numpy', 'scipy', 'sklearn')])"
    assert run("--targets=numpy", "-c", code).stdout == "[True, False, False]\n"
    assert run("--targets", "scipy, numpy", "--strict", "-v", "-c", code).stdout == "[True, True, False]\n"
    wrong = run("--targets", "numpy,torch", "-c", code)
    assert (
        "targets are 'numpy', 'scipy', 'sklearn', 'arviz', 'arviz_stats', 'pymbar', 'hmmlearn', not 'torch'"
        in wrong.stderr
    )
    assert wrong.returncode == 2
    assert "expected one argument" in run("--targets").stderr
    # A package that cannot be imported is no matter of fastlog's, unless all functions are to be replaced.
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").write_text("raise ValueError('numpy.dtype size changed')")
    broken = run("--verbose", "-c", code, cwd=tmp_path)
    assert broken.stdout == "[True, True, True]\n"
    assert "fastlog: sklearn.utils.extmath will be patched when it is imported" in broken.stderr
    strict = run("--strict", "-c", code, cwd=tmp_path)
    assert strict.stderr.startswith("fastlog: patch leaves alone sklearn.utils.extmath.softmax: ")
    assert (strict.stdout, strict.returncode) == ("", 1)
    (tmp_path / "sklearn" / "__init__.py").unlink()
    missing = run("--targets=sklearn", "-c", code, cwd=tmp_path)
    assert missing.stdout == "[False, False, True]\n"


def test_a_start_loads_little():
    """What takes long to load waits until it is wanted: a start costs little beside NumPy's own."""
    code = "import sys; print(*sys.modules)"
    with_numpy = subprocess.run([sys.executable, "-c", f"import numpy; {code}"], capture_output=True, text=True)
    loaded = set(run("-c", code).stdout.split()) - set(with_numpy.stdout.split())
    assert "fastlog._patch" in loaded
    # What makes an editable install work loads more by itself, but none of these.
    assert not loaded & {"argparse", "gettext", "scipy", "sklearn", "pandas", "torch"}
