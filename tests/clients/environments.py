"""Clients that have an environment of their own, since what they pin is not what we pin, and their programs."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / "build" / "clients"


@dataclass(frozen=True)
class Program:
    """A client's package, asked by a file of `programs/` in an environment that has it.

    `environment` is a file of `environments/` that says what is installed, or empty for the environment of the tests.
    """

    name: str
    environment: str = ""

    def ask(self, calls, **settings):
        """What becomes of calls, each a function of the program and its arguments: {"returned": value} or {"raised":
        name of a class of errors, "message": text}. `settings` are variables of the environment."""
        with tempfile.TemporaryDirectory() as folder:
            answers = Path(folder) / "answers.json"
            subprocess.run(
                [*self._command(), str(answers)],
                input=json.dumps(calls),
                text=True,
                check=True,
                timeout=600,
                env=os.environ | settings,
            )
            return json.loads(answers.read_text(encoding="utf-8"))

    def _command(self):
        if self.environment == "node":
            return ["node", str(node() / "ask.mjs"), str(node() / f"{self.name}.mjs")]
        python = made(self.environment) / "bin" / "python" if self.environment else Path(sys.executable)
        return [str(python), str(HERE / "ask.py"), str(HERE / "programs" / f"{self.name}.py")]


BESIDE_OURS = "# beside ours"
"""How the file of an environment begins that has the packages of the tests' own, too."""


def made(name):
    """The folder of an environment, made now unless it was made of these very packages: that needs a package index."""
    wanted = HERE / "environments" / f"{name}.txt"
    folder, seal = BUILT / name, hashlib.sha256(wanted.read_bytes()).hexdigest()
    if _sealed(folder) != seal:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        if wanted.read_text().startswith(BESIDE_OURS):
            (packages,) = folder.glob("lib/python*/site-packages")
            (packages / "ours.pth").write_text(sysconfig.get_path("purelib"))
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)]
        subprocess.run(install, check=True)
        (folder / "made-of").write_text(seal)
    return folder


def node():
    """The folder with the packages of Node and the programs, which look for packages beside themselves."""
    folder = BUILT / "node"
    wanted = HERE / "environments" / "node" / "package.json"
    seal = hashlib.sha256(wanted.read_bytes()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    for file in (wanted, *(HERE / "programs" / "node").iterdir()):
        (folder / file.name).write_bytes(file.read_bytes())
    if _sealed(folder) != seal:
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=folder, check=True)
        (folder / "made-of").write_text(seal)
    return folder


def _sealed(folder):
    file = folder / "made-of"
    return file.read_text() if file.exists() else ""
