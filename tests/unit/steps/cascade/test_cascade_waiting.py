"""The queue of a cascade."""

import threading

import pytest

from encserve_server.steps.cascade.waiting import QueueFull, WaitingRequests
from encserve_server.steps.tokenize.door.lane_queue import QueuedRequest


def queued(name, lane="interactive", **changes):
    about = {"texts": 2, "size": 10, "tokens": 4, "request_id": name, "timeout_s": 0, "arrived_s": 0}
    return QueuedRequest(lane=lane, work=name, **about | changes)


@pytest.fixture
def waiting():
    return WaitingRequests({"max_queued_texts": 5, "max_queued_bytes": 30})


def test_lanes_wait_for_themselves_and_in_order(waiting):
    for name, lane in (("a", "bulk"), ("b", "interactive"), ("c", "bulk")):
        waiting.put(queued(name, lane))
    assert waiting.take("interactive").work == "b"
    assert [waiting.take("bulk").work for _ in range(2)] == ["a", "c"]


@pytest.mark.parametrize(("limit", "changes"), [("max_queued_texts", {"texts": 4}), ("max_queued_bytes", {"size": 21})])
def test_what_is_too_much_is_refused_by_name_and_the_other_lane_has_room(waiting, limit, changes):
    waiting.put(queued("first"))
    with pytest.raises(
        QueueFull, match=rf"the interactive queue of the cascade holds .* {limit} is \d+: try"
    ) as refused:
        waiting.put(queued("second", **changes))
    assert refused.value.limit == limit
    waiting.put(queued("second", "bulk", **changes))


def test_a_large_request_may_wait_alone(waiting):
    waiting.put(queued("a", texts=256, size=1_000))
    assert waiting.take("interactive").work == "a"


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
