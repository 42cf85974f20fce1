"""What a release is made of: workflows that are pinned and limited, and one version, one list of Pythons everywhere."""

import json
import re
import runpy
import tomllib
import zipfile
from contextlib import nullcontext
from email import message_from_string
from pathlib import Path

import pytest
import yaml

import fastlog

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([\w-]+(?: [\w-]+)*):(?!=)", (ROOT / "Makefile").read_text(), re.M))
TARGETS = {target for line in TARGETS for target in line.split()}


def read(path):
    """Return the content of a file of YAML; its key `on` is a word there, not the value true."""
    found = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    assert isinstance(found, dict), path
    return found


workflows = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)


def test_there_are_workflows():
    assert {path.stem for path in WORKFLOWS} == {"tests", "weekly", "wheels"}
    assert {"test", "quick", "wheel", "vec-neon", "vec-s390x"} <= TARGETS


@workflows
def test_actions_are_pinned(path):
    """A tag can be moved to other code; a hash cannot. The comment tells readers, and Dependabot, the version."""
    used = re.findall(r"uses: *(.*)$", path.read_text(), re.M)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_one_action_has_one_version():
    used = {line for path in WORKFLOWS for line in re.findall(r"uses: *(.*)$", path.read_text(), re.M)}
    assert len({line.partition("@")[0] for line in used}) == len(used)


@workflows
def test_jobs_may_do_little_and_end(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "group" in workflow["concurrency"]
    assert "pull_request_target" not in workflow["on"]
    for name, job in workflow["jobs"].items():
        assert 0 < int(job["timeout-minutes"]) <= 240, name
        assert "permissions" not in job or (name == "publish" and job["permissions"] == {"id-token": "write"}), name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false", name
            assert "${{" not in step.get("run", ""), f"{name}: what others name must not become a part of a command"


@workflows
def test_jobs_call_targets_that_exist_and_say_what_only_they_catch(path):
    for name, job in read(path)["jobs"].items():
        assert re.search(rf"^  # .+\.\n  {name}:$", path.read_text(), re.M), f"no comment stands above {name}"
        commands = [step["run"] for step in job["steps"] if "run" in step]
        called = re.findall(r"\bmake ([\w-]+)", "\n".join(commands))
        assert set(called) <= TARGETS, name
        assert called or name in ("wheels", "publish"), name


def test_what_is_published_was_built_and_tested_before():
    publish = read(ROOT / ".github" / "workflows" / "wheels.yml")["jobs"]["publish"]
    assert set(publish["needs"]) == {"sdist", "wheels"}
    assert "tag" in publish["if"]
    assert publish["environment"] == "pypi"
    assert "password" not in str(publish)


@pytest.mark.parametrize(
    "path",
    ["dependabot.yml", "ISSUE_TEMPLATE/wrong_result.yml", "ISSUE_TEMPLATE/speed.yml", "ISSUE_TEMPLATE/config.yml"],
)
def test_other_files_of_the_forge_can_be_read(path):
    found = read(ROOT / ".github" / path)
    for part in found.get("body", []):
        assert part["type"] in ("textarea", "dropdown")
        assert part["attributes"]["label"]


def test_one_version_everywhere():
    assert read(ROOT / "CITATION.cff")["version"] == fastlog.__version__
    recipe = read(ROOT / "conda.recipe" / "recipe.yaml")
    assert recipe["context"] == {"name": PROJECT["project"]["name"], "version": fastlog.__version__}
    assert f"\n## {fastlog.__version__} (" in (ROOT / "CHANGELOG.md").read_text()


def test_the_recipe_asks_for_what_the_project_asks_for():
    recipe = read(ROOT / "conda.recipe" / "recipe.yaml")["requirements"]
    asked = {line.replace(" ", "") for line in (*recipe["host"], *recipe["build"]) if isinstance(line, str)}
    assert asked >= {
        *PROJECT["build-system"]["requires"],
        "cmake" + PROJECT["tool"]["scikit-build"]["cmake"]["version"],
    }
    assert {line.replace(" ", "") for line in recipe["run"]} == {"python", *PROJECT["project"]["dependencies"]}


def test_one_list_of_pythons():
    """Classifiers, the wheels, and the jobs name the same versions of Python, from the oldest that pip accepts."""
    classifiers = "\n".join(PROJECT["project"]["classifiers"])
    versions = re.findall(r"Python :: (3\.\d+)$", classifiers, re.M)
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"
    built = PROJECT["tool"]["cibuildwheel"]["build"].split()
    tags = [f"cp{v.replace('.', '')}" for v in versions]
    without_lock = tags[versions.index("3.14") :]
    assert built == [f"{tag}-*" for tag in tags] + [f"{tag}t-*" for tag in without_lock]
    jobs = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]
    assert jobs["pythons"]["strategy"]["matrix"]["python"] == versions
    assert jobs["ends"]["steps"][1]["with"]["python-version"].split() == [versions[0], versions[-1]]
    assert jobs["free-threads"]["steps"][1]["with"]["python-version"] == versions[-1] + "t"


