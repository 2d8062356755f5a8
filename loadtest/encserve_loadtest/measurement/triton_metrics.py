"""Queue and compute time of each step of a pipeline, from the counters that Triton exports for Prometheus."""

import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from encserve_loadtest.measurement.served import ServedStep

Counters: TypeAlias = Mapping[tuple[str, str], float]
"""(model, counter without its prefix) -> value, over all versions of the model. A step that answers after its `execute`
counts what Triton cannot see, under the same names with a prefix of ours: the two are added."""

LINE = re.compile(
    r"^(?:nv_inference|encserve)_(?P<counter>\w+)\{(?P<labels>[^}]*)\} (?P<value>[-+.\deE]+)$", re.MULTILINE
)
MODEL = re.compile(r'(?:^|,)model="([^"]*)"')

SCRAPE_TIMEOUT_S = 2.0
COMPUTE = ("compute_input_duration_us", "compute_infer_duration_us", "compute_output_duration_us")


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """One step during one run. Triton counts a request once in every step."""

    requests: int
    """Requests that it answered."""
    batches: int
    """Executions it took."""
    queue_s: float
    """Mean time that a request waited for an instance, and for others to share its batch."""
    compute_s: float
    """Mean time of the execution that a request was part of, with the copies into and out of it."""
    busy_share: float
    """Share of the run in which an instance of the step was executing, mean over the instances."""
    texts: int = 0
    """Texts that it answered; zero of a step that does not count them."""
    repeated_texts: int = 0
    """Those of them that it did not compute, since it remembered what it had computed for the same text."""

    @property
    def batch_size(self) -> float:
        """Mean requests per execution."""
        return self.requests / self.batches if self.batches else 0.0


def read_counters(url: str) -> Counters:
    """Scrape a metrics endpoint.

    Raises:
        OSError: it cannot be reached, or does not answer in time.
    """
    with urllib.request.urlopen(url, timeout=SCRAPE_TIMEOUT_S) as answer:
        return parse_counters(answer.read().decode())


def parse_counters(text: str) -> Counters:
    """Read Triton's counters in the Prometheus text format."""
    totals: Counter[tuple[str, str]] = Counter()
    for match in LINE.finditer(text):
        model = MODEL.search(match["labels"])
        if model:
            totals[model[1], match["counter"]] += float(match["value"])  # type: ignore[assignment]
    return totals


def times_between(
    before: Counters, after: Counters, steps: Sequence[ServedStep], *, elapsed_s: float
) -> dict[str, StepTimes]:
    """What happened in each step between two scrapes; a step that answered nothing is left out.

    The time of an execution counts once for each request in it. The time that the instances were busy is estimated as
    the executions times their mean; where batches differ in size it is too high, as large batches take longer.
    """
    times = {}
    for step in steps:
        grown = {name: after.get((step.model, name), 0) - before.get((step.model, name), 0) for name in _COUNTERS}
        requests, batches = int(grown["request_success"]), int(grown["batches"] or grown["exec_count"])
        if requests <= 0:
            continue
        compute_s = sum(grown[name] for name in COMPUTE) * 1e-6 / requests
        times[step.name] = StepTimes(
            requests=requests,
            batches=batches,
            queue_s=grown["queue_duration_us"] * 1e-6 / requests,
            compute_s=compute_s,
            busy_share=min(1.0, compute_s * batches / (elapsed_s * step.instances)),
            texts=int(grown["encoded_texts"]),
            repeated_texts=int(grown["repeated_texts"]),
        )
    return times


_COUNTERS = (
    *("request_success", "exec_count", "batches", "queue_duration_us", *COMPUTE),
    *("encoded_texts", "repeated_texts"),
)
