"""The first change of docs/first_hour/contributor.md, made step by step in a copy of the project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .code_blocks import ROOT, blocks_of

PAGE = Path("docs/first_hour/contributor.md")
PARTS = (
    "CONTRIBUTING.md",
    "client",
    "docs",
    "tests/conftest.py",
    "tests/unit/conftest.py",
    "tests/unit/client",
    "pyproject.toml",
)
"""What the change and its tests need of the project."""
MODULES = ("tests/*.py",)


@pytest.fixture
def project(tmp_path):
    for part in (*PARTS, *(str(file.relative_to(ROOT)) for pattern in MODULES for file in ROOT.glob(pattern))):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, tmp_path / part)
    return tmp_path


def run(line, project):
    """Whether a line of a shell succeeds in a project, and what it prints."""
    programs = Path(sys.executable).parent
    paths = os.pathsep.join([str(project / "client"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace(".venv/bin", str(programs))],
        cwd=project,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode == 0, done.stdout


def test_each_step_does_what_the_page_says(project):
    _, *steps = blocks_of(PAGE)  # the first block sets the project up
    failing = 0
    for block in steps:
        if block.language == "python":
            with (project / "tests/unit/client/verbs/test_options.py").open("a") as file:
                file.write(f"\n\n{block.code[block.code.index('def ') :]}")
        elif block.language == "text":
            file = project / "client/encserve/_verbs/fill_mask.py"
            (last,) = (line for line in file.read_text().splitlines() if "for each mask; five without it" in line)
            file.write_text(file.read_text().replace(last, f"{last}\n{block.code.rstrip()}"))
        for line in block.code.splitlines() if block.language == "bash" else []:
            succeeds, printed = run(line, project)
            _, fails, reason = line.partition("# fails: ")
            assert succeeds is not bool(fails), f"{line}\n{printed}"
            assert reason.strip('"') in printed, f"{line}\n{printed}"
            failing += bool(fails)
    assert failing == 2
    assert "min_characters" in (project / "docs/contract.md").read_text()
