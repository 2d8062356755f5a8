"""Asking a running server for the texts that a pipeline was certified with.

An answer has the text and no token, so that texts are compared: with the library's, and with those of the very step
that was certified, which are to be the same in every precision, with beams and without. A text that is another one than
the library's must have had two tokens that were all but equally likely somewhere; and no text may depend on who else
asks. With beams the certificate lets other hypotheses than the library's through that are as good, which no text shows;
so of those with beams that decides nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from encserve import InferenceFailed, InferRequest, InvalidInput, PipelineInfo, Transport
from encserve_export.certificate.figures.figure import Figure
from encserve_export.certificate.limits import TEXTS_AS_CERTIFIED, GenerationLimits
from encserve_export.certificate.subject.composed import wire_options
from encserve_export.certificate.verification.asked_server import answer_to
from encserve_export.certificate.verification.found_manifest import FoundManifest
from encserve_export.certificate.verification.reference_file import Kept, read_reference
from encserve_export.certificate.verification.verification import Verification
from encserve_export.reference.messages import Answer, Asked

from .kept import LIKELIEST, SEARCHED

_SIDE_BY_SIDE = 8
"""How many texts are asked at once."""
_ALONE_EVERY = 4
"""Of so many texts one is asked again, when nothing else is."""
_ASIDE = {"lane": "bulk"}
_ANSWERS = ("text_output", "token_count")


@dataclass(frozen=True)
class _Said:
    """What a server made of one text."""

    text: str
    token_count: int
    failed: str = ""
    """Why it did not answer, in words."""


@dataclass(frozen=True)
class _Server:
    """The generate step of a pipeline."""

    transport: Transport
    name: str
    version: str
    timeout_s: float

    def said(self, asked: Asked) -> _Said:
        """Its answer. Raises EncserveError: it was too busy or down at each of several attempts."""
        request = InferRequest(
            model=f"{self.name}_generate",
            model_version=self.version,
            inputs={"text": [text.encode() for text in asked.inputs["text"]]},
            outputs=_ANSWERS,
            parameters={**wire_options(asked), **_ASIDE},
            decoupled=True,
        )
        try:
            tensors = answer_to(request, self.transport, timeout_s=self.timeout_s).tensors
        except (InferenceFailed, InvalidInput) as error:
            return _Said("", 0, str(error))
        return _Said(tensors["text_output"][0, 0].decode(), int(tensors["token_count"][0, 0]))


def verify_generation(
    transport: Transport, served: PipelineInfo, found: FoundManifest, timeout_s: float
) -> Verification:
    """Ask the server behind `transport` for all texts of the certificate of `served`.

    Raises:
        CertificateFailed: what the library said is not in the repository.
        EncserveError: the server does not answer.
    """
    sections, limits = read_reference(found.reference).sections, found.generation_limits
    likeliest, searched = sections[LIKELIEST].kept, sections[SEARCHED].kept
    server = _Server(transport, served.name, found.version, timeout_s)
    asked = [*likeliest, *searched]
    with ThreadPoolExecutor(_SIDE_BY_SIDE, "verify") as threads:
        together = list(threads.map(lambda each: server.said(each.asked), asked))
    alone = {place: server.said(asked[place].asked) for place in range(0, len(asked), _ALONE_EVERY)}
    counts = sections[LIKELIEST].token_counts + sections[SEARCHED].token_counts
    complaints = found.complaints + _faults(together, counts)
    with_beams = together[len(likeliest) :]
    same = [together[place].text == each.text for place, each in alone.items()]
    figures = [
        *_figures(likeliest, together[: len(likeliest)], limits),
        _share("beams_identical", _agree(searched, with_beams, _LIBRARY), _TOLD),
        _share("beams_as_certified", _agree(searched, with_beams, _OURS), TEXTS_AS_CERTIFIED),
        _share("company_identical", same, limits.company_identical),
    ]
    missed = [figure.complaint(counts) for figure in figures if not figure.holds]
    parity = found.stated["parity"]
    certified = {name: figure["measured"] for name, figure in parity["figures"].items()} | parity["reported"]
    return Verification(
        name=served.name,
        version=found.version,
        certificate=served.certificate,
        asked={"corpus": len(likeliest), "beams": len(searched), "alone": len(alone)},
        figures=figures,
        certified=certified
        | {"texts_identical": certified["tokens_identical"], "texts_as_certified": 1.0, "beams_as_certified": 1.0},
        complaints=complaints + missed,
        left_out=[
            "logits_max_diff, logits_rms_diff, argmax_agreement, divergence: of logits, which stay in the server; the "
            "texts that are made by them are asked"
        ],
    )


_LIBRARY, _OURS = 1, 2
"""Whose text it is, among the answers that were kept of each."""
_TOLD = 0.0
"""The limit of a share that decides nothing."""


def _figures(kept: Sequence[Kept], said: Sequence[_Said], limits: GenerationLimits) -> list[Figure]:
    of_library, of_ours = (_agree(kept, said, whose) for whose in (_LIBRARY, _OURS))
    margins = [float(_answers(each)[_OURS].numbers[0]) for each in kept]
    closest = [margin if not same else 0.0 for margin, same in zip(margins, of_library, strict=True)]
    worst = int(np.argmax(closest))
    return [
        _share("texts_identical", of_library, limits.tokens_identical),
        _share("texts_as_certified", of_ours, TEXTS_AS_CERTIFIED),
        Figure("tie_margin", closest[worst], limits.tie_margin, worst_text=worst, texts=len(kept)),
    ]


def _agree(kept: Sequence[Kept], said: Sequence[_Said], whose: int) -> list[bool]:
    return [
        _answers(each)[whose].keys[0] == made.text and not made.failed for each, made in zip(kept, said, strict=True)
    ]


def _answers(kept: Kept) -> tuple[Answer, ...]:
    (answers,) = kept.answers
    return answers


def _share(name: str, same: Sequence[bool], limit: float) -> Figure:
    return Figure(name, float(np.mean(same)), limit, at_least=True, texts=len(same))


def _faults(said: Sequence[_Said], counts: Sequence[int]) -> list[str]:
    """What is wrong with answers beside their texts, the first of each kind."""
    failed = [(number, each.failed) for number, each in enumerate(said) if each.failed]
    other = [number for number, each in enumerate(said) if not each.failed and each.token_count != counts[number]]
    faults = []
    if failed:
        number, why = failed[0]
        faults.append(f"the pipeline fails at {len(failed)} texts, first at text {number}, and says: {why}")
    if other:
        number = other[0]
        faults.append(
            f"text {number} has {said[number].token_count} tokens on the server, {counts[number]} for the library; "
            f"{len(other)} texts have others"
        )
    return faults
