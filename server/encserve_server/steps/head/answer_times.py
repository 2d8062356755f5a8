"""How long callers waited for their answers: from the door, where a request enters its pipeline, to the head."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence

from ..instance.histogram import Histogram, bounds_from
from ..instance.lanes import LANES
from ..instance.metrics import Metrics
from ..request.arrival import ARRIVED_NS, arrived_s
from ..request.call import Call
from ..request.health import HealthQuestions
from ..request.options import Options

BUCKETS_VARIABLE = "ENCSERVE_LATENCY_BUCKETS_S"
"""The environment variable with the bounds that an operator wants; what is promised should be among them."""
BUCKETS_S = (
    *(0.001, 0.0015, 0.002, 0.003, 0.005, 0.007),
    *(0.01, 0.015, 0.02, 0.03, 0.05, 0.07),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.7),
    *(1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0),
)
"""Upper bounds without it, in seconds: answers that take twice as long are in other buckets."""


class AnswerTimes:
    """A histogram by lane of the requests of a pipeline that were answered; not of refusals and failures, which others
    count, nor of the questions of supervision, which wait for nobody.

    Args:
        metrics: of the instance.
        pipeline: its name, a label beside that of the step.
        environment: of the server. ValueError if its bounds are none.
    """

    def __init__(
        self,
        metrics: Metrics,
        pipeline: str,
        *,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        given = environment.get(BUCKETS_VARIABLE)
        self._histogram = Histogram(
            metrics,
            "encserve_request_duration_seconds",
            "Seconds from the arrival of a request at its pipeline to its answer",
            bounds_from(given, BUCKETS_VARIABLE) if given else BUCKETS_S,
        )
        self._pipeline = pipeline
        for lane in LANES:
            self._histogram.expect(pipeline=pipeline, lane=lane)
        self._health = HealthQuestions(environment)
        self._clock = clock
        self._began_s = clock()

    def arrival(self, call: Call, options: Options) -> tuple[str, float] | None:
        """Return the lane of a call and when it arrived, in seconds of the clock; None where it is not to be counted.

        Raises:
            InvalidArgument: the tensor with its arrival has another shape.
        """
        since_s = arrived_s(call.tensor(ARRIVED_NS))
        # A caller that asks this step directly can state any time, also one before the pipeline was there.
        if self._health.shows_token(call.health_token) or not self._began_s <= since_s <= self._clock():
            return None
        return options["lane"], since_s

    def answered(self, arrivals: Sequence[tuple[str, float] | None]) -> None:
        """Count calls that are answered now."""
        now_s = self._clock()
        for arrival in arrivals:
            if arrival is not None:
                lane, since_s = arrival
                self._histogram.observe(now_s - since_s, pipeline=self._pipeline, lane=lane)
