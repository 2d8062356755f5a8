"""The files of a cascade step, and Triton's configuration of it and of its pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from encserve import Cascade
from encserve._pipeline import CASCADE_KEY
from encserve_export.checkpoint.tasks.table import task_of
from encserve_export.engines.step_sources import copy_sources, sources_of
from encserve_export.publication.steps import QUEUE, write_settings
from encserve_export.publication.triton_config import (
    REQUESTS_AROUND,
    card,
    python_backend,
    step_of,
    tensor_in,
    tensor_out,
)
from encserve_repository.config_text import pin_versions
from encserve_repository.manifest import Manifest
from encserve_server.steps.encode.host.requirements import HostRequirements

from .fitting import FittedCascade
from .members import TASK, MemberPipeline, common_limits, common_options

REQUIREMENTS = asdict(HostRequirements(backend="python"))
DECISION = "decision"
"""The output that says who decided about a text."""


def write_step(small: MemberPipeline, large: MemberPipeline, fitted: FittedCascade, folder: Path) -> None:
    """Write all that the step of a version is made of into its folder."""
    task = task_of(TASK, pairs=small.manifest.pairs)
    copy_sources(sources_of("cascade"), folder)
    write_settings(
        folder,
        {
            "inputs": list(task.inputs),
            "outputs": [*task.answers, *task.counts],
            "options": common_options(small, large),
            "limits": common_limits(small, large),
            "queue": QUEUE,
            "labels": small.manifest.labels,
            "small": small.stated(),
            "large": large.stated(),
            "threshold": fitted.threshold.threshold,
            "review_threshold": fitted.review.threshold if fitted.review else None,
        },
    )


def configs_of(certified: Sequence[tuple[Manifest, str]]) -> dict[str, pb.ModelConfig]:
    """The configurations of cascades, each with its certificate, by model name, the ensembles last."""
    configs = {}
    for manifest, _ in certified:
        step = python_backend(inputs=_inputs(manifest), outputs=_outputs(manifest))
        step.name = f"{manifest.name}_cascade"
        step.max_batch_size = REQUESTS_AROUND
        step.dynamic_batching.SetInParent()
        pin_versions(step, [manifest.version])
        configs[step.name] = step
    return configs | {manifest.name: _pipeline(manifest, certificate) for manifest, certificate in certified}


def _pipeline(manifest: Manifest, certificate: str) -> pb.ModelConfig:
    inputs, outputs = _inputs(manifest), _outputs(manifest)
    step = step_of(
        f"{manifest.name}_cascade", manifest.version, [each.name for each in inputs], [each.name for each in outputs]
    )
    config = pb.ModelConfig(
        name=manifest.name,
        platform="ensemble",
        max_batch_size=REQUESTS_AROUND,
        input=[pb.ModelInput(name=each.name, data_type=each.data_type, dims=[-1]) for each in inputs],
        output=outputs,
        ensemble_scheduling=pb.ModelEnsembling(step=[step]),
    )
    pin_versions(config, [manifest.version])
    for key, value in card(manifest, certificate).items():
        config.parameters[key].string_value = value
    config.parameters[CASCADE_KEY].string_value = _stated(manifest.cascade).to_text()
    return config


def _stated(cascade: dict[str, Any]) -> Cascade:
    fitted = cascade["fitted"]
    return Cascade(
        small=cascade["small"]["model"],
        small_version=str(cascade["small"]["version"]),
        large=cascade["large"]["model"],
        large_version=str(cascade["large"]["version"]),
        threshold=fitted["threshold"]["threshold"],
        review_threshold=fitted["review"]["threshold"] if fitted["review"] else None,
        agreement=cascade["agreement"],
        confidence=cascade["confidence"],
        escalated=fitted["escalated"],
    )


def _inputs(manifest: Manifest) -> list[pb.ModelInput]:
    task = task_of(TASK, pairs=manifest.pairs)
    return [tensor_in(task, name) for name in task.inputs]


def _outputs(manifest: Manifest) -> list[pb.ModelOutput]:
    task = task_of(TASK, pairs=manifest.pairs)
    decision = pb.ModelOutput(name=DECISION, data_type=pb.TYPE_STRING, dims=[-1])
    return [*(tensor_out(task, name) for name in (*task.answers, *task.counts)), decision]
