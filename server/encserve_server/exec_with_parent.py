"""Become another program that is told to stop when the launcher dies. Run as a script, and never imported.

    python exec_with_parent.py LAUNCHER_PID PROGRAM [ARGUMENT ...]

The request to the kernel outlives `exec`, so PROGRAM needs to know nothing of it. A script, because code between fork
and exec (`preexec_fn`) is unsafe in a process with threads, and gRPC has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for SIGTERM at the launcher's death, then exec."""
    launcher_pid, program = int(sys.argv[1]), sys.argv[2]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != launcher_pid:
        sys.exit("the launcher died before its server had started")
    os.execv(program, sys.argv[2:])


if __name__ == "__main__":
    main()
