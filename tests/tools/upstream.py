"""Run the installed tests of SciPy, scikit-learn and hmmlearn plainly and under ``python -m fastlog``; compare both.

The exit status is 1, and the tests are named, if any fails under fastlog that does not fail without it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The modules of the installed package that each suite runs: those that call what fastlog.patch replaces.
SUITES = {
    "SciPy: special": [
        "scipy.special.tests.test_logsumexp",
        "scipy.special.tests.test_log_softmax",
        "scipy.special.tests.test_logit",
        "scipy.special.tests.test_basic",
        "scipy.special.tests.test_data",
        "scipy.special.tests.test_sf_error",
        "scipy.special.tests.test_nan_inputs",
        "scipy.special.tests.test_ufunc_signatures",
        "scipy.special.tests.test_support_alternative_backends",
    ],
    "SciPy: stats": ["scipy.stats.tests.test_morestats", "scipy.stats.tests.test_entropy"],
    "scikit-learn: mixture": ["sklearn.mixture"],
    "scikit-learn: naive Bayes": ["sklearn.tests.test_naive_bayes"],
    "scikit-learn: logistic regression": ["sklearn.linear_model.tests.test_logistic"],
    "scikit-learn: LDA": ["sklearn.decomposition.tests.test_online_lda"],
    "scikit-learn: losses": ["sklearn._loss"],
    "hmmlearn": [
        "hmmlearn.tests.test_base",
        "hmmlearn.tests.test_gaussian_hmm",
        "hmmlearn.tests.test_categorical_hmm",
    ],
    "scikit-learn: others that call them": [
        "sklearn.utils.tests.test_extmath",
        "sklearn.neural_network.tests.test_rbm",
        "sklearn.neural_network.tests.test_mlp",
        "sklearn.ensemble.tests.test_bagging",
        "sklearn.tests.test_discriminant_analysis",
        "sklearn.tests.test_calibration",
    ],
}


def outcomes(modules: list[str], runner: list[str]) -> dict[str, str]:
    """Run the modules' tests; return the outcome of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report, printed = folder / "report.xml", folder / "output.txt"
        options = ["-q", "--tb=no", "-p", "no:cacheprovider", f"--junitxml={report}", "--continue-on-collection-errors"]
        command = [sys.executable, *runner, "-m", "pytest", *options, "--pyargs", *modules]
        with printed.open("w") as output:
            subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False)
        if not report.exists():
            sys.exit(f"{' '.join(command)} gave no report:\n{printed.read_text()[-3000:]}")
        found = {}
        for case in ET.parse(report).iter("testcase"):
            kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
            found[f"{case.get('classname')}.{case.get('name')}"] = min(kinds, default="passed")
        return found


def present(modules: list[str]) -> list[str]:
    """Return the modules that the installed versions have."""
    known = "u.find_spec(m.split('.')[0]) and u.find_spec(m)"  # Without its package, a module is not looked for.
    code = f"import importlib.util as u, sys; print([m for m in sys.argv[1:] if {known}])"
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"The tests of {modules[0].partition('.')[0]} cannot be imported: {done.stderr.splitlines()[-1]}")
    return eval(done.stdout)


def main() -> None:
    chosen = {name: modules for name, modules in SUITES.items() if all(word in name for word in sys.argv[1:])}
    broken = []
    print(f"{'suite':37}{'tests':>7}{'passed':>9}{'failed':>8}   with fastlog: {'passed':>7}{'failed':>8}{'newly':>7}")
    for name, wanted in chosen.items():
        modules = present(wanted)
        if not modules:
            print(f"{name:37}is not installed")
            continue
        with ThreadPoolExecutor() as pool:  # each run is a process
            both = list(pool.map(outcomes, [modules] * 2, [[], ["-m", "fastlog"]]))
        counts = [[sum(kind in kinds for kind in found.values()) for kinds in (("passed",), ("failure", "error"))]
                  for found in both]  # fmt: skip
        newly = [test for test, kind in both[1].items()
                 if kind in ("failure", "error") and both[0].get(test) not in ("failure", "error")]  # fmt: skip
        newly += [f"{test} (not run)" for test in both[0] if test not in both[1]]
        broken += newly
        (passed, failed), (with_passed, with_failed) = counts
        print(
            f"{name:37}{len(both[0]):7}{passed:9}{failed:8}{with_passed:24}{with_failed:8}{len(newly):7}",
            flush=True,
        )
    for test in broken:
        print(f"fails with fastlog alone: {test}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
