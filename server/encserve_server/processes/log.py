"""Triton's log: passed through without what is harmless, and its end kept in memory for the error message."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from encserve_server.processes.loops import start_loop

KEPT_LINES = 200
REASON_LINES = 12
CLOSE_TIMEOUT_S = 1.0
FATAL = "error: creating server"

# Triton says these at the level of warnings and errors wherever there is no NVIDIA driver, and no flag stops it.
HARMLESS_WITHOUT_DRIVER = (
    "CudaDriverHelper has not been initialized",
    "CUDA driver version is insufficient for CUDA runtime version",
    "no pinned memory pool, falling back to non-pinned system memory",
)

OF_A_CANDIDATE = ("Failed to set config modification time: model_config_content_name_ is empty",)
"""Lines that Triton prints of a model that is not in the repository, such as the one that asks a new version before it
serves."""

ORDINARY_END = ("Signal (2) received.", "Signal (15) received.")
"""Lines that Triton prints when it was asked to stop; other signals are crashes."""


class Log:
    """The log of a server, whose output a thread reads to its end."""

    def __init__(self, output: IO[str], *, show: Callable[[str], None], hidden: tuple[str, ...]) -> None:
        self._output = output
        self._show = show
        self._hidden = hidden
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._is_given_up = threading.Event()
        self._thread = start_loop("triton-log", self._read_line, report=show)

    def close(self) -> None:
        """Wait for the end of the output, which comes with the last process that writes it."""
        self._thread.join(CLOSE_TIMEOUT_S)
        self._is_given_up.set()
        if not self._thread.is_alive():
            self._output.close()

    def reason(self) -> str:
        """Return what the log says about the end of the server: its last words if it gave any, else its last lines."""
        return reason_of_end(list(self._lines))

    def _read_line(self) -> bool:
        """Read one line, and return whether there may be more: a pipe that nobody empties would stop Triton."""
        if self._is_given_up.is_set() or self._output.closed:
            return False
        line = self._output.readline()
        text = line.rstrip("\n")
        if line and not any(part in text for part in self._hidden):
            self._lines.append(text)
            with suppress(Exception):  # the reader of our output may have gone
                self._show(text)
        return bool(line)


def reason_of_end(lines: list[str]) -> str:
    """Return the lines of a log that say why the server ended."""
    for number, line in enumerate(lines):
        if line.startswith(FATAL):
            return "\n".join(lines[number:]).strip()
    return "\n".join(lines[-REASON_LINES:]).strip()
