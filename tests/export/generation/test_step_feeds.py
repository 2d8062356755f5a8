"""On which steps of a decoder it is chosen which of its layers become integers."""

from pathlib import Path

import numpy as np
import pytest

from encserve_export.errors import Unsupported
from encserve_export.generation.precision import making
from encserve_export.generation.precision.feeds import TOGETHER, StepFeeds
from encserve_server.steps.generate.decoder.network import Shape

from .greedy import greedy

END = 1


class Network:
    """Stands for a network whose texts all end after `most` tokens; what a step is fed is its number."""

    shape = Shape(layers=1, heads=1, size=1, vocabulary=3)

    def __init__(self, most):
        self.most = most

    def encode(self, texts):
        self.steps = 0
        return [np.zeros((2, 1, len(text), 1), np.float32) for text in texts]

    def feed(self, tokens, cache):
        return {"token": tokens, "number": np.array(self.steps)}

    def step(self, tokens, cache):
        self.steps += 1
        logits = np.zeros((len(tokens), 1, 3), np.float32)
        logits[..., END if self.steps == self.most else 2] = 1
        return logits


def fed(most, texts, count=8):
    sources = [np.full(3, 2)] * texts
    return [
        int(feed["number"])
        for feed in StepFeeds(Network(most), greedy(end_tokens=(END,)), sources, most=32).some(count)
    ]


@pytest.mark.parametrize(
    ("most", "texts", "numbers"),
    [
        (1, 1, [0]),
        (1, 2 * TOGETHER, [0, 0]),
        (3, 2 * TOGETHER, [0, 1, 2, 0, 1, 2]),
        (32, 2 * TOGETHER, [4, 12, 20, 28, 4, 12, 20, 28]),
        (99, TOGETHER, [2, 6, 10, 14, 18, 22, 26, 30]),
    ],
)
def test_steps_are_chosen_evenly_from_those_that_texts_have(most, texts, numbers):
    assert fed(most, texts) == numbers


def test_no_step_at_all_is_refused_by_name():
    with pytest.raises(Unsupported, match="give no step of the decoder; they are 0, of 32 new tokens at most"):
        fed(1, 0)


def test_layers_are_ranked_on_texts_of_all_lengths(monkeypatch):
    """Which are decoded the shortest first, so many together."""
    shown_to = []

    def to_integers(file, calibration, *, tried, shown):
        shown_to.append(shown)
        return {"layers": []}

    monkeypatch.setattr(making, "to_integers", to_integers)
    texts, longest = [np.full(length, 2) for length in range(2, 2 + TOGETHER)], [np.full(99, 2)] * 3
    making.to_integer_graphs(
        Path(), Network(32), greedy(end_tokens=(END,)), encoded=[], decoded=[], tried=[*longest, *texts]
    )
    of_step, _ = shown_to
    assert {len(feed["token"]) for feed in of_step} == {TOGETHER, len(longest)}
