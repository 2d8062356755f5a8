"""`encserve serve`, with a program in the place of Triton: each process is killed in turn, and starts are made to fail.

What a real Triton adds to this is in test_supervise.py, where a start takes its time.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from own_ports import own_ports
from process_family import exists, family, gone
from toy_repository import write_toy

from encserve import Client, Retry
from encserve_server.processes.process import child_pids

PATIENT = Retry(attempts=500, maximum_s=0.2)
STEPS = ("tokenize", "encode", "head")


SERVE = """
import sys
from encserve._cli import main
from encserve_server.liveness import supervision
supervision.FIRST_APART_S = 0.05
sys.exit(main())
"""
"""The command, whose starts are a twentieth as far apart."""


class Served:
    """The command in a process of its own, and what it has printed."""

    def __init__(self, folder, program):
        names = ("http", "grpc", "metrics", "health")
        ports = dict(zip(names, own_ports(len(names)), strict=True))
        self.url, self.page = f"localhost:{ports['grpc']}", f"http://127.0.0.1:{ports['health']}/health"
        options = [f"--{name}-port={port}" for name, port in ports.items()]
        self.launcher = subprocess.Popen(
            [sys.executable, "-c", SERVE, "serve", f"--repository={folder}", "--exit-timeout-s=1", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.launcher.stdout:
            self.lines.append(line)

    def wait_for(self, beginning, count=1):
        """Until it has printed a line that begins so for the `count`th time."""
        deadline_s = time.monotonic() + 300
        while sum(line.startswith(beginning) for line in self.lines) < count:
            assert time.monotonic() < deadline_s, self.lines
            assert self.launcher.poll() is None, self.lines
            time.sleep(0.02)

    @property
    def guard(self):
        (guard,) = child_pids(self.launcher.pid)
        return guard

    @property
    def server(self):
        return child_pids(self.guard)[0]

    def step(self, name):
        return next(pid for pid in child_pids(self.server) if f"toy_{name}" in Path(f"/proc/{pid}/cmdline").read_text())

    def health(self):
        """The status of its page, and the state of each pipeline."""
        try:
            with urllib.request.urlopen(self.page, timeout=60) as page:
                return page.status, json.loads(page.read())
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def ask_health(self):
        command = [sys.executable, "-m", "encserve", "health", f"--url={self.url}"]
        return subprocess.run(command, capture_output=True, timeout=300, check=False).returncode

    def stop(self):
        self.launcher.send_signal(signal.SIGTERM)
        code = self.launcher.wait(300)
        self._reader.join()
        self.launcher.stdout.close()
        return code


@pytest.fixture
def served(tmp_path):
    folder = tmp_path / "models"
    write_toy(folder)
    program = tmp_path / "bin" / "tritonserver"
    program.parent.mkdir()
    source = Path(__file__).with_name("server_stand_in.py")
    program.write_text(f"#!{sys.executable}\n{source.read_text()}")
    program.chmod(0o755)
    served = Served(folder, program)
    served.folder = folder
    served.wait_for("Ctrl-C")
    yield served
    if served.launcher.poll() is None:
        pids = family(served.launcher.pid)
        assert served.stop() == 0
        assert gone(pids, within_s=60)


def test_each_process_is_killed_under_load_and_every_call_succeeds(served):
    answers, failures, done = [], [], threading.Event()

    def ask_for_ever():
        with Client(served.url, timeout_s=300, retry=PATIENT) as client:
            while not done.is_set():
                try:
                    answers.append(client.embed(["a text"], model="toy").vectors.tolist())
                except Exception as error:
                    failures.append(error)
                    return

    callers = [threading.Thread(target=ask_for_ever) for _ in range(3)]
    for caller in callers:
        caller.start()
    for starts, victim in enumerate(("guard", "server", *STEPS), start=2):
        pid = served.step(victim) if victim in STEPS else getattr(served, victim)
        others = family(served.launcher.pid)
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        served.wait_for("Ctrl-C", starts)
        print(f"{victim} killed: serves again after {time.monotonic() - killed_s:.1f} s")
        assert not any(map(exists, others)), victim
        if victim in STEPS:
            assert any(line.endswith(f": the process of toy_{victim} version 1 has died\n") for line in served.lines)
        before = len(answers)
        while len(answers) < before + 10 and not failures:
            time.sleep(0.01)
    done.set()
    for caller in callers:
        caller.join()
    assert failures == []
    assert {str(answer) for answer in answers} == {"[[1.0]]"}
    assert served.health() == (200, {"toy": "answers"})
    assert served.ask_health() == 0


@pytest.mark.parametrize("victim", ["server", "encode"])
def test_a_stopped_process_is_replaced(served, victim):
    os.kill(served.server if victim == "server" else served.step(victim), signal.SIGSTOP)
    served.wait_for("Ctrl-C", 2)
    assert any("are stopped" in line or "has answered nobody" in line for line in served.lines)


def test_a_server_that_answers_nobody_is_replaced(served):
    (served.folder / "answers_nobody").touch()
    served.wait_for("starting the server again: toy has answered nobody")
    (served.folder / "answers_nobody").unlink()
    served.wait_for("Ctrl-C", 2)


def test_starts_that_fail_are_tried_again_and_the_page_says_so(served):
    (served.folder / "does_not_start").touch()
    os.kill(served.server, signal.SIGKILL)
    served.wait_for("starting the server again: the server did not start again")
    assert served.health() == (503, {})
    (served.folder / "does_not_start").unlink()
    served.wait_for("Ctrl-C", 2)
    assert served.health() == (200, {"toy": "answers"})


def test_a_server_that_never_starts_again_ends_the_command_with_a_code_of_its_own(served, monkeypatch):
    (served.folder / "does_not_start").touch()
    os.kill(served.server, signal.SIGKILL)
    assert served.launcher.wait(300) == 75
    with pytest.raises(URLError):
        urllib.request.urlopen(served.page, timeout=10)
    with suppress(ValueError):
        served.launcher.stdout.close()
