"""Run a program and see to it that nothing of it stays. Run as a script, and never imported.

    python guard.py LAUNCHER_PID EXIT_TIMEOUT_S PROGRAM [ARGUMENT ...]

The guard leads the program's process group and adopts what the program leaves behind, so it ends whatever the program
has started, however the program and the launcher end: asked to stop, killed, or killed while it starts. When the
launcher dies, the program is asked to stop; after EXIT_TIMEOUT_S it is killed. The guard ends as the program ended.

A script, because code between fork and exec (`preexec_fn`) is unsafe in a process with threads, and gRPC has threads.
"""

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Start the program, wait for its end, and end what it left."""
    launcher_pid, exit_timeout_s = int(sys.argv[1]), int(sys.argv[2])
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    program_pid = _start(sys.argv[3:])

    def stop(number: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(program_pid, signal.SIGTERM)
        signal.alarm(exit_timeout_s)

    def kill(number: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(program_pid, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGALRM, kill)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != launcher_pid:
        stop(signal.SIGTERM, None)  # it died before the kernel was told to say so
    status = _wait_for(program_pid)
    end_children()
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(os.waitstatus_to_exitcode(status))


def _start(command: list[str]) -> int:
    guard_pid, pid = os.getpid(), os.fork()
    if pid == 0:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # should the guard itself be killed
        if os.getppid() != guard_pid:
            os._exit(1)  # it was, before the kernel was told
        os.execv(command[0], command)
    return pid


def _wait_for(program_pid: int) -> int:
    while True:
        pid, status = os.wait()  # adopted processes end here too
        if pid == program_pid:
            return status


def end_children() -> None:
    """Kill and reap every child, and the children that this leaves, until there is none."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for child in map(int, children):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, argument) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


if __name__ == "__main__":
    main()
