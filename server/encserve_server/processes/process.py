"""The `tritonserver` process: started so that it cannot outlive us, stopped so that nothing of it stays."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from encserve_server.processes.log import Log
from encserve_server.processes.program import Program

STUB_NAME = "triton_python_backend_stub"
EXIT_MARGIN_S = 5  # Triton keeps the exit timeout itself, in whole seconds, unless something in it hangs


class TritonProcess:
    """A running `tritonserver` and its children, which form one process group under a guard.

    The kernel tells the guard to stop it when the *thread* that started it ends, so start it from one that lives as
    long.
    """

    def __init__(self, program: Program, *, show: Callable[[str], None], hidden: tuple[str, ...]) -> None:
        self._popen = program.start()
        assert self._popen.stdout is not None
        try:
            self.log = Log(self._popen.stdout, show=show, hidden=hidden)
            self._program_pid = self._first_child()
        except BaseException:  # as where no thread can be started: nobody else would end it
            self._kill()
            raise

    @property
    def pid(self) -> int:
        """Return the process id of `tritonserver`; 0 where it ended before it could be asked."""
        return self._program_pid

    @property
    def guard_pid(self) -> int:
        """Return the process id of the guard, which is the id of their process group."""
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        """Return whether the server still runs."""
        return self._popen.poll() is None

    def _first_child(self) -> int:
        while self.is_alive:
            if children := child_pids(self._popen.pid):
                return children[0]
            time.sleep(0.005)
        return 0

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for the end of the server, or until `timeout_s` has passed."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout_s)

    def describe_end(self) -> str:
        """Return how the server ended, and why as far as its log says."""
        self.log.close()
        code = self._popen.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"Triton ended with {how}:\n{self.log.reason()}"

    def stub_pids(self) -> tuple[int, ...]:
        """Return the processes in which the Python backend runs the models."""
        return tuple(pid for pid in child_pids(self.pid) if _runs(pid, STUB_NAME))

    def stop(self, exit_timeout_s: float) -> None:
        """Let requests in flight finish for `exit_timeout_s`, then end the whole group whatever it does.

        With 0 the requests in flight are given up at once.
        """
        try:
            if self.is_alive and exit_timeout_s:
                self._popen.terminate()
                self.wait(exit_timeout_s + EXIT_MARGIN_S)
        finally:  # also when a second signal interrupts the wait
            self._kill()
            self.log.close()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.guard_pid, signal.SIGKILL)
        self._popen.wait()


def child_pids(pid: int) -> tuple[int, ...]:
    """Return the children of a process, in order of their ids; of one that has ended, none."""
    children: set[int] = set()
    with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # a thread that ended meanwhile
                children.update(map(int, (thread / "children").read_text().split()))
    return tuple(sorted(children))


def _runs(pid: int, program: str) -> bool:
    try:
        return program.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
