"""Who goes on, who waits and who is refused, with a clock that the tests set."""

import threading

import pytest

from encserve_server.steps.instance.load_page import Load
from encserve_server.steps.tokenize.door.admission_queue import AdmissionQueue, Overloaded, QueueLimits, estimate_tokens
from encserve_server.steps.tokenize.door.lane_queue import TRANSIT_S, QueuedRequest


class Encoder:
    """Says what the test wants it to have."""

    def __init__(self):
        self.loads = dict.fromkeys(("interactive", "bulk"), Load(tokens=0, rate=0, room=100))

    def has(self, tokens, *, rate=100.0, room=100.0, lane="interactive"):
        self.loads[lane] = Load(tokens=tokens, rate=rate, room=room)


@pytest.fixture
def encoder():
    return Encoder()


@pytest.fixture
def queue(clock, encoder):
    limits = QueueLimits(max_queued_texts=10, max_queued_bytes=1000)
    return AdmissionQueue(limits, lambda lane: encoder.loads[lane], clock=clock)


def queued(clock, *, lane="interactive", texts=1, size=10, tokens=10, timeout_s=0.0, request_id="", work=None):
    return QueuedRequest(
        lane=lane,
        texts=texts,
        size=size,
        tokens=tokens,
        request_id=request_id,
        timeout_s=timeout_s,
        arrived_s=clock.now_s,
        work=work,
    )


def test_goes_on_while_there_is_room(queue, clock, encoder):
    assert queue.enter(queued(clock, tokens=60))
    assert queue.enter(queued(clock, tokens=60))  # 60 of 100 are taken: there is room, if not for all of it
    assert not queue.enter(queued(clock))  # both are under way, though the encode step does not count them yet
    clock.now_s += 2 * TRANSIT_S
    encoder.has(120)
    threading.Timer(0.1, encoder.has, [0]).start()
    released = queue.next(within_s=60)
    assert (len(released.ready), released.late) == (1, [])
    assert encoder.loads["interactive"].tokens == 0  # not before


def test_keeps_the_order(queue, clock, encoder):
    encoder.has(100)
    for number in range(3):
        assert not queue.enter(queued(clock, work=number))
    encoder.has(0)
    assert not queue.enter(queued(clock, work=3))  # it may not overtake
    released = queue.next(within_s=60)
    assert [each.work for each in released.ready] == [0, 1, 2, 3]


def test_a_lane_does_not_wait_for_the_other(queue, clock, encoder):
    encoder.has(100, lane="bulk")
    assert not queue.enter(queued(clock, lane="bulk", texts=10))
    assert queue.enter(queued(clock))
    with pytest.raises(Overloaded):
        queue.enter(queued(clock, lane="bulk"))


def test_a_full_queue_names_limit_and_value(queue, clock, encoder):
    encoder.has(100)
    queue.enter(queued(clock, texts=8, size=900))
    with pytest.raises(Overloaded, match=r"holds 8 rows and this request 3; max_queued_texts is 10") as refused:
        queue.enter(queued(clock, texts=3))
    assert refused.value.limit == "max_queued_texts"
    with pytest.raises(Overloaded, match=r"holds 900 bytes of text and this request 101; max_queued_bytes is 1000"):
        queue.enter(queued(clock, size=101))
    assert not queue.enter(queued(clock, texts=2, size=100))


def test_a_request_of_more_rows_than_may_wait_waits_alone(queue, clock, encoder):
    """One text may be as many rows as a request may have, and would be told to try again later for ever."""
    encoder.has(100)
    assert not queue.enter(queued(clock, texts=252))
    with pytest.raises(Overloaded, match=r"holds 252 rows and this request 1; max_queued_texts is 10"):
        queue.enter(queued(clock))
    queue.next(within_s=0)
    encoder.has(0)
    assert len(queue.next(within_s=60).ready) == 1


def test_a_request_of_more_bytes_than_may_wait_waits_alone(queue, clock, encoder):
    """Vectors that are given as base64 are: of 131,072 of 128 numbers in float32 that is 89 MB."""
    encoder.has(100)
    assert not queue.enter(queued(clock, size=1001))
    with pytest.raises(Overloaded, match=r"holds 1001 bytes of text and this request 1; max_queued_bytes is 1000"):
        queue.enter(queued(clock, size=1))
    queue.next(within_s=0)
    encoder.has(0)
    assert len(queue.next(within_s=60).ready) == 1


def test_refuses_what_would_be_too_late(queue, clock, encoder):
    encoder.has(300, rate=100, room=300)
    assert not queue.enter(queued(clock, timeout_s=6.1, tokens=200))
    with pytest.raises(
        Overloaded, match=r"about 5\.0 s of interactive work .* timeout of 6 s it may wait 3 s"
    ) as refused:
        queue.enter(queued(clock, timeout_s=6))
    assert refused.value.limit == "timeout"
    assert not queue.enter(queued(clock, timeout_s=11))
    assert not queue.enter(queued(clock))  # who says no timeout waits as long as it takes


