"""The benchmark: every row of its table runs, the libraries do the same, and the report counts what it says."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # at the end, as the source folder fastlog/ has no compiled core

from bench import arrays, cases, libraries, measure, report  # noqa: E402

INSTALLED = libraries.installed()
# The smallest shape of each function and type that is no single call: there, results are written into `out`.
SMALLEST: dict[tuple[str, str], cases.Case] = {}
for one in sorted(cases.all_cases(), key=lambda case: case.elements):
    if one.size not in cases.CALLS:
        SMALLEST.setdefault((one.function.name, one.dtype), one)


@pytest.mark.parametrize("case", SMALLEST.values(), ids=lambda case: case.name)
def test_libraries_do_the_same(case):
    made = arrays.make_arrays(case)
    answers = {}
    for library in ("fastlog", *(name for name in ("SciPy", "NumPy") if name in case.function.calls)):
        statement, names = libraries.LIBRARIES[library][1](made, case, case.function.calls[library])
        with np.errstate(all="ignore"):
            answers[library] = measure.as_numpy(eval(statement, names))
    assert np.isfinite(answers["fastlog"]).all()
    for library, answer in answers.items():
        assert answer.dtype == answers["fastlog"].dtype or answer.ndim == 0
        assert answer.shape == answers["fastlog"].shape
        # Other libraries lose digits in sums with weights of both signs, and compute float16 in float16.
        if "both signs" not in case.function.name and case.dtype != "float16":
            assert not measure.is_loose(answer, answers["fastlog"], case.function.relative), library


@pytest.mark.parametrize("case", [c for c in cases.all_cases() if c.size in cases.CALLS], ids=lambda case: case.name)
def test_calls_make_their_results(case):
    made = arrays.make_arrays(case)
    assert made["out"] is None
    statement, names = libraries.LIBRARIES["fastlog"][1](made, case, case.function.calls["fastlog"])
    assert np.isfinite(eval(statement, names)).all()


@pytest.mark.slow
@pytest.mark.parametrize("library", [name for name in INSTALLED if name not in ("fastlog", "SciPy", "NumPy", "numba")])
def test_library_runs(library):
    """Other libraries are measured in a float32 case of most functions that they have."""
    found = 0
    for case in SMALLEST.values():
        if library in case.function.calls and case.dtype == "float32" and case.elements <= 100_000:
            result = measure.measure(case, ["fastlog", library], 0)
            found += library in result["seconds"]
    assert found >= (2 if library in ("oneDNN", "onnxruntime") else 10)


def test_loose():
    exact = np.array([1e-8, 1.0, -np.inf, np.nan])
    assert not measure.is_loose(exact * 1.0009, exact, True)
    assert measure.is_loose(exact * 1.002, exact, True)
    assert measure.is_loose(exact + [2e-11, 0, 0, 0], exact, True)
    assert not measure.is_loose(exact + [2e-11, 0, 0, 0], exact, False)
    assert measure.is_loose(exact + [2e-3, 0, 0, 0], exact, False)
    assert measure.is_loose(np.array([1e-8, 1, np.inf, np.nan]), exact, True)
    assert measure.is_loose(np.array([1e-8, 1, -np.inf, 0]), exact, True)
    half = np.float16([1])
    assert not measure.is_loose(half * np.float16(1.003), half, True)
    assert measure.is_loose(half * np.float16(1.006), half, True)


def results(*rows):
    """Return the results of a run: a case for each row of seconds by library, and the loose ones."""
    same = {"dtype": "float32", "size": "10 000", "elements": 10_000}
    made = [
        {"function": f"f{i}", **same, "seconds": seconds, "loose": loose} for i, (seconds, loose) in enumerate(rows)
    ]
    return {"cases": made, "unlimited": ["onnxruntime"]}


def test_the_report_counts_what_is_faster():
    run = results(
        ({"fastlog": 1.0, "SciPy": 0.99}, []),  # by less than two hundredths
        ({"fastlog": 1.0, "SciPy": 0.9, "PyTorch": 0.5}, []),
        ({"fastlog": 1.0, "SciPy": 0.3}, []),
        ({"fastlog": 1.0, "SciPy": 0.3, "PyTorch": 2.0}, ["SciPy"]),
        ({"fastlog": 1.0, "numba": 0.3, "onnxruntime": 0.3}, []),  # not ready-made; not on the same instructions
        ({"fastlog": 1.0}, []),
    )
    assert [(ratio, library, case["function"]) for ratio, library, case in report.behind(run)] == [
        (0.3, "SciPy", "f2"),
        (0.5, "PyTorch", "f1"),
    ]
    assert report.score(run).startswith("6 rows measured; in 2 of them")
    assert report.cell(run["cases"][3], "SciPy") == "≠0.30×"
    assert report.fastest(run, run["cases"][3]) == (2.0, "PyTorch")


def test_every_target_has_its_part_of_the_page():
    page = (ROOT / "docs" / "speed.md").read_text()
    for part in (*(report.speed_part(target) for target in ("avx2", "avx512")), report.PREDICTED):
        assert page.count(report.BEGIN.format(part)) == page.count(report.END.format(part)) == 1, part


def test_a_target_does_not_overwrite_another(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "DOCS", tmp_path)
    parts = [report.speed_part(target) for target in ("avx2", "avx512")]
    page = tmp_path / "speed.md"
    page.write_text("".join(f"# {p}\n{report.BEGIN.format(p)}\nold {p}\n{report.END.format(p)}\n" for p in parts))
    report.write_page(parts[0], "new table")
    assert "new table" in page.read_text()
    assert f"old {parts[0]}" not in page.read_text()
    assert f"old {parts[1]}" in page.read_text()
    with pytest.raises(ValueError, match="speed neon:begin"):
        report.write_page(report.speed_part("neon"), "no part of this page")


@pytest.mark.slow
def test_against_itself():
    command = [sys.executable, "-m", "bench", "--against", sys.prefix, "--only", "softplus, float32, 1 000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "1 rows; old / new: median" in done.stdout
    assert "same" in done.stdout
    assert "other" not in done.stdout
