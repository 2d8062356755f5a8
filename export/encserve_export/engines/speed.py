"""How fast ways to run one encode step are, on this host and side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from encserve_export.errors import WayFailed
from encserve_export.hardware import hardware

from .served_encoder import ServedEncoder, Tensors

LEAST_ROUNDS, MOST_ROUNDS = 3, 15
ENOUGH_S = 2.0
"""Seconds after which no other round is begun, once there were the least rounds."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What was measured of each way, the first of which the others are compared with."""

    tokens_per_s: dict[str, float]
    """Median over the rounds, by the name of the way."""
    ratios: dict[str, float]
    """Median over the rounds of a way's speed over the first one's in the same round: what else the machine does is in
    both."""
    rounds: int
    requests: int
    tokens: int
    """Of all requests of a round."""

    def record(self, chosen: str, measured_on: str) -> dict[str, Any]:
        """What the manifest of the way `chosen` says of it; `measured_on` is "cpu" or "gpu"."""
        return {
            "hardware": hardware(measured_on),
            "way": chosen,
            "against": next(iter(self.ratios)),
            "ways": {
                name: {"tokens_per_s": round(self.tokens_per_s[name], 1), "ratio": round(ratio, 3)}
                for name, ratio in self.ratios.items()
            },
            "rounds": self.rounds,
            "requests": self.requests,
            "tokens": self.tokens,
        }


def measure_in_turn(
    encoders: Mapping[str, ServedEncoder],
    requests: Sequence[Tensors],
    outputs: Sequence[str],
) -> tuple[Speed | None, dict[str, WayFailed]]:
    """Let each of `encoders`, by name, compute `requests` that wait together: in turn, round by round.

    A network of milliseconds takes milliseconds for it, and none takes many more rounds than `ENOUGH_S` holds. One that
    fails a request, in whichever round, is measured no further. Returns the speed of the others, None where none is
    left; and why those failed that did, by name.
    """
    failures: dict[str, WayFailed] = {}
    seconds: dict[str, list[float]] = {name: [] for name in encoders}

    def one_round() -> None:
        for name in [name for name in seconds if name not in failures]:
            try:
                seconds[name].append(run_once(encoders[name], requests, outputs))
            except WayFailed as failure:
                failures[name] = failure

    one_round()
    for each in seconds.values():  # what is done at the first time only
        each.clear()
    began_s = time.perf_counter()
    rounds = 0
    while rounds < LEAST_ROUNDS or (rounds < MOST_ROUNDS and time.perf_counter() - began_s < ENOUGH_S):
        one_round()
        rounds += 1
    seconds = {name: each for name, each in seconds.items() if name not in failures}
    if not seconds:
        return None, failures
    tokens = sum(len(request["input_ids"]) for request in requests)
    first = next(iter(seconds.values()))
    speed = Speed(
        tokens_per_s={name: tokens / median(each) for name, each in seconds.items()},
        ratios={name: median(a / b for a, b in zip(first, each, strict=True)) for name, each in seconds.items()},
        rounds=rounds,
        requests=len(requests),
        tokens=tokens,
    )
    return speed, failures


def run_once(encoder: ServedEncoder, requests: Sequence[Tensors], outputs: Sequence[str]) -> float:
    """Seconds that it took. Raises WayFailed: it fails a request."""
    began_s = time.perf_counter()
    answers = encoder.encode(requests, outputs)
    took_s = time.perf_counter() - began_s
    for answer in answers:
        if isinstance(answer, Exception):
            raise WayFailed(f"the encode step fails where its speed is measured: {answer}") from answer
    return took_s
