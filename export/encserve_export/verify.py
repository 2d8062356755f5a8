"""Verifying a running server against the certificate of a pipeline, whatever its task."""

from __future__ import annotations

from pathlib import Path

from encserve import PipelineInfo, Transport
from encserve_export.certificate.verification.found_manifest import find_manifest
from encserve_export.certificate.verification.verification import Verification
from encserve_export.certificate.verification.verify import verify_encoder
from encserve_export.checkpoint.tasks.table import GENERATION
from encserve_export.errors import CertificateFailed, Unsupported
from encserve_export.generation.certificate.verify import verify_generation
from encserve_export.texts.calibration_file import OwnTexts


def verify(
    transport: Transport, name: str, repository: Path, *, timeout_s: float, own: OwnTexts | None = None
) -> Verification:
    """Run the certificate of the pipeline `name` again, on the server behind `transport`.

    The texts and the library's answers come from `repository`; of the version that the server serves. `own` are the
    texts with which it was calibrated, of which a third was held out: they are not kept.

    Raises:
        CertificateFailed: the repository has no manifest or reference of that version, or `own` are other texts, or
            none were held out.
        Unsupported: the pipeline is a cascade.
        EncserveError: the server does not answer, or has no such pipeline.
    """
    served = PipelineInfo.from_parameters(name, transport.pipeline_config(name, timeout_s=timeout_s))
    if served.cascade is not None:
        raise Unsupported(
            f"{name} is a cascade, which has no network of its own: verify {served.cascade.small} and "
            f"{served.cascade.large}"
        )
    found = find_manifest(repository, served)
    if served.task == GENERATION.name:
        if own is not None:
            raise CertificateFailed(f"--calibration: {name} is for {GENERATION.name}, of which no texts are held out")
        return verify_generation(transport, served, found, timeout_s)
    return verify_encoder(transport, served, found, own, timeout_s)
