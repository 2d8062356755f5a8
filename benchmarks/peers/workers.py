"""The processes of the systems under measurement, seen from the one that measures."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.plan import Process
from benchmarks.places import REPOSITORY_ROOT, interpreter
from benchmarks.processes import Cost, cost_of, kill, pause, resume
from encserve_server.processes.program import guarded

EXIT_TIMEOUT_S = 1
"""Of a worker whose harness has died: most are paused then, and will not hear that they shall end."""


class Refused(Exception):
    """A system cannot be measured; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a worker said of a load, and its cost before and after."""

    said: Mapping[str, Any]
    before: Cost
    after: Cost


class Worker:
    """One worker. It is paused whenever it is not asked, so that idle loops of one system cost the others nothing.

    A guard, which is never paused, ends it and all that it has started when this process ends, even if it is killed.
    """

    def __init__(self, name: str, process: Process, arguments: Sequence[str], log: Path) -> None:
        """Start it.

        Raises:
            Refused: it does not start here.
        """
        self.name = name
        self._log = log
        try:
            python = interpreter(process.environment) if process.environment else Path(sys.executable)
        except SystemExit as error:
            raise Refused(str(error)) from error
        path = os.environ.get("PYTHONPATH", "")
        self._pid = 0
        command = [str(python), "-m", "benchmarks.peers.worker", process.module, *arguments]
        self._process = subprocess.Popen(
            guarded(command, exit_timeout_s=EXIT_TIMEOUT_S),
            cwd=REPOSITORY_ROOT,
            # Other environments have packages of their own; they need the benchmarks alone.
            env={**os.environ, "PYTHONPATH": str(REPOSITORY_ROOT) if process.environment else path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            start_new_session=True,  # a Ctrl-C of the terminal reaches the harness alone, which closes its workers
        )
        try:
            message = self._read(timeout_s=300)
            if "refused" in message:
                said = self._last_line()
                raise Refused(message["refused"] + (f"; it said: {said}" if said else ""))
        except Refused:
            self.close()
            raise
        self.versions: Mapping[str, str] = message["ready"]
        self._pid = message["pid"]
        pause(self._pid)

    def run(self, load: Mapping[str, Any], variant: str, *, timeout_s: float) -> Answered:
        """Let it send a load.

        Raises:
            Refused: it ended, or did not answer in time.
        """
        assert self._process.stdin is not None
        pid = self._pid
        resume(pid)
        before = cost_of(pid)
        try:
            self._process.stdin.write(json.dumps({"load": load, "variant": variant}) + "\n")
            self._process.stdin.flush()
            answer = self._read(timeout_s=timeout_s)
        except BrokenPipeError:
            raise Refused(self._end()) from None
        except Refused:  # what it does would go on beside the others
            kill(pid)
            raise
        after = cost_of(pid)
        pause(pid)
        return Answered(said=answer, before=before, after=after)

    def _read(self, *, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                raise Refused(f"it did not answer within {timeout_s:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise Refused(self._end())
        message: dict[str, Any] = json.loads(line)
        return message

    def _end(self) -> str:
        code = self._process.wait(30)
        return f"its process ended with exit code {code}: {self._last_line() or 'it said nothing'}"

    def _last_line(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else ""

    def close(self) -> None:
        """End it, and with it what it started."""
        assert self._process.stdin is not None
        if self._pid:
            resume(self._pid)
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()
