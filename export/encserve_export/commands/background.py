"""`--build background`: ONNX Runtime serves at once, and the plan follows as the next version when it is built.

The plan is exported by a process of its own, which outlives the command. What it says goes to a log in the work folder
of the repository, on which it holds a lock (`encserve_repository.builds`).
"""

from __future__ import annotations

import fcntl
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from encserve import EncserveError
from encserve_export.config import ExportConfig
from encserve_export.engines.table import engine_for
from encserve_export.errors import InvalidConfig, PublishError
from encserve_export.processes import command_of
from encserve_repository.manifest import Manifest
from encserve_repository.work_folder import find_work_folder, open_work_folder

from .publishing import publish

READ_S = 1.0
"""Seconds for which those may hold the log who only ask what became of a build: they need an instant."""


def export_ahead(config: ExportConfig, export: Callable[[ExportConfig], list[Manifest]]) -> list[Manifest]:
    """Publish what serves until the plan is there, with the limits that it will have.

    Raises:
        InvalidConfig: `config` asks for no plan.
        ExportError: and nothing was published; also where this host cannot build plans.
    """
    meanwhile = engine_for(config).ahead(config)
    if meanwhile is None:
        raise InvalidConfig(f"--build background is for --engine tensorrt; {config.engine} has nothing to build")
    return export(meanwhile)


def start_build(config: ExportConfig) -> tuple[subprocess.Popen[bytes], Path]:
    """Export the plan in a process of its own, which nothing that happens to this one ends. Returns it and its log."""
    work = open_work_folder(config.repository)
    log = work.build_log(config.name)
    with log.open("ab") as stream:
        if not _locked(stream):
            raise PublishError(f"a plan of {config.name} is being built; {log} has what it says")
        stream.truncate(0)  # the process inherits the lock with the file
        process = subprocess.Popen(
            command_of("encserve_export.commands.background"),
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert process.stdin is not None
    with process.stdin as pipe:
        pickle.dump(config, pipe)
    return process, log


def _locked(stream: BinaryIO) -> bool:
    """Take the lock of a log; return whether that was possible before a build would still hold it."""
    until_s = time.monotonic() + READ_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until_s:
                return False
        time.sleep(0.01)


def main(given: BinaryIO) -> int:
    """The process: export the plan that the configuration in `given` asks for. Returns the exit code."""
    config: ExportConfig = pickle.load(given)
    try:
        first, *_ = publish(config)
    except EncserveError as error:
        print(f"encserve: error: {error}", file=sys.stderr, flush=True)
        return 1
    find_work_folder(config.repository).keep_build_log(config.name, first.version)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer))
