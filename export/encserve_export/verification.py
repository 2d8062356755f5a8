"""Asking a running server what the certificate of its pipeline was measured with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from encserve import InferenceFailed, PipelineInfo, Transport

from .config import Precision, encode_model
from .errors import CertificateFailed
from .limits import PARITY_LIMITS, ParityLimits
from .live_pipeline import LivePipeline, ask
from .manifest import FILE_NAME as MANIFEST_FILE
from .parity import Figure, Text, measure
from .reference_file import FILE_NAME as REFERENCE_FILE
from .reference_file import Reference, read_reference


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a server answered, beside what its pipeline was certified with."""

    name: str
    version: str
    certificate: str
    """Digest of the manifest, as the server states it."""
    figures: list[Figure]
    certified: dict[str, float]
    """What the manifest says of each figure."""
    complaints: list[str] = field(default_factory=list)
    """Why it has drifted; empty where it has not."""

    @property
    def drifted(self) -> bool:
        """Whether the server gives something else than what was certified."""
        return bool(self.complaints)


def verify(transport: Transport, name: str, repository: Path, *, timeout_s: float) -> Verification:
    """Run the certificate of the pipeline `name` again, on the server behind `transport`.

    The texts and the checkpoint's numbers come from `repository`; of the version that the server serves.

    Raises:
        CertificateFailed: the repository has no manifest or reference of that version.
        EncserveError: the server does not answer, or has no such pipeline.
    """
    served = PipelineInfo.from_parameters(name, transport.pipeline_config(name, timeout_s=timeout_s))
    version, manifest, complaints = _find_manifest(repository, served)
    reference = read_reference(repository / name / version / REFERENCE_FILE)
    live = LivePipeline(
        transport,
        reference.question,
        tokenize=f"{name}_tokenize",
        encode=encode_model(manifest["body"] or name, manifest["engine"]),
        graph_inputs=manifest["graph_inputs"],
        width=manifest["dimensions"],
        version=version,
        limits=manifest["limits"],
        timeout_s=timeout_s,
    )
    texts = live.tokenize()
    complaints += _token_complaints(texts, reference)
    figures: list[Figure] = []
    if not complaints:  # numbers for other tokens would say nothing
        kept = [texts[index] for index in reference.kept]
        read = reference.question.read
        parity = measure(
            live,
            kept,
            reference.rows,
            logits=reference.question.logits,
            limits=_limits_of(manifest),
            max_length=manifest["limits"]["max_length"],
            read=None if read is None else [read[index] for index in reference.kept],
        )
        figures = parity.figures
        complaints += parity.complaints()
        complaints += [f"the encode step says: {failure}" for failure in live.failures]
        complaints += _answer_complaints(transport, name, version, reference, manifest["limits"], timeout_s)
    return Verification(
        name=name,
        version=version,
        certificate=served.certificate,
        figures=figures,
        certified={each: figure["measured"] for each, figure in manifest["parity"]["figures"].items()},
        complaints=complaints,
    )


def _find_manifest(repository: Path, served: PipelineInfo) -> tuple[str, dict[str, Any], list[str]]:
    """The version that the server serves, by its certificate, with its manifest and what is wrong with it.

    Where no version has that certificate it is the newest one.
    """
    folders = sorted((repository / served.name).glob(f"[0-9]*/{MANIFEST_FILE}"), key=lambda file: int(file.parent.name))
    if not folders:
        raise CertificateFailed(
            f"{repository / served.name} holds no {MANIFEST_FILE}: --repository must be the repository that the server "
            "was given"
        )
    written = {file: file.read_bytes() for file in folders}
    digests = {hashlib.sha256(content).hexdigest(): file for file, content in written.items()}
    file = digests.get(served.certificate)
    complaints = []
    if file is None:
        file = folders[-1]
        complaints.append(
            f"the server's certificate is {served.certificate[:16]}..., which no version in {repository / served.name} "
            "has: the server runs another export"
        )
    manifest: dict[str, Any] = json.loads(written[file])
    version = file.parent.name
    reference = file.parent / REFERENCE_FILE
    expected = manifest["files"].get(f"{served.name}/{version}/{REFERENCE_FILE}")
    if expected is not None and reference.is_file():
        found = hashlib.sha256(reference.read_bytes()).hexdigest()
        if found != expected:
            complaints.append(f"{reference} is not the certified file: expected sha256 {expected}, found {found}")
    return version, manifest, complaints


def _limits_of(manifest: dict[str, Any]) -> ParityLimits:
    """The limits that the certificate was held to, which `--limits` may have changed since."""
    stated = {name: figure["limit"] for name, figure in manifest["parity"]["figures"].items()}
    table = vars(PARITY_LIMITS[Precision(manifest["precision"])])
    return ParityLimits(**{name: stated.get(name, limit) for name, limit in table.items()})


def _token_complaints(texts: Sequence[Text], reference: Reference) -> list[str]:
    if len(texts) != len(reference.input_ids):
        return [f"the tokenize step gives {len(texts)} rows of tokens, the checkpoint {len(reference.input_ids)}"]
    types = reference.token_type_ids
    wrong = [
        index
        for index, text in enumerate(texts)
        if not np.array_equal(text["input_ids"], reference.input_ids[index])
        or (types is not None and not np.array_equal(text["token_type_ids"], types[index]))
    ]
    return [f"the tokenize step gives other tokens than the checkpoint for {len(wrong)} texts"] if wrong else []


def _answer_complaints(
    transport: Transport, name: str, version: str, reference: Reference, limits: dict[str, int], timeout_s: float
) -> list[str]:
    """What is wrong or not finite in the pipeline's own answers, which went through all of its steps."""
    most, question = limits["max_texts_per_request"], reference.question
    try:
        responses = ask(
            transport, question, model=name, version=version, outputs=(), most_texts=most, timeout_s=timeout_s
        )
    except InferenceFailed as error:
        return [f"the pipeline says: {error}"]
    wrong = {
        tensor: None
        for response in responses
        for tensor, values in response.tensors.items()
        if values.dtype.kind == "f" and not np.isfinite(values).all()
    }
    return [f"the pipeline's answer {tensor} holds NaN or infinity" for tensor in wrong]
