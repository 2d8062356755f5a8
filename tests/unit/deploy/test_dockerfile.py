"""The Dockerfile: linted, and each stage with what the compose file expects of it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib
from deploy_files import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


@pytest.fixture(scope="module")
def stages():
    """Instructions by stage, continuation lines joined."""
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text())
    found, current = {}, []
    for line in text.splitlines():
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            current = found.setdefault(match[2], [line])
        elif line and not line.startswith("#"):
            current.append(line)
    return found


def test_the_linter_has_nothing_to_say():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or "hadolint"
    linted = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, timeout=120, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_every_target_of_the_compose_file_is_a_stage(stages, compose):
    builds = [service["build"] for service in compose["services"].values() if "build" in service]
    assert {build["target"] for build in builds} <= set(stages)
    assert all((ROOT / build["dockerfile"]) == DOCKERFILE for build in builds)


def test_everything_that_is_copied_is_there_and_in_the_build_context(stages):
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = {
        source
        for lines in stages.values()
        for line in lines
        if line.startswith("COPY")
        for source in line.split()[1:-1]
    }
    for source in copied:
        assert (ROOT / source).exists()
        assert source in allowed
    assert copied == set(allowed)


def test_every_package_of_the_wheel_is_copied_wherever_it_is_installed(stages):
    """Hatch builds a wheel without a package that is not there, and says nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    folders = {package.partition("/")[0] for package in packages}
    copies = {
        name: {source for line in lines if line.startswith("COPY") for source in line.split()[1:-1]}
        for name, lines in stages.items()
    }
    assert folders <= copies["serve"]
    assert folders <= copies["python"]
    assert {f"!{folder}" for folder in folders} <= set((ROOT / ".dockerignore").read_text().splitlines())


def test_no_stage_that_runs_ends_as_root(stages):
    for name in ("serve", "export-plan", "export", "gateway", "loadtest"):
        users = [line.split()[1] for line in stages[name] if line.startswith("USER")]
        assert users[-1] == "1000:1000", name


def test_the_image_serves_and_checks_itself_as_the_compose_file_does(stages, compose):
    (serving,) = [line for line in stages["serve"] if line.startswith("CMD")]
    ours = json.loads(serving.removeprefix("CMD "))
    theirs = compose["services"]["triton"]["command"]
    assert ours[:2] == theirs[:2]
    (health,) = [line for line in stages["serve"] if line.startswith("HEALTHCHECK")]
    assert json.loads(health[health.index("[") :]) == compose["services"]["triton"]["healthcheck"]["test"][1:]


def test_what_is_installed_is_pinned(stages):
    installs = [line for lines in stages.values() for line in lines if "pip install" in line]
    assert len(installs) == 6
    for line in installs:
        assert "--constraint constraints.txt" in line or "--no-deps ." in line
    (plan,) = [line for line in stages["export-plan"] if "pip install" in line]
    assert '"tensorrt==${TRT_VERSION%%+*}"' in plan, "that of the image"
    pinned = (ROOT / "constraints.txt").read_text()
    for package in ("numpy", "onnxruntime", "tokenizers", "tritonclient"):
        assert re.search(rf"^{package}==", pinned, re.MULTILINE)
