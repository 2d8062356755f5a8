"""What a version is judged by, and how much worse than the version before it may be.

A good version does not do just what the one before did: another precision rounds in another way, and the callers of one
hour are not those of the next. So each signal has a margin, and only evidence that the difference is larger is held
against a version. To be called no worse it must have as much evidence that the difference is below `sure`.

Texts of one request are often about one thing, and are no cases that stand by themselves. So shares of texts count as
if each request had one text (the design effect of Kish 1965 for requests whose texts are all alike).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .evidence import Count
from .series import Growth

ALPHA = 0.05
"""The chance that a good version is rolled back, over all signals and looks of a watch."""
PHASES = 2
"""A version is judged as a canary, and again when it answers all."""

Counts: TypeAlias = Mapping[str, Count]
"""What is compared of a signal -> how many are so."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """Where the counts of one version of a pipeline stand."""

    pipeline: str
    version: int
    candidate: str
    """The model that answers for it while it is a candidate."""
    encode: str
    """Its encode step."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One thing that versions are compared by."""

    name: str
    unit: str
    """What is counted."""
    margin: float
    """How much larger the share may be."""
    sure: float
    """What it must be below to be no worse."""
    of_content: bool = False
    """Whether it depends on what is asked, too: then a smaller share is as bad as a larger one, and where the versions
    agreed while both were asked, what differs later is the callers."""
    read: Callable[[Growth, Served], Counts]


def requests(grown: Growth, of: Served) -> Count:
    """Return the requests of a version, and those among them that failed, without those that were turned away or given
    up, which Triton counts with them.

    It counts an ensemble's answers as those of a version 1, whatever it serves. So answers are those of the head step.
    """
    failed = sum(_failed_as(model, grown, of.version) for model in (of.pipeline, of.candidate))
    for other in ("refused_requests", "late_requests", "cancelled_requests", "cancel_messages"):
        failed -= grown.total(f"encserve_{other}", (f"{of.pipeline}_tokenize",), of.version)
    failed = max(0.0, failed)
    answered = grown.total("nv_inference_request_success", (f"{of.pipeline}_head",), of.version)
    return Count(failed, answered + failed)


def _failed_as(model: str, grown: Growth, version: int) -> float:
    """Return the failures of a version of an ensemble: Triton counts each as one of the version, and again as one of a
    version 1."""
    of_versions = grown.by("version", "nv_inference_request_failure", (model,), without=("reason", "CANCELED"))
    if version != 1:
        return of_versions.get(str(version), 0.0)
    return (2 * of_versions.get("1", 0.0) - sum(of_versions.values())) / 2


def _failures(grown: Growth, of: Served) -> Counts:
    return {"requests that fail": requests(grown, of)}


def _nonfinite(grown: Growth, of: Served) -> Counts:
    of_versions = grown.by("version", "encserve_encoded_texts", (of.encode,))
    if str(of.version) not in of_versions:  # the encode step is a backend of Triton's, which does not look
        return {}
    texts = of_versions[str(of.version)]
    bad = grown.total("encserve_nonfinite_texts", (of.encode,), of.version)
    return _by_request({"texts with NaN or infinity": Count(min(bad, texts), texts)}, grown, of)


def _slow(grown: Growth, of: Served) -> Counts:
    name, head = "encserve_request_duration_seconds", (f"{of.pipeline}_head",)
    buckets = grown.by("le", f"{name}_bucket", head, version=str(of.version), lane="interactive")
    of_all = buckets.pop("+Inf", 0.0)
    return {
        f"answers after {_duration(float(le))}": Count(max(0.0, of_all - own), of_all)
        for le, own in sorted(buckets.items(), key=lambda each: float(each[0]))
    }


def _labels(grown: Growth, of: Served) -> Counts:
    texts = grown.by("label", "encserve_first_labels", (f"{of.pipeline}_head",), version=str(of.version))
    of_all = sum(texts.values())
    counts = {f"texts labelled {label}": Count(own, of_all) for label, own in sorted(texts.items())}
    return _by_request(counts, grown, of)


def _scores(grown: Growth, of: Served) -> Counts:
    buckets = grown.by("le", "encserve_first_score_bucket", (f"{of.pipeline}_head",), version=str(of.version))
    of_all = buckets.pop("+Inf", 0.0)
    counts = {
        f"first scores above {le}": Count(max(0.0, of_all - own), of_all)
        for le, own in sorted(buckets.items(), key=lambda each: float(each[0]))
    }
    return _by_request(counts, grown, of)


def _vectors(grown: Growth, of: Served) -> Counts:
    head = (f"{of.pipeline}_head",)
    signs = grown.by("direction", "encserve_positive_projections", head, version=str(of.version))
    of_all = grown.total("encserve_projected_vectors", head, of.version)
    counts = {
        f"vectors positive along {number}": Count(min(own, of_all), of_all)
        for number, own in sorted(signs.items(), key=lambda each: int(each[0]))
    }
    return _by_request(counts, grown, of)


def _by_request(counts: Counts, grown: Growth, of: Served) -> Counts:
    """Return counts of texts as of no more cases than there are requests, with the same shares."""
    asked = requests(grown, of).of
    return {
        name: Count(each.hits * asked / each.of, asked) if each.of > asked else each for name, each in counts.items()
    }


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1e3:g} ms"


FAILURES = Signal(name="failures", unit="requests", margin=0.005, sure=0.02, read=_failures)
NONFINITE = Signal(name="not finite", unit="texts", margin=0.001, sure=0.01, read=_nonfinite)
LATENCY = Signal(name="latency", unit="requests", margin=0.1, sure=0.3, read=_slow)
LABELS = Signal(name="labels", unit="texts", margin=0.05, sure=0.1, of_content=True, read=_labels)
SCORES = Signal(name="scores", unit="texts", margin=0.1, sure=0.2, of_content=True, read=_scores)
VECTORS = Signal(name="vectors", unit="vectors", margin=0.1, sure=0.2, of_content=True, read=_vectors)
SIGNALS = (FAILURES, NONFINITE, LATENCY, LABELS, SCORES, VECTORS)
