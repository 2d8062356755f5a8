"""`encserve serve`, with a program in the place of Triton: each process is killed in turn, and starts are made to fail.

What a real Triton adds to this is in test_supervise.py, where a start takes its time.
"""

import os
import signal
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

import pytest
from process_family import exists, family, gone
from supervised import Supervised
from toy_repository import write_toy

from encserve import Client, Retry

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


@pytest.fixture
def served(tmp_path):
    folder = tmp_path / "models"
    write_toy(folder)
    program = tmp_path / "bin" / "tritonserver"
    program.parent.mkdir()
    source = Path(__file__).with_name("server_stand_in.py")
    program.write_text(f"#!{sys.executable}\n{source.read_text()}")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    served = Supervised(folder, "toy", program=["-c", SERVE], environment={**os.environ, "PATH": path})
    served.folder = folder
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
        served.wait_for_starts(starts)
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
    served.wait_for_starts(2)
    assert any("are stopped" in line or "has answered nobody" in line for line in served.lines)


def test_a_server_that_answers_nobody_is_replaced(served):
    (served.folder / "answers_nobody").touch()
    served.wait_for("starting the server again: toy has answered nobody")
    (served.folder / "answers_nobody").unlink()
    served.wait_for_starts(2)


def test_starts_that_fail_are_tried_again_and_the_page_says_so(served):
    (served.folder / "does_not_start").touch()
    os.kill(served.server, signal.SIGKILL)
    served.wait_for("starting the server again: the server did not start again")
    assert served.health() == (503, {})
    (served.folder / "does_not_start").unlink()
    served.wait_for_starts(2)
    assert served.health() == (200, {"toy": "answers"})


def test_a_step_that_dies_of_the_first_text_ends_a_start_at_once_with_the_reason(served):
    """A start may take two minutes, and longer where an operator says so; Triton goes on without the step."""
    (served.folder / "encode_dies").touch()
    os.kill(served.server, signal.SIGKILL)
    served.wait_for(
        "starting the server again: the server did not start again: the process of toy_encode version 1 has died while"
    )
    (served.folder / "encode_dies").unlink()
    served.wait_for_starts(2)
    assert served.health() == (200, {"toy": "answers"})


def test_a_server_that_never_starts_again_ends_the_command_with_a_code_of_its_own(served, monkeypatch):
    (served.folder / "does_not_start").touch()
    os.kill(served.server, signal.SIGKILL)
    assert served.launcher.wait(300) == 75
    with pytest.raises(URLError):
        urllib.request.urlopen(served.health_url, timeout=10)
    with suppress(ValueError):
        served.launcher.stdout.close()
