"""A program that does not outlive this process."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


def guarded(command: Sequence[str], *, exit_timeout_s: int) -> list[str]:
    """Return the command that runs another under a guard, which ends it when this process ends; see `guard.py`.

    Args:
        command: a program, by its path, and its arguments.
        exit_timeout_s: what it has to end by itself, 1 at least.
    """
    guard = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))]
    return [*guard, str(os.getpid()), str(exit_timeout_s), *command]


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is run under a guard, in a process group of its own."""

    command: Sequence[str]
    """A program, by its path, and its arguments."""
    exit_timeout_s: int
    """Seconds that it has to end by itself when this process has ended, 1 at least."""
    environment: Mapping[str, str] | None = None
    """Its environment variables; None for those of this process."""
    inherited_fds: Sequence[int] = ()
    """The descriptors that it inherits."""

    def start(self) -> "subprocess.Popen[str]":
        """Start it. What it prints, errors too, is one pipe of text."""
        return subprocess.Popen(
            guarded(self.command, exit_timeout_s=self.exit_timeout_s),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C of the terminal reaches us alone: we decide how it stops
            pass_fds=self.inherited_fds,
        )
