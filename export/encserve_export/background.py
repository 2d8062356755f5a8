"""`--build background`: ONNX Runtime serves at once, and the plan follows as the next version when it is built.

The plan is exported by a process of its own, which outlives the command. What it says goes to a log in the repository,
which moves beside the manifest when the plan is published: one that still lies there tells of a build that failed.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from encserve import EncserveError

from .config import Engine, ExportConfig
from .errors import InvalidConfig
from .manifest import Manifest
from .publishing import publish
from .repository import build_log
from .tensorrt_plan import find_target

LOG_FILE = "build.log"
"""Beside the manifest of a plan that was built in the background."""


def export_ahead(config: ExportConfig, export: Callable[[ExportConfig], list[Manifest]]) -> list[Manifest]:
    """Publish what serves until the plan is there, with the limits that it will have.

    Raises:
        InvalidConfig: `config` asks for no plan.
        ExportError: and nothing was published; also where this host cannot build plans.
    """
    if config.engine is not Engine.TENSORRT:
        raise InvalidConfig(f"--build background is for --engine tensorrt; {config.engine.value} has nothing to build")
    find_target()
    return export(replace(config, engine=Engine.ONNXRUNTIME, followed_by=Engine.TENSORRT))


def start_build(config: ExportConfig) -> tuple[subprocess.Popen[bytes], Path]:
    """Export the plan in a process of its own, which nothing that happens to this one ends. Returns it and its log."""
    log = build_log(config.repository, config.name)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "encserve_export.background"],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert process.stdin is not None
    with process.stdin as pipe:
        pickle.dump(config, pipe)
    return process, log


def failed_build(repository: Path, name: str) -> str:
    """What the last build of the pipeline said in the end, where its plan was not published; empty where it was."""
    log = build_log(repository, name)
    if not log.is_file():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line), "it ended without a word")


def main(given: BinaryIO) -> int:
    """The process: export the plan that the configuration in `given` asks for. Returns the exit code."""
    config: ExportConfig = pickle.load(given)
    try:
        first, *_ = publish(config)
    except EncserveError as error:
        print(f"encserve: error: {error}", file=sys.stderr, flush=True)
        return 1
    for name in config.names:
        print(f"a server that runs takes it with `encserve promote {name} {first.version}`", flush=True)
    build_log(config.repository, config.name).replace(config.repository / config.name / str(first.version) / LOG_FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer))
