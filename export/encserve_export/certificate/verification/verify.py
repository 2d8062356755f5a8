"""Asking a running server what the certificate of its pipeline was measured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from encserve import PipelineInfo, Transport
from encserve_export.certificate.adapters import section_of
from encserve_export.certificate.figures.figure import Figure, missed, missed_by_output
from encserve_export.certificate.figures.neighbours import neighbours_figure
from encserve_export.certificate.figures.parity import LOGIT_FIGURES
from encserve_export.certificate.lengths import LENGTH_FIGURES_OF_LOGITS, length_figures, length_growth
from encserve_export.certificate.limits import ParityLimits
from encserve_export.checkpoint.tasks.table import stated_task_of, task_of
from encserve_export.errors import CertificateFailed
from encserve_export.texts.calibration_file import OwnTexts
from encserve_export.texts.parts import digest_of
from encserve_export.texts.questions import Form, inputs_at

from .asked_server import AskedSection, AskedServer
from .found_manifest import FoundManifest
from .reference_file import LENGTHS, OWN, Reference, Section, read_reference
from .verification import Verification


def verify_encoder(
    transport: Transport, served: PipelineInfo, found: FoundManifest, own: OwnTexts | None, timeout_s: float
) -> Verification:
    """Ask the server behind `transport` what the certificate `found` of the pipeline that it serves was measured with.

    Raises:
        CertificateFailed: the repository has no reference of that version, or `own` are other texts than those of which
            a third was held out, or none were.
        EncserveError: the server does not answer.
    """
    name = served.name
    reference, limits = read_reference(found.reference), found.limits
    if own is not None and OWN not in reference.sections:
        raise CertificateFailed("--calibration: the pipeline was exported without such a file, and none was held out")
    server = AskedServer(transport, name, found.version, reference.task, timeout_s)
    corpus = AskedSection(server, reference.sections["corpus"])
    corpus.together()
    corpus.alone()
    figures, complaints = corpus.figures(limits), found.complaints + _complaints(corpus, limits)
    asked = {"corpus": len(corpus.shown) - len(corpus.variants), "variants": len(corpus.variants)}
    if "neighbours" in reference.sections:
        related = AskedSection(server, reference.sections["neighbours"])
        neighbours = _neighbours(related, limits)
        figures += neighbours
        complaints += related.complaints + [each.complaint() for each in neighbours if not each.holds]
        asked["neighbours"] = len(related.answers)
    if LENGTHS in reference.sections:
        of_lengths, complained = _lengths(server, reference, limits)
        figures += of_lengths
        complaints += complained
        asked["lengths"] = len(reference.sections[LENGTHS].token_counts)
    for adapter in found.stated.get("adapters", {}):
        if (name_of := section_of(adapter)) in reference.sections:
            adapted = AskedSection(server, reference.sections[name_of])
            adapted.together()
            complaints += [f"with the adapter {adapter}, {each}" for each in _complaints(adapted, limits)]
            asked[name_of] = len(adapted.shown)
    held_out, left_out = [], [*_of_logits(reference, found), *_left_out(reference, found, own)]
    if own is not None:
        texts = AskedSection(server, _with_inputs(reference.sections[OWN], found, own.held_out), own=True)
        texts.together()
        held_out = texts.figures(limits)
        complaints += [f"on the held-out texts of --calibration, {each}" for each in _complaints(texts, limits)]
        asked["held_out"] = len(texts.shown) - len(texts.variants)
    parity = found.stated["parity"]
    return Verification(
        name=name,
        version=found.version,
        certificate=served.certificate,
        asked=asked,
        figures=figures,
        certified=_measured(parity),
        held_out=held_out,
        held_out_certified=_measured(parity.get("held_out", {"figures": {}})),
        complaints=complaints,
        left_out=left_out,
    )


def _complaints(section: AskedSection, limits: ParityLimits) -> list[str]:
    by_output = section.output_figures(limits)
    return section.complaints + missed(section.figures(limits), section) + missed_by_output(by_output, section)


def _lengths(server: AskedServer, reference: Reference, limits: ParityLimits) -> tuple[list[Figure], list[str]]:
    """Whether texts of all lengths give numbers, and those that they gave."""
    section = reference.sections[LENGTHS]
    texts = AskedSection(server, section)
    texts.together()
    reasons = [reason for each in reference.wide if (reason := server.fails(each))]
    reasons = texts.complaints + texts.nonfinite() + reasons
    nonfinite = Figure("nonfinite_lengths", len(reasons), 0, texts=len(section.token_counts))
    figures = length_figures(texts.figures(limits))
    figures += length_growth(texts.differences(), section.token_counts, limits)
    if reasons:
        return [nonfinite, *figures], [f"{nonfinite.complaint()}: {reasons[0]}"]
    by_output = {name: length_figures(each) for name, each in texts.output_figures(limits).items()}
    return [nonfinite, *figures], missed(figures, texts) + missed_by_output(by_output, texts)


def _neighbours(related: AskedSection, limits: ParityLimits) -> list[Figure]:
    """Whether the nearest texts of a text are still its nearest, by the first of its answers, its vector; nothing where
    not every text was answered."""
    related.together()
    if len(related.answers) < len(related.section.token_counts):
        return []
    ours, theirs = zip(*((mine[0], right[0]) for mine, right in related.answers.values()), strict=True)
    return [neighbours_figure(ours, theirs, limits.neighbours)]


def _left_out(reference: Reference, found: FoundManifest, own: OwnTexts | None) -> list[str]:
    """What of the certificate is not asked, in words."""
    lines = []
    whose = {
        "corpus": "texts",
        "neighbours": "texts whose neighbours count, and with them the figure",
        LENGTHS: "texts of all lengths, which were asked whether they give numbers",
    }
    for name, texts in whose.items():
        section = reference.sections.get(name, Section([], []))
        kept, count = sum(each.asked.count for each in section.kept), len(section.token_counts)
        if kept < count:
            lines.append(f"{count - kept} of {count} {texts}: their answers are too wide to be kept")
    if own is None and OWN in reference.sections:
        count = found.stated["parity"]["held_out"]["texts"]
        lines.append(f"{count} held-out texts, which are not kept: --calibration FILE names the file that has them")
    return lines


def _of_logits(reference: Reference, found: FoundManifest) -> list[str]:
    """Which figures of the certificate are of numbers that no answer of a server has, in words."""
    of_logits = (*LOGIT_FIGURES, *LENGTH_FIGURES_OF_LOGITS)
    names = ", ".join(name for name in of_logits if name in found.stated["parity"]["figures"])
    if not task_of(reference.task, pairs=False).logits or not names:
        return []
    return [f"{names}: of logits, which stay in the server; the answers that are made of them are asked"]


def _with_inputs(section: Section, found: FoundManifest, texts: Sequence[str]) -> Section:
    """The section of the user's own texts with these, of which it knows what the library says.

    Raises:
        CertificateFailed: they are others than were held out.
    """
    stated = found.stated
    if digest_of(texts) != stated["parity"]["held_out"]["sha256"]:
        raise CertificateFailed("--calibration: the file has other texts than the pipeline was made with")
    form = Form.within(
        stated["limits"],
        task=stated["task"],
        layout=stated_task_of(stated).layout,
        mask_token=stated["mask_token"],
    )
    kept = [
        replace(each, asked=replace(each.asked, inputs=inputs_at(form, texts, each.place))) for each in section.kept
    ]
    return Section(kept, section.token_counts)


def _measured(parity: dict[str, Any]) -> dict[str, float]:
    return {name: figure["measured"] for name, figure in parity["figures"].items()}
