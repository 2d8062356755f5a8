"""Ways to run an encode step side by side, with steps that take a known time of a clock that is turned by hand."""

import json

import numpy as np
import pytest

from encserve_export.engines import speed
from encserve_export.engines.speed import LEAST_ROUNDS, MOST_ROUNDS, measure_in_turn
from encserve_export.errors import WayFailed

REQUESTS = [{"input_ids": np.arange(30)}, {"input_ids": np.arange(10)}]


class Clock:
    now_s = 0.0

    def perf_counter(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(speed, "time", clock)
    return clock


class Step:
    """Takes so many seconds, of which the machine makes a multiple in each round; the first time a hundred more."""

    def __init__(self, clock, seconds, *, disturbed=(1,)):
        self.clock, self.seconds, self.disturbed, self.calls = clock, seconds, disturbed, 0

    def encode(self, requests, outputs):
        self.clock.now_s += self.seconds * self.disturbed[self.calls % len(self.disturbed)] + (not self.calls) * 100
        self.calls += 1
        return [{output: np.zeros((1, 1)) for output in outputs} for _ in requests]


def test_speeds_are_tokens_over_time_and_ratios_to_the_first(clock):
    found, _ = measure_in_turn({"fp32": Step(clock, 0.2), "int8": Step(clock, 0.1)}, REQUESTS, ["y"])
    assert found.tokens_per_s == pytest.approx({"fp32": 200, "int8": 400})
    assert found.ratios == pytest.approx({"fp32": 1, "int8": 2})


def test_a_busy_machine_moves_no_ratio(clock):
    """Each round is disturbed as a whole, three times as long and more."""
    busy = (1, 3, 1, 7, 2)
    ways = {"fp32": Step(clock, 0.2, disturbed=busy), "int8": Step(clock, 0.1, disturbed=busy)}
    found, _ = measure_in_turn(ways, REQUESTS, ["y"])
    assert found.ratios["int8"] == pytest.approx(2)


@pytest.mark.parametrize(("seconds", "rounds"), [(60.0, LEAST_ROUNDS), (0.25, 8), (0.001, MOST_ROUNDS)])
def test_it_ends_when_there_is_enough(clock, seconds, rounds):
    step = Step(clock, seconds)
    found, _ = measure_in_turn({"only": step}, REQUESTS, ["y"])
    assert found.rounds == rounds == step.calls - 1


class Failing(Step):
    """Fails from one of its calls on."""

    def __init__(self, clock, good):
        super().__init__(clock, 0.001)
        self.good = good

    def encode(self, requests, outputs):
        answers = super().encode(requests, outputs)
        return answers if self.calls <= self.good else [ValueError("no memory")] * len(requests)


@pytest.mark.parametrize("good", [0, 1, 2, 5])
def test_a_failing_step_is_no_fast_one_in_whichever_round(clock, good):
    failing = Failing(clock, good)
    found, failures = measure_in_turn({"broken": failing, "fp32": Step(clock, 0.2)}, REQUESTS, ["y"])
    assert (list(found.ratios), found.ratios["fp32"]) == (["fp32"], 1)
    assert failing.calls == good + 1
    assert "fails where its speed is measured: no memory" in str(failures["broken"])


def test_where_all_fail_there_is_no_speed(clock):
    found, failures = measure_in_turn({"broken": Failing(clock, 1)}, REQUESTS, ["y"])
    assert (found, list(failures)) == (None, ["broken"])
    assert isinstance(failures["broken"], WayFailed)


def test_the_manifest_says_on_what(clock):
    measured, _ = measure_in_turn({"fp32": Step(clock, 0.2), "int8": Step(clock, 0.1)}, REQUESTS, ["y"])
    record = measured.record("int8", "cpu")
    assert "cores of" in record["hardware"]
    assert measured.record("int8", "gpu")["hardware"] != record["hardware"]
    assert (record["way"], record["against"]) == ("int8", "fp32")
    assert record["ways"]["int8"] == {"tokens_per_s": 400.0, "ratio": 2.0}
    assert (record["requests"], record["tokens"]) == (2, 40)
    json.dumps(record, allow_nan=False)
