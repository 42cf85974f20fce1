"""The C core without Python: its own tests, and what its objects may contain."""

import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CMAKE, CTEST = (str(Path(sys.executable).parent / tool) for tool in ("cmake", "ctest"))


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("c"))
    options = ["-DFASTLOG_PYTHON=OFF", "-DFASTLOG_C_TESTS=ON", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    run(CMAKE, "-S", str(ROOT), "-B", folder, *options)
    run(CMAKE, "--build", folder, "--parallel", "2")
    return Path(folder)


def test_c_tests(build):
    assert "100% tests passed" in run(CTEST, "--test-dir", str(build), "--output-on-failure")


def test_what_newer_compilers_refuse_is_an_error_with_all(build):
    """The generated _core.c gets the flags of all files: what GCC 14 and Clang 16 refuse, older ones refuse, too."""
    commands = json.loads((build / "compile_commands.json").read_text())
    refused = ("incompatible-pointer-types", "int-conversion", "implicit-function-declaration")
    for command in commands:
        assert {f"-Werror={name}" for name in refused} <= set(command["command"].split()), command["file"]
    assert len(commands) > 5


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("objdump"), reason="x86-64 with objdump only")
def test_no_vector_extension_outside_its_target(build):
    """An AVX instruction in a file that runs everywhere would crash older CPUs."""
    objects = {p: str(p) for p in build.rglob("*.o")}
    checked = 0
    for path, name in objects.items():
        if "kernels_portable" in name or "dispatch.dir" in name:
            registers = set(re.findall(r"%(?:ymm|zmm|k[0-7])\d*\b", run("objdump", "-d", "--no-show-raw-insn", name)))
            assert not registers, path.name
            checked += 1
        if "kernels_avx2" in name:
            assert "%zmm" not in run("objdump", "-d", "--no-show-raw-insn", name), path.name
            checked += 1
    assert checked == 6  # Two widths of two targets, dispatch.c and pool.c.


def test_coefficients_are_what_their_script_computes():
    run(sys.executable, str(ROOT / "csrc" / "coefficients" / "polynomials.py"), "--check")