def test_the_bill_of_materials_is_json():
    text = (ROOT / "cmake" / "sbom.cdx.json.in").read_text()
    found = json.loads(re.sub(r"@(\w+)@", r"\1", text))
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    component = found["metadata"]["component"]
    assert component["name"] == PROJECT["project"]["name"]
    assert component["licenses"] == [{"license": {"id": PROJECT["project"]["license"]}}]
    names = {part["bom-ref"] for part in found["components"]}
    assert names == {"cython", "numpy"}
    assert found["dependencies"] == [{"ref": component["bom-ref"], "dependsOn": sorted(names)}]


TOOL = runpy.run_path(str(ROOT / "tests" / "tools" / "wheel.py"))
BILL = {
    "metadata": {"component": {"name": "fastlog-numpy", "version": fastlog.__version__}},
    "components": [{"name": "numpy", "version": "2.0"}],
}
METADATA = f"Name: fastlog-numpy\nVersion: {fastlog.__version__}\nRequires-Dist: numpy>=2.0\n"
WHOLE = {
    "fastlog/_core.cpython-311.so": "",
    "fastlog-0.dist-info/METADATA": METADATA,
    "fastlog-0.dist-info/licenses/LICENSE": "",
    "fastlog-0.dist-info/sboms/fastlog.cdx.json": json.dumps(BILL),
}
FAULTS = {
    "": {},
    "has the extensions": {"fastlog/_core.cpython-312.so": ""},
    "differs from fastlog/": {"fastlog/_core.pyx": ""},
    "requires numpy>=1.0": {"fastlog-0.dist-info/METADATA": METADATA.replace("2.0", "1.0")},
    "is about fastlog": {"fastlog-0.dist-info/sboms/fastlog.cdx.json": json.dumps(BILL).replace("-numpy", "")},
    "has no version of": {"fastlog-0.dist-info/sboms/fastlog.cdx.json": json.dumps(BILL).replace("2.0", "")},
    "is not that of version": {},
    "runs on this Linux alone": {},
    "bytes, more than": {"fastlog/data": "0" * (TOOL["MOST_BYTES"] + 1)},
}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the repository says what belongs into a wheel")
@pytest.mark.parametrize("fault", FAULTS)
def test_the_check_of_a_wheel_finds_what_is_wrong(fault, tmp_path):
    system = "linux" if "Linux" in fault else "manylinux_2_28"
    wheel = tmp_path / f"fastlog_numpy-0-cp311-cp311-{system}_x86_64.whl"
    package = {
        name for name in TOOL["tracked"]() if name.startswith("fastlog/") and not name.endswith((".pyx", ".pxi"))
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in ({name: "" for name in package} | WHOLE | FAULTS[fault]).items():
            archive.writestr(name, text)
    with pytest.raises(SystemExit, match=fault) if fault else nullcontext():
        TOOL["check_wheel"](wheel, "v99" if fault == "is not that of version" else "")


def test_a_release_without_addresses_is_refused():
    with pytest.raises(SystemExit, match=r"lacks .*'Changelog', 'Documentation', 'Issues'"):
        TOOL["check_addresses"](message_from_string("Project-URL: Source, https://example.org\n\n"))
    urls = "".join(
        f"Project-URL: {name}, https://example.org\n" for name in ("Source", "Documentation", "Changelog", "Issues")
    )
    for link in ("[a page](docs/tour.md)", '<img src="docs/speed.png">'):
        with pytest.raises(SystemExit, match=r"cannot follow: \['docs/"):
            TOOL["check_addresses"](message_from_string(f"{urls}\nSee {link}, and [another](https://example.org).\n"))


def test_nothing_that_is_deprecated_stays_unannounced():
    """The changelog names every function that warns that it will go."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    for path in (ROOT / "fastlog").rglob("*.py"):
        for name, body in re.findall(r"^def (\w+)\((.*?)(?=^\S|\Z)", path.read_text(), re.M | re.S):
            if "DeprecationWarning" in body:
                assert re.search(rf"`{name}`[^*]* deprecated", changes), name
