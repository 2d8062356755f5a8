"""The published pipelines of one checkpoint: what their manifests say, and how large they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from encserve_export.checkpoint.tasks.table import GENERATION
from encserve_export.errors import ExportError
from encserve_repository.errors import NotThere, RepositoryError
from encserve_repository.layout import encode_model
from encserve_repository.versions import manifest_of, pipelines, published_versions

_OF_THE_CHECKPOINT = ("checkpoint", "task", "tokenizer_sha256")
"""What pipelines of one checkpoint have in common."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One version of a pipeline."""

    manifest: dict[str, Any]
    network_folder: Path
    """The version folder of the step that has the network."""

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
        return sum(file.stat().st_size for file in self.network_folder.iterdir() if file.suffix in suffixes)


def published_of(repository: Path, name: str, say: Callable[[str], None]) -> list[Published]:
    """All versions of `name`, and the newest of every other pipeline of its checkpoint; the newest of `name` first.

    What cannot be read, as manifests of an earlier release or of another tool, is passed over, and `say` names it.

    Raises:
        ExportError: the repository has no such pipeline, or its newest version cannot be read or is a cascade.
    """
    versions = published_versions(repository, name)
    if not versions:
        raise ExportError(
            f"{repository} has no pipeline {name!r}: `encserve export CHECKPOINT --name {name}` makes one"
        )
    try:
        newest = _published(repository, name, versions[-1])
    except RepositoryError as error:
        raise ExportError(str(error)) from error
    older = [(name, version) for version in reversed(versions[:-1])]
    others = [(other, published_versions(repository, other)[-1:]) for other in pipelines(repository) if other != name]
    if members := newest.manifest["cascade"]:
        small, large = (members[role]["model"] for role in ("small", "large"))
        raise ExportError(f"{name} is a cascade, which has no network of its own: look at {small} and {large}")
    candidates = [*older, *((other, version) for other, last in others for version in last)]
    found = [newest]
    for candidate, version in candidates:
        try:
            published = _published(repository, candidate, version)
        except RepositoryError as error:
            say(f"{candidate} version {version} is passed over: {error}")
            continue
        alike = all(published.manifest.get(key) == newest.manifest.get(key) for key in _OF_THE_CHECKPOINT)
        if candidate == name or alike:
            found.append(published)
    return found


def _published(repository: Path, name: str, version: int) -> Published:
    """Raises RepositoryError: its manifest cannot be read, or its encode step is not there."""
    manifest = manifest_of(repository, name, version)
    if manifest.cascade:
        model = f"{name}_cascade"
    elif manifest.task == GENERATION.name:
        model = f"{name}_generate"
    else:
        model = encode_model(manifest.body or name, manifest.engine)
    folder = repository / model / str(version)
    if not folder.is_dir():
        raise NotThere(f"{folder} is missing")
    return Published(manifest=asdict(manifest), network_folder=folder)


def graph_megabytes(each: Published) -> float:
    """Size of the network in MB."""
    return round(each.bytes / 1e6, 1)
