"""The queue of a cascade."""

import threading
import time

import pytest

from encserve_server.steps.cascade.waiting import WaitingRequests
from encserve_server.steps.tokenize.door.admission_queue import Overloaded, QueueLimits
from encserve_server.steps.tokenize.door.lane_queue import QueuedRequest

NOW_S = 100.0


def queued(name, lane="interactive", **changes):
    about = {"texts": 2, "size": 10, "tokens": 4, "request_id": name, "timeout_s": 0, "arrived_s": NOW_S}
    return QueuedRequest(lane=lane, work=name, **about | changes)


@pytest.fixture
def waiting():
    limits = QueueLimits(max_queued_texts=5, max_queued_bytes=30)
    return WaitingRequests(limits, {"interactive": 4, "bulk": 1}, clock=lambda: NOW_S)


def test_lanes_wait_for_themselves_and_in_order(waiting):
    for name, lane in (("a", "bulk"), ("b", "interactive"), ("c", "bulk")):
        waiting.put(queued(name, lane))
    assert waiting.take("interactive").work == "b"
    assert [waiting.take("bulk").work for _ in range(2)] == ["a", "c"]


@pytest.mark.parametrize(("limit", "changes"), [("max_queued_texts", {"texts": 4}), ("max_queued_bytes", {"size": 21})])
def test_what_is_too_much_is_refused_by_name_and_the_other_lane_has_room(waiting, limit, changes):
    waiting.put(queued("first"))
    with pytest.raises(
        Overloaded, match=rf"the interactive queue of the cascade holds .* {limit} is \d+: try"
    ) as refused:
        waiting.put(queued("second", **changes))
    assert refused.value.limit == limit
    waiting.put(queued("second", "bulk", **changes))


def test_a_large_request_may_wait_alone(waiting):
    waiting.put(queued("a", texts=256, size=1_000))
    assert waiting.take("interactive").work == "a"


def test_what_would_wait_for_more_than_half_its_timeout_is_refused(waiting):
    """Each of four threads has 4 tokens for 2 s: 8 tokens a second."""
    for _ in range(3):
        waiting.served(queued("before"), 2.0)
    waiting.put(queued("first", size=1, texts=1, tokens=16))
    waiting.put(queued("patient", size=1, texts=1, timeout_s=4))
    waiting.put(queued("for ever", size=1, texts=1, tokens=4))
    with pytest.raises(
        Overloaded, match=r"about 3.0 s of interactive work .* timeout of 5 s it may wait 2.5 s: try again later"
    ) as refused:
        waiting.put(queued("hasty", timeout_s=5))
    assert refused.value.limit == "timeout"
    waiting.put(queued("hasty", "bulk", timeout_s=5))
    assert [waiting.load(lane).tokens for lane in ("interactive", "bulk")] == [24, 4]


def test_who_is_first_waits_for_a_thread_only(waiting):
    waiting.served(queued("before"), 1_000.0)
    waiting.put(queued("first", tokens=1_000_000, timeout_s=1))
    with pytest.raises(Overloaded):
        waiting.put(queued("second", timeout_s=1))


def test_a_burst_that_free_threads_take_does_not_wait(waiting):
    """However slow answers are: each of the two has a thread of its own."""
    waiting.served(queued("before"), 1_000.0)
    taken = []
    threads = [threading.Thread(target=lambda: taken.append(waiting.take("interactive"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    while waiting._free["interactive"] < 2:
        time.sleep(0.001)
    with waiting._changed:  # so that no thread takes one before both are there
        waiting.put(queued("first", texts=5, timeout_s=1))
        waiting.put(queued("second", texts=5, timeout_s=1))
        with pytest.raises(Overloaded):
            waiting.put(queued("third", timeout_s=1))
    for thread in threads:
        thread.join(60)
    assert {each.work for each in taken} == {"first", "second"}


def test_a_slow_time_is_forgotten(waiting):
    waiting.served(queued("before"), 1_000.0)
    for _ in range(200):
        waiting.served(queued("before"), 0.001)
    waiting.put(queued("first"))
    waiting.put(queued("second", timeout_s=1))


def test_a_request_that_is_given_up_waits_no_longer(waiting):
    waiting.put(queued("a"))
    waiting.put(queued("b", "bulk"))
    assert [each.work for each in waiting.cancel("b")] == ["b"]
    assert waiting.cancel("b") == []
    assert waiting.take("interactive").work == "a"


def test_what_waits_is_still_taken_after_the_end_and_threads_end(waiting):
    taken = []
    thread = threading.Thread(target=lambda: taken.extend(iter(lambda: waiting.take("bulk"), None)))
    thread.start()
    waiting.put(queued("a", "bulk"))
    waiting.close()
    thread.join(60)
    assert [each.work for each in taken] == ["a"]
