"""The processes that a program started, and whether they are still there."""

import time
from pathlib import Path

from encserve_server.processes.process import child_pids


def family(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    children = child_pids(pid)
    return [*children, *(descendant for child in children for descendant in family(child))]


def exists(pid: int) -> bool:
    """Whether there is the process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids: list[int], within_s: float) -> bool:
    """Whether all of the processes end in that time."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if not any(map(exists, pids)):
            return True
        time.sleep(0.05)
    return False