def test_refuses_what_would_be_too_late_even_where_there_is_room(queue, clock, encoder):
    encoder.has(200, rate=100, room=1000)
    assert queue.enter(queued(clock, timeout_s=4.1))
    with pytest.raises(Overloaded, match="it may wait 1 s"):
        queue.enter(queued(clock, timeout_s=2))
    encoder.has(0, rate=1)
    clock.now_s += 2 * TRANSIT_S
    assert queue.enter(queued(clock, timeout_s=0.1))  # nothing is before it


def test_who_came_before_the_rate_was_known_is_held_to_it_then(queue, clock, encoder):
    """A flood on a server that has just started: it is refused when that is known, and not when its time is up."""
    encoder.has(100, rate=0)
    for number in range(5):
        assert not queue.enter(queued(clock, tokens=100, timeout_s=8, work=number))
    encoder.has(90, rate=100)
    released = queue.next(within_s=0)
    assert ([each.work for each in released.ready], released.late) == ([0], [])
    assert [(each.work, error.limit) for each, error in released.refused] == [
        (4, "timeout")
    ]  # 4.9 s of work before it, of which it may wait 4
    for _ in range(2):
        assert not queue.enter(queued(clock, texts=3, timeout_s=0))  # and its place is free


def test_what_waited_too_long_gives_up_its_place(queue, clock, encoder):
    encoder.has(100, rate=0)
    queue.enter(queued(clock, texts=5, work="patient"))
    queue.enter(queued(clock, texts=5, timeout_s=1, work="late"))
    clock.now_s += 1.5
    released = queue.next(within_s=60)
    assert (released.ready, [each.work for each in released.late]) == ([], ["late"])
    assert not queue.enter(queued(clock, texts=5))


def test_the_timeout_is_for_the_encode_step_too(queue, clock, encoder):
    """What could not be computed in time is not let in, though its time is not up yet and there is room."""
    encoder.has(100, rate=100)
    queue.enter(queued(clock, timeout_s=2.5, work="would be late"))
    queue.enter(queued(clock, timeout_s=4, work="in time"))
    clock.now_s += 2
    encoder.has(60, rate=100)
    released = queue.next(within_s=60)
    assert ([each.work for each in released.ready], [each.work for each in released.late]) == (
        ["in time"],
        ["would be late"],
    )


def test_who_is_cancelled_gives_up_its_place(queue, clock, encoder):
    encoder.has(100)
    for number in range(5):
        queue.enter(queued(clock, texts=2, size=100, request_id=f"{number}", work=number))
    assert [each.work for each in queue.cancel({"1", "3", "unknown"})] == [1, 3]
    assert queue.cancel({"1"}) == []
    assert not queue.enter(queued(clock, texts=4, work="now there is room"))
    with pytest.raises(Overloaded, match="holds 10 rows"):
        queue.enter(queued(clock))
    encoder.has(0)
    released = queue.next(within_s=60)
    assert [each.work for each in released.ready] == [0, 2, 4, "now there is room"]


def test_without_a_word_from_the_encode_step_nobody_waits(clock):
    queue = AdmissionQueue(QueueLimits(max_queued_texts=1, max_queued_bytes=1), lambda lane: None, clock=clock)
    assert all(queue.enter(queued(clock, tokens=10_000)) for _ in range(5))


def test_who_waits_goes_on_when_the_encode_step_falls_silent(queue, clock, encoder):
    """Triton then says what is wrong with it."""
    encoder.has(100)
    queue.enter(queued(clock, work="stuck"))
    threading.Timer(0.1, encoder.loads.update, [{"interactive": None}]).start()
    released = queue.next(within_s=60)
    assert [each.work for each in released.ready] == ["stuck"]


def test_a_turn_that_does_not_come_in_time_is_nobodys(queue, clock, encoder):
    encoder.has(100)
    queue.enter(queued(clock))
    assert queue.next(within_s=0).requests == []


def test_a_failure_between_the_queue_and_the_turn_loses_nobody(clock, encoder):
    told = []

    def publish(lane, load):
        told.append(load)
        if len(told) == 4:
            raise OSError("no room for it")

    limits = QueueLimits(max_queued_texts=10, max_queued_bytes=1000)
    queue = AdmissionQueue(limits, lambda lane: encoder.loads[lane], publish=publish, clock=clock)
    encoder.has(100, rate=0)
    for number in range(3):
        queue.enter(queued(clock, work=number))
    encoder.has(0, rate=0)
    with pytest.raises(OSError, match="no room"):
        queue.next(within_s=0)
    assert [each.work for each in queue.next(within_s=0).ready] == [0, 1, 2]


def test_closing_ends_the_thread(queue):
    threading.Timer(0.1, queue.close).start()
    assert queue.next(within_s=60) is None


def test_tokens_are_estimated_within_what_the_network_takes():
    assert estimate_tokens([["a" * 40], [""], ["b" * 10_000], ["a" * 40, "b" * 4]], 256) == 12 + 2 + 256 + 15
