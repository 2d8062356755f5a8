"""Threads that take what waits, without rounds."""

import threading

import pytest

from encserve_server.models.encode_lane import EncodeLane, Waiting


def waiting(tokens):
    return Waiting(columns={}, tokens=tokens, arrived_s=0.0, request=None, sender=None)


class Piece:
    """Work that ends when it is told to."""

    def __init__(self, tokens=10):
        self.tokens = tokens
        self.began, self.end, self.ended = threading.Event(), threading.Event(), threading.Event()

    def run(self):
        self.began.set()
        assert self.end.wait(60)
        self.ended.set()


class Lane:
    """A lane whose cuts are given: each takes the next list of pieces."""

    def __init__(self, *cuts, threads=2):
        self.cuts, self.asked, self.loads = list(cuts), [], []
        self.lane = EncodeLane("interactive", self.cut, self.loads.append, threads=threads, token_budget=512)

    def cut(self, jobs, free):
        self.asked.append(([job.tokens for job in jobs], free))
        return self.cuts.pop(0)

    def put(self, *tokens):
        self.lane.put([waiting(each) for each in tokens])


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
