"""Threads that take what waits, without rounds."""

import queue
import threading
import time
from contextlib import suppress

import pytest

from encserve_server.steps.encode import lane as lane_module
from encserve_server.steps.encode.lane import EncodeLane, LaneSize
from encserve_server.steps.encode.request import EncodeRequest
from encserve_server.steps.instance import loops


def waiting(tokens, answer=print):
    return EncodeRequest(columns={"input_ids": [range(tokens)]}, outputs=(), answer=answer)


class Piece:
    """Work that ends when it is told to."""

    def __init__(self, tokens=10):
        self.tokens = tokens
        self.began, self.end, self.ended = threading.Event(), threading.Event(), threading.Event()

    def run(self):
        self.began.set()
        assert self.end.wait(60)
        self.ended.set()

    def give_up(self, error):
        self.given_up = error


class Lane:
    """A lane whose cuts are given: each takes the next list of pieces."""

    def __init__(self, *cuts, threads=2, **given):
        self.cuts, self.asked, self.loads = list(cuts), [], []
        size = LaneSize(threads=threads, token_budget=512)
        self.lane = EncodeLane("interactive", self.cut, self.loads.append, size=size, **given)

    def cut(self, jobs, free):
        self.asked.append(([job.tokens for job in jobs], free))
        return self.cuts.pop(0)

    def put(self, *tokens):
        self.lane.put([waiting(each) for each in tokens])

    def empty(self):
        """Wait until nothing is left to compute."""
        ends_s = time.monotonic() + 60
        while self.lane.load.tokens:
            assert time.monotonic() < ends_s
            time.sleep(0.001)


def began(*pieces):
    return all(piece.began.wait(60) for piece in pieces)


def test_requests_are_cut_for_the_threads_that_are_free():
    first, second, third = Piece(), Piece(), Piece()
    lane = Lane([first, second], [third])
    lane.put(20)
    assert began(first, second)
    lane.put(10)
    first.end.set()
    assert began(third)  # beside the second, which still runs
    assert lane.asked == [([20], 2), ([10], 1)]
    assert not second.ended.is_set()
    for piece in (second, third):
        piece.end.set()
    lane.lane.close()


def test_a_thread_takes_what_is_cut_before_it_cuts_more():
    pieces, late = [Piece() for _ in range(3)], Piece()
    lane = Lane(pieces, [late])
    lane.put(30)
    assert began(*pieces[:2])
    lane.put(10)
    pieces[0].end.set()
    assert began(pieces[2])
    assert len(lane.asked) == 1
    for piece in (*pieces, late):
        piece.end.set()
    lane.lane.close()
    assert late.ended.is_set()


def test_requests_of_many_tokens_are_not_cut_all_at_once():
    lane = Lane([], [], [], threads=1)
    lane.put(2_000, 49, 1, 3_000)
    lane.lane.close()
    assert lane.asked == [([2_000], 1), ([49, 1], 1), ([3_000], 1)]


def test_it_says_what_it_has_until_it_is_computed():
    piece = Piece(tokens=30)
    lane = Lane([piece], threads=1)
    lane.put(25, 10)  # of these 35 tokens, 5 need no computing
    assert began(piece)
    assert [load.tokens for load in lane.loads] == [0, 35, 30]
    piece.end.set()
    lane.lane.close()
    assert lane.loads[-1].tokens == 0


def test_the_rate_is_that_of_all_threads_when_all_are_busy():
    pieces = [Piece(tokens=512), Piece(tokens=512)]
    lane = Lane(pieces, threads=2)
    lane.put(1_024)
    assert began(*pieces)
    for piece in pieces:
        piece.end.set()
    lane.lane.close()
    assert lane.loads[-1].rate > 0
    assert 2 * 512 <= lane.loads[-1].room <= 8 * 2 * 512


@pytest.mark.parametrize(("threads", "tokens"), [(2, 512), (1, 3)])
def test_work_beside_idle_threads_or_of_few_tokens_says_nothing_of_the_rate(threads, tokens):
    piece = Piece(tokens=tokens)
    lane = Lane([piece], threads=threads)
    lane.put(tokens)
    piece.end.set()
    lane.lane.close()
    assert lane.loads[-1].rate == 0


def test_closing_computes_what_waits():
    pieces = [Piece() for _ in range(5)]
    lane = Lane(pieces)
    lane.put(20, 30)
    closing = threading.Thread(target=lane.lane.close)
    closing.start()
    for piece in pieces:
        piece.end.set()
    closing.join()
    assert all(piece.ended.is_set() for piece in pieces)


class Failing(Piece):
    """Work in which something of ours goes wrong."""

    def run(self):
        raise MemoryError("in the middle of it")

    def give_up(self, error):
        super().give_up(error)
        self.ended.set()


def test_work_that_fails_is_given_up_and_the_thread_goes_on():
    failing, piece, reported = Failing(), Piece(), []
    lane = Lane([failing, piece], threads=1, report=lambda where, error: reported.append((where, type(error))))
    lane.put(20)
    assert failing.ended.wait(60)
    assert isinstance(failing.given_up, MemoryError)
    assert began(piece)
    piece.end.set()
    lane.lane.close()
    assert piece.ended.is_set()
    assert reported == [("lane interactive", MemoryError)]
    assert lane.loads[-1].tokens == 0


def test_requests_that_cannot_be_cut_are_answered_and_the_thread_goes_on():
    answers, piece, reported = queue.SimpleQueue(), Piece(), []
    lane = Lane([piece], threads=1, report=lambda where, error: reported.append(type(error)))
    genuine, lane.cut = lane.cut, None
    lane.lane._cut = lambda jobs, free: 1 / 0
    lane.lane.put([waiting(10, answers.put), waiting(20, answers.put)])
    assert [type(answers.get(timeout=60)) for _ in range(2)] == [ZeroDivisionError] * 2
    lane.empty()
    assert lane.loads[-1].tokens == 0
    lane.lane._cut = genuine
    lane.put(10)
    assert began(piece)
    piece.end.set()
    lane.lane.close()
    assert reported == [ZeroDivisionError]


def test_a_load_that_cannot_be_published_ends_no_thread():
    """As where the page of the step is gone."""
    pieces = [Piece() for _ in range(3)]
    lane = Lane(*([piece] for piece in pieces), threads=1, report=lambda where, error: None)
    publish, lane.lane._publish_load = lane.lane._publish_load, None
    for piece in pieces:
        with suppress(TypeError):
            lane.put(10)
        assert began(piece)
        piece.end.set()
        assert piece.ended.wait(60)
    lane.empty()
    lane.lane._publish_load = publish
    lane.lane.close()


def test_requests_outlive_a_lack_of_memory_while_they_are_taken(monkeypatch):
    genuine, failures, answers, reported = lane_module._Uncut.__init__, [MemoryError()], queue.SimpleQueue(), []

    def init(uncut, jobs, *, free):
        if failures:
            raise failures.pop()
        genuine(uncut, jobs, free=free)

    monkeypatch.setattr(lane_module._Uncut, "__init__", init)
    monkeypatch.setattr(loops, "PAUSE_S", 0.0)
    lane = EncodeLane(
        "interactive",
        lambda jobs, free: [job.answer("rows") for job in jobs] and [],
        lambda load: None,
        size=LaneSize(threads=1, token_budget=512),
        report=lambda where, error: reported.append(error),
    )
    lane.put([waiting(7, answers.put), waiting(8, answers.put)])
    assert [answers.get(timeout=60) for _ in range(2)] == ["rows"] * 2
    lane.close()
    assert [type(error) for error in reported] == [MemoryError]
    assert lane.load.tokens == 0
