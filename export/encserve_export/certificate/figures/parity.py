"""The figures of a certificate: what a pipeline says, against what the library says. No torch, no network.

At export the steps run in this process; `encserve verify` asks a running server for the same figures.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from encserve_export.certificate.limits import ParityLimits
from encserve_export.checkpoint.tasks.task import Task
from encserve_export.errors import CertificateFailed
from encserve_export.reference.messages import Answer

from .agreement import TIE, agreement_bounds, difference_of, wide_of
from .figure import Figure

Rows: TypeAlias = NDArray[np.float32]  # (rows, W)
Text: TypeAlias = dict[str, NDArray[np.int64]]
"""What one row of tokens gives to the graph, by input."""
OfTexts: TypeAlias = Sequence[tuple[Answer, ...]]
"""For each text or pair of a request its answers."""


@dataclass
class _Worst:
    """Of one number for each text, the largest."""

    by_text: dict[int, float] = field(default_factory=dict)

    def add(self, text: int, value: float) -> None:
        self.by_text[text] = float(np.maximum(self.by_text.get(text, 0.0), value))  # a NaN stays

    @property
    def text(self) -> int:
        return max(self.by_text, key=lambda text: np.nan_to_num(self.by_text[text], nan=np.inf))

    def asked(self, variants: Collection[int]) -> dict[str, Any]:
        """How many texts there are and how many `variants` of them, as the fields of a figure."""
        again = sum(text in variants for text in self.by_text)
        return {"texts": len(self.by_text) - again, "variants": again}

    def figure(self, name: str, limit: float, variants: Collection[int], scale: float = 1.0) -> Figure:
        return Figure(name, self.by_text[self.text] / scale, limit, worst_text=self.text, **self.asked(variants))


class Agreement:
    """Decisions, and by how much those led that were lost."""

    def __init__(self) -> None:
        self.decided = 0
        """How many there are."""
        self._leads: list[float] = []
        self._worst = _Worst()

    def add(self, text: int, decided: int, lost_leads: Sequence[float]) -> None:
        """Add the decisions of a text."""
        self.decided += decided
        self._leads += lost_leads
        if decided:
            self._worst.add(text, len(lost_leads) / decided)

    def figure(self, name: str, limit: float, variants: Collection[int] = ()) -> list[Figure]:
        """The share that agrees; none where nothing was decided."""
        if not self.decided:
            return []
        agreed = self.decided - len(self._leads)
        bounds = agreement_bounds(agreed, self.decided)
        return [
            Figure(
                name,
                agreed / self.decided,
                limit,
                at_least=True,
                worst_text=self._worst.text,
                bounds=bounds,
                **self._worst.asked(variants),
            )
        ]

    def stated(self, scale: float) -> dict[str, Any]:
        """What the manifest says beside the share; leads over `scale`."""
        leads = {"smallest_lost_lead": min(self._leads), "largest_lost_lead": max(self._leads)} if self._leads else {}
        return {
            "decided": self.decided,
            "changed": len(self._leads),
            **{name: float(f"{lead / scale:.3g}") for name, lead in leads.items() if np.isfinite(lead)},
        }


class AnswerParity:
    """Final answers, of any task."""

    def __init__(self) -> None:
        self._largest = 1e-12
        self._differences, self._directions, self._cosines = _Worst(), _Worst(), _Worst()
        self._sums: list[float] = []
        self._agreement = Agreement()
        self._sizes_count = False
        """Whether there were answers of which more than a direction counts: weights, or scores beside vectors."""

    def add(self, first: int, ours: OfTexts, theirs: OfTexts, *, vectors: bool) -> None:
        """Compare the answers for each text of a request from text `first` on; `vectors` where directions count.

        Raises:
            CertificateFailed: one side answers more than the other, and nothing was compared.
        """
        if len(ours) != len(theirs):
            raise CertificateFailed(
                f"the pipeline answers for {len(ours)} texts from text {first} on, not for {len(theirs)}"
            )
        for text, (own, right) in enumerate(zip(ours, theirs, strict=True), first):
            if len(own) != len(right):
                raise CertificateFailed(f"the pipeline gives {len(own)} answers for text {text}, not {len(right)}")
        for text, (own, right) in enumerate(zip(ours, theirs, strict=True), first):
            for mine, other in zip(own, right, strict=True):
                self._compare(text, mine, other, vectors=vectors)

    def _compare(self, text: int, ours: Answer, theirs: Answer, *, vectors: bool) -> None:
        self._largest = max(self._largest, float(np.abs(theirs.numbers).max(initial=0.0)))
        self._sizes_count |= theirs.kind in ("weights", "ranked")
        difference = difference_of(ours, theirs)
        self._differences.add(text, difference.largest)
        self._agreement.add(text, difference.decided, difference.lost_leads)
        if vectors and theirs.kind != "ranked":  # of late interaction, which has scores, too
            mine, right = _directions(ours, theirs)
            self._directions.add(text, float(np.abs(mine - right).max(initial=0.0)))
            cosines = np.einsum("rw,rw->r", mine, right)  # (r,)
            self._cosines.add(text, float((1 - cosines).max(initial=0.0)))
            self._sums += cosines.tolist()

    def figures(self, limits: ParityLimits, variants: Collection[int] = ()) -> list[Figure]:
        """What was measured; nothing where there were no answers. `variants` are texts of others again."""
        if not self._differences.by_text:
            return []
        figures = []
        if self._sums:
            worst, mean = self._cosines.text, float(np.mean(self._sums))
            smallest, asked = 1 - self._cosines.by_text[worst], self._cosines.asked(variants)
            figures += [
                Figure("cosine_min", smallest, limits.cosine_min, at_least=True, worst_text=worst, **asked),
                Figure("cosine_mean", mean, limits.cosine_mean, at_least=True, worst_text=worst, **asked),
                self._directions.figure("max_abs_diff", limits.max_abs_diff, variants),
            ]
        return [
            *figures,
            *self._agreement.figure("answers_agreement", limits.answers_agreement, variants),
            self._differences.figure("answers_max_abs_diff", limits.answers_max_abs_diff, variants, self._largest),
        ]

    def in_company(self, limits: ParityLimits, *, vectors: bool) -> list[Figure]:
        """The largest difference, where the answers compared are those to texts alone and in company; nothing where
        there were none. `vectors` where directions count."""
        names = {"max_abs_diff"} if vectors else {"answers_max_abs_diff"}
        if self._sizes_count:
            names = {"max_abs_diff", "answers_max_abs_diff"}
        measured = [figure for figure in self.figures(limits) if figure.name in names]
        if not measured:
            return []
        worst = max(measured, key=lambda figure: np.nan_to_num(figure.measured, nan=np.inf))
        return [replace(worst, name="company_max_abs_diff", limit=limits.company_max_abs_diff)]

    def by_text(self) -> dict[int, float]:
        """The largest difference of each text's vectors, scaled to length 1."""
        return self._directions.by_text

    def stated(self) -> dict[str, Any]:
        """What the manifest says of decisions."""
        return self._agreement.stated(self._largest)


