"""A signal that asks a command to stop is never lost."""

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from encserve_server.launcher import drain
from encserve_server.liveness import watch
from encserve_server.liveness.watch import Watch
from encserve_server.processes import interruption as signals
from encserve_server.processes.interruption import Interruption

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def interruption():
    before = {number: signal.signal(number, signal.SIG_DFL) for number in NUMBERS}
    interruption = Interruption()
    interruption.follow_signals()
    yield interruption
    for number, handler in before.items():
        signal.signal(number, handler)


class Closing:
    """Is interrupted while it is destroyed."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_interrupts_at_once(interruption, number):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_python_drops_interrupts_at_the_next_look_and_once(interruption):
    Closing()
    with pytest.raises(KeyboardInterrupt):
        interruption.check()
    interruption.check()


def test_one_that_was_caught_interrupts_no_look_after_it(interruption):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    interruption.arrived()
    interruption.check()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_drains_a_server_looks(interruption, monkeypatch, tmp_path):
    """A second signal ends the requests in flight at once, wherever it comes."""
    monkeypatch.setattr(drain, "interruption", interruption)
    busy = SimpleNamespace(unload=lambda model, timeout_s: Closing(), unloading=lambda timeout_s: {"minilm"})
    with pytest.raises(KeyboardInterrupt):
        drain.drain(SimpleNamespace(is_alive=True), tmp_path, busy, ["minilm"], 2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_watches_a_server_looks(interruption, monkeypatch):
    monkeypatch.setattr(watch, "interruption", interruption)
    monkeypatch.setattr(watch, "CHECK_S", 0)
    server = FakeServer()
    Closing()
    with pytest.raises(KeyboardInterrupt):
        Watch(server, report=print).until_it_fails()


class FakeServer:
    """Runs until it is looked at too often."""

    pipelines = ()

    def __init__(self):
        self.process = self
        self.config = SimpleNamespace(repository=Path("nowhere"))
        self.looks = 0

    def open_asker(self, *, timeout_s):
        return None

    def stub_pids(self):
        return ()

    @property
    def is_alive(self):
        self.looks += 1
        assert self.looks < 3, "nobody looked"
        return True


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    others = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        Interruption().follow_signals()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for number, handler in {signal.SIGHUP: before, **others}.items():
            signal.signal(number, handler)
    assert isinstance(signals.interruption, Interruption)
