"""The supervisor outlives whatever happens to what it supervises."""

import errno
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from encserve import ContractError
from encserve_server import command
from encserve_server.config import ServeConfig
from encserve_server.errors import GaveUp, PortTaken, StartFailed
from encserve_server.launcher.server import print_to_stderr
from encserve_server.liveness import supervision, watch
from encserve_server.liveness.supervision import AT_ONCE, MOST_FAILURES, STEADY_S, supervise
from encserve_server.processes.interruption import Interruption

FULL = OSError(errno.ENOSPC, "No space left on device")
NO_FORK = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


class Server:
    """Starts as `starts` says: with an error, or with what its watch will say or raise."""

    starts: list
    stopped: list
    told: list

    def __init__(self, config, *, report, restarts):
        self.told.append(restarts)
        self.pipelines = ()
        self.end = None

    def __enter__(self):
        start = self.starts.pop(0)
        if isinstance(start, BaseException):
            raise start
        self.end = start[0]
        return self

    def stop(self, *, at_once):
        if self.end is not None:  # stopping one that does not run is harmless
            self.stopped.append(at_once)
        if isinstance(self.end, RuntimeError):
            raise FULL


class Watch:
    def __init__(self, server, *, report):
        self.server = server
        self.states = {"minilm": "answers"}

    def until_it_fails(self):
        if isinstance(self.server.end, BaseException):
            raise self.server.end
        return self.server.end


class Run:
    """Supervises servers that start as they are told, until they run out."""

    def __init__(self, monkeypatch, tmp_path):
        self.lines, self.pauses, Server.told = [], [], []
        self._config = ServeConfig(repository=tmp_path)
        monkeypatch.setattr(supervision, "TritonServer", Server)
        monkeypatch.setattr(supervision, "Watch", Watch)
        self.now_s = 0.0
        clock = SimpleNamespace(monotonic=self.clock, sleep=self.pauses.append)
        monkeypatch.setattr(supervision, "time", clock)
        self.each_s = 0.0
        """By how much the clock goes on whenever it is read."""

    def clock(self):
        self.now_s += self.each_s
        return self.now_s

    def __call__(self, *starts, serving=lambda server: None, **given):
        Server.starts, Server.stopped = [*starts, KeyboardInterrupt()], []
        with pytest.raises(KeyboardInterrupt):
            supervise(self._config, report=self.lines.append, serving=serving, **given)
        return Server.stopped


@pytest.fixture
def run(monkeypatch, tmp_path):
    return Run(monkeypatch, tmp_path)


def test_a_server_that_ends_is_started_again_at_once(run):
    assert run(["minilm fails"], ["Triton ended"]) == [True, True]
    assert run.lines == ["starting the server again: minilm fails", "starting the server again: Triton ended"]
    assert run.pauses == [0.0, 0.0]


def test_a_server_is_told_how_often_it_was_started_again(run):
    run(["minilm fails"], FULL, ["and serves"])
    assert Server.told == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [FULL, NO_FORK, RuntimeError("can't start new thread"), PortTaken("8001")], ids=repr)
def test_a_start_that_fails_is_tried_again(run, error):
    run(["minilm fails"], error, ["and serves"])
    assert run.lines[1].startswith("starting the server again: the server did not start again: ")
    assert run.lines[2] == "starting the server again: and serves"


@pytest.mark.parametrize("error", [FULL, RuntimeError("a bug"), ValueError("half an answer")], ids=repr)
def test_a_watch_or_a_stop_that_fails_is_a_reason_to_start_again(run, error):
    run([error], ["and serves"])
    assert "it could not be looked after" in " ".join(run.lines)
    assert run.lines[-1] == "starting the server again: and serves"


def test_nobody_who_reads_is_needed(run, monkeypatch):
    def closed(*given):
        raise BrokenPipeError

    Server.starts, Server.stopped = [["ends"], ["ends"], KeyboardInterrupt()], []
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=closed, flush=closed))
    with pytest.raises(KeyboardInterrupt):
        supervise(run._config, report=print_to_stderr, serving=closed)
    assert Server.stopped == [True, True]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(FULL, StartFailed), (PortTaken("8001"), PortTaken), (ContractError("1"), ContractError), (KeyError(), KeyError)],
    ids=repr,
)
def test_a_first_start_that_fails_is_an_error(run, error, expected):
    Server.starts = [error]
    with pytest.raises(expected):
        supervise(run._config, report=run.lines.append, serving=print)


def test_starts_grow_further_apart_and_in_the_end_another_is_to_try(run):
    Server.starts, Server.stopped = [["ends"], *[FULL] * MOST_FAILURES], []
    with pytest.raises(GaveUp, match=f"gave up after {MOST_FAILURES} times in a row: .*No space left"):
        supervise(run._config, report=run.lines.append, serving=lambda server: None)
    assert run.pauses == [0.0] * AT_ONCE + [1.0, 2.0, 4.0, 8.0, 16.0, 30.0][: MOST_FAILURES - 1 - AT_ONCE]


