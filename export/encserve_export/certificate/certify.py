"""The certificate: the pipeline as it will be published, against the checkpoint as the library runs it.

What is compared is the composed pipeline, texts to answers, out of the very files that are about to be published. What
it is compared with comes from a process that knows nothing of how encserve reads a checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from encserve_export.engines.served_encoder import ServedEncoder
from encserve_export.errors import WayFailed

from . import certificate_texts
from .adapters import examinations_of_adapters, mixed_figure, section_of
from .baseline import write_baseline
from .certificate_texts import CertificateTexts
from .figures.company import company_differences, nonfinite_lengths, scale_of, scanned_lengths
from .figures.figure import Figure, missed, missed_by_output
from .figures.neighbours import neighbours_figure, related_texts
from .lengths import length_figures, length_growth, texts_of_lengths
from .limits import BY_JUDGEMENT, ParityLimits
from .reference_process import reference_process
from .subject.asked import AskedSubject, Subject
from .subject.examination import Examination
from .variants import variants_of
from .verification.reference_file import LENGTHS, write_reference

_COMPANY_TEXTS = 64
"""How many texts of all lengths are asked alone and beside others."""
_SEARCHED = ("feature-extraction", "hybrid-embedding", "sparse-embedding")
"""Tasks whose vectors of texts are for searches."""


def certify(
    subject: Subject, encoder: ServedEncoder, limits: ParityLimits, texts: CertificateTexts, kept: Path | None = None
) -> dict[str, Any]:
    """Measure a pipeline; returns the figures for the manifest.

    `encoder` is its encode step as it will be served. What was asked and what the library says is kept in the folder
    `kept`, so that `encserve verify` can ask again.

    Raises:
        WayFailed: a figure misses its limit; the message names the figure, the limit and the worst text. Or the encode
            step does not answer.
        CertificateFailed: the library or another step does not answer, or they differ in more than numbers.
    """
    until_s = time.monotonic() + certificate_texts.SECONDS
    checkpoint, asked = subject.checkpoint, AskedSubject(subject, encoder, reference_process())
    options = variants_of(checkpoint)
    first = texts.first(checkpoint.max_length)
    corpus = asked.about(first, options)
    examinations = {"corpus": corpus}
    alone = by_itself(asked, corpus, limits)
    if checkpoint.task.name in _SEARCHED:
        examinations["neighbours"] = asked.about(related_texts(certificate_texts.RELATED))
        alone.append(neighbours_figure(*examinations["neighbours"].vectors, limits.neighbours))
    lengths = examinations[LENGTHS] = asked.about(_texts_of_lengths(asked), one_by_one=True)
    of_lengths = length_figures(lengths.figures(limits))
    of_lengths += length_growth(dict(enumerate(lengths.differences())), lengths.token_counts, limits)
    if texts.own:
        examinations["held_out"] = asked.about(texts.own, options)
    of_adapters = examinations_of_adapters(subject, encoder, first)
    examinations |= {section_of(name): examined for name, examined in of_adapters.items()}
    if of_adapters:
        alone.append(mixed_figure(asked, corpus, of_adapters, limits))
    asked.further(corpus, texts.further(checkpoint.max_length, first), until_s=until_s)
    figures = [*corpus.figures(limits), *alone]
    own = examinations["held_out"].figures(limits) if texts.own else []
    complaints = missed(figures, corpus) + missed(of_lengths, lengths)
    by_output = corpus.output_figures(limits)
    complaints += missed_by_output(by_output, corpus)
    lengths_by_output = {name: length_figures(each) for name, each in lengths.output_figures(limits).items()}
    complaints += missed_by_output(lengths_by_output, lengths)
    if texts.own:
        held_out = examinations["held_out"]
        complained = missed(own, held_out) + missed_by_output(held_out.output_figures(limits), held_out)
        complaints += [f"on the held-out texts of --calibration, {each}" for each in complained]
    for name, examined in of_adapters.items():
        complained = missed(examined.figures(limits), examined)
        complaints += [f"with the adapter {name}, {each}" for each in complained]
    if complaints:
        raise WayFailed("; ".join(complaints))
    if kept is not None:
        write_reference(kept, checkpoint.task.name, examinations)
        write_baseline(kept, corpus, examinations.get("held_out"))
    recorded = _record(figures, corpus)
    recorded["figures"] |= {figure.name: figure.record(lengths.token_counts) for figure in of_lengths}
    return {
        "library": asked.by,
        "corpus": texts.record,
        "lengths_scanned": scanned_lengths(checkpoint.max_length),
        "lengths": {"token_counts": lengths.token_counts, "max_abs_diff_by_text": _by_text(lengths)},
        "limits_by_judgement": [each.name for each in (*figures, *of_lengths) if each.name in BY_JUDGEMENT],
        **recorded,
        **({"outputs": {name: _figures(each, corpus) for name, each in by_output.items()}} if by_output else {}),
        **({"adapters": _records(of_adapters, limits)} if of_adapters else {}),
        **({"held_out": texts.own_record | _record(own, examinations["held_out"])} if texts.own else {}),
    }


def by_itself(asked: AskedSubject, examination: Examination, limits: ParityLimits) -> list[Figure]:
    """What needs no library: that the texts beside a text do not matter, and that no length gives NaN. What several
    requests have as one row of tokens is asked once."""
    distinct = {tuple(values.tobytes() for values in text.values()): text for text in examination.texts}
    ordered = sorted(distinct.values(), key=lambda text: len(text["input_ids"]))
    places = np.unique(np.linspace(0, len(ordered) - 1, _COMPANY_TEXTS).round().astype(int))
    texts = [ordered[place] for place in places]
    scale = scale_of(examination.logits.largest if examination.task.logits else None)
    company = [company_differences(each, texts, scale) for each in asked.pipeline.by_output()]
    lengths = scanned_lengths(asked.subject.checkpoint.max_length)
    nonfinite = {
        length for each in asked.pipeline.by_output() for length in nonfinite_lengths(each, lengths, ordered[-1])
    }
    return [
        Figure("company_max_abs_diff", float(np.max(company)), limits.company_max_abs_diff, texts=len(texts)),
        Figure("nonfinite_lengths", len(nonfinite), 0, texts=len(lengths)),
    ]


def _texts_of_lengths(asked: AskedSubject) -> list[str]:
    """Beginnings of one text, as long as those whose lengths are scanned: the library says what each of them gives."""
    checkpoint = asked.subject.checkpoint
    longest = CertificateTexts().first(checkpoint.max_length)[-1]
    return texts_of_lengths(checkpoint.tokenizer, longest, scanned_lengths(checkpoint.max_length))


def _record(figures: Sequence[Figure], examination: Examination) -> dict[str, Any]:
    """What the manifest says of figures."""
    return {
        "texts": examination.distinct,
        "variants": len(examination.variants),
        "token_counts": examination.token_counts,
        **_figures(figures, examination),
        "changed": examination.stated(),
        "max_abs_diff_by_text": _by_text(examination),
    }


def _figures(figures: Sequence[Figure], examination: Examination) -> dict[str, Any]:
    """The field of the manifest that has figures about the texts of an examination."""
    return {"figures": {figure.name: figure.record(examination.token_counts) for figure in figures}}


def _records(examinations: Mapping[str, Examination], limits: ParityLimits) -> dict[str, Any]:
    """What the manifest says of each adapter, which was asked beside the library with it merged into the weights."""
    return {name: _record(examined.figures(limits), examined) for name, examined in examinations.items()}


def _by_text(examination: Examination) -> list[float]:
    return [float(f"{value:.3g}") for value in examination.differences()]
