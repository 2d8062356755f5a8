"""The certificate of a pipeline that generates: its step, as it will be published, against `generate` of transformers.

Tokens are compared where the likeliest is taken each time, and those of the best hypothesis where beams are followed:
with rounding alone between both they are the same but for ties. Logits are compared while both follow the library's
tokens. And all texts are asked alone, beside as many others as have room, and beside few that take each other's places:
that must make no difference at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from encserve_export.certificate.certificate_texts import CertificateTexts
from encserve_export.certificate.figures.figure import Figure
from encserve_export.certificate.limits import GenerationLimits
from encserve_export.certificate.reference_process import reference_process
from encserve_export.errors import CertificateFailed, WayFailed
from encserve_export.generation.asked_step import AskedStep, Made
from encserve_export.generation.defaults import GenerationDefaults
from encserve_export.reference.messages import Answered, Asked, Library

from .compared import Likeliest, Searched
from .kept import Kept
from .requests import Requests, options_for, requests_for

_TOGETHER = 8
"""Of how many texts the library answers at once; the logits of all their tokens are kept in memory."""
_FEW = 7
"""How many texts are under way at most where they take each other's places."""
_PERCENTS = range(101)


@dataclass(frozen=True)
class _OwnTexts:
    """What the step made of the requests, in their order."""

    together: list[Made]
    among_few: list[Made]
    alone: list[Made]

    @property
    def nonfinite(self) -> list[int]:
        """The places of the requests that failed in any of the three."""
        runs = zip(self.together, self.among_few, self.alone, strict=True)
        return [number for number, each in enumerate(runs) if any(made.failed for made in each)]

    @property
    def same(self) -> float:
        """The share of texts with the same tokens in all three."""
        runs = zip(self.together, self.among_few, self.alone, strict=True)
        return float(np.mean([one.tokens == other.tokens == third.tokens for one, other, third in runs]))


def certify(
    folder: Path, library: Library, defaults: GenerationDefaults, limits: GenerationLimits, *, keep_in: Path
) -> dict[str, Any]:
    """Measure the step in `folder`; returns the figures for the manifest. What was asked and what the library said is
    kept in the folder `keep_in`.

    Raises:
        WayFailed: a figure misses its limit; the message names it and the worst text.
        CertificateFailed: the library does not answer, or they differ in more than numbers.
    """
    with AskedStep(folder) as step:
        requests = requests_for(defaults, step.languages, library.max_length or 0)
        own = _made(step, requests)
        by_request = dict(zip(map(id, requests.all), own.together, strict=True))
        made = [by_request[id(asked)] for asked in requests.likeliest]
        counts = [len(each.source) for each in made]
        failed = {requests.numbers[place] for place in own.nonfinite}
        if not (nonfinite := _nonfinite(failed, counts, limits)).holds:
            raise WayFailed(nonfinite.complaint(counts))
        likeliest, searched, kept, by = Likeliest(), Searched(), Kept(), ""
        for part in _parts(requests):
            answers = reference_process().ask(library, part)
            by = answers.by
            if answers.prompts != defaults.prompts:
                raise CertificateFailed(
                    f"the pipeline has the prompts {defaults.prompts}, the library {answers.prompts}"
                )
            for asked, theirs in zip(part, answers.answered, strict=True):
                ours = by_request[id(asked)]
                _compare(likeliest, searched, asked, ours, theirs, step)
                beams = asked.options["num_beams"] > 1
                kept.add(asked, ours, theirs, None if beams else likeliest.margins[-1], beams=beams)
    nonfinite = _nonfinite(failed | set(likeliest.nonfinite), counts, limits)
    figures = [*_figures(likeliest, searched, own.same, limits), nonfinite]
    if missed := [figure.complaint(counts) for figure in figures if not figure.holds]:
        raise WayFailed("; ".join(missed))
    kept.write(keep_in)
    return {
        "library": by,
        "corpus": CertificateTexts().record,
        "texts": len(requests.likeliest),
        "token_counts": counts,
        "output_token_counts": [len(each.tokens) for each in made],
        "max_new_tokens": options_for(defaults)["max_new_tokens"],
        "num_beams": requests.searched[0].options["num_beams"],
        "figures": {figure.name: figure.record(counts) for figure in figures},
        "reported": {
            "beams_identical": float(np.mean(searched.identical)),
            "score_shortfall": max(searched.shortfalls),
        },
        "logits_max_diff_by_text": likeliest.largest,
        "differences": [asdict(each) for each in likeliest.differences],
        "margins": [_short(each) for each in np.percentile(np.concatenate(likeliest.margins), _PERCENTS)],
    }


def _made(step: AskedStep, requests: Requests) -> _OwnTexts:
    asked = requests.all
    return _OwnTexts(step.make(asked), step.make(asked, rows=_FEW), step.make(asked, one_by_one=True))


def _parts(requests: Requests) -> list[list[Asked]]:
    return [
        some[begin : begin + _TOGETHER]
        for some in (requests.likeliest, requests.searched)
        for begin in range(0, len(some), _TOGETHER)
    ]


def _compare(
    likeliest: Likeliest, searched: Searched, asked: Asked, ours: Made, theirs: Answered, step: AskedStep
) -> None:
    if asked.options["num_beams"] > 1:
        searched.add(ours, theirs, step, asked)
    else:
        likeliest.add(ours, theirs, step)


def _nonfinite(numbers: Collection[int], counts: Sequence[int], limits: GenerationLimits) -> Figure:
    first = min(numbers, default=None)
    return Figure("nonfinite", len(numbers), limits.nonfinite, worst_text=first, texts=len(counts))


def _figures(likeliest: Likeliest, searched: Searched, same: float, limits: GenerationLimits) -> list[Figure]:
    texts, with_beams = len(likeliest.identical), len(searched.identical)

    def share(name: str, measured: float, limit: float, count: int = texts) -> Figure:
        return Figure(name, measured, limit, at_least=True, texts=count)

    def worst(name: str, by_text: Sequence[float], limit: float) -> Figure:
        number = int(np.argmax(by_text))
        return Figure(name, by_text[number], limit, worst_text=number, texts=texts)

    margins = [each.margin for each in likeliest.differences]
    return [
        share("tokens_identical", float(np.mean(likeliest.identical)), limits.tokens_identical),
        Figure("tie_margin", max(margins, default=0.0), limits.tie_margin, texts=texts),
        worst("logits_max_diff", likeliest.largest, limits.logits_max_diff),
        worst("logits_rms_diff", likeliest.rms, limits.logits_rms_diff),
        share("argmax_agreement", likeliest.agreed / likeliest.tokens, limits.argmax_agreement),
        Figure("divergence", likeliest.divergence / likeliest.tokens, limits.divergence, texts=texts),
        share("beams_as_good", searched.as_good, limits.beams_as_good, with_beams),
        share("company_identical", same, limits.company_identical, texts + with_beams),
    ]


def _short(number: float) -> float:
    return float(f"{number:.4g}")
