"""Of five times what an engine makes, and more, who is let in is whole in time. In virtual time."""

from functools import partial

import pytest
from crowd import TIMEOUT_S, TimedNetwork


@pytest.mark.parametrize(
    ("lengths_are_known", "factor", "unseen"),
    [(True, 5, 1), (False, 5, 1), (False, 10, 1), (True, 5, 1.5), (False, 5, 1.5)],
)
def test_who_is_let_in_is_whole_in_time(crowd, lengths_are_known, factor, unseen):
    """Also where rounds take half as long again as the engine sees of them."""
    crowd = crowd(lengths_are_known=lengths_are_known, unseen=unseen)
    texts_per_s, tokens_per_s = crowd.closed_set(128)
    begun_s, seconds = crowd.clock.now_s, 12.0
    count = int(factor * texts_per_s * seconds)
    crowd.clock.due.extend((begun_s + number / (factor * texts_per_s), crowd.come) for number in range(count))
    crowd.run()
    assert crowd.came == count
    assert crowd.whole >= 0.9 * crowd.let_in
    assert crowd.tokens >= 0.8 * tokens_per_s * seconds
    assert len(crowd.refused) == count - crowd.let_in


@pytest.mark.parametrize("lengths_are_known", [True, False])
def test_of_a_burst_upon_an_idle_engine_as_many_are_whole_as_can_be(crowd, lengths_are_known):
    crowd = crowd(lengths_are_known=lengths_are_known)
    _, tokens_per_s = crowd.closed_set(128)
    begun_s = crowd.clock.now_s
    crowd.clock.due.extend((begun_s, crowd.come) for _ in range(400))
    crowd.run()
    assert crowd.tokens >= 0.7 * tokens_per_s * TIMEOUT_S
    assert crowd.clock.now_s < begun_s + TIMEOUT_S + 0.2  # with the step under way


def test_what_the_engine_can_make_is_not_refused(crowd):
    crowd = crowd()
    texts_per_s, _ = crowd.closed_set(128)
    rate_per_s = 0.9 * texts_per_s
    begun_s, come = crowd.clock.now_s, partial(crowd.come, timeout_s=8.0)
    crowd.clock.due.extend((begun_s + number / rate_per_s, come) for number in range(200))
    crowd.run()
    assert crowd.whole >= 0.97 * crowd.came


@pytest.mark.parametrize("lengths_are_known", [True, False])
def test_at_half_of_what_the_engine_makes_nobody_is_refused_and_all_are_whole(crowd, lengths_are_known):
    crowd = crowd(lengths_are_known=lengths_are_known)
    texts_per_s, _ = crowd.closed_set(64)
    begun_s = crowd.clock.now_s
    crowd.clock.due.extend((begun_s + number / (0.5 * texts_per_s), crowd.come) for number in range(60))
    crowd.run()
    assert (crowd.whole, crowd.refused) == (60, [])


@pytest.mark.parametrize(("callers", "lengths_are_known"), [(48, True), (100, True), (200, True), (200, False)])
def test_a_bulk_job_locks_no_interactive_texts_out_and_goes_on(crowd, callers, lengths_are_known):
    """Of whose callers each asks for the next text as soon as one ends."""
    crowd = crowd(lengths_are_known=lengths_are_known)
    texts_per_s, tokens_per_s = crowd.closed_set(128)
    begun_s, seconds, lanes = crowd.clock.now_s, 30.0, {"interactive": [], "bulk": []}

    def next_of_bulk():
        if crowd.clock.now_s < begun_s + seconds:
            lanes["bulk"].append(crowd.come(60.0, next_of_bulk, lane="bulk"))

    crowd.clock.due.extend((begun_s, next_of_bulk) for _ in range(callers))
    for number in range(int(0.5 * texts_per_s * seconds)):
        due_s = begun_s + number / (0.5 * texts_per_s)
        crowd.clock.due.append((due_s, lambda: lanes["interactive"].append(crowd.come())))
    crowd.run()
    whole = {lane: [text for text in texts if text.finish in ("eos", "length")] for lane, texts in lanes.items()}
    assert len(whole["interactive"]) >= 0.9 * len(lanes["interactive"])
    assert sum(len(text.tokens) for text in whole["bulk"]) >= 0.1 * tokens_per_s * seconds


@pytest.mark.parametrize("callers", [8, 48])
def test_a_stop_of_the_host_locks_interactive_texts_out_for_no_longer_than_it_is_remembered(crowd, callers):
    """All of one length, beside bulk that never ends, so that the engine is never idle. Each that the stop made late
    says that texts take five times as long, and the round in which it was that those with more in them take for ever.
    Beside 48 not all are whole without a stop, too."""
    crowd = crowd()
    crowd.closed_set(128)
    begun_s, seconds, stop_s, later = crowd.clock.now_s, 45.0, 5.0, []

    def next_of_bulk():
        if crowd.clock.now_s < begun_s + seconds:
            crowd.come(600.0, next_of_bulk, lane="bulk")

    def interactive():
        texts = crowd.ask(crowd.text(64, source=20, least=64, most=64))
        if crowd.clock.now_s > begun_s + stop_s + 30:
            later.extend(texts)

    come = [(begun_s + number / 4, interactive) for number in range(int(4 * seconds))]
    stop = (begun_s + stop_s, lambda: TimedNetwork.stalls.append(10.0))
    crowd.clock.due.extend([(begun_s, next_of_bulk)] * callers)
    crowd.clock.due.extend(sorted([*come, stop], key=lambda each: each[0]))
    crowd.run()
    assert len(later) >= 39
    assert sum(text.finish == "length" for text in later) >= 0.5 * len(later)
