"""The most memory that processes hold together while something is done, and an end to it before a machine has none."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.cost.started import memory_of
from benchmarks.processes import descendants, kill

PERIOD_S = 0.5
"""Between two looks."""


class Held:
    """What some processes hold: memory that several map counts once, in parts."""

    def __init__(self) -> None:
        self.most_bytes = 0
        """The most of all looks so far."""

    def look(self, pids: Sequence[int]) -> None:
        """Add up what they hold now."""
        self.most_bytes = max(self.most_bytes, sum(memory_of(pid)[0] for pid in pids))


@contextmanager
def looking(pids: Callable[[], Sequence[int]]) -> Iterator[Held]:
    """Look at what `pids` gives every half second while the block runs, and once at its end."""
    held, done = Held(), threading.Event()

    def look() -> None:
        while not done.wait(PERIOD_S):
            held.look(pids())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield held
        held.look(pids())
    finally:
        done.set()
        thread.join()


def run(command: Sequence[str], *, leave_bytes: int) -> Held:
    """Run a program; returns the most that it and all that it starts hold together. Nothing that it starts outlives it.

    Raises:
        SystemExit: it failed, or it was ended as the machine had less than `leave_bytes` left, which others need.
    """
    held, short = Held(), False
    with tempfile.TemporaryFile("w+", errors="replace") as errors:  # the end of a pipe comes when all have closed it
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)
        try:
            while not short and not _has_ended(process):
                held.look([process.pid, *descendants(process.pid)])
                short = available_bytes() < leave_bytes
        finally:
            _end(process)
        errors.seek(0)
        said = "".join(errors.readlines()[-5:]).strip()
    if short:
        raise SystemExit(
            f"{' '.join(command)} was ended: it held {held.most_bytes / 2**30:.1f} GiB, and the machine had less than "
            f"{leave_bytes / 2**30:.1f} GiB left"
        )
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {said}")
    return held


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(PERIOD_S)
    return process.returncode is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program where it still runs, and those of its session, whoever started them."""
    if process.returncode is None:
        kill(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def available_bytes() -> int:
    """Memory that programs can still have, by the kernel's estimate."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