def test_one_that_has_worked_for_as_long_as_starts_are_apart_is_started_again_at_once(run):
    """As where each process is killed in turn: none of them is to be down for longer than a start takes."""
    run.each_s = 2.0
    run(*[["ends"]] * (AT_ONCE + 2))
    assert run.pauses == [0.0] * (AT_ONCE + 2)


def test_a_server_that_worked_for_a_while_has_not_failed_in_a_row(run):
    run.each_s = STEADY_S
    run(*[["ends"]] * 2 * MOST_FAILURES)
    assert set(run.pauses) == {0.0}


def test_starts_that_take_their_time_to_fail_are_failures_in_a_row(run):
    """As those that end after `startup_timeout_s`, which is longer than a server has to work to count as steady."""
    run.each_s = STEADY_S
    failing = [StartFailed("took more than 120 s")] * 2 * MOST_FAILURES
    Server.starts, Server.stopped = [["ends"], *failing, KeyboardInterrupt()], []
    with pytest.raises(GaveUp):
        supervise(run._config, report=run.lines.append, serving=lambda server: None)


def test_a_repository_that_cannot_be_marked_is_served_and_the_server_stopped(run, tmp_path):
    """A folder that is gone, or no descriptor for it."""
    run._config = ServeConfig(repository=tmp_path / "gone")
    assert run(["ends"]) == [True]


def test_a_signal_drains_the_server(run):
    Server.starts, Server.stopped = [[KeyboardInterrupt()]], []
    with pytest.raises(KeyboardInterrupt):
        supervise(run._config, report=run.lines.append, serving=print)
    assert Server.stopped == [False]


def test_what_stands_before_the_server_stops_before_it(run):
    def before_stop():
        assert Server.stopped == [True]  # the first, which ended by itself
        run.lines.append("the gateway stops")

    Server.starts, Server.stopped = [["ends"], [KeyboardInterrupt()]], []
    with pytest.raises(KeyboardInterrupt):
        supervise(run._config, report=run.lines.append, serving=print, before_stop=before_stop)
    assert run.lines[-1] == "the gateway stops"
    assert Server.stopped == [True, False]


def test_a_second_signal_while_that_stops_ends_the_server_at_once(run):
    def before_stop():
        raise KeyboardInterrupt

    Server.starts, Server.stopped = [[KeyboardInterrupt()]], []
    with pytest.raises(KeyboardInterrupt):
        supervise(run._config, report=run.lines.append, serving=print, before_stop=before_stop)
    assert Server.stopped == [True]


@pytest.fixture
def interruption(monkeypatch):
    """Of a process that was asked to stop."""
    interruption = Interruption()
    interruption._asked = True
    monkeypatch.setattr(supervision, "interruption", interruption)
    return interruption


def test_a_signal_that_stopped_the_watch_does_not_end_the_requests_that_it_lets_finish(run, interruption, monkeypatch):
    """Only a second one does: `drain` looks for that."""
    monkeypatch.setattr(Server, "stop", lambda self, *, at_once: interruption.check())
    Server.starts, Server.stopped = [[KeyboardInterrupt()]], []
    with pytest.raises(KeyboardInterrupt) as stopped:
        supervise(run._config, report=run.lines.append, serving=lambda server: None)
    assert stopped.value.__context__ is None


def test_a_signal_that_was_dropped_ends_no_pause_late(run, interruption):
    assert run(["ends"]) == [True]
    assert run.pauses == []


def test_the_page_shows_what_is_seen_and_nothing_between_two_servers(run):
    shown = []

    class Page:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            shown.append("closed")

        def show(self, states):
            shown.append(dict(states()))

    run(["ends"], page=Page())
    assert shown == [{"minilm": "answers"}, {}, {}, "closed"]  # the last server was stopped while it started


def test_an_orchestrator_is_told_by_the_exit_code(monkeypatch, tmp_path, capsys):
    def gives_up(config, **given):
        raise GaveUp("gave up after 10 times in a row")

    monkeypatch.setattr(supervision, "supervise", gives_up)
    assert command._supervise(ServeConfig(repository=tmp_path), None) == command.EXIT_GAVE_UP == 75
    assert "gave up after 10 times" in capsys.readouterr().err


class Watched:
    """A server that lives, and of which nothing can be seen."""

    def __init__(self, error):
        self.pipelines, self.metrics_url, self.error = (), "", error
        self.config = SimpleNamespace(repository=Path("nowhere"))
        self.process = SimpleNamespace(is_alive=True, pid=0, stub_pids=self.stub_pids, wait=lambda timeout_s: None)

    def stub_pids(self):
        raise self.error


def test_a_watch_that_sees_nothing_goes_on_for_a_while(monkeypatch):
    now_s = iter([0.0, 1.0, watch.BLIND_S + 2.0])
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: next(now_s)))
    lines = []
    watching = watch.Watch(Watched(OSError(errno.EMFILE, "Too many open files")), report=lines.append)
    assert watching._guarded_round(None) == ""
    assert "nobody could look after it for 62 s" in watching._guarded_round(None)
    assert "Too many open files" in lines[0]
