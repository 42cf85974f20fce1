"""Choosing the instruction set."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastlog
from fastlog import _core

RUN = [sys.executable, "-c"]


def run(code, target=None):
    environment = {k: v for k, v in os.environ.items() if k != "FASTLOG_TARGET"}
    if target is not None:
        environment["FASTLOG_TARGET"] = target
    return subprocess.run([*RUN, code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", _core.supported_targets())
def test_named_target_runs(target):
    code = "import fastlog, fastlog._core as c; print(c.active_target(), fastlog.softplus(0.0).hex())"
    assert run(code, target).stdout.split() == [target, np.log(2.0).hex()]


@pytest.mark.parametrize("target", [None, ""])
def test_the_best_supported_target_is_the_default(target):
    best = _core.supported_targets()[0]
    assert run("import fastlog._core as c; print(c.active_target())", target).stdout.split() == [best]


@pytest.mark.parametrize("target", ["sse9", "AVX2", "avx2,avx512", "vfp"])
def test_unknown_target_is_an_import_error_that_lists_the_others(target):
    result = run("import fastlog", target)
    assert "ImportError" in result.stderr
    for name in _core.supported_targets():
        assert name in result.stderr


@pytest.mark.slow
def test_numpys_instructions_change_no_bit():
    """fastlog's own loops compute these functions; NumPy's exp has other bits where it has fewer instructions."""
    code = """if True:
        import zlib
        import numpy as np
        from helpers import calls
        partly_by_numpy = {"logmatmulexp", "importance weights", "chains", "focal of labels", "a growing sum"}
        np.seterr(invalid="ignore")
        for name, call in (calls.CALLS | calls.OF_NUMPY).items():
            if name not in partly_by_numpy:
                print(name, *(zlib.crc32(np.ascontiguousarray(y).tobytes()) for y in call(calls.X, lambda a: a)))
        print(zlib.crc32(np.exp(calls.X.astype("f4")).tobytes()))
    """
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    *of_all, numpys = outputs = run_in_tests(code, "").splitlines()
    *of_few, fewer = run_in_tests(code, " ".join(found)).splitlines()
    assert of_all == of_few
    assert len(outputs) > 15
    if found and platform.machine() in ("x86_64", "AMD64"):
        assert numpys != fewer, "NumPy has the same bits, so that nothing is tested"


def run_in_tests(code, disabled):
    """Run code that imports from this folder, without some of the instructions that NumPy would use."""
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": disabled}
    folder = Path(__file__).parent
    done = subprocess.run([*RUN, code], env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_functions_of_an_unknown_target():
    with pytest.raises(ValueError, match="portable"):
        _core.functions("sse9")


def test_rows_of_a_function_without_rows():
    for index in (-1, len(_core.INDEX), _core.INDEX["softplus"], _core.INDEX["cross_entropy"]):
        with pytest.raises(ValueError, match="neither"):
            _core.run_rows(index, np.zeros((2, 3)), 1)


def test_all_targets_live_side_by_side():
    x = np.random.default_rng(0).normal(0, 5, 1000)
    found = {target: _core.functions(target) for target in _core.supported_targets()}
    assert _core.functions(_core.active_target())["softplus"] is fastlog.softplus
    for ufuncs in found.values():
        np.testing.assert_allclose(ufuncs["softplus"](x), fastlog.softplus(x), rtol=5e-16)


def test_an_import_from_the_source_folder_says_what_to_do(tmp_path):
    package = Path(fastlog.__file__).parent
    shutil.copytree(package, tmp_path / "fastlog", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    code = "import sys; sys.path.insert(0, sys.argv[1]); import fastlog"
    command = [sys.executable, "-S", "-c", code, str(tmp_path)]  # -S: what is installed is out of sight
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (last,) = done.stderr.splitlines()[-1:]
    assert last.startswith(f"ImportError: {tmp_path / 'fastlog'} has no compiled part for this Python. ")
    assert "'pip install .' and start Python in another folder" in last


def test_show_config(capsys):
    fastlog.show_config()
    printed = capsys.readouterr().out
    config = fastlog.show_config(mode="dicts")
    assert config["version"] == fastlog.__version__
    assert config["active target"] in config["supported targets"]
    assert set(config["supported targets"]) <= set(config["compiled targets"])
    for key in config:
        assert key in printed
    with pytest.raises(ValueError, match="'stdout' or 'dicts'"):
        fastlog.show_config(mode="json")


def test_import_brings_only_numpy():
    code = "import sys, fastlog; print([m for m in ('scipy', 'torch', 'jax', 'pandas', 'dask') if m in sys.modules])"
    assert run(code).stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("qemu-x86_64-static"), reason="needs an emulator of a CPU without AVX")
def test_portable_target_runs_on_a_cpu_without_avx():
    code = (
        "import numpy as np, fastlog; x = np.linspace(-50, 50, 999)\n"
        "for t in 'f4', 'f8':\n"
        "    for f in (fastlog.softplus, fastlog.logsumexp, fastlog.softmax): f(x.astype(t))\n"
        "print(fastlog.show_config(mode='dicts')['active target'])"
    )
    emulated = ["qemu-x86_64-static", "-cpu", "Nehalem", *RUN]
    result = subprocess.run([*emulated, code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "portable", result.stderr