class OutputParity:
    """The answers of each output by itself, of tasks that have several: beside vectors of thousands of tokens a wrong
    weight would be lost."""

    def __init__(self, task: Task) -> None:
        several = task.outputs if len(task.outputs) > 1 else ()
        self._parities = {output.option: AnswerParity() for output in several}

    def add(self, first: int, ours: OfTexts, theirs: OfTexts) -> None:
        """Compare the answers for each text of a request from text `first` on, which has one for each output, in their
        order. Raises CertificateFailed."""
        for place, parity in enumerate(self._parities.values()):
            parity.add(first, [(each[place],) for each in ours], [(each[place],) for each in theirs], vectors=True)

    def figures(self, limits: ParityLimits, variants: Collection[int] = ()) -> dict[str, list[Figure]]:
        """What was measured of each output, by the option that asks for it. `variants` are texts of others again."""
        return {output: parity.figures(limits, variants) for output, parity in self._parities.items()}

    def in_company(self, limits: ParityLimits) -> dict[str, list[Figure]]:
        """The largest difference of each output, as that of `AnswerParity`, by the option that asks for it."""
        return {output: parity.in_company(limits, vectors=True) for output, parity in self._parities.items()}


LOGIT_FIGURES = ("argmax_agreement", "max_abs_diff")
"""Of tasks with logits the figures of `LogitParity`."""


