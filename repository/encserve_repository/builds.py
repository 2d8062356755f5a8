"""What became of plans that are built in the background.

Whoever builds one holds a lock on its log in the work folder as long as he lives, however he ends, and moves the log
beside the manifest when the plan is published: so a log that lies there locked tells of a build that runs, and one that
nobody locks of one that failed.
"""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .work_folder import find_work_folder


class BuildState(Enum):
    """What became of the last build of a pipeline's plan."""

    NONE = "none"
    """There was none, or its plan was published."""
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Build:
    """The last build of a pipeline's plan."""

    name: str
    """Of the pipeline."""
    state: BuildState
    log: Path
    last_line: str = ""
    """Of the log."""

    def __str__(self) -> str:
        """What is to be said of it; empty where there is nothing."""
        if self.state is BuildState.RUNNING:
            return f"a plan of {self.name} is being built; {self.log} has what it says"
        if self.state is BuildState.FAILED:
            return f"the last plan of {self.name} that was built in the background was not published: {self.last_line}"
        return ""


def build_of(repository: Path, name: str) -> Build:
    """Return what became of the last build of a pipeline's plan in the background. Raises OSError: its log cannot be
    read."""
    log = find_work_folder(repository).build_log(name)
    try:
        with log.open("rb") as stream:
            lines = stream.read().decode(errors="replace").split("\n")
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return Build(name=name, state=BuildState.NONE, log=log)
    except BlockingIOError:
        return Build(name=name, state=BuildState.RUNNING, log=log)
    last_line = next((line for line in reversed(lines) if line), "it ended without a word")
    return Build(name=name, state=BuildState.FAILED, log=log, last_line=last_line)
