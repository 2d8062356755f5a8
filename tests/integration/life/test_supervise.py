"""`encserve serve`: whatever is killed or stopped, calls with retries succeed in the end."""

import os
import shutil
import signal
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import pytest
from process_family import exists, family, gone
from supervised import Supervised

from encserve import Client, EncserveError, Retry
from encserve_server.launcher.runtime_folder import SHARED_MEMORY

PATIENT = Retry(attempts=500, maximum_s=1)
STEPS = ("tokenize", "encode", "head")


@pytest.fixture(scope="module")
def models(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("supervised") / "models"
    shutil.copytree(repository, folder, ignore=shutil.ignore_patterns(".*", "prompted*"))
    return folder


@contextmanager
def supervising(models):
    """The command, of which nothing is left after the block."""
    command = Supervised(models)
    try:
        yield command
    finally:
        pids = family(command.launcher.pid)
        command.stop()
    assert gone(pids, within_s=60)
    assert not list(SHARED_MEMORY.glob(f"encserve_{command.launcher.pid}_*"))


@pytest.fixture(scope="module")
def command_that_runs(models):
    """Gives all tests that have a server started again once the same command, and another when that has given up."""
    with ExitStack() as commands:
        started = []

        def running():
            if not started or started[-1].launcher.poll() is not None:
                started.append(commands.enter_context(supervising(models)))
            return started[-1]

        yield running


@pytest.fixture
def supervised(command_that_runs):
    """The command when its server answers: after some ends in a row it waits before it starts the next."""
    command, deadline_s = command_that_runs(), time.monotonic() + 120
    while (page := command.health()) != (200, {"minilm": "answers"}):
        assert time.monotonic() < deadline_s, (page, command.lines)
        time.sleep(0.1)
    return command


def ask_for_ever(url, done, answers, failures):
    with Client(url, timeout_s=600, retry=PATIENT) as client:
        while not done.is_set():
            try:
                answers.append(client.embed(["a text", f"{time.time_ns()}"], model="minilm").vectors[0])
            except Exception as error:
                failures.append(error)
                return


def test_each_process_is_killed_under_load_and_every_call_succeeds(models):
    with supervising(models) as command:
        kill_each_process_of(command)


def kill_each_process_of(supervised):
    answers, failures, done = [], [], threading.Event()
    callers = [threading.Thread(target=ask_for_ever, args=(supervised.url, done, answers, failures)) for _ in range(3)]
    for caller in callers:
        caller.start()

    def wait_for_answers():
        before = len(answers)
        while len(answers) < before + 10 and not failures:
            time.sleep(0.01)

    wait_for_answers()
    for starts, victim in enumerate(("guard", "server", *STEPS), start=2):
        pid = supervised.step(victim) if victim in STEPS else getattr(supervised, victim)
        others = family(supervised.launcher.pid)
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        supervised.wait_for_starts(starts)
        supervised.report(f"{victim} killed", killed_s)
        assert not any(map(exists, others)), f"after {victim}"
        assert supervised.health() == (200, {"minilm": "answers"})
        wait_for_answers()
    done.set()
    for caller in callers:
        caller.join()
    assert failures == []
    assert max(np.abs(answer - answers[0]).max() for answer in answers) <= 1e-5


@pytest.mark.parametrize("step", STEPS)
def test_a_stopped_process_is_noticed(supervised, step):
    stopped_s, starts, said = time.monotonic(), supervised.starts, len(supervised.lines)
    os.kill(supervised.step(step), signal.SIGSTOP)
    supervised.wait_for_starts(starts + 1)
    supervised.report(f"{step} stopped", stopped_s)
    assert any("are stopped" in line or "has answered nobody" in line for line in supervised.lines[said:])
    with Client(supervised.url, timeout_s=120) as client:
        assert client.embed(["a"], model="minilm").vectors.shape == (1, 384)


def test_a_stopped_server_is_noticed(supervised):
    starts, stopped_s = supervised.starts, time.monotonic()
    os.kill(supervised.server, signal.SIGSTOP)
    supervised.wait_for_starts(starts + 1)
    supervised.report("triton stopped", stopped_s)
    with Client(supervised.url, timeout_s=120) as client:
        assert client.embed(["a"], model="minilm").vectors.shape == (1, 384)


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_call_of_many_texts_survives_the_death_of_the_server(supervised, count):
    texts = [f"{number}" for number in range(count)]
    starts, begin_s = supervised.starts, time.monotonic()
    with Client(supervised.url, timeout_s=600, retry=PATIENT, concurrency=8, texts_per_request=256) as client:
        expected = {number: client.embed([texts[number]], model="minilm").vectors[0] for number in range(0, count, 997)}
        parts, rows = [], 0
        for part in client.embed_iter(texts, model="minilm"):
            assert part.start == rows
            rows += len(part)
            parts.append(part.vectors)
            if len(parts) == 3:
                killed_s = time.monotonic()
                os.kill(supervised.server, signal.SIGKILL)
    supervised.report(f"{count} texts in {time.monotonic() - begin_s:.0f} s, triton killed", killed_s)
    vectors = np.concatenate(parts)
    assert vectors.shape == (count, 384)
    assert max(np.abs(vectors[number] - vector).max() for number, vector in expected.items()) <= 1e-5
    assert supervised.starts == starts + 1


def test_overload_is_no_reason_to_start_again(supervised):
    """The door never refuses the question of who runs the server, however many others it refuses."""
    texts = [f"{number} " + "many words " * 60 for number in range(256)]
    starts, pages, done = supervised.starts, [], threading.Event()

    def flood():
        with Client(supervised.url, timeout_s=2, concurrency=8, retry=Retry(attempts=1)) as client:
            while not done.is_set():
                with suppress(EncserveError):
                    client.embed(texts, model="minilm", priority="interactive")

    flooders = [threading.Thread(target=flood) for _ in range(4)]
    for flooder in flooders:
        flooder.start()
    deadline_s = time.monotonic() + 300
    while (200, {"minilm": "overloaded"}) not in pages:
        assert time.monotonic() < deadline_s, (pages, supervised.lines)
        pages.append(supervised.health())
        time.sleep(0.1)
    assert supervised.ask_health() == 0
    done.set()
    for flooder in flooders:
        flooder.join()
    assert {status for status, _ in pages} == {200}
    assert supervised.starts == starts, supervised.lines
