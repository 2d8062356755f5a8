"""How long rounds take, how long texts become, and what follows for those that come and those that are there."""

from types import SimpleNamespace

import numpy as np
import pytest

from encserve_server.steps.generate.decoder.network import Shape
from encserve_server.steps.generate.decoder.round import Round
from encserve_server.steps.generate.door.admission import admit
from encserve_server.steps.generate.door.ahead import Ahead
from encserve_server.steps.generate.door.correction import HALF_LIFE_S
from encserve_server.steps.generate.door.in_time import InTime
from encserve_server.steps.generate.door.lengths import Lengths, _size_of
from encserve_server.steps.generate.door.limits import EngineLimits
from encserve_server.steps.generate.door.pace import LATELY_S, Pace
from encserve_server.steps.generate.door.refusal import QueueFull, check_time, estimate_of
from encserve_server.steps.generate.door.room import Room
from encserve_server.steps.generate.door.round_time import RoundTime
from encserve_server.steps.generate.door.turns import INTERACTIVE_ROUNDS, Turns
from encserve_server.steps.generate.texts.choice import Choice
from encserve_server.steps.generate.texts.pieces import Pieces
from encserve_server.steps.generate.texts.text import Estimate, GeneratedText

SHAPE = Shape(layers=1, heads=1, size=2, vocabulary=32)


def text(*, made=0, most=50, least=0, source=4, left_s=float("inf"), stops=(), **about):
    about = {"beams": 1, "lane": "interactive", "first": False, "finish": ""} | about
    return GeneratedText(
        source=np.zeros(source, np.int64),
        choice=Choice(ends=(0,), min_new_tokens=least, beams=about.pop("beams")),
        max_new_tokens=most,
        pieces=Pieces(None, stops),
        tell=None,
        tokens=[1] * made,
        deadline_s=left_s,
        **about,
    )


def estimated(pace, asked, decoded, waiting=(), rows=500):
    room = Room(SHAPE, EngineLimits(cache_bytes=1 << 40, logits_bytes=1 << 40, prefill_tokens=512, max_queued_texts=9))
    ahead = Ahead(pace, room.beside(decoded), decoded).then(waiting)
    return estimate_of(pace, asked, ahead, 0.0, rows=rows, prefill_tokens=512)


@pytest.fixture
def pace():
    """One whose rounds take a second, of one text."""
    made = Pace()
    made.round_took(1.0, Round())
    return made


@pytest.fixture
def known():
    """One that knows rounds of many sizes: 10 ms, 1 ms more for each text, and 2 ms to encode a token."""
    made = Pace()
    for rows in range(1, 60):
        made.round_took(0.01 + 0.001 * rows + 0.008, Round(hypotheses=rows, source_tokens=4, encoding_s=0.008))
    return made


def test_rounds_take_what_they_lately_took(pace):
    pace.round_took(2.0, Round())
    assert pace.round_s == pytest.approx(1.2)
    pace.was_idle()
    pace.round_took(3.0, Round())
    assert pace.round_s == 3.0


def test_a_round_takes_longer_with_more_in_it(known):
    assert known.seconds_of_round(100) == pytest.approx(0.11, rel=0.02)
    assert known.seconds_of_round(10) == pytest.approx(0.02, rel=0.05)
    assert known.encoding_s(100) == pytest.approx(0.2)


def test_rounds_of_one_size_say_that_larger_ones_take_no_less():
    time_of = RoundTime()
    for _ in range(9):
        time_of.took(0.32, Round(hypotheses=32))
    assert time_of.steps_s(64) == pytest.approx(0.32 + 0.1 * 0.32)
    assert time_of.steps_s(32) == pytest.approx(0.32)


def test_one_round_in_which_the_host_stood_still_says_little_of_others():
    time_of = RoundTime()
    for rows in [*range(1, 40), *[48] * 40]:
        time_of.took(0.015 + 0.0009 * rows, Round(hypotheses=rows))
        if rows == 39:
            time_of.took(10.0, Round(hypotheses=rows))
    assert time_of.steps_s(48) == pytest.approx(0.015 + 0.0009 * 48, rel=0.01)
    assert time_of.steps_s(1) < 0.03
    for _ in range(20):  # of a host that has become slower
        time_of.took(2.0, Round(hypotheses=48))
    assert time_of.steps_s(48) == pytest.approx(2.0, rel=0.05)


