"""The requests of a certificate to one pipeline of a running server, and how far its answers are from the library's."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve import (
    DeadlineExceeded,
    InferenceFailed,
    InferRequest,
    InferResponse,
    InvalidInput,
    RateLimited,
    Transport,
    Unavailable,
)
from encserve_export.certificate.figures.figure import Figure
from encserve_export.certificate.figures.parity import AnswerParity, OfTexts, OutputParity
from encserve_export.certificate.limits import ParityLimits
from encserve_export.certificate.subject.composed import wire_options
from encserve_export.certificate.subject.examination import texts_of_request
from encserve_export.certificate.subject.final_answers import answers_of
from encserve_export.checkpoint.tasks.table import task_of
from encserve_export.errors import CertificateFailed
from encserve_export.reference.messages import Answer, Asked

from .reference_file import Kept, Section, without_texts

_ALONE = 64
"""Texts that are also asked one by one."""
_ASIDE: dict[str, str | bool] = {"lane": "bulk", "fresh": True}
"""The options of every request: it makes way for others, and rows that were kept would hide what has changed since."""


_NONFINITE = "NaN or infinity in the answer"
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Before a request that a busy server refused, or did not answer in time, is sent again; after these no more."""


def answer_to(request: InferRequest, transport: Transport, *, timeout_s: float) -> InferResponse:
    """What a server says to a request, which is sent again a few times while it is busy; `timeout_s` is of each time.

    Raises:
        EncserveError: it answers with an error, or was too busy or down at each of several attempts.
    """
    for pause_s in _PAUSES_S:
        try:
            return transport.infer(request, timeout_s=timeout_s)
        except (Unavailable, DeadlineExceeded) as error:
            asked_for = error.retry_after_s if isinstance(error, RateLimited) else None
            time.sleep(max(pause_s, asked_for or 0.0))
    return transport.infer(request, timeout_s=timeout_s)


@dataclass(frozen=True)
class AskedServer:
    """A pipeline of a server."""

    transport: Transport
    name: str
    version: str
    task: str
    timeout_s: float
    """Of each attempt of a request."""

    def ask(self, asked: Asked) -> dict[str, NDArray[Any]]:
        """The tensors that it answers, without the leading dimension.

        Raises:
            EncserveError: it answers with an error, or was too busy or down at each of several attempts.
        """
        request = InferRequest(
            model=self.name,
            model_version=self.version,
            inputs={name: [text.encode() for text in texts] for name, texts in asked.inputs.items()},
            outputs=(),
            parameters={**wire_options(asked), **_ASIDE},
        )
        response = answer_to(request, self.transport, timeout_s=self.timeout_s)
        return {name: tensor[0] for name, tensor in response.tensors.items()}

    def fails(self, asked: Asked) -> str:
        """Why it does not answer with finite numbers, in words; empty where it does."""
        try:
            tensors = self.ask(asked)
        except (InferenceFailed, InvalidInput) as error:
            return str(error)
        finite = all(np.isfinite(tensor).all() for tensor in tensors.values() if tensor.dtype.kind == "f")
        return "" if finite else _NONFINITE


