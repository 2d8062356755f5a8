"""The verbs of the Makefile that change what is there, in a folder of their own."""

import os
import shutil
import subprocess

import pytest
from deploy_files import ROOT

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


def test_clean_removes_what_encserve_exported_and_nothing_of_others(make, tmp_path):
    repository = tmp_path / "model_repository"
    ours = ("minilm", "minilm_tokenize", "minilm_encode", "minilm_encode_tensorrt", "minilm_head")
    theirs = ("resnet", "resnet_head", "llm")
    for name in (*ours, *theirs):
        (repository / name / "1").mkdir(parents=True)
    (repository / "README.md").touch()
    (repository / "minilm" / "1" / "manifest.json").write_text('{"contract_version": 1}')
    (repository / "llm" / "1" / "manifest.json").write_text('{"of": "another tool"}')
    cleaned = make("clean")
    assert cleaned.returncode == 0, cleaned.stderr
    assert {file.name for file in repository.iterdir()} == {"README.md", *theirs}
    assert make("clean").returncode == 0
