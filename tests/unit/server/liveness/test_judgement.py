"""What is said of a pipeline, with a clock that the tests set."""

import pytest

from encserve import InferenceFailed, Unavailable
from encserve_server.liveness.judgement import (
    ANSWERS,
    FAILS,
    OVERLOADED,
    OVERLOADED_S,
    SILENT,
    SILENT_S,
    SILENT_THOUGH_BUSY_S,
    Judgement,
    Signs,
)

NO_ANSWER = Unavailable("no answer in time")


@pytest.fixture
def judgement(clock):
    return Judgement(["minilm"], clock=clock)


def silent(judgement, clock, *, after_s, answers=0.0, cpu_s=0.0):
    clock.now_s += after_s
    return judgement.silent("minilm", NO_ANSWER, Signs(answers=answers, cpu_s=cpu_s))


def test_a_pipeline_that_answers_is_well(judgement, clock):
    clock.now_s += 1_000
    judgement.answered("minilm")
    assert silent(judgement, clock, after_s=SILENT_S / 2) == ""
    assert judgement.states == {"minilm": ANSWERS}


def test_silence_is_certain_after_a_while(judgement, clock):
    assert silent(judgement, clock, after_s=SILENT_S / 2) == ""
    assert "has answered nobody for" in silent(judgement, clock, after_s=SILENT_S)
    assert judgement.states == {"minilm": SILENT}


def test_who_answers_others_or_computes_is_not_stuck(judgement, clock):
    assert silent(judgement, clock, after_s=2 * SILENT_S, answers=1) == ""
    assert silent(judgement, clock, after_s=2 * SILENT_S, answers=1, cpu_s=SILENT_S) == ""
    assert judgement.states == {"minilm": ANSWERS}, "a probe must not take it for dead either"
    assert silent(judgement, clock, after_s=SILENT_THOUGH_BUSY_S, answers=1, cpu_s=SILENT_THOUGH_BUSY_S) != ""


def test_a_failure_is_certain_the_second_time(judgement):
    error = InferenceFailed("NaN")
    assert judgement.failed("minilm", error) == ""
    judgement.answered("minilm")
    assert judgement.failed("minilm", error) == ""
    assert judgement.failed("minilm", error) == "minilm fails: NaN"
    assert judgement.states == {"minilm": FAILS}


def test_overload_is_told_from_death(judgement, clock):
    for refusals in (7, 7, 9):  # what it had refused when it was first looked at was before
        judgement.refused("minilm", refusals)
        judgement.answered("minilm")
    assert judgement.states == {"minilm": OVERLOADED}
    clock.now_s += OVERLOADED_S
    judgement.refused("minilm", 9)
    judgement.answered("minilm")
    assert judgement.states == {"minilm": ANSWERS}
