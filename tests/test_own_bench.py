"""``python -m fastlog.bench``: every call is the same function, and the table has all of them."""

import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest

import fastlog
from fastlog import bench

EXPRESSIONS = [(name, library) for functions, _ in bench.CASES for name in functions for library in functions[name]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "library"), EXPRESSIONS)
def test_all_libraries_compute_the_same(name, library, dtype):
    if library != "fastlog" and importlib.util.find_spec(bench.LIBRARIES[library]) is None:
        pytest.skip(f"{library} is not installed")
    calls = next(functions[name] for functions, _ in bench.CASES if name in functions)
    arrays = bench._arrays((40, 7), dtype)
    expected = eval(calls["fastlog"], bench._names("fastlog", arrays))
    got = np.asarray(eval(calls[library], bench._names(library, arrays)))
    assert got.dtype == dtype
    rtol = 1e-4 if dtype == np.float32 or library == "torch" else 1e-11  # torch drops e^-20 from softplus
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * 1e-2)


def test_the_command_prints_a_row_for_each_call():
    command = [sys.executable, "-m", "fastlog.bench", "--seconds", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    config = fastlog.show_config(mode="dicts")
    assert f"fastlog {config['version']}, target {config['active target']}, beside SciPy " in done.stdout
    assert f"NumPy {np.__version__}" in done.stdout
    for functions, shapes in bench.CASES:
        for name in functions:
            rows = re.findall(rf"^ *{name} +float(?:32|64) .*$", done.stdout, re.M)
            assert len(rows) == 2 * len(shapes)
            for row in rows:
                assert re.search(r" [\d.]+ (ns|µs|ms) ", row), row


def test_the_table_without_rich(monkeypatch, capsys):
    monkeypatch.setattr(bench, "find_spec", lambda name: None if name == "rich" else importlib.util.find_spec(name))
    bench._show(("call", "dtype", "fastlog", "SciPy"), [("softmax", "float64", "3 µs", "11"), ("a", "b", "20 µs", "")])
    assert capsys.readouterr().out.splitlines() == [
        "call     dtype    fastlog  SciPy",
        "softmax  float64     3 µs     11",
        "a        b          20 µs",
    ]


def test_the_number_of_threads_is_put_back(monkeypatch):
    monkeypatch.setattr(bench, "CASES", ((bench.ROWS, ((2, 3),)),))
    before = fastlog.get_num_threads()
    with fastlog.num_threads(2):
        bench.run(seconds=0)
        assert fastlog.get_num_threads() == 2
    assert fastlog.get_num_threads() == before


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.21e-7, "321 ns"), (9.996e-7, "1 µs"), (4.5e-5, "45 µs"), (0.5, "500 ms"), (2.5, "2.5 s")]
)
def test_times_have_three_digits(seconds, text):
    assert bench._duration(seconds) == text


def test_negative_seconds_are_refused(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--seconds", "-1"])
    assert "--seconds must not be negative" in capsys.readouterr().err
