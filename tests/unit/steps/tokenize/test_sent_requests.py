"""What is on its way to an encode step that says nothing, with a clock that the tests set."""

import threading

import pytest

from encserve_server.steps.tokenize.door.sent_requests import (
    BULK_SHARE,
    FIRST_TOKENS,
    MARKED_REQUESTS,
    MOST_REQUESTS,
    ROOM_S,
    TRANSIT_S,
    UNMARKED_S,
    Marked,
    SentRequests,
)


@pytest.fixture
def sent(clock):
    return SentRequests(lambda: Marked.COMPUTED, clock=clock)


def send(sent, *tokens, lane="interactive"):
    requests = [sent.let_on(lane, each) for each in tokens]
    sent.hand_over(requests)
    return requests


def compute(sent, clock, *, took_s, computed=True):
    """The marker that is due is sent, and answered after so long."""
    clock.now_s += TRANSIT_S
    requests, marked_s = sent.due(), clock.now_s
    clock.now_s += took_s
    sent.answered(requests, marked_s=marked_s, computed=computed)
    return requests


def test_tokens_are_those_of_a_lane(sent):
    send(sent, 100, 20)
    send(sent, 7, lane="bulk")
    assert (sent.tokens("interactive"), sent.tokens("bulk")) == (120, 7)


def test_counts_from_the_door_to_the_marker(sent, clock):
    request = sent.let_on("interactive", 5_000)
    assert sent.load("interactive").tokens == 5_000
    clock.now_s += 1
    assert sent.due() == []  # it is being tokenized: a marker would come before it
    sent.hand_over([request])
    assert sent.due() == []  # and it needs its time into the queue
    assert compute(sent, clock, took_s=1) == [request]
    assert sent.load("interactive").tokens == 0


def test_a_marker_comes_after_many_tokens_many_requests_or_some_time(sent, clock):
    send(sent, FIRST_TOKENS)
    clock.now_s += TRANSIT_S
    assert len(sent.due()) == 1
    send(sent, *[1] * (MARKED_REQUESTS - 1))
    clock.now_s += TRANSIT_S
    assert sent.due() == []
    send(sent, 1)
    clock.now_s += TRANSIT_S
    assert len(sent.due()) == MARKED_REQUESTS
    send(sent, 1)
    clock.now_s += UNMARKED_S
    assert len(sent.due()) == 1
    assert sent.due() == []  # they have theirs


def test_the_rate_is_that_of_the_time_in_which_there_was_work(sent, clock):
    send(sent, 10_000)
    clock.now_s += TRANSIT_S
    first, marked_s = sent.due(), clock.now_s
    send(sent, 10_000)
    clock.now_s += TRANSIT_S
    second = sent.due()
    clock.now_s = marked_s + 1
    sent.answered(first, marked_s=marked_s, computed=True)
    clock.now_s += 1
    sent.answered(second, marked_s=marked_s, computed=True)
    assert sent.load("interactive").rate == pytest.approx(10_000, rel=0.02)
    clock.now_s += 100  # nothing to do
    send(sent, 10_000)
    compute(sent, clock, took_s=1)
    assert sent.load("interactive").rate == pytest.approx(10_000, rel=0.02)
    assert sent.load("interactive").room == pytest.approx(10_000 * ROOM_S, rel=0.02)


def test_a_first_marker_in_a_batch_with_requests_after_it_tells_no_rate(sent, clock):
    """800 tokens a second, of which the first answer alone would make 200: who waits would be refused by that."""
    batches = []
    for tokens in (512, 1_536):
        send(sent, tokens)
        clock.now_s += TRANSIT_S
        batches.append(sent.due())
    marked_s = clock.now_s
    clock.now_s += 2_048 / 800
    sent.answered(batches[0], marked_s=marked_s, computed=True)
    assert sent.load("interactive").rate == 0
    sent.answered(batches[1], marked_s=marked_s, computed=True)
    assert sent.load("interactive").rate == 0
    send(sent, 2_048)
    compute(sent, clock, took_s=2_048 / 800)
    assert sent.load("interactive").rate == pytest.approx(800, rel=0.02)


def test_the_way_to_an_idle_encode_step_does_not_make_it_slower(sent, clock):
    send(sent, 10_000)
    compute(sent, clock, took_s=1)
    for _ in range(20):
        clock.now_s += 1
        send(sent, 10_000)
        compute(sent, clock, took_s=5)
    assert sent.load("interactive").rate == pytest.approx(10_000, rel=0.02)


