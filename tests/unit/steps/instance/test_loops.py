"""Threads that go on whatever happens in them, and answer whoever waited."""

import queue
import threading

import pytest

from encserve_server.steps.instance import loops
from encserve_server.steps.instance.loops import TRIES, Loop


class Panic(BaseException):
    """As the Rust side of a tokenizer raises it."""


@pytest.fixture
def ended(monkeypatch):
    """Set where the process would have ended."""
    event = threading.Event()
    monkeypatch.setattr(loops, "end_process", event.set)
    monkeypatch.setattr(loops, "PAUSE_S", 0.0)
    return event


class Worker:
    """A loop over what is put; errors are raised where they are put."""

    def __init__(self, **given):
        self.queue, self.done, self.given_up, self.reported = queue.SimpleQueue(), [], [], []
        parts = {"take": self.queue.get, "do": self.do, "give_up": self.give_up, "report": self.report, **given}
        self.thread = Loop("worker", **parts).start()

    def do(self, work):
        if isinstance(work, BaseException):
            raise work
        self.done.append(work)

    def give_up(self, work, error):
        assert work is error
        self.given_up.append(work)

    def report(self, where, error):
        self.reported.append((where, error))

    def work(self, *pieces):
        for piece in (*pieces, None):
            self.queue.put(piece)
        self.thread.join(60)
        assert not self.thread.is_alive()


ERRORS = [ValueError("a bug"), MemoryError(), OSError(28, "No space left on device"), Panic(), SystemExit()]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_work_that_fails_is_answered_and_the_thread_goes_on(error, ended):
    worker = Worker()
    worker.work(1, error, 2)
    assert (worker.done, worker.given_up, worker.reported) == ([1, 2], [error], [("worker", error)])
    assert not ended.is_set()


def test_work_that_cannot_be_taken_is_looked_for_again(ended):
    pieces = [OSError(), 1, *[OSError()] * (TRIES - 1), 2, None]

    def take():
        if isinstance(piece := pieces.pop(0), OSError):
            raise piece
        return piece

    worker = Worker(take=take)
    worker.thread.join(60)
    assert (worker.done, len(worker.reported)) == ([1, 2], TRIES)
    assert not ended.is_set()


def test_a_thread_that_finds_no_work_any_more_ends_the_process(ended):
    def take():
        raise OSError

    worker = Worker(take=take)
    assert ended.wait(60)
    assert len(worker.reported) == TRIES


def test_callers_who_cannot_be_answered_are_answered_by_the_end_of_the_process(ended):
    def give_up(work, error):
        raise MemoryError

    worker = Worker(give_up=give_up)
    worker.work(ValueError())
    assert ended.is_set()
    assert [type(error) for _, error in worker.reported] == [ValueError, MemoryError]


def test_a_beginning_that_fails_keeps_no_thread_from_its_work(ended):
    def begin():
        raise PermissionError

    worker = Worker(begin=begin)
    worker.work(1)
    assert worker.done == [1]
