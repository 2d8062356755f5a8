"""The versions of a pipeline: the published ones, the active one, and whether its files are the certified ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from .config_text import certificate_of, is_pipeline, pinned_versions, read_config
from .errors import Damaged, NotThere
from .layout import CONFIG_FILE, MANIFEST_FILE
from .manifest import Manifest, read_manifest, sha256_of


def model_names(repository: Path) -> list[str]:
    """Return the models that have a configuration, in order. Hidden folders are none. Raises OSError."""
    return sorted(file.parent.name for file in repository.glob(f"[!.]*/{CONFIG_FILE}"))


def pipelines(repository: Path) -> list[str]:
    """Return the pipelines that have a published version, in order. Raises OSError."""
    return sorted({file.parent.parent.name for file in repository.glob(f"[!.]*/*/{MANIFEST_FILE}")})


def published_versions(repository: Path, name: str) -> list[int]:
    """Return the versions of a pipeline that have a manifest, in order. Raises OSError."""
    manifests = (repository / name).glob(f"*/{MANIFEST_FILE}")
    return sorted(int(file.parent.name) for file in manifests if file.parent.name.isdecimal())


def certificates(repository: Path, name: str) -> dict[str, int]:
    """The published versions of a pipeline by the sha256 of their manifests, in order. Raises OSError."""
    folder = repository / name
    versions = published_versions(repository, name)
    return {sha256_of(folder / str(version) / MANIFEST_FILE): version for version in versions}


def manifest_of(repository: Path, name: str, version: int) -> Manifest:
    """Return the manifest of a published version.

    Raises:
        NotThere: there is no such version.
        Damaged: it is no manifest of this release.
    """
    file = repository / name / str(version) / MANIFEST_FILE
    try:
        return read_manifest(file)
    except FileNotFoundError as error:
        raise NotThere(f"{repository} has no version {version} of {name}: {file} is missing") from error


def stated_manifest(repository: Path, name: str, version: int) -> dict[str, Any]:
    """What the manifest of a published version says, by key, of whatever release it is.

    Raises:
        NotThere: there is no such version.
        Damaged: it is no JSON object.
    """
    file = repository / name / str(version) / MANIFEST_FILE
    try:
        stated = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise NotThere(f"{repository} has no version {version} of {name}: {file} is missing") from error
    except ValueError as error:
        raise Damaged(f"{file} is no manifest: {error}; export the pipeline again") from error
    if not isinstance(stated, dict):
        raise Damaged(f"{file} is no manifest: it holds a {type(stated).__name__}; export the pipeline again")
    return stated


def active_config(repository: Path, name: str) -> pb.ModelConfig | None:
    """Return the configuration with which a model is served; None where it has none. Raises Damaged."""
    try:
        return read_config(repository / name / CONFIG_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None


def active_version(repository: Path, name: str) -> int | None:
    """Return the version of a pipeline that is served, now or by the next start; None where there is none.

    Raises:
        Damaged: its config.pbtxt does not name exactly one version.
    """
    config = active_config(repository, name)
    return None if config is None else only_version(config)


def only_version(config: pb.ModelConfig) -> int:
    """Return the version that the ensemble of a pipeline pins. Raises Damaged: it pins none or several."""
    versions = pinned_versions(config)
    if len(versions) != 1:
        raise Damaged(f"pipeline {config.name} must pin one version in its version_policy, it pins {versions}")
    return versions[0]


def version_config(repository: Path, model: str, version: int) -> pb.ModelConfig:
    """Return the configuration that a model was published with in this version.

    Raises:
        NotThere: there is none.
        Damaged: it is no configuration.
    """
    file = repository / model / str(version) / CONFIG_FILE
    try:
        return read_config(file)
    except FileNotFoundError as error:
        raise NotThere(f"{model} has no version {version} that can be served: {file} is missing") from error


def certified_manifest(repository: Path, config: pb.ModelConfig) -> Manifest:
    """Return the manifest of the version that an ensemble names, once all its files were seen to be the certified ones.

    Raises:
        Damaged: one is not, or `config` is no pipeline.
        OSError: a file cannot be read.
    """
    if not is_pipeline(config):
        raise Damaged(f"{repository / config.name} is no pipeline of encserve")
    file = repository / config.name / str(only_version(config)) / MANIFEST_FILE
    _check(file, certificate_of(config))
    manifest = read_manifest(file)
    check_files(repository, manifest.files)
    return manifest


def check_files(repository: Path, files: Mapping[str, str]) -> None:
    """Compare files with their sha256, by path within the repository. Raises Damaged, OSError."""
    for relative, sha256 in files.items():
        parts = PurePosixPath(relative)
        if parts.is_absolute() or ".." in parts.parts:  # a link may lead elsewhere: what it leads to is hashed
            raise Damaged(f"a manifest in {repository} lists {relative!r}, which is outside the repository")
        _check(repository / parts, sha256)


def _check(file: Path, expected: str) -> None:
    if not file.is_file():
        raise Damaged(f"{file} is missing (expected sha256 {expected}): export the pipeline again")
    found = sha256_of(file)
    if found != expected:
        raise Damaged(
            f"{file} is not the certified file: expected sha256 {expected}, found {found}: export the pipeline again"
        )
