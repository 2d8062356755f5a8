"""The processes in which the Python backend runs steps, and those of them that have died."""

import time
from collections.abc import Callable
from pathlib import Path

from encserve_server.steps.instance.load_page import process_state

CODE = "model.py"
"""The file of a version that the Python backend runs; its command line has the path."""
ENDING_S = 0.1
"""Seconds after which a process of a step that Triton ends itself is gone; one that died stays where it is."""


class StepProcesses:
    """The processes of the steps of one server.

    Triton waits at once for a process that it ends itself. Of one that dies it takes no notice, so that it stays where
    it is until the server ends.

    Args:
        stub_pids: gives the processes in which steps run now.
    """

    def __init__(self, stub_pids: Callable[[], tuple[int, ...]]) -> None:
        self._stub_pids = stub_pids
        self._steps: dict[int, tuple[str, int] | None] = {}
        """Which step each process runs, and which version of it."""
        self._ended_before: set[int] = set()
        """The processes that had ended when it was last looked what has died."""

    def see(self) -> tuple[int, ...]:
        """Look which processes there are, and return those that run. One that ends afterwards is known by this."""
        stubs = self._stub_pids()
        ended = {pid: self._steps[pid] for pid in self._ended()}
        self._steps = {pid: step_of(pid) for pid in stubs} | ended
        return stubs

    def have_ended(self) -> bool:
        """Return whether one has ended since it was last looked what has died."""
        return bool(self._ended() - self._ended_before)

    def died(self) -> list[tuple[str, int]]:
        """Return the models and versions whose processes have died, sorted."""
        if self._ended():
            time.sleep(ENDING_S)
        self._ended_before = self._ended()
        return sorted(step for pid in self._ended_before if (step := self._steps[pid]) is not None)

    def _ended(self) -> set[int]:
        return {pid for pid in self._steps if process_state(pid) == "Z"}


def in_words(died: list[tuple[str, int]]) -> str:
    """Return the sentence about models and versions that have died; empty of none."""
    return "; ".join(f"the process of {model} version {version} has died" for model, version in died)


def step_of(stub_pid: int) -> tuple[str, int] | None:
    """Return the model and the version that a process of the Python backend runs; None where it has ended."""
    try:
        words = Path(f"/proc/{stub_pid}/cmdline").read_text().split("\0")
    except (OSError, UnicodeDecodeError):
        return None
    for code in map(Path, words):
        if code.name == CODE and code.parent.name.isdecimal():
            return code.parent.parent.name, int(code.parent.name)
    return None
