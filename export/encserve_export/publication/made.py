"""The pipelines as they were made, and what their manifests say of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.source import weights_digest
from encserve_export.config import ExportConfig
from encserve_export.engines.ways import Way
from encserve_export.network.packed_graph import OPSET
from encserve_repository.manifest import Manifest, sha256_of
from encserve_repository.publication.staging import StagedVersion
from encserve_server.steps.tokenize.limits import Limits

from .request_options import options_of
from .tools import tool_versions


@dataclass(frozen=True, kw_only=True)
class Made:
    """The pipelines as they were made, and what was measured of them."""

    way: Way
    how: dict[str, Any]
    plan: dict[str, Any]
    calibration: dict[str, Any]
    memory: dict[str, int]
    parities: list[dict[str, Any]]
    """In the order of the pipelines."""
    speed: dict[str, Any]
    """Of the ways that were tried, side by side on this host; empty where it cannot be measured here."""

    @classmethod
    def not_yet(cls, way: Way, *, pipelines: int) -> Made:
        """Return pipelines that will be made in one way, of which nothing is known but that."""
        return cls(way=way, how={}, plan={}, calibration={}, memory={}, parities=[{}] * pipelines, speed={})


@dataclass(frozen=True)
class Certified:
    """One pipeline of those that were made."""

    name: str
    head: str
    """Which head of the encode step it uses; empty for the first or only one."""
    checkpoint: Checkpoint
    limits: Limits
    parity: dict[str, Any]
    """What was measured of it."""


def manifest_of(config: ExportConfig, staged: StagedVersion, made: Made, pipeline: Certified) -> Manifest:
    """The certificate of a pipeline, which the files and their digests will be added to."""
    checkpoint = pipeline.checkpoint
    engine, recipe = made.way.engine, made.way.recipe
    return Manifest(
        name=pipeline.name,
        version=staged.version,
        head=pipeline.head,
        body=config.name if pipeline.head else "",
        task=checkpoint.task.name,
        precision=made.way.precision.value,
        engine=str(engine.name),
        device=engine.device.value if engine.device else None,
        runtime={"name": engine.runtime.value, "hints": dict(recipe.hints)} if engine.runtime else {},
        requirements=asdict(engine.requirements(made.way.precision, made.plan)),
        made=made.how,
        plan=made.plan,
        memory=made.memory,
        calibration=made.calibration,
        checkpoint={
            "source": checkpoint.source,
            "revision": checkpoint.revision,
            **({} if checkpoint.revision else {"weights": weights_digest(checkpoint.original)}),
            **({"code": checkpoint.code} if checkpoint.code else {}),
            **({"base": checkpoint.base.record} if checkpoint.base else {}),
            "licence": checkpoint.licence,
            "architecture": type(checkpoint.model).__name__,
        },
        adapters={adapter.name: adapter.record for adapter in checkpoint.adapters},
        opset=OPSET,
        dimensions=checkpoint.dimensions,
        columns=checkpoint.columns if len(checkpoint.task.outputs) > 1 else {},
        pooling=checkpoint.modules.pooling if checkpoint.task.name == "feature-extraction" else None,
        pairs=checkpoint.task.pairs,
        labels=checkpoint.labels,
        mask_token=checkpoint.tokenizer.mask_token if checkpoint.task.name == "fill-mask" else "",
        mask_id=checkpoint.tokenizer.mask_token_id if "mask_at" in checkpoint.graph_inputs else None,
        graph_inputs=checkpoint.graph_inputs,
        limits=asdict(pipeline.limits),
        token_budget=engine.token_budget(config.token_budget),
        prompts=checkpoint.modules.prompts,
        added_tokens=checkpoint.added_tokens,
        option_defaults={
            name: rule["default"] for name, rule in options_of(checkpoint, calibrated=config.labels is not None).items()
        },
        tokenizer_sha256=sha256_of(staged.step_folders(pipeline.name)["tokenize"] / "tokenizer.json"),
        parity=pipeline.parity,
        speed=made.speed,
        files={},
        tools=tool_versions(*engine.tools),
    )
