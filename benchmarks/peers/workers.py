"""The processes of the systems under measurement, seen from the one that measures."""

from __future__ import annotations

import base64
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

import numpy as np
from numpy.typing import NDArray

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
        before = cost_of(self._pid)
        answer = self._ask({"load": load, "variant": variant}, timeout_s=timeout_s)
        after = cost_of(self._pid)
        pause(self._pid)
        return Answered(said=answer, before=before, after=after)

    def embed(self, texts: Sequence[str], variant: str, *, timeout_s: float) -> NDArray[np.float32]:
        """The vectors (n, W) that it makes of n texts.

        Raises:
            Refused: it ended, did not answer in time, or failed.
        """
        answer = self._ask({"embed": list(texts), "variant": variant}, timeout_s=timeout_s)
        pause(self._pid)
        if "failed" in answer:
            raise Refused(answer["failed"])
        return np.frombuffer(base64.b64decode(answer["numbers"]), "<f4").reshape(answer["rows"], -1)

    def _ask(self, order: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """Let it go on, and answer."""
        assert self._process.stdin is not None
        resume(self._pid)
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return self._read(timeout_s=timeout_s)
        except BrokenPipeError:
            raise Refused(self._end()) from None
        except Refused:  # what it does would go on beside the others
            kill(self._pid)
            raise

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
