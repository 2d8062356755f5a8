"""Prometheus's own arithmetic: rules that a real promtool checks and tries."""

import shutil
import subprocess

import pytest
import yaml


def promtool(*arguments, cwd=None):
    """Its exit code, and all that it says. Skips the test where there is none."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool on PATH (Debian: apt-get install prometheus)")
    run = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    return run.returncode, run.stdout + run.stderr


def checked(folder, rules):
    """What it says of rules of the groups that a file may have; its exit code with it."""
    return promtool("check", "rules", _file(folder, rules))


def tried(folder, tests):
    """What becomes of series and rules, as a file of its tests has them; its exit code with it."""
    return promtool("test", "rules", _file(folder, tests))


def _file(folder, content):
    file = folder / "promtool.yml"
    file.write_text(yaml.safe_dump(content))
    return str(file)
