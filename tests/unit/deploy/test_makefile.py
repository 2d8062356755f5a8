"""The verbs of the Makefile that change what is there, in a folder of their own."""

import os
import shutil
import subprocess
import sys

import pytest
from deploy_files import ROOT
from toy_versions import check_loadable, write_version

from encserve_repository.publication.staging import staged_version

PYTHON = """#!/bin/sh
mkdir -p .venv/bin
cat > .venv/bin/python <<'PIP'
#!/bin/sh
echo 'Requirement already satisfied: numpy'
case "$*" in *constraints*) test $PIP_STATUS = 0 || echo 'Collecting torch'; exit $PIP_STATUS ;; esac
PIP
chmod +x .venv/bin/python
"""
"""Stands in for an interpreter that makes an environment, whose pip has nothing to do, or fails."""


@pytest.fixture
def make(tmp_path):
    """Runs a goal of a copy of the Makefile; variables are the environment's."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run(goal, **variables):
        command = ["make", goal, f"PYTHON={python}"]
        environment = os.environ | variables
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.mark.parametrize("status", [0, 1])
def test_what_pip_cannot_install_is_not_called_installed(make, tmp_path, status):
    made = make(".venv/installed", PIP_STATUS=str(status))
    assert (made.returncode != 0) == bool(status), made.stderr
    assert (tmp_path / ".venv" / "installed").exists() != bool(status)


def test_spark_without_java_fails_before_it_installs_anything(make, tmp_path):
    """Its only test is skipped there, which would be green."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("make", "bash", "sh"):
        (programs / name).symlink_to(shutil.which(name))
    made = make("spark", PATH=str(programs))
    assert made.returncode != 0
    assert "Spark needs Java: apt-get install default-jre-headless" in made.stderr
    assert not (tmp_path / "build").exists()


def test_clean_removes_what_manifests_list_and_nothing_of_others(make, tmp_path):
    """Also not what others made under names that an export would take."""
    repository = tmp_path / "model_repository"
    write_version(repository)
    (repository / "README.md").touch()
    theirs = ("minilm_encode_tensorrt/1/model.plan", "minilm_head/7/model.py", "resnet/1/model.onnx")
    for path in theirs:
        (repository / path).parent.mkdir(parents=True)
        (repository / path).write_text("not of encserve")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/installed").touch()
    python = tmp_path / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with staged_version(repository, "minilm-tags"):
        busy = make("clean")
        assert busy.returncode != 0
        assert "another export or promotion of 'minilm-tags'" in busy.stderr
    assert check_loadable(repository) == 1
    assert (tmp_path / ".venv").exists()
    cleaned = make("clean")
    assert cleaned.returncode == 0, cleaned.stderr
    assert f"left {repository / 'minilm_head'}" in cleaned.stdout
    left = {path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()}
    assert left == {"README.md", "minilm_head/config.pbtxt", *theirs}
    assert not (tmp_path / ".venv").exists()
    assert not (tmp_path / ".model_repository.encserve").exists()
    again = make("clean")
    assert (again.returncode, "model_repository stays as it is" in again.stdout) == (0, True)
