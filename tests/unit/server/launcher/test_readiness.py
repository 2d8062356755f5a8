import socket
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from encserve import InferenceFailed, Unavailable
from encserve_server import questions
from encserve_server.config import LOOPBACK
from encserve_server.errors import StartFailed
from encserve_server.launcher import readiness
from encserve_server.launcher.ports import free_ports

PIPELINE = SimpleNamespace(name="minilm", task="feature-extraction")


@pytest.fixture
def address():
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen()
        yield listening.getsockname()


def fake_process(*, is_alive=True, stub_pids=lambda: ()):
    return SimpleNamespace(
        is_alive=is_alive,
        describe_end=lambda: "Triton ended with exit code 1:\nthe weights are bad",
        log=SimpleNamespace(reason=lambda: "loading the weights"),
        stub_pids=stub_pids,
        wait=lambda timeout_s: None,
    )


def wait(address, *, process=None, probe=lambda pipeline: None, timeout_s=5.0):
    lines = []
    startup = readiness.Startup(process or fake_process(), timeout_s=timeout_s, report=lines.append)
    startup.wait_for_port(address)
    startup.wait_for_answers([PIPELINE], probe=probe)
    return lines


def pass_time(monkeypatch, seconds):
    """Let each pause take so long, and nothing else."""
    now_s = [0.0]

    def sleep(_):
        now_s[0] += seconds

    monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: now_s[0], sleep=sleep))


def answers_after(refusals):
    """A question that is answered after so many refusals."""
    answers = iter([Unavailable("not yet")] * refusals + [None])

    def probe(pipeline):
        if error := next(answers):
            raise error

    return probe


def test_a_pipeline_is_asked_until_it_answers(address):
    answers = iter([Unavailable("not yet"), Unavailable("not yet"), None])
    asked = []

    def probe(pipeline):
        asked.append(pipeline.name)
        if error := next(answers):
            raise error

    assert wait(address, probe=probe) == []
    assert asked == ["minilm"] * 3


def test_waiting_is_reported_at_growing_intervals(address, monkeypatch):
    pass_time(monkeypatch, 1.0)
    lines = wait(address, probe=answers_after(9), timeout_s=60)
    assert lines == ["waiting for minilm ... 2 s", "waiting for minilm ... 4 s", "waiting for minilm ... 8 s"]


def test_the_processes_of_steps_are_looked_for_less_often_than_their_deaths(address, monkeypatch):
    looks = []
    pass_time(monkeypatch, readiness.POLL_S)
    process = fake_process(stub_pids=lambda: looks.append(1) or ())
    wait(address, process=process, probe=answers_after(40))
    assert 2 < len(looks) <= 1 + 40 * readiness.POLL_S / readiness.SEE_S


@pytest.mark.parametrize("again", [[("toy", 1)], []])
def test_a_process_that_triton_waits_late_for_has_not_died(address, monkeypatch, again):
    found = [[("toy", 1)], again]
    steps = SimpleNamespace(see=lambda: (), have_ended=lambda: bool(found), died=lambda: found.pop(0))
    monkeypatch.setattr(readiness, "StepProcesses", lambda stub_pids: steps)
    expected = pytest.raises(StartFailed, match="the process of toy version 1 has died") if again else nullcontext()
    with expected:
        wait(address, probe=answers_after(1))
    assert found == []


def test_an_error_of_the_pipeline_is_not_waited_out(address):
    def probe(pipeline):
        raise InferenceFailed("NaN")

    with pytest.raises(InferenceFailed, match="NaN"):
        wait(address, probe=probe)


def test_the_end_of_triton_ends_the_wait():
    (port,) = free_ports(1)
    with pytest.raises(StartFailed, match="exit code 1:\nthe weights are bad"):
        wait((LOOPBACK, port), process=fake_process(is_alive=False))


def test_the_timeout_is_named_with_what_triton_said_last():
    (port,) = free_ports(1)
    with pytest.raises(StartFailed, match=r"starting Triton took more than --startup-timeout-s 0\.1.*\nloading the"):
        wait((LOOPBACK, port), timeout_s=0.1)


def test_a_task_without_a_question_is_refused():
    with pytest.raises(StartFailed, match="minilm has the task 'translation'; this encserve serves feature-extraction"):
        questions.ask(None, SimpleNamespace(name="minilm", task="translation"))
