"""One step after the other, each in a process of its own, within a time that the whole has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LEAST_S = 10.0
"""A step is not begun with less time than this."""
LAST_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is to be done."""

    name: str
    doing: str
    """In words, for who watches."""
    command: Sequence[str]
    limit_s: float
    """It is ended after so many seconds, or when the time of the whole is up."""


@dataclass
class Outcome:
    """What came of a step."""

    name: str
    state: str
    """"done", "failed", "out of time", or "passed over"."""
    seconds: float = 0.0
    why: str = ""
    """Where it is not done: the reason, with the last lines that the step wrote."""
    last_lines: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For the results."""
        return dict(vars(self)) | {"seconds": round(self.seconds, 1)}


def run_steps(
    steps: Sequence[Step],
    *,
    end_s: float,
    logs: Path,
    environment: Mapping[str, str],
    after: Callable[[list[Outcome]], None],
    clock: Callable[[], float] = time.monotonic,
) -> list[Outcome]:
    """Run them in their order until `end_s` of `clock`; what did not fit is passed over, and says so.

    Each writes to a file of its name in `logs`. `after` is called after each step with all outcomes so far.
    """
    outcomes: list[Outcome] = []
    for step in steps:
        left_s = end_s - clock()
        if left_s < LEAST_S:
            outcome = Outcome(step.name, "passed over", why=f"{max(0.0, left_s):.0f} s are left of the whole time")
        else:
            limit_s = min(step.limit_s, left_s)
            say(f"{step.name}: {step.doing} ({limit_s:.0f} s at most)")
            outcome = _run(step, limit_s, logs / f"{step.name.replace(' ', '-')}.log", environment)
        say(f"{step.name}: {outcome.state}" + (f", {outcome.seconds:.1f} s" if outcome.seconds else "") + _why(outcome))
        outcomes.append(outcome)
        after(outcomes)
    return outcomes


def _why(outcome: Outcome) -> str:
    return f": {outcome.why}" if outcome.why else ""


def _run(step: Step, limit_s: float, log: Path, environment: Mapping[str, str]) -> Outcome:
    begin = time.monotonic()
    with log.open("w") as out:
        # A group of its own, so that processes that it starts end with it.
        process = subprocess.Popen(
            step.command, stdout=out, stderr=subprocess.STDOUT, env=dict(environment), start_new_session=True
        )
        try:
            code: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    seconds = time.monotonic() - begin
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-LAST_LINES:]
    if code == 0:
        return Outcome(step.name, "done", seconds, last_lines=lines)
    if code is None:
        return Outcome(step.name, "out of time", seconds, f"ended after {limit_s:.0f} s", lines)
    last = lines[-1] if lines else "it wrote nothing"
    return Outcome(step.name, "failed", seconds, f"exit code {code}: {last}", lines)


def say(text: str) -> None:
    """What is going on, on stderr, with the time."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
