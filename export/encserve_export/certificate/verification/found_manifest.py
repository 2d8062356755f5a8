"""The manifest of the version that a server serves, in the repository that it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from encserve import PipelineInfo
from encserve_export.certificate.limits import GENERATION_LIMITS, PARITY_LIMITS, GenerationLimits, ParityLimits
from encserve_export.config import Precision
from encserve_export.errors import CertificateFailed
from encserve_repository.errors import RepositoryError
from encserve_repository.layout import MANIFEST_FILE
from encserve_repository.manifest import sha256_of
from encserve_repository.versions import certificates, stated_manifest

from .reference_file import FILE_NAME as REFERENCE_FILE


@dataclass(frozen=True)
class FoundManifest:
    """A version with its certificate."""

    version: str
    stated: dict[str, Any]
    folder: Path
    complaints: list[str] = field(default_factory=list)
    """What is wrong with it."""

    @property
    def reference(self) -> Path:
        """The file of what the library said."""
        return self.folder / REFERENCE_FILE

    @property
    def limits(self) -> ParityLimits:
        """The limits that the certificate was held to, which `--limits` may have changed since."""
        return ParityLimits(**self._held_to(PARITY_LIMITS))

    @property
    def generation_limits(self) -> GenerationLimits:
        """The same of a pipeline that generates."""
        return GenerationLimits(**self._held_to(GENERATION_LIMITS))

    def _held_to(self, tables: Mapping[Precision, object]) -> dict[str, float]:
        stated = {name: figure["limit"] for name, figure in self.stated["parity"]["figures"].items()}
        table = vars(tables[Precision(self.stated["precision"])])
        return {name: stated.get(name, limit) for name, limit in table.items()}


def find_manifest(repository: Path, served: PipelineInfo) -> FoundManifest:
    """The version that the server serves, by its certificate; the newest where no version has that certificate.

    Raises:
        CertificateFailed: the repository has none, or that of this version is no manifest.
    """
    versions = certificates(repository, served.name)
    if not versions:
        raise CertificateFailed(
            f"{repository / served.name} holds no {MANIFEST_FILE}: --repository must be the repository that the server "
            "was given"
        )
    version = versions.get(served.certificate, max(versions.values()))
    try:
        stated = stated_manifest(repository, served.name, version)
    except RepositoryError as error:
        raise CertificateFailed(str(error)) from error
    found = FoundManifest(str(version), stated, repository / served.name / str(version))
    if served.certificate not in versions:
        found.complaints.append(
            f"the server's certificate is {served.certificate[:16]}..., which no version in {repository / served.name} "
            "has: the server runs another export"
        )
    expected = found.stated["files"].get(f"{served.name}/{version}/{REFERENCE_FILE}")
    if expected is not None and found.reference.is_file():
        digest = sha256_of(found.reference)
        if digest != expected:
            found.complaints.append(
                f"{found.reference} is not the certified file: expected sha256 {expected}, found {digest}"
            )
    return found
