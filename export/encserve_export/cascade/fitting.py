"""Both thresholds of a cascade, and what is stated of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from encserve_export.errors import CertificateFailed
from encserve_server.steps.cascade.decisions import is_sure

from .asking import Said
from .config import CascadeConfig
from .texts import FittingText
from .thresholds import Fitted, fit, least_texts, upper_bound


@dataclass(frozen=True, kw_only=True)
class FittedCascade:
    """What was fitted."""

    threshold: Fitted
    """Of the small pipeline: sure and wrong is what has another first label than the large one gives it."""
    review: Fitted | None
    """Of the large pipeline: sure and wrong is what has a wrong first label, and is not marked for review."""
    reviewed: float
    """The share of the texts that `review` was fitted on which is marked."""
    small_seconds: float
    """Seconds of the small pipeline for a text."""
    large_seconds: float
    """Seconds of the large pipeline for a text."""

    @property
    def escalated(self) -> float:
        """Return the share of texts that go to the large pipeline."""
        return 1 - self.threshold.sure / self.threshold.texts

    @property
    def speed_up(self) -> float:
        """Return how many times as many texts a second as the large pipeline alone are to be expected, where the
        processor is what they wait for."""
        return self.large_seconds / (self.small_seconds + self.escalated * self.large_seconds)

    def stated(self) -> dict[str, Any]:
        """Return what the certificate says."""
        return {
            "threshold": asdict(self.threshold),
            "review": asdict(self.review) if self.review else None,
            "escalated": self.escalated,
            "reviewed": self.reviewed,
            "seconds_per_text": {"small": self.small_seconds, "large": self.large_seconds},
            "speed_up": self.speed_up,
        }


def check_count(config: CascadeConfig, count: int) -> None:
    """Hold the number of texts against what is to be shown of them, before anybody is asked about one.

    Raises:
        CertificateFailed: they are too few, whatever the pipelines will say of them.
    """
    first = _first_half(config, count)
    shares = [("--agreement", config.agreement, 1 - config.agreement, first)]
    if config.most_wrong is not None:
        shares.append(("--most-wrong", config.most_wrong, config.most_wrong, count - first))
    for option, stated, most, texts in shares:
        if upper_bound(0, texts, config.confidence) > most:
            of_all = "" if texts == count else f" of {count}, the half for it,"
            raise CertificateFailed(
                f"{option} {stated:g}: {texts} texts{of_all} cannot show it with confidence {config.confidence:g}, "
                f"whatever the pipelines say of them; {least_texts(most, config.confidence)} are the least"
            )


def _first_half(config: CascadeConfig, count: int) -> int:
    """Return how many texts the first threshold is fitted on: where there are two, each has a half of the texts, so
    that the second is fitted on texts in which the first has had no say."""
    return count // 2 if config.most_wrong is not None else count


def fit_cascade(config: CascadeConfig, texts: Sequence[FittingText], small: Said, large: Said) -> FittedCascade:
    """Fit the thresholds to what both pipelines say of the texts, of which `check_count` says that there are enough.

    Raises:
        CertificateFailed: what is stated is shown of no threshold, or the large pipeline alone is as fast as with the
            one of which it is.
    """
    half = _first_half(config, len(texts))
    first, second = slice(0, half), slice(half, len(texts))
    threshold = _fit_threshold(config, small.of(first), large.of(first))
    review, reviewed = None, 0.0
    if config.most_wrong is not None:
        right = np.array([each.label for each in texts])[second]
        review, reviewed = _fit_review(config, threshold.threshold, small.of(second), large.of(second), right)
    fitted = FittedCascade(
        threshold=threshold,
        review=review,
        reviewed=reviewed,
        small_seconds=small.seconds_per_text,
        large_seconds=large.seconds_per_text,
    )
    if fitted.speed_up <= 1:
        alike = int((small.labels == large.labels).sum())
        raise CertificateFailed(
            f"--agreement {config.agreement:g}: {fitted.escalated:.1%} of the texts would go to {config.large}, and "
            f"{fitted.speed_up:.2f} times as many texts a second would be answered as by {config.large} alone; the two "
            f"agree about {alike} of {len(texts)} texts"
        )
    return fitted


def _fit_threshold(config: CascadeConfig, small: Said, large: Said) -> Fitted:
    most, count = 1 - config.agreement, len(small.scores)
    fitted = fit(small.scores, small.labels != large.labels, most=most, confidence=config.confidence)
    if fitted is None:
        alike = int((small.labels == large.labels).sum())
        raise CertificateFailed(
            f"--agreement {config.agreement:g}: {config.small} has other labels than {config.large} even where its "
            f"score is 1; the two agree about {alike} of {count} texts"
        )
    return fitted


def _fit_review(
    config: CascadeConfig, threshold: float, small: Said, large: Said, right: np.ndarray[Any, Any]
) -> tuple[Fitted, float]:
    """Return the threshold of the large pipeline, and the share of texts that is marked."""
    assert config.most_wrong is not None
    count, escalated = len(right), ~is_sure(small.scores, threshold)
    at_small = int((~escalated & (small.labels != right)).sum())
    fitted = fit(
        large.scores[escalated],
        (large.labels != right)[escalated],
        most=config.most_wrong,
        confidence=config.confidence,
        besides=at_small,
        of=count,
    )
    if fitted is None:
        raise CertificateFailed(
            f"--most-wrong {config.most_wrong:g}: {count} texts do not show it with confidence {config.confidence:g}, "
            f"even if all that {config.large} is asked about were marked: {config.small} is sure of {at_small} texts, "
            "and wrong"
        )
    return fitted, (int(escalated.sum()) - fitted.sure) / count