def test_requests_of_one_batch_are_no_burst(sent, clock):
    """Their markers are answered in one moment, and again after the next batch."""
    for _ in range(20):
        send(sent, *[1_000] * 4)
        clock.now_s += TRANSIT_S
        batch = sent.due()
        clock.now_s += 0.4 - TRANSIT_S
        for request in batch:
            sent.answered([request], marked_s=clock.now_s - 0.39, computed=True)
            clock.now_s += 0.0001
    assert sent.load("interactive").rate == pytest.approx(10_000, rel=0.3)


def test_a_marker_that_came_late_says_nothing_of_the_rate(sent, clock):
    send(sent, 10)
    clock.now_s += UNMARKED_S
    compute(sent, clock, took_s=0.1)
    assert sent.load("interactive").rate == 0


def test_what_failed_is_gone_and_says_nothing_of_the_rate(sent, clock):
    send(sent, 10_000)
    compute(sent, clock, took_s=0.001, computed=False)
    assert (sent.load("interactive").tokens, sent.load("interactive").rate) == (0, 0)


def test_time_that_ends_in_a_failure_does_not_lower_the_rate(sent, clock):
    """As where a device hangs for a minute; what was sent before that is computed after it."""
    for _ in range(2):
        send(sent, 10_000)
        compute(sent, clock, took_s=1)
    batches = []
    for _ in range(3):
        send(sent, 10_000)
        clock.now_s += TRANSIT_S
        batches.append(sent.due())
    marked_s = clock.now_s
    for batch, took_s, computed in zip(batches, (1, 60, 1), (True, False, True), strict=True):
        clock.now_s += took_s
        sent.answered(batch, marked_s=marked_s, computed=computed)
    assert sent.load("interactive").rate == pytest.approx(10_000, rel=0.02)


def test_a_busy_encode_step_that_becomes_slower_is_seen(sent, clock):
    """Though requests come at the very moment of an answer: it had something to do all the time."""
    for took_s in (1, 1, *[5] * 4):
        send(sent, 10_000)
        compute(sent, clock, took_s=took_s)
    assert sent.load("interactive").rate == pytest.approx(2_000, rel=0.05)


def test_what_the_tokenizer_refused_is_gone(sent):
    sent.forget([sent.let_on("interactive", 10)])
    assert sent.load("interactive").tokens == 0


def test_two_requests_of_any_size_find_room_and_so_many_small_ones(sent):
    send(sent, 100 * FIRST_TOKENS)
    load = sent.load("interactive")
    assert load.tokens < load.room
    send(sent, 100 * FIRST_TOKENS)
    load = sent.load("interactive")
    assert load.tokens >= load.room


def test_the_queue_in_triton_never_fills(sent):
    send(sent, *[1] * MOST_REQUESTS)
    load = sent.load("interactive")
    assert load.tokens >= load.room


def test_bulk_makes_way_and_is_not_starved(sent):
    send(sent, *[FIRST_TOKENS // 4] * 3, lane="bulk")
    load = sent.load("bulk")
    assert load.tokens < load.room == FIRST_TOKENS  # alone it has all the room
    send(sent, 1)
    load = sent.load("bulk")
    assert load.tokens >= load.room == FIRST_TOKENS * BULK_SHARE
    load = sent.load("interactive")  # its turn comes after what was sent before it
    assert load.tokens == 3 * FIRST_TOKENS // 4 + 1


def test_markers_are_sent_and_end_with_the_step():
    marked = threading.Event()
    sent = SentRequests(lambda: marked.set() or Marked.COMPUTED)
    sent.start()
    send(sent, FIRST_TOKENS)
    assert marked.wait(60)
    end(sent)


def end(sent):
    sent.close()
    for thread in threading.enumerate():
        if thread.name.startswith("marker-"):
            thread.join(60)
            assert not thread.is_alive()


def test_a_refused_marker_settles_nothing_and_is_sent_again():
    """The queue of the encode step is full: nothing that was sent before has been computed for that."""
    answers, refused, told = [Marked.REFUSED, Marked.REFUSED, Marked.COMPUTED], [], threading.Event()

    def mark():
        answer = answers.pop(0)
        refused.append(sent.load("interactive").tokens)
        if not answers:
            told.set()
        return answer

    sent = SentRequests(mark)
    sent.start()
    send(sent, FIRST_TOKENS)
    assert told.wait(60)
    assert refused == [FIRST_TOKENS] * 3
    end(sent)
    assert sent.load("interactive").tokens == 0
