"""The HTTP gateway beside a server: `encserve gateway` in a process of its own, which is started again when it ends."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from encserve_server.config import ServeConfig
from encserve_server.errors import ConfigError, StartFailed
from encserve_server.processes.loops import start_loop
from encserve_server.processes.process import EXIT_MARGIN_S
from encserve_server.processes.program import Program

LISTENS = "HTTP "
"""How the line begins in which the gateway says where it listens."""

OWN_WORDS = "pipelines of "
"""How the line begins that says which server it asks: ours, which has said so itself."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between the end of a gateway and the next one, in seconds; each time twice as long, until one has listened."""


def gateway_command(config: ServeConfig, port: int, options: str) -> list[str]:
    """The command of a gateway before the server of `config`.

    Args:
        config: of the server.
        port: that the gateway is to have.
        options: further ones of `encserve gateway`, as a shell has them.

    Raises:
        ConfigError: the server encrypts, or the options have an open quote.
    """
    if config.tls is not None:
        raise ConfigError(
            "--gateway asks the server in plain text, which it does not take with --tls-cert: run `encserve gateway` "
            "beside it, with --tls-ca"
        )
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise ConfigError(f"the options of --gateway, {options!r}, are no words of a shell: {error}") from error
    url = f"{config.client_host}:{config.grpc_port}"
    return [sys.executable, "-m", "encserve", "gateway", f"--url={url}", f"--port={port}", *words]


class GatewayBeside:
    """A gateway for as long as the `with` block lasts. It listens when the block begins, whether its server answers yet
    or not, and no process of it is left when the block has ended.

    Args:
        command: as `gateway_command` has it.
        exit_timeout_s: seconds that its requests in flight may take at the end.
        report: takes what it prints, and that it is started again, line by line.
    """

    def __init__(self, command: Sequence[str], *, exit_timeout_s: int, report: Callable[[str], None]) -> None:
        self._command = command
        self._exit_timeout_s = exit_timeout_s
        self._report = report
        self._known = threading.Event()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._pause_s = FIRST_PAUSE_S
        self._said: list[str] = []
        self.url = ""
        """Where it listens, such as "http://127.0.0.1:8080"."""

    def __enter__(self) -> GatewayBeside:
        """Start it.

        Raises:
            StartFailed: it ended before it listened; the message has what it printed.
        """
        # The kernel stops a process when the thread that started it ends, so this one starts them all.
        self._thread = start_loop("gateway", self._serve_once, report=self._report)
        try:
            self._known.wait()
        except BaseException:
            self.stop()
            raise
        if not self.url:
            self._thread.join()
            raise StartFailed("the gateway did not start: " + "\n".join(self._said).removeprefix("encserve: error: "))
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let its requests in flight finish, then end it whatever it does. Stopping twice is harmless."""
        self._stopping.set()
        process = self._process
        try:
            if process is not None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(self._exit_timeout_s + EXIT_MARGIN_S)
        finally:  # also when a second signal interrupts the wait
            if process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            self._thread.join()

    def _serve_once(self) -> bool:
        """Run one gateway to its end, and return whether there is to be another."""
        with Program(command=self._command, exit_timeout_s=self._exit_timeout_s).start() as process:
            self._process = process
            if self._stopping.is_set():  # it came before there was anything to stop
                process.terminate()
            assert process.stdout is not None
            for line in process.stdout:
                self._read(line.rstrip("\n"))
        if self._stopping.is_set() or not self._known.is_set():
            self._known.set()
            return False
        self._report(f"starting the gateway again in {self._pause_s:g} s: it ended with {_how(process.returncode)}")
        self._stopping.wait(self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return not self._stopping.is_set()

    def _read(self, line: str) -> None:
        if line.startswith(LISTENS):
            self.url = line.split()[-1]
            self._pause_s = FIRST_PAUSE_S
            self._known.set()
        elif self._known.is_set():
            if not line.startswith(OWN_WORDS):
                self._report(line)
        else:
            self._said.append(line)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
