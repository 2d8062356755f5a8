"""The guard of a server, in the moments in which it may die itself."""

import subprocess
import sys
from pathlib import Path

from encserve_server.processes import process

START = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
import guard

genuine = guard._prctl

def prctl(option, argument):
    dying = os.getppid()
    os.kill(dying, signal.SIGKILL)
    while os.getppid() == dying:
        time.sleep(0.001)
    genuine(option, argument)

guard._prctl = prctl
guard._start(["/bin/sleep", "3600"])
time.sleep(3600)
"""


def test_a_program_whose_guard_dies_before_the_kernel_is_told_does_not_begin():
    """It holds the pipe, whose end is waited for."""
    folder = Path(process.__file__).parent
    done = subprocess.run([sys.executable, "-c", START, folder], stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == -9
