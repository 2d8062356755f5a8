"""Certified pipelines to a published version: their manifests and their configurations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.config import ExportConfig
from encserve_export.engines.table import engine_of
from encserve_export.errors import ExportError, PublishError
from encserve_repository.errors import RepositoryError
from encserve_repository.layout import MANIFEST_FILE, STEPS
from encserve_repository.manifest import Manifest
from encserve_repository.publication import staging
from encserve_repository.publication.staging import StagedVersion

from .triton_config import shared_configs

Configs: TypeAlias = Callable[[Sequence[tuple[Manifest, str]]], dict[str, pb.ModelConfig]]
"""Makes the configurations of pipelines, by model, out of their manifests and the digests of these."""


@contextmanager
def staged_version(config: ExportConfig, steps: tuple[str, ...] = STEPS) -> Iterator[StagedVersion]:
    """Reserve the next version of the pipelines of an export, and give a folder to make it in.

    Raises:
        PublishError: the repository cannot be written, something of others is in the way, or another export is running.
        ExportError: another file could not be read or written; in both cases nothing was published.
    """
    with (
        _as_publish_errors(),
        staging.staged_version(config.repository, *config.names, engine=str(config.engine), steps=steps) as staged,
    ):
        yield staged


def check_fits(staged: StagedVersion, manifests: Sequence[Manifest], configs_of: Configs = shared_configs) -> None:
    """Refuse pipelines that could not be published, by what is known of them before they are made. Raises
    PublishError."""
    with _as_publish_errors():
        staging.check_fits(staged.work.repository, configs_of([(manifest, "") for manifest in manifests]))


def publish(
    staged: StagedVersion, manifests: Sequence[Manifest], config: ExportConfig, configs_of: Configs = shared_configs
) -> list[Manifest]:
    """Publish pipelines as their manifests state them, but for the files, whose digests are added here.

    Returns the manifests as they were published. Raises PublishError: and nothing was published, unless it says so.
    """
    with _as_publish_errors():
        steps = configs_of([(manifest, "") for manifest in manifests])
        staged.write_configs({model: steps[model] for model in steps if model not in staged.names})
        published = [replace(manifest, files=staged.digests(manifest.name)) for manifest in manifests]
        certified = []
        for manifest in published:
            text = manifest.to_json()
            (staged.folder(manifest.name) / MANIFEST_FILE).write_text(text, encoding="utf-8")
            certified.append((manifest, hashlib.sha256(text.encode()).hexdigest()))
        if staged.steps == STEPS and (warmup := engine_of(manifests[0]).warmup_files(manifests[0])):
            staged.write_warmup(warmup)
        configs = configs_of(certified)
        staged.write_configs({name: configs[name] for name in staged.names})
        staging.publish(staged, configs, active=config.activate)
    return published


@contextmanager
def _as_publish_errors() -> Iterator[None]:
    try:
        yield
    except RepositoryError as error:
        raise PublishError(str(error)) from error
    except OSError as error:  # of a file that is none of the repository's
        named = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise ExportError(f"{named}; nothing was published") from error
