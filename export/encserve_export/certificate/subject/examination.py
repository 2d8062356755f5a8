"""Asking a pipeline and the library the same, and gathering how far they are apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from encserve_export.certificate.figures.figure import Figure
from encserve_export.certificate.figures.parity import AnswerParity, LogitParity, OutputParity, Text
from encserve_export.certificate.limits import ParityLimits
from encserve_export.checkpoint.tasks.task import Task
from encserve_export.errors import CertificateFailed
from encserve_export.reference.messages import Answer, Answered, Asked, Row

from .composed import Said

DEFAULT_THRESHOLD = 0.5
"""Of the score of an entity."""
_SHOWN = 60
"""Characters of a text that a message names."""


@dataclass(kw_only=True)
class Examination:
    """Everything that was asked, with what came of it. Texts and pairs are numbered from 0 on, over all requests."""

    task: Task
    requests: list[Asked] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    """What the library said."""
    texts: list[Text] = field(default_factory=list)
    """The rows of tokens of all requests."""
    token_counts: list[int] = field(default_factory=list)
    """Tokens of each text's longest row."""
    variants: set[int] = field(default_factory=set)
    """Those that are texts of others again, with other options."""
    own: list[Answer] = field(default_factory=list)
    """The pipeline's answers, of tasks with one vector for each text."""
    answers: AnswerParity = field(default_factory=AnswerParity)
    logits: LogitParity = field(default_factory=LogitParity)

    @cached_property
    def by_output(self) -> OutputParity:
        """The answers of each output by itself."""
        return OutputParity(self.task)

    @property
    def distinct(self) -> int:
        """How many texts or pairs there are, each once however often it was asked."""
        return len(self.token_counts) - len(self.variants)

    @property
    def shown(self) -> dict[int, str]:
        """The beginning of each text, by its number."""
        texts = (text for request in self.requests for text in texts_of_request(request))
        return {number: repr(text[:_SHOWN]) for number, text in enumerate(texts)}

    def add(self, request: Asked, said: Said, answered: Answered) -> None:
        """Compare what the pipeline and the library say to a request.

        Raises:
            CertificateFailed: the tokens differ, or one of them answers for more or fewer texts.
        """
        first = len(self.token_counts)
        owners = [first + owner for owner in said.owners]
        shown = [repr(text[:_SHOWN]) for text in texts_of_request(request)]
        check_tokens(said.texts, answered.rows, [shown[owner] for owner in said.owners])
        self.answers.add(first, said.answers, answered.answers, vectors=not self.task.logits)
        self.by_output.add(first, said.answers, answered.answers)
        threshold = request.options.get("threshold", DEFAULT_THRESHOLD)
        for owner, ours_rows, theirs_row in self._logits(owners, said, answered.rows):
            self.logits.add(owner, ours_rows, theirs_row, math.log(threshold / (1 - threshold)))
        if not self.task.logits and self.task.follows == "lengths":
            self.own += [answers[0] for answers in said.answers]
        counts = said.counts or [0] * request.count
        for owner, text in zip(owners, said.texts, strict=True):
            counts[owner - first] = max(counts[owner - first], len(text["input_ids"]))
        if request.variant:
            self.variants |= {*range(first, first + request.count)}
        self.requests.append(request)
        self.answered.append(answered)
        self.texts.extend(said.texts)
        self.token_counts.extend(counts)

    def figures(self, limits: ParityLimits) -> list[Figure]:
        """What was measured."""
        logits = self.logits.figures(limits, self.variants) if self.task.logits else []
        return [*logits, *self.answers.figures(limits, self.variants)]

    def output_figures(self, limits: ParityLimits) -> dict[str, list[Figure]]:
        """What was measured of each output by itself, by the option that asks for it, where there are several."""
        return self.by_output.figures(limits, self.variants)

    def differences(self) -> list[float]:
        """The largest difference of each text: of vectors scaled to length 1, or of logits over the largest of them."""
        by_text = self.logits.by_text() if self.task.logits else self.answers.by_text()
        return [by_text.get(text, 0.0) for text in range(len(self.token_counts))]

    @property
    def vectors(self) -> tuple[list[Answer], list[Answer]]:
        """The pipeline's answers and the library's, of tasks with one vector for each text."""
        return self.own, [answers[0] for answered in self.answered for answers in answered.answers]

    def stated(self) -> dict[str, Any]:
        """What the manifest says of decisions that changed."""
        return {"answers": self.answers.stated(), **({"labels": self.logits.stated()} if self.task.logits else {})}

    def _logits(self, owners: Sequence[int], said: Said, rows: Sequence[Row]) -> Iterator[tuple[int, Any, Any]]:
        if not self.task.logits:
            return
        for index, (owner, ours, row) in enumerate(zip(owners, said.rows, rows, strict=True)):
            if row.logits is None or ours.shape != row.logits.shape:
                raise CertificateFailed(f"the network gives {ours.shape} numbers for text {owner}, the library others")
            read = slice(None) if said.read is None else said.read[index]
            yield owner, ours[read], row.logits[read]


def texts_of_request(request: Asked) -> list[str]:
    """What a message names of each text or pair."""
    first = request.inputs["text"]
    return first if len(first) == request.count else request.inputs["text_pair"]


def check_tokens(ours: Sequence[Text], theirs: Sequence[Row], shown: Sequence[str]) -> None:
    """The tokens must be the library's, one by one and type by type; `shown` says of what text each row is.

    Raises:
        CertificateFailed: they are not.
    """
    if len(ours) != len(theirs):
        raise CertificateFailed(f"the tokenizer gives {len(ours)} rows, the library {len(theirs)}")
    for index, (text, row) in enumerate(zip(ours, theirs, strict=True)):
        types = text.get("token_type_ids")
        same_types = row.token_type_ids is None or (
            not row.token_type_ids.any() if types is None else np.array_equal(types, row.token_type_ids)
        )
        if not same_types or not np.array_equal(text["input_ids"], row.input_ids):
            raise CertificateFailed(
                f"the tokenizer gives row {index} {len(text['input_ids'])} tokens that differ from the "
                f"{len(row.input_ids)} of the library: {shown[index]}"
            )