class LogitParity:
    """Rows of logits, which the head makes answers of."""

    def __init__(self) -> None:
        self.largest = 1e-12
        self._differences = _Worst()
        self._agreement = Agreement()
        self._surest = Agreement()
        """Which of a text's spans has the highest logit: what is decided where no span of any text is an entity."""

    def add(self, text: int, ours: Rows, theirs: Rows, cut: float = 0.0) -> None:
        """Compare the rows (r, W) of a text; or the logits (s,) of its spans, each of which is an entity by itself
        where it is above `cut`. Of these, those decide that are entities on either side: beside all others, which are
        far below, no wrong one would be seen."""
        wide = wide_of(ours)
        self.largest = max(self.largest, float(np.abs(theirs).max(initial=0.0)))
        self._differences.add(text, float(np.abs(wide - theirs).max(initial=0.0)))
        if not len(theirs):
            return
        if theirs.ndim == 1:
            tie = TIE * float(np.abs(theirs).max())
            found = (wide > cut) | (theirs > cut)
            leads = np.abs(theirs - cut)[((wide > cut) != (theirs > cut))]
            self._agreement.add(text, int(found.sum()), [float(lead) for lead in leads if lead > tie])
            lead = float(theirs.max() - theirs[wide.argmax()])
            self._surest.add(text, 1, [lead] if lead > tie else [])
        elif theirs.shape[1] > 1:
            chosen = np.take_along_axis(theirs, wide.argmax(1)[:, None], 1)[:, 0]
            leads = theirs.max(1) - chosen  # (r,)
            tie = TIE * float(np.abs(theirs).max())
            self._agreement.add(text, len(leads), [float(lead) for lead in leads if lead > tie])

    def figures(self, limits: ParityLimits, variants: Collection[int] = ()) -> list[Figure]:
        """What was measured. `variants` are texts of others again."""
        agreement, difference = LOGIT_FIGURES
        return [
            *self._decisions.figure(agreement, limits.argmax_agreement, variants),
            self._differences.figure(difference, limits.max_abs_diff, variants, self.largest),
        ]

    def by_text(self) -> dict[int, float]:
        """The largest difference of each text's logits, over the largest of all."""
        return {text: value / self.largest for text, value in self._differences.by_text.items()}

    def stated(self) -> dict[str, Any]:
        """What the manifest says of labels that changed."""
        return self._decisions.stated(self.largest)

    @property
    def _decisions(self) -> Agreement:
        return self._agreement if self._agreement.decided else self._surest


def _directions(ours: Answer, theirs: Answer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The vectors of two answers, (r, W), scaled to length 1. NaN where they cannot be compared."""
    if theirs.kind == "weights":  # of a vocabulary, of which only what is not 0 is there
        keys = {key: place for place, key in enumerate(dict.fromkeys((*theirs.keys, *ours.keys)))}
        vectors = np.zeros((2, 1, len(keys)), np.float32)
        for vector, side in zip(vectors, (ours, theirs), strict=True):
            vector[0, [keys[key] for key in side.keys]] = side.numbers
        return (unit(vectors[0]), unit(vectors[1])) if len(keys) else (np.ones((1, 1)), np.ones((1, 1)))
    right = unit(np.atleast_2d(theirs.numbers))
    if ours.numbers.shape != theirs.numbers.shape:
        return np.full_like(right, np.nan), right
    return unit(np.atleast_2d(ours.numbers)), right


def unit(vectors: Rows) -> NDArray[np.float64]:
    """Vectors scaled to length 1."""
    wide = wide_of(vectors)
    return np.divide(wide, np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
