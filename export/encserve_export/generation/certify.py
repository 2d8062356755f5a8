"""The certificate of a pipeline that generates: its step, as it will be published, against `generate` of transformers.

Tokens are compared where the likeliest is taken, or where as many beams are followed as the checkpoint asks for: with
rounding alone between both, they are the same but for ties. Logits are compared while both follow the library's tokens.
And texts are asked alone and beside others that come and go between steps, which must make no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve_export.certificate.certificate_texts import CertificateTexts
from encserve_export.certificate.figures.figure import Figure
from encserve_export.certificate.limits import GenerationLimits
from encserve_export.certificate.reference_process import reference_process
from encserve_export.errors import CertificateFailed, WayFailed
from encserve_export.reference.messages import Answered, Asked, Library
from encserve_export.texts.parts import Part, corpus_of

from .asked_step import AskedStep, Made
from .defaults import GenerationDefaults

_TEXTS = 64
_MOST_NEW_TOKENS = 64
"""Longer texts would differ no more: logits are compared at each token."""
_LANGUAGES_APART = 7
_TOGETHER = 8
"""How many texts are under way at once; the logits of all their tokens are kept in memory."""


@dataclass
class _Seen:
    """What was found of the texts that were compared so far."""

    identical: list[bool]
    margins: list[float]
    """Of each text with other tokens, by how much the library's likeliest leads at the first one; with beams, by how
    much the score of the library's text is higher."""
    differences: list[float]
    """Of each text the largest, over the standard deviation of the logits."""
    agreed: int = 0
    tokens: int = 0
    divergence: float = 0.0


def certify(folder: Path, library: Library, defaults: GenerationDefaults, limits: GenerationLimits) -> dict[str, Any]:
    """Measure the step in `folder`; returns the figures for the manifest.

    Raises:
        WayFailed: a figure misses its limit; the message names it and the worst text.
        CertificateFailed: the library does not answer, or they differ in more than numbers.
    """
    texts = [each.text for each in corpus_of(Part.CERTIFICATE).sample(_TEXTS, longest_tokens=library.max_length or 0)]
    options = options_for(defaults)
    names = ["", *sorted(defaults.prompts)]
    seen, counts, by = _Seen([], [], []), [], ""
    with AskedStep(folder) as step:
        asked = [
            Asked({"text": [text]}, options | {"prompt_name": names[index % len(names)]} | _between(step, index))
            for index, text in enumerate(texts)
        ]
        together = step.make(asked)
        alone = step.make(asked, one_by_one=True)
        for begin in range(0, len(asked), _TOGETHER):
            part = slice(begin, begin + _TOGETHER)
            answers = reference_process().ask(library, asked[part])
            by = answers.by
            if answers.prompts != defaults.prompts:
                raise CertificateFailed(
                    f"the pipeline has the prompts {defaults.prompts}, the library {answers.prompts}"
                )
            for number, (ours, theirs) in enumerate(zip(together[part], answers.answered, strict=True), begin):
                _check_source(number, ours, theirs)
                _compare(seen, ours, theirs, step, asked[number].options)
                counts.append(len(ours.source))
    figures = _figures(seen, together, alone, limits)
    if missed := [figure.complaint(counts) for figure in figures if not figure.holds]:
        raise WayFailed("; ".join(missed))
    return {
        "library": by,
        "corpus": CertificateTexts().record,
        "texts": len(texts),
        "token_counts": counts,
        "output_token_counts": [len(made.tokens) for made in together],
        "max_new_tokens": options["max_new_tokens"],
        "figures": {figure.name: figure.record(counts) for figure in figures},
    }


def _between(step: AskedStep, index: int) -> dict[str, Any]:
    """Two of the languages, which are others for each text."""
    known = step.languages
    if not known:
        return {}
    return {
        "source_language": known[index % len(known)],
        "target_language": known[(_LANGUAGES_APART * index + 1) % len(known)],
    }


def options_for(defaults: GenerationDefaults) -> dict[str, Any]:
    """The options of all requests of the certificate, but for the prompt: the checkpoint's, cut to fewer tokens."""
    most = min(defaults.max_new_tokens, _MOST_NEW_TOKENS)
    return {"max_new_tokens": most, "min_new_tokens": min(defaults.min_new_tokens, most), "do_sample": False}


def _check_source(number: int, ours: Made, theirs: Answered) -> None:
    (row,) = theirs.rows
    if not np.array_equal(ours.source, row.input_ids):
        raise CertificateFailed(
            f"text {number} has {len(ours.source)} tokens here and {len(row.input_ids)} for the library, or others"
        )


def _compare(seen: _Seen, ours: Made, theirs: Answered, step: AskedStep, options: Mapping[str, Any]) -> None:
    """Add what one text shows."""
    ((made, said),), (row,) = theirs.answers, theirs.rows
    assert row.logits is not None
    tokens = np.array(made.keys, np.int64)
    logits = step.logits(ours.source, tokens)  # (r, V)
    right = row.logits[:, : logits.shape[1]].astype(np.float64)  # a vocabulary may be padded
    spread = right.std(axis=1)
    seen.differences.append(float((np.abs(logits - right).max(axis=1) / spread).max()))
    seen.agreed += int((logits.argmax(axis=1) == right.argmax(axis=1)).sum())
    seen.tokens += len(tokens)
    seen.divergence += float(_divergence(right, logits.astype(np.float64)).sum())
    identical = list(made.keys) == ours.tokens
    seen.identical.append(identical)
    if not identical and step.beams > 1:
        theirs_by, ours_by = (step.score(ours.source, each, options) for each in (tokens.tolist(), ours.tokens))
        seen.margins.append(max(theirs_by - ours_by, 0.0))  # a better one may be another
    elif not identical:
        pairs = enumerate(zip(ours.tokens, made.keys, strict=False))
        first = next((place for place, (mine, its) in pairs if mine != its), min(len(ours.tokens), len(tokens)) - 1)
        second, best = np.sort(right[first])[-2:]
        seen.margins.append(float((best - second) / spread[first]))
    elif ours.text != said.keys[0]:
        raise CertificateFailed(f"the tokens {ours.tokens} are another text here than for the library")


def _divergence(reference: NDArray[np.float64], ours: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Kullback-Leibler divergence at each token, in nats: (r,), out of logits (r, V)."""
    p, q = (each - np.logaddexp.reduce(each, axis=1, keepdims=True) for each in (reference, ours))
    return (np.exp(p) * (p - q)).sum(axis=1)  # type: ignore[no-any-return]


def _figures(seen: _Seen, together: Sequence[Made], alone: Sequence[Made], limits: GenerationLimits) -> list[Figure]:
    texts = len(together)
    same = [one.tokens == other.tokens for one, other in zip(together, alone, strict=True)]
    worst = int(np.argmax(seen.differences))

    def share(name: str, measured: float, limit: float) -> Figure:
        return Figure(name, measured, limit, at_least=True, texts=texts)

    return [
        share("tokens_identical", float(np.mean(seen.identical)), limits.tokens_identical),
        Figure("tie_margin", max(seen.margins, default=0.0), limits.tie_margin, texts=texts),
        Figure("logits_max_diff", seen.differences[worst], limits.logits_max_diff, worst_text=worst, texts=texts),
        share("argmax_agreement", seen.agreed / seen.tokens, limits.argmax_agreement),
        Figure("divergence", seen.divergence / seen.tokens, limits.divergence, texts=texts),
        share("company_identical", float(np.mean(same)), limits.company_identical),
    ]
