"""The published pipelines of one checkpoint: what their manifests say, and how large they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from encserve_export.errors import ExportError
from encserve_repository.errors import RepositoryError
from encserve_repository.layout import encode_model
from encserve_repository.versions import manifest_of, pipelines, published_versions

_OF_THE_CHECKPOINT = ("checkpoint", "task", "tokenizer_sha256")
"""What pipelines of one checkpoint have in common."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One version of a pipeline."""

    manifest: dict[str, Any]
    encode_folder: Path

    @property
    def title(self) -> str:
        """Its name and version, its precision and what runs it."""
        stated = self.manifest
        runtime = (stated.get("runtime") or {}).get("name", "")
        on = f"{stated['engine']} with {runtime}" if runtime else stated["engine"]
        return f"{stated['name']} {stated['version']}: {stated['precision']}, {on}"

    @property
    def speed(self) -> dict[str, float]:
        """Tokens a second of its encode step and their ratio to another way, on the host that made it; empty where none
        were measured."""
        measured: dict[str, Any] = self.manifest.get("speed") or {}
        return dict(measured["ways"][measured["way"]]) if measured else {}

    @property
    def bytes(self) -> int:
        """Size of the network on disk."""
        suffixes = (".onnx", ".data", ".plan", ".xml", ".bin")
        return sum(file.stat().st_size for file in self.encode_folder.iterdir() if file.suffix in suffixes)


def published_of(repository: Path, name: str) -> list[Published]:
    """All versions of `name`, and the newest of every other pipeline of its checkpoint; the newest of `name` first.

    Raises:
        ExportError: the repository has no such pipeline.
    """
    own = _versions(repository, name)
    if not own:
        raise ExportError(
            f"{repository} has no pipeline {name!r}: `encserve export CHECKPOINT --name {name}` makes one"
        )
    newest = own[-1]
    others = []
    for other in pipelines(repository):
        candidate = _versions(repository, other)[-1]
        if other != name and all(candidate.manifest.get(key) == newest.manifest.get(key) for key in _OF_THE_CHECKPOINT):
            others.append(candidate)
    return [*reversed(own), *others]


def _versions(repository: Path, name: str) -> list[Published]:
    try:
        return [_published(repository, name, version) for version in published_versions(repository, name)]
    except RepositoryError as error:
        raise ExportError(str(error)) from error


def _published(repository: Path, name: str, version: int) -> Published:
    manifest = manifest_of(repository, name, version)
    encode = repository / encode_model(manifest.body or name, manifest.engine) / str(version)
    return Published(manifest=asdict(manifest), encode_folder=encode)


def graph_megabytes(each: Published) -> float:
    """Size of the network in MB."""
    return round(each.bytes / 1e6, 1)
