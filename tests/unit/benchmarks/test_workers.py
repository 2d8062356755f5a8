"""A harness that is killed leaves nothing behind, although what it measures is stopped."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import benchmarks
from benchmarks.processes import descendants

STOPPED = "T"
ENDED = ("gone", "Z")

HARNESS = """
import sys
from pathlib import Path
from benchmarks.peers import workers
from benchmarks.peers.plan import Process
workers.REPOSITORY_ROOT = Path(sys.argv[1])
worker = workers.Worker("sleeping", Process("sleeping"), (), workers.REPOSITORY_ROOT / "log")
print("paused", flush=True)
match sys.stdin.readline().strip():
    case "close":
        worker.close()
    case "hang":
        load = {"requests": [["a"]], "streams": 1, "cap_s": 1, "due_s": []}
        try:
            worker.run(load, "any", timeout_s=1)
        except workers.Refused as refused:
            print(refused, flush=True)
        sys.stdin.readline()
"""
SYSTEM = """
import subprocess

class System:
    def __init__(self):
        self._server = subprocess.Popen(["sleep", "600"], start_new_session=True)

    def run(self, load, variant):
        subprocess.run(["sleep", "600"])

    def close(self):
        self._server.kill()
        self._server.wait()
"""


def start_harness(folder):
    """A harness with a worker whose system has started a server: all that runs then, the harness left out."""
    package = folder / "benchmarks"
    (package / "systems").mkdir(parents=True)
    (package / "peers").mkdir()
    for file in ("__init__.py", "closed_loop.py", "peers/__init__.py", "peers/worker.py"):
        (package / file).symlink_to(Path(benchmarks.__file__).parent / file)
    (package / "systems/__init__.py").touch()
    (package / "systems/sleeping.py").write_text(SYSTEM)
    command = [sys.executable, "-c", HARNESS, str(folder)]
    harness = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert harness.stdout.readline() == "paused\n"
    return harness, descendants(harness.pid)


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


def become(pids, *states):
    """Whether all processes are in one of some states within two minutes; if not, they are ended."""
    deadline_s = time.monotonic() + 120
    while any(state(pid) not in states for pid in pids):
        if time.monotonic() > deadline_s:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.05)
    return True


def test_what_is_paused_dies_with_a_harness_that_is_killed(tmp_path):
    harness, pids = start_harness(tmp_path)
    with harness:
        guard, *paused = pids
        assert len(paused) == 2
        assert become(paused, STOPPED)
        assert state(guard) != STOPPED
        harness.kill()
    assert become(pids, *ENDED)


def test_a_worker_that_is_closed_ends_its_system(tmp_path):
    harness, pids = start_harness(tmp_path)
    with harness:
        harness.stdin.write("close\n")
    assert harness.returncode == 0
    assert become(pids, *ENDED)


def test_a_system_that_does_not_answer_is_ended_at_once_with_what_it_started(tmp_path):
    """Else it would go on computing beside the systems that are measured after it."""
    harness, (guard, *pids) = start_harness(tmp_path)
    with harness:
        harness.stdin.write("hang\n")
        harness.stdin.flush()
        assert harness.stdout.readline() == "it did not answer within 1 s\n"
        assert become(pids, *ENDED)
        harness.stdin.write("end\n")
    assert become([guard], *ENDED)