@dataclass
class AskedSection:
    """One section of a reference, asked again."""

    server: AskedServer
    section: Section
    own: bool = False
    """Whether its texts are the user's own, of whose places alone is told."""
    complaints: list[str] = field(default_factory=list)
    shown: dict[int, str] = field(default_factory=dict)
    """The beginning of each text that was answered, by its number."""
    answers: dict[int, tuple[tuple[Answer, ...], tuple[Answer, ...]]] = field(default_factory=dict)
    """Of each text that was compared, the server's answers and the library's."""
    variants: set[int] = field(default_factory=set)
    """The texts that were asked before, with other options."""
    _parity: AnswerParity = field(default_factory=AnswerParity)
    _company: AnswerParity = field(default_factory=AnswerParity)

    @property
    def token_counts(self) -> list[int]:
        """The tokens of each text of the section, which the certificate counted."""
        return self.section.token_counts

    @cached_property
    def _by_output(self) -> OutputParity:
        return OutputParity(task_of(self.server.task, pairs=False))

    @cached_property
    def _company_by_output(self) -> OutputParity:
        return OutputParity(task_of(self.server.task, pairs=False))

    @property
    def _vectors(self) -> bool:
        return not task_of(self.server.task, pairs=False).logits

    def together(self) -> None:
        """Ask every request, and compare its answers."""
        for kept in self.section.kept:
            self._examine(kept)

    def alone(self) -> None:
        """Ask about some of the texts again, each alone, and compare that with what was answered beside others."""
        every = max(1, len(self.section.token_counts) // _ALONE)
        for kept in self.section.kept:
            for part in (part for part in _parts(kept) if part.first % every == 0):
                self._examine_alone(part)

    def figures(self, limits: ParityLimits) -> list[Figure]:
        """What was measured; nothing where no request was answered."""
        if not self.shown:
            return []
        company = self._company.in_company(limits, vectors=self._vectors)
        return self._parity.figures(limits, self.variants) + company

    def output_figures(self, limits: ParityLimits) -> dict[str, list[Figure]]:
        """What was measured of each output by itself, by the option that asks for it, where there are several."""
        company = self._company_by_output.in_company(limits)
        return {
            name: figures + company[name] for name, figures in self._by_output.figures(limits, self.variants).items()
        }

    def differences(self) -> dict[int, float]:
        """The largest difference of each text's vector, scaled to length 1; none of tasks without vectors."""
        return self._parity.by_text() if self._vectors else {}

    def nonfinite(self) -> list[str]:
        """For each text that was answered with NaN or infinity, that it was."""
        answers = (ours for ours, _ in self.answers.values())
        finite = (all(np.isfinite(answer.numbers).all() for answer in each) for each in answers)
        return [_NONFINITE for each in finite if not each]

    def _examine(self, kept: Kept) -> None:
        """Compare the answers to a request; to each of its texts where it fails as a whole."""
        try:
            tensors = self.server.ask(kept.asked)
        except (InferenceFailed, InvalidInput) as error:
            parts = _parts(kept)
            for part in parts:
                self._examine(part)
            if not parts:
                self.complaints.append(f"the pipeline fails at text {kept.first} and says: {error}")
            return
        counts = np.array(self.section.token_counts[kept.first : kept.first + kept.asked.count])
        found = tensors["token_count"]
        whole = tensors.get("window_count", np.ones_like(found)) == 1  # of several windows the longest was counted
        if len(found) != len(counts) or not np.array_equal(found[whole], counts[whole]):
            self.complaints.append(f"the tokenize step gives other tokens than the library, from text {kept.first} on")
            return
        ours = self._answers_of(tensors)
        try:
            self._parity.add(kept.first, ours, kept.answers, vectors=self._vectors)
            self._by_output.add(kept.first, ours, kept.answers)
        except CertificateFailed as error:
            self.complaints.append(str(error))
            return
        for number, text in enumerate(texts_of_request(kept.asked), kept.first):
            self.shown[number] = repr(text[:60])
            if kept.asked.variant:
                self.variants.add(number)
        pairs = zip(_by_text(kept.asked, ours), _by_text(kept.asked, kept.answers), strict=True)
        self.answers |= enumerate(pairs, kept.first)

    def _examine_alone(self, kept: Kept) -> None:
        """Compare the answer to a text alone with that beside others."""
        if kept.first not in self.answers:
            return
        together, _ = self.answers[kept.first]
        try:
            alone = self._answers_of(self.server.ask(kept.asked))
            self._company.add(kept.first, alone, [together], vectors=self._vectors)
            self._company_by_output.add(kept.first, alone, [together])
        except (InferenceFailed, InvalidInput, CertificateFailed) as error:
            self.complaints.append(f"text {kept.first} alone, which was answered beside others: {error}")

    def _answers_of(self, tensors: dict[str, NDArray[Any]]) -> OfTexts:
        answers = answers_of(self.server.task, tensors)
        return [(*map(without_texts, each),) for each in answers] if self.own else answers


def _parts(kept: Kept) -> list[Kept]:
    """A request for each of its texts or pairs, with its options; none where it has but one."""
    asked, by_text = kept.asked, _by_text(kept.asked, kept.answers)
    if asked.options.get("rank"):
        query, *documents = asked.inputs["text"]
        each = [] if len(documents) == 1 else [[query, document] for document in documents]
        return [
            Kept(replace(asked, inputs={"text": texts}), [answers], kept.first + number)
            for number, (texts, answers) in enumerate(zip(each, by_text[1:], strict=False), 1)
        ]
    if asked.count == 1:
        return []
    return [
        Kept(
            replace(
                asked,
                # A ranking has one query for all of its documents.
                inputs={name: [texts[index if len(texts) > 1 else 0]] for name, texts in asked.inputs.items()},
            ),
            [answers],
            kept.first + index,
        )
        for index, answers in enumerate(by_text)
    ]


def _by_text(asked: Asked, answers: OfTexts) -> OfTexts:
    """What each text or pair gets alone, by the answers to all: a document that is ranked alone comes first. Where the
    query is a text like the others, it has the order of all."""
    if len(answers) == asked.count:
        return answers
    ((ranking,),) = answers
    scores = dict(zip(ranking.keys, ranking.numbers, strict=True))
    queries = [(ranking,)] if asked.options.get("rank") else []
    return queries + [
        (Answer("ranked", np.array([scores.get(index, np.nan)], np.float32), (0,)),)
        for index in range(asked.count - len(queries))
    ]
