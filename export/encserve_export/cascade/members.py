"""The two pipelines of a cascade as the repository has them, and what one can ask of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encserve_export.errors import ExportError, Unsupported
from encserve_repository.config_text import certificate_of
from encserve_repository.errors import RepositoryError
from encserve_repository.manifest import Manifest
from encserve_repository.versions import active_config, certified_manifest
from encserve_server.steps.instance.settings import read_settings

TASK = "text-classification"
_NOT_OF_A_CASCADE = ("probabilities", "adapter")
"""Options that would say something else of each of the two pipelines: temperatures are fitted to one, and adapters are
named by it."""


@dataclass(frozen=True, kw_only=True)
class MemberPipeline:
    """The active version of a pipeline."""

    manifest: Manifest
    certificate: str
    """The sha256 of the manifest."""
    options: Mapping[str, dict[str, Any]]
    """The rules of its options, by name."""
    activation: str
    """What its head makes of logits."""

    @property
    def title(self) -> str:
        """Its name and version."""
        return f"{self.manifest.name} {self.manifest.version}"

    def stated(self) -> dict[str, Any]:
        """Return what the cascade's settings and certificate say of it."""
        return {"model": self.manifest.name, "version": self.manifest.version, "certificate": self.certificate}


def read_member(repository: Path, name: str) -> MemberPipeline:
    """Return the active version of a pipeline.

    Raises:
        ExportError: the repository has no such pipeline, or a file of it is not the certified one.
        Unsupported: it is not for classifying texts, or its labels do not share a probability.
    """
    try:
        config = active_config(repository, name)
        if config is None:
            raise ExportError(f"{repository} has no pipeline {name!r}")
        manifest = certified_manifest(repository, config)
    except RepositoryError as error:
        raise ExportError(str(error)) from error
    if manifest.task != TASK:
        raise Unsupported(f"{name} is for {manifest.task}; a cascade is of two pipelines for {TASK}")
    if manifest.cascade:
        raise Unsupported(f"{name} is a cascade itself; one is of two pipelines that have networks")
    head = read_settings(repository / f"{name}_head" / str(manifest.version))
    if head["activation"] != "softmax":
        raise Unsupported(
            f"{name} has scores by {head['activation']}; a cascade needs labels that share a probability (softmax)"
        )
    return MemberPipeline(
        manifest=manifest, certificate=certificate_of(config), options=head["options"], activation=head["activation"]
    )


def check_pair(small: MemberPipeline, large: MemberPipeline) -> None:
    """Refuse two pipelines whose answers are not about the same. Raises Unsupported."""
    if sorted(small.manifest.labels) != sorted(large.manifest.labels):
        raise Unsupported(
            f"{small.title} has the labels {', '.join(small.manifest.labels)}, {large.title} has "
            f"{', '.join(large.manifest.labels)}; a cascade is of two with the same labels"
        )
    if small.manifest.pairs != large.manifest.pairs:
        raise Unsupported(f"one of {small.title} and {large.title} is for pairs of texts, and the other is not")


def common_limits(small: MemberPipeline, large: MemberPipeline) -> dict[str, int]:
    """Return the most that one request may ask of both."""
    return {name: min(most, large.manifest.limits[name]) for name, most in small.manifest.limits.items()}


def common_options(small: MemberPipeline, large: MemberPipeline) -> dict[str, dict[str, Any]]:
    """Return the options that both offer alike; of numbers with bounds, what is within those of both. One with another
    default in each stays what it is in each."""
    return dict(_common(small.options, large.options))


def _common(
    small: Mapping[str, dict[str, Any]], large: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in small.keys() & large.keys() - set(_NOT_OF_A_CASCADE):
        one, other = small[name], large[name]
        if one["kind"] != other["kind"] or one["default"] != other["default"]:
            continue
        if one["kind"] == "whole":
            yield (
                name,
                {
                    **one,
                    "least": max(one["least"], other["least"]),
                    "most": min(one["most"], other["most"]),
                },
            )
        elif one == other:
            yield name, one
