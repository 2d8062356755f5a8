"""Two classifiers: which labels change, and how sure the old one was of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from encserve import Classifications, InvalidInput
from encserve_lifecycle.calibration_error import bins_of, calibration_error, error_by_chance

from .bounds import Bounded, share
from .groups import groups_of
from .reading import Texts
from .side import Side


@dataclass(frozen=True, kw_only=True)
class Change:
    """A label that became another."""

    old: str
    new: str
    count: int
    median_lead: float
    """Of these texts, by how much the old label led over the old pipeline's next one."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Texts of about the same confidence."""

    confidence: float
    """Their mean score."""
    right: Bounded
    """The share of them whose label is right."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How one pipeline does on texts whose labels are known."""

    title: str
    accuracy: Bounded
    macro_f1: float
    calibration_error: float
    """Mean distance of confidence and accuracy over `BINS` bins of as many texts (Nguyen and O'Connor 2015)."""
    error_by_chance: float
    """Below this it is in 95 % of samples with such scores where each is right as often as it says."""
    bins: list[Bin]


@dataclass(frozen=True, kw_only=True)
class LabelComparison:
    """What was found."""

    texts: int
    same: Bounded
    """Share of the texts whose label is the same."""
    changes: list[Change]
    """From the most frequent to the rarest."""
    leads: tuple[float, float]
    """Median and largest lead of the labels that changed; zeros where none did."""
    difference: float
    """The largest difference of any score of a label that both have."""
    groups: list[tuple[str, Bounded]]
    """Share of the same labels by length and script."""
    quality: tuple[Quality, Quality] | None
    """Of the old and of the new, where the texts have labels."""
    exact_p: float | None
    """How probable a difference of right answers like this one is between two that are as good as each other: McNemar's
    exact test (1947)."""


def compare_labels(sides: tuple[Side, Side], texts: Texts) -> LabelComparison:
    """Ask both about all texts, and count what differs.

    Raises:
        InvalidInput: they share no label, or a right label is none of either pipeline's.
    """
    old, new = (side.classify(texts.texts) for side in sides)
    _check_labels(sides, texts)
    first, then = (np.array([labels[0] for labels in answer.labels]) for answer in (old, new))
    same, leads = first == then, _leads(old)
    right = np.array(texts.labels)
    return LabelComparison(
        texts=len(texts.texts),
        same=share(same),
        changes=_changes(first, then, leads),
        leads=(float(np.median(leads[~same])), float(leads[~same].max())) if not same.all() else (0.0, 0.0),
        difference=_difference(old, new),
        groups=[(name, share(same[members])) for name, members in groups_of(texts.texts, old.token_counts).items()],
        quality=(_quality(sides[0], old, right), _quality(sides[1], new, right)) if len(right) else None,
        exact_p=_mcnemar(first == right, then == right) if len(right) else None,
    )


def _check_labels(sides: tuple[Side, Side], texts: Texts) -> None:
    old, new = (set(side.pipeline.labels) for side in sides)
    if not old & new:
        raise InvalidInput(f"the pipelines share no label: {sorted(old)} and {sorted(new)}")
    if strange := sorted(set(texts.labels) - (old | new)):
        raise InvalidInput(f"neither pipeline has the label {strange[0]!r} that a text has")


def _leads(answer: Classifications) -> NDArray[np.float64]:
    """By how much each text's first label leads, (n,); of a single label its score."""
    scores = answer.scores.astype(np.float64)
    return scores[:, 0] - scores[:, 1] if scores.shape[1] > 1 else scores[:, 0]


def _changes(first: NDArray[np.str_], then: NDArray[np.str_], leads: NDArray[np.float64]) -> list[Change]:
    moved = Counter((a, b) for a, b in zip(first.tolist(), then.tolist(), strict=True) if a != b)
    return [
        Change(old=a, new=b, count=count, median_lead=float(np.median(leads[(first == a) & (then == b)])))
        for (a, b), count in moved.most_common()
    ]


def _difference(old: Classifications, new: Classifications) -> float:
    worst = 0.0
    for row in range(len(old)):
        mine = dict(zip(old.labels[row], old.scores[row].tolist(), strict=True))
        theirs = dict(zip(new.labels[row], new.scores[row].tolist(), strict=True))
        worst = max([worst, *(abs(mine[label] - theirs[label]) for label in mine.keys() & theirs.keys())])
    return worst


def _quality(side: Side, answer: Classifications, right: NDArray[np.str_]) -> Quality:
    given = np.array([labels[0] for labels in answer.labels])
    hits, confidence = given == right, answer.scores[:, 0].astype(np.float64)
    return Quality(
        title=side.title,
        accuracy=share(hits),
        macro_f1=float(f1_score(right, given, average="macro", zero_division=0)),
        calibration_error=calibration_error(confidence, hits),
        error_by_chance=error_by_chance(confidence),
        bins=[Bin(confidence=float(confidence[part].mean()), right=share(hits[part])) for part in bins_of(confidence)],
    )


def _mcnemar(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    return float(binomtest(won, lost + won).pvalue) if lost + won else 1.0
