"""What a certificate asks of a pipeline with adapters: each of them beside the library, and all in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from encserve_export.engines.served_encoder import ServedEncoder

from .figures.company import company_differences, scale_of
from .figures.figure import Figure
from .limits import ParityLimits
from .reference_process import reference_process
from .subject.asked import AskedSubject, Subject
from .subject.examination import Examination

TEXTS = 64
"""How many texts of all lengths are asked with each adapter."""
_MIXED = 64
"""How many texts of all adapters are asked alone and beside others."""


def section_of(adapter: str) -> str:
    """What the reference calls the requests for an adapter."""
    return f"adapter {adapter}"


def examinations_of_adapters(subject: Subject, encoder: ServedEncoder, texts: Sequence[str]) -> dict[str, Examination]:
    """Ask the pipeline for each of its adapters, and the library with that merged into the weights; by their names.

    Raises:
        CertificateFailed: one of them does not answer, or they differ in more than numbers.
    """
    some = texts[:: max(1, len(texts) // TEXTS)]
    return {
        adapter.name: AskedSubject(subject.with_adapter(adapter), encoder, reference_process()).about(some)
        for adapter in subject.checkpoint.adapters
    }


def mixed_figure(
    asked: AskedSubject, base: Examination, adapted: Mapping[str, Examination], limits: ParityLimits
) -> Figure:
    """How far the rows of a text may be from those that it has alone, where the texts beside it have other adapters:
    the same texts are asked with one adapter after the other, and without."""
    examinations = [base, *adapted.values()]
    texts = []
    for place in range(_MIXED):
        rows = examinations[place % len(examinations)].texts
        texts.append(rows[place * len(rows) // _MIXED])
    scale = scale_of(base.logits.largest if base.task.logits else None)
    differences = company_differences(asked.pipeline, texts, scale)
    return Figure(
        "mixed_adapters_max_abs_diff", float(np.max(differences)), limits.company_max_abs_diff, texts=len(texts)
    )
