"""Shared rows beside a cache that fails: nobody waits for it, no text fails for it, and an operator learns why."""

import socket
import threading

import numpy as np
import pytest
from export.shared_rows.evil_cache import evil_cache

from encserve_server.steps.encode.shared.settings import SharedSettings
from encserve_server.steps.encode.shared.shared_rows import SharedRows, Wanted
from encserve_server.steps.encode.shared.worth import FAILURES, Worth

KEY = (b"\1\0\0\0",)
WANTED = [Wanted(key=KEY, rows={"out": 1}, tokens=3)]


class Told(list):
    """What was told, for which somebody may wait."""

    def __init__(self):
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, *what):
        with self._changed:
            self.append(what)
            self._changed.notify_all()

    def wait(self, number):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self) >= number, 60), list(self)


@pytest.fixture
def make():
    """Makes shared rows at a port; `about` is what they are told beside that."""
    made = []

    def make(port, *, host="127.0.0.1", budget_s=60.0, **about):
        settings = SharedSettings(
            host=host, port=port, database=0, user="", password="", secret=b"0123456789abcdef", budget_s=budget_s
        )
        made.append(SharedRows(settings, b"graph", **about))
        return made[-1]

    yield make
    for shared in made:
        shared.close()


@pytest.fixture
def nowhere():
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return gone.getsockname()[1]


def test_a_name_is_looked_up_by_the_thread_of_shared_rows_and_nobody_waits_for_it(make, monkeypatch):
    threads, answered = Told(), threading.Event()

    def never(*_, **__):
        threads(threading.current_thread().name)
        answered.wait(60)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    counted = Told()
    shared = make(6379, host="cache.invalid", budget_s=0.001, count=counted)
    assert shared.find(WANTED) == [None]
    assert counted == [("failed", 1)]
    threads.wait(1)
    answered.set()
    assert threads == [("shared-rows",)]


def test_one_who_waited_for_another_looks_again_whether_the_cache_is_asked(make, nowhere):
    looks = iter([True, False])

    class ShutMeanwhile(Worth):
        open = property(lambda self: next(looks))

    counted = Told()
    assert make(nowhere, worth=ShutMeanwhile(), count=counted).find(WANTED) == [None]
    assert counted == []


def test_why_a_cache_fails_is_said_once_for_each_pause(make, nowhere):
    warned = Told()
    shared = make(nowhere, warn=warned)
    for _ in range(FAILURES + 2):
        assert shared.find(WANTED) == [None]
    ((sentence,),) = warned
    assert "left alone" in sentence
    assert "Connection refused" in sentence


def test_no_fault_of_ours_is_one_of_the_text(make, nowhere):
    def broken(sentence):
        raise RuntimeError(sentence)

    reported = Told()
    shared = make(nowhere, warn=broken, report=reported)
    assert [shared.find(WANTED) for _ in range(FAILURES)] == [[None]] * FAILURES
    ((where, error),) = reported
    assert (where, type(error)) == ("shared rows", RuntimeError)
    assert shared.find(WANTED) == [None], "and the next is not kept waiting"


def test_a_cache_that_takes_no_rows_is_offered_none_and_still_asked(make):
    def full(data):
        return b"-OOM command not allowed\r\n" * data.count(b"SET") or b"*1\r\n$-1\r\n"

    counted, warned = Told(), Told()
    with evil_cache(full) as port:
        shared = make(port, warn=warned, count=lambda event, number: number and counted(event))
        for number in range(1, FAILURES + 1):
            assert shared.find(WANTED) == [None]
            shared.offer(KEY, {"out": np.ones((1, 2), np.float32)})
            counted.wait(2 * number)
        warned.wait(1)
        shared.offer(KEY, {"out": np.ones((1, 2), np.float32)})
        shared.find(WANTED)
    assert counted == [("missing",), ("dropped",)] * FAILURES + [("missing",)]
    ((sentence,),) = warned
    assert "OOM" in sentence