def test_a_round_of_one_counts_whole_after_a_crowd_that_said_only_that_all_take_as_much():
    time_of = RoundTime()
    for rows in np.random.default_rng(0).integers(60, 65, 200):
        time_of.took(0.001 * rows, Round(hypotheses=int(rows)))
    time_of.took(0.0128, Round(hypotheses=1))
    assert time_of.steps_s(1) == pytest.approx(0.0128, rel=0.25)
    time_of.took(10.0, Round(hypotheses=1))  # in which the host stood still
    assert time_of.steps_s(1) < 0.1


def test_texts_get_as_many_tokens_as_others_did(pace):
    assert pace.tokens_left(text(least=30)) == 30
    assert pace.tokens_left(text()) == 1  # nothing is known, and so no more is said than is sure
    for _ in range(3):
        pace.has_ended(text(made=10, most=40))
    assert [pace.tokens_left(text(most=40, made=made)) for made in (0, 4, 30)] == [10, 6, 1]
    assert pace.tokens_left(text(most=400)) == 10
    assert pace.tokens_left(text(most=6)) == 6
    assert pace.tokens_left(text(most=40, least=20)) == 29
    assert pace.most_left(text(most=40)) == 10  # as all were of one length


def test_nineteen_of_twenty_texts_are_no_longer_than_it_is_said(pace):
    lengths = np.random.default_rng(0).lognormal(np.log(21), 0.6, 2_000).astype(int).clip(1, 99)
    for length in lengths:
        pace.has_ended(text(made=int(length), most=99))
    assert 0.92 < (lengths <= pace.most_left(text(most=99))).mean() < 0.98
    assert pace.most_left(text(most=99, least=99)) == 99


def test_a_text_that_was_cut_says_that_texts_become_so_long_at_least(pace):
    for _ in range(9):
        pace.has_ended(text(made=8, most=8, finish="length"))
    assert pace.tokens_left(text(most=500)) == pace.most_left(text(most=500)) == 8
    for _ in range(3):
        pace.has_ended(text(made=30, most=90, finish="eos"))
    assert pace.tokens_left(text(most=500)) == 30
    assert pace.tokens_left(text(most=8)) == 8


def test_many_that_were_cut_say_more_than_a_few_that_ended(pace):
    for _ in range(13):
        pace.has_ended(text(made=10, most=64, finish="eos"))
    for _ in range(200):
        pace.has_ended(text(made=64, most=64, finish="length"))
    for _ in range(43):
        pace.has_ended(text(made=4, most=4, finish="length"))  # as long as those that became longer
    said = [[left(text(most=most)) for most in range(1, 99)] for left in (pace.tokens_left, pace.most_left)]
    assert [each[63] for each in said] == [61, 64]
    assert all(each == sorted(each) for each in said)  # who may have more has no less


def test_estimates_are_not_made_anew_after_every_end(monkeypatch):
    lengths, made, beyond = Lengths(), [], Lengths._beyond
    monkeypatch.setattr(Lengths, "_beyond", lambda self, could: made.append(could) or beyond(self, could))
    for number in range(64):
        lengths.has_ended(text(made=10 if number < 32 else 40))
        lengths.left(text())
    assert len(made) <= 32 + 32 // 8
    assert lengths.left(text()) == 25


