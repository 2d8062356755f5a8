"""Processes of our own run our modules, whatever lies in the working directory."""

import json
import os
import subprocess
import sys

import pytest

from encserve_export.processes import command_of


@pytest.fixture
def poisoned(tmp_path, monkeypatch):
    """A working directory with modules that leave a mark where they are imported."""
    for name in ("numpy", "torch", "transformers", "runpy", "encserve_export"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_module_gets_its_arguments_and_its_name(poisoned, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "told.py").write_text("import json, sys, numpy; print(json.dumps([__name__, sys.argv[1:], sys.path]))")
    path = os.pathsep.join([str(elsewhere), *filter(None, sys.path)])
    command = command_of("told", "one", "--two")
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True)
    name, arguments, path = json.loads(done.stdout)
    assert (name, arguments) == ("__main__", ["one", "--two"])
    assert "" not in path
    assert str(poisoned) not in path
    assert not (poisoned / "ran").exists()
