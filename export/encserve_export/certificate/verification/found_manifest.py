"""The manifest of the version that a server serves, in the repository that it was given."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from encserve import PipelineInfo
from encserve_export.certificate.limits import PARITY_LIMITS, ParityLimits
from encserve_export.config import Precision
from encserve_export.errors import CertificateFailed
from encserve_repository.layout import MANIFEST_FILE
from encserve_repository.versions import published_versions

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
        stated = {name: figure["limit"] for name, figure in self.stated["parity"]["figures"].items()}
        table = vars(PARITY_LIMITS[Precision(self.stated["precision"])])
        return ParityLimits(**{name: stated.get(name, limit) for name, limit in table.items()})


def find_manifest(repository: Path, served: PipelineInfo) -> FoundManifest:
    """The version that the server serves, by its certificate; the newest where no version has that certificate.

    Raises:
        CertificateFailed: the repository has none.
    """
    written = {
        version: (repository / served.name / str(version) / MANIFEST_FILE).read_bytes()
        for version in published_versions(repository, served.name)
    }
    if not written:
        raise CertificateFailed(
            f"{repository / served.name} holds no {MANIFEST_FILE}: --repository must be the repository that the server "
            "was given"
        )
    digests = {hashlib.sha256(content).hexdigest(): version for version, content in written.items()}
    version = digests.get(served.certificate, max(written))
    found = FoundManifest(str(version), json.loads(written[version]), repository / served.name / str(version))
    if served.certificate not in digests:
        found.complaints.append(
            f"the server's certificate is {served.certificate[:16]}..., which no version in {repository / served.name} "
            "has: the server runs another export"
        )
    expected = found.stated["files"].get(f"{served.name}/{version}/{REFERENCE_FILE}")
    if expected is not None and found.reference.is_file():
        digest = hashlib.sha256(found.reference.read_bytes()).hexdigest()
        if digest != expected:
            found.complaints.append(
                f"{found.reference} is not the certified file: expected sha256 {expected}, found {digest}"
            )
    return found
