"""A step that has died or is stopped is seen by its process, and nothing else is taken for one."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from tritonclient.grpc import model_config_pb2 as pb

from encserve import DeadlineExceeded
from encserve_repository.config_text import to_text
from encserve_server.liveness import watch
from encserve_server.steps.instance.load_page import process_state

PARENT = """
import signal, subprocess, sys
if sys.argv[1] == "waits":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel waits in its place
wait = "import time; time.sleep(600)"
for code in sys.argv[2:]:
    child = subprocess.Popen([sys.executable, "-S", "-c", wait, "triton_python_backend_stub", code])
    print(child.pid, flush=True)
signal.pause()
"""
CODES = ("/models/toy_encode/1/model.py", "/models/toy_encode/2/model.py")


@pytest.fixture
def repository(tmp_path):
    """The pipeline `toy`, whose version 1 is active."""
    config = pb.ModelConfig(name="toy")
    config.ensemble_scheduling.step.add(model_name="toy_encode", model_version=1)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "config.pbtxt").write_text(to_text(config))
    return tmp_path


@pytest.fixture
def watching(repository, monkeypatch, request):
    """Who watches a program with a process for each version of a step, and these."""
    monkeypatch.setattr(watch, "ask", lambda asker, pipeline: None)
    how = getattr(request, "param", "takes no notice")
    parent = subprocess.Popen([sys.executable, "-S", "-c", PARENT, how, *CODES], stdout=subprocess.PIPE, text=True)
    stubs = [int(parent.stdout.readline()) for _ in CODES]
    process = SimpleNamespace(is_alive=True, pid=parent.pid, stub_pids=lambda: tuple(stubs))
    server = SimpleNamespace(
        process=process,
        open_asker=lambda timeout_s: None,
        config=SimpleNamespace(repository=repository),
        pipelines=[SimpleNamespace(name="toy")],
        metrics_url="http://127.0.0.1:9",
    )
    watching = watch.Watch(server, report=print)
    assert watching._round(None) == ""
    yield watching, stubs
    for pid in (*stubs, parent.pid):
        if process_state(pid):
            os.kill(pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()


def kill(pid):
    """Until it has ended, whether or not anybody waits for it."""
    os.kill(pid, signal.SIGKILL)
    wait_for(pid, "", "Z")


def wait_for(pid, *states):
    while process_state(pid) not in states:
        time.sleep(0.005)


def test_a_step_that_has_died_is_seen_and_named(watching):
    watch_, (first, _) = watching
    kill(first)
    assert watch_._round(None) == "the process of toy_encode version 1 has died"


def test_a_step_that_dies_while_its_pipeline_is_asked_is_seen_in_the_same_round(watching, monkeypatch):
    watch_, (first, _) = watching

    def ask(asker, pipeline):
        kill(first)
        raise DeadlineExceeded("no answer in time")

    monkeypatch.setattr(watch, "ask", ask)
    assert watch_._round(None) == "the process of toy_encode version 1 has died"


def test_an_answer_that_a_dead_step_owes_is_not_waited_for(watching, monkeypatch):
    watch_, (first, _) = watching
    noticed, was_noticed = threading.Event(), []

    def ask(asker, pipeline):
        kill(first)
        was_noticed.append(noticed.wait(60))

    monkeypatch.setattr(watch, "ask", ask)
    assert watch_._round(None) == "the process of toy_encode version 1 has died"
    noticed.set()
    watch_._questions.shutdown()
    assert was_noticed == [True]


def test_a_step_that_has_died_ends_the_pause_between_two_rounds(watching, monkeypatch):
    monkeypatch.setattr(watch, "CHECK_S", 3_600)
    watch_, (first, _) = watching
    kill(first)
    assert watch_.until_it_fails() == "the process of toy_encode version 1 has died"


def test_a_step_that_dies_after_a_look_is_seen_by_the_next(watching):
    watch_, (first, _) = watching
    kill(first)
    watch_._steps.see()
    assert watch_._round(None) == "the process of toy_encode version 1 has died"


def test_what_is_stopped_in_two_rounds_is_asked_nothing(watching, monkeypatch):
    watch_, (first, _) = watching
    monkeypatch.setattr(watch, "ask", lambda asker, pipeline: pytest.fail("the answer would be waited for"))
    os.kill(first, signal.SIGSTOP)
    wait_for(first, "T")
    assert watch_._round(None) == ""
    assert watch_._round(None) == f"processes [{first}] are stopped"


def test_a_version_that_is_not_active_may_die(watching):
    watch_, (_, second) = watching
    kill(second)
    assert watch_._round(None) == ""


@pytest.mark.parametrize("watching", ["waits"], indirect=True)
def test_a_process_whose_end_the_server_takes_notice_of_has_not_died(watching):
    watch_, (first, _) = watching
    kill(first)
    assert watch_._round(None) == ""