def test_estimates_are_made_for_a_few_sizes_of_many(monkeypatch):
    lengths, made, beyond = Lengths(), [], Lengths._beyond
    monkeypatch.setattr(Lengths, "_beyond", lambda self, could: made.append(could) or beyond(self, could))
    for most in range(20, 600, 2):
        lengths.has_ended(text(made=most // 3, most=most))
    left = [lengths.left(text(most=most)) for most in range(1, 1_024)]
    assert len(made) < 80
    assert left == sorted(left)
    assert all(sure <= most for most, sure in enumerate(left, start=1))
    assert all(size >= could for could, size in zip(range(1, 40), map(_size_of, range(1, 40)), strict=True))
    assert [_size_of(could) for could in (0, 1, 16, 17, 33, 100, 1_023)] == [0, 1, 16, 18, 36, 104, 1_024]


def test_a_text_that_a_string_may_end_gets_no_more_than_one_token_in_any_case(known):
    assert known.tokens_left(text(least=40, stops=["."])) == 1
    assert known.is_lost(text(least=40, left_s=0.1), 0.0)
    assert not known.is_lost(text(least=40, left_s=0.1, stops=["."]), 0.0)


def of(texts, **about):
    return Round(tokens=texts, hypotheses=texts, **about)


def test_tokens_a_second_are_those_of_rounds_with_as_many_as_have_room(pace):
    assert pace.tokens_per_second == 0
    for _ in range(100):
        pace.round_took(2.0, of(40, is_full=True))
    assert pace.tokens_per_second == pytest.approx(20, rel=0.05)
    pace.was_idle()
    pace.round_took(1.0, of(1))  # there was room for more, whatever was the reason why no more came
    assert pace.tokens_per_second == pytest.approx(20, rel=0.05)


def test_tokens_a_second_fall_where_rounds_become_slower_although_time_alone_limits_them(pace):
    for _ in range(9):
        for texts in (20, 30, 40):
            pace.round_took(0.01 + 0.001 * texts, of(texts))
    assert pace.tokens_per_second == pytest.approx(40 / 0.05, rel=0.1)
    for _ in range(99):
        for texts in (10, 14):  # as fewer are whole in time together
            pace.round_took(2 * (0.01 + 0.001 * texts), of(texts))
    assert pace.tokens_per_second == pytest.approx(40 / 0.1, rel=0.1)


def test_the_work_of_texts_that_wait_is_what_they_will_probably_get(pace):
    pace.has_ended(text(made=10, most=40))
    pace.was_idle()
    pace.round_took(0.5, of(10, is_full=True))
    work = pace.work([text(most=40), text(most=40, least=20)])
    assert (work.tokens, work.rate) == (10 + 29, pytest.approx(20))
    assert pace.work([]).tokens == 0


def most(pace, texts, lane="interactive"):
    return InTime(pace, texts, 0.0).most[lane]


def test_no_more_texts_are_decoded_together_than_are_whole_in_time(known):
    under_way = [text(least=20, most=20, left_s=2.0) for _ in range(50)]  # 0.1 s a round, of which 0.9 are taken
    assert most(known, under_way) == pytest.approx(80, abs=3)
    in_time = InTime(known, under_way, 0.0)
    assert in_time.has(text(), "interactive")
    in_time.take(text(least=20, most=20, left_s=1.3))
    assert not in_time.has(text(), "interactive")
    lost = text(least=20, most=20, left_s=0.2)  # for which nothing can be done
    assert most(known, [*under_way, lost]) == pytest.approx(80, abs=3)
    assert most(known, [text()]) == float("inf")
    assert InTime(known, [], 0.0).has(text(), "interactive")


def test_a_text_that_may_become_too_long_leaves_room_for_a_few(known):
    """A round takes 10 ms without any, and 1.3 ms for each with what is encoded; so with fewer than 7.5 it is mostly
    what it takes without any."""
    for length in (*[20] * 18, 60, 60):
        known.has_ended(text(made=length, most=90))
    others = [text() for _ in range(10)]
    assert most(known, [text(most=90, left_s=2.0), *others]) == pytest.approx((0.9 * 2 / 60 - 0.01) / 0.00133, abs=1)
    assert most(known, [text(most=90, left_s=1.0), *others]) == pytest.approx(7.5, abs=0.5)
    assert most(known, [text(most=90, left_s=0.5), *others]) == float("inf")  # it will be late all the same


def test_bulk_limits_bulk_alone(known):
    under_way = [text(least=20, most=20, left_s=2.0, lane="bulk") for _ in range(50)]
    assert most(known, under_way) == float("inf")
    assert most(known, under_way, "bulk") == pytest.approx(80, abs=3)
    assert most(known, [text(least=20, most=20, left_s=2.0)], "bulk") == pytest.approx(80, abs=3)
    assert most(known, [text(least=20, most=20, left_s=2.0, first=True)]) == float("inf")


def test_bulk_beside_bulk_in_haste_holds_off_no_interactive_texts(known):
    """Not even when its turn has come and it has waited for as long as it lets others go on."""
    waiting, under_way = Turns(), [text(least=20, most=20, left_s=0.25, lane="bulk")]
    room = SimpleNamespace(beside=lambda texts: SimpleNamespace(fits=lambda text: True, take=lambda text: None))
    waiting.put([text(most=1, lane="bulk")])
    waiting._passed = 10_000
    came = []
    for _ in range(INTERACTIVE_ROUNDS):
        waiting.put([text()])
        done = admit(waiting, under_way, room, InTime(known, under_way, 0.0), prefill_tokens=512, coming=[])
        came.append([each.lane for each in done.texts])
    assert came == [["interactive"]] * (INTERACTIVE_ROUNDS - 1) + [["bulk", "interactive"]]


def test_who_would_be_whole_too_late_is_refused_although_there_is_room(known):
    under_way = [text(least=20, most=20, left_s=9.0) for _ in range(50)]

    def check(asked):
        check_time(known, asked, estimated(known, asked, under_way), 0.0)

    check(text(least=20, most=20, left_s=2.0))
    with pytest.raises(QueueFull, match=r"would take about 2\.4 s until it is whole; of the 2 s .* it may take 1\.8 s"):
        check(text(least=40, most=40, left_s=2.0))


def test_a_text_waits_until_those_before_it_have_their_tokens_in_the_places_that_there_are(pace):
    pace.round_took(1.0, Round())

    def first_s(decoded, waiting, rows):
        return estimated(pace, text(), decoded, waiting, rows=rows).first_s

    one = text(least=30)
    assert first_s([one], [], 1) == pytest.approx(30 + 1)
    assert first_s([one], [text(least=10)], 1) == pytest.approx(30 + 10 + 1)
    assert first_s([one] * 3, [text(least=10)] * 6, 3) < first_s([one], [text(least=10)] * 6, 1) / 2


def test_what_texts_really_took_says_how_much_longer_others_will(pace):
    for _ in range(99):
        took = text(made=11, most=11, estimate=Estimate(2.0, 0.1))
        pace.took(took, took.arrived_s + 1.5 * 3.0)
    assert pace.correction["interactive"].factor(0.0) == pytest.approx(1.5, rel=0.02)
    for _ in range(99):
        took = text(made=11, most=11, estimate=Estimate(2.0, 0.1))
        pace.took(took, took.arrived_s + 3.0)
    assert pace.correction["interactive"].factor(0.0) == pytest.approx(1.0, rel=0.02)


def test_a_text_without_a_token_says_no_more_than_that_it_takes_longer(pace):
    for waited_s in (1.0, 4.0):
        late = text(estimate=Estimate(2.0, 0.1))
        pace.took(late, late.arrived_s + waited_s)
        assert (pace.correction["interactive"].factor(0.0) > 1.0) == (waited_s > 2.0)


def learn(pace, texts, took_s, estimated_s, lane="interactive"):
    for _ in range(texts):
        took = text(made=1, lane=lane, estimate=Estimate(estimated_s, 0.1))
        pace.took(took, took.arrived_s + took_s)


def test_what_texts_of_bulk_took_says_nothing_of_interactive_ones(pace):
    learn(pace, 9, 300.0, 60.0, lane="bulk")
    assert pace.correction["bulk"].factor(0.0) > 2
    assert pace.correction["interactive"].factor(0.0) == 1


def test_one_text_of_minutes_says_little_of_many_short_ones(pace):
    learn(pace, 20, 0.2, 0.2)
    learn(pace, 1, 3_000.0, 60.0)
    assert 1.2 < pace.correction["interactive"].factor(0.0) < 1.5
    learn(pace, 40, 0.2, 0.2)
    assert pace.correction["interactive"].factor(0.0) < 1.05


def test_half_of_what_texts_took_is_forgotten_where_none_is_there_any_more(pace):
    learn(pace, 99, 3.0, 1.0)
    pace.was_idle()
    assert pace.correction["interactive"].factor(0.0) == pytest.approx(2.0, rel=0.05)


def test_what_texts_took_is_forgotten_as_long_as_none_says_more(pace):
    for _ in range(99):
        pace.took(text(made=1, estimate=Estimate(1.0, 0.1), arrived_s=0.0), 3.0)
    said = [pace.correction["interactive"].factor(3.0 + seconds) for seconds in (0.0, HALF_LIFE_S, 99 * HALF_LIFE_S)]
    assert said == pytest.approx([3.0, 2.0, 1.0], rel=0.05)


@pytest.mark.parametrize(("texts", "took_s"), [(4, 20.0), (1, 20.0), (1, 0.5)])
@pytest.mark.parametrize("ratio", [1.5, 2.0])
def test_the_time_between_lessons_that_come_as_texts_end_is_not_forgotten(pace, texts, took_s, ratio):
    """So many are under way at a time, and each says how long it took with its first token, and when it is whole."""
    estimate = Estimate(0.2 * took_s / ratio, 0.02 * took_s / ratio)  # with 41 tokens it is whole
    for number in range(600):
        begun_s = number * took_s / texts
        for made, part in ((1, 0.2), (41, 1.0)):
            pace.took(text(made=made, estimate=estimate, arrived_s=begun_s), begun_s + part * took_s)
    assert pace.correction["interactive"].factor(begun_s + took_s) >= 0.95 * ratio


def test_the_time_between_lessons_that_come_by_chance_is_hardly_forgotten(pace):
    now_s, factors, chance = 0.0, [], np.random.default_rng(0)
    for _ in range(2_000):
        now_s += chance.exponential(5.0)
        pace.took(text(made=1, estimate=Estimate(10.0, 0.1), arrived_s=now_s - 20.0), now_s)
        factors.append(pace.correction["interactive"].factor(now_s))
    assert np.mean(factors[200:]) >= 0.95 * 2.0


def test_a_long_silence_makes_the_next_be_forgotten_no_later(pace):
    for now_s in (*range(60), 86_400):
        pace.took(text(made=1, estimate=Estimate(1.0, 0.1), arrived_s=now_s - 3.0), now_s)
    assert pace.correction["interactive"].factor(86_400 + 60) < 1.1


def test_bulk_leaves_interactive_texts_that_lately_came_the_time_to_be_whole(known):
    """A round takes 10 ms without any, and 1 ms for each."""
    assert most(known, [], "bulk") == float("inf")
    known.came(text(least=20, most=20, left_s=2.0), 0.0)
    known.came(text(least=20, most=20, left_s=9.0), 0.0)
    known.came(text(least=90, most=90, left_s=0.5), 0.0)  # for which there is no time at all
    assert most(known, [], "bulk") == pytest.approx(80, abs=3)
    assert most(known, []) == float("inf")
    assert InTime(known, [], LATELY_S + 1).most["bulk"] == float("inf")
    known.came(text(least=90, most=90, left_s=LATELY_S + 2.0), LATELY_S + 1)
    assert InTime(known, [], LATELY_S + 1).most["bulk"] == pytest.approx(10, abs=1)  # a few there are always


def test_what_encoding_takes_is_learnt_of_calls_that_say_it(known):
    known.round_took(0.02, Round(source_tokens=2, encoding_s=0.001, is_health=True))
    assert known.encoding_s(100) == pytest.approx(0.2)
    known.round_took(0.2, Round(source_tokens=100, encoding_s=0.1))  # a call has a price of its own
    known.round_took(0.2, Round(source_tokens=900, encoding_s=0.9))
    assert known.encoding_s(100) == pytest.approx(0.1, rel=0.1)


def test_texts_that_cannot_be_whole_in_time_are_known(known):
    assert known.is_lost(text(least=40, left_s=0.2), 0.0)
    assert not known.is_lost(text(least=40, left_s=0.5), 0.0)  # with few others, who may all end soon
    assert not known.is_lost(text(least=40, left_s=2.0), 0.0)
    assert not known.is_lost(text(least=40, left_s=0.5, first=True), 0.0)
    assert not known.is_lost(text(left_s=0.5), 0.0)  # it may end at any time
    assert not known.is_lost(text(least=40, made=39, left_s=0.001), 0.0)


def test_a_round_that_stood_still_says_of_no_text_that_it_is_lost(pace):
    tight = text(least=40, left_s=10.0)
    assert not pace.is_lost(tight, 0.0)
    for _ in range(7):
        pace.round_took(1.0, Round())
    assert pace.is_lost(tight, 0.0)
    pace.round_took(0.1, Round())
    assert not pace.is_lost(tight, 0.0)
