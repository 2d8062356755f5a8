"""Triton's configuration of a pipeline's four models, built as protobuf messages and written as text.

Each step pins one version, and the ensemble pins the version of each step: the ensemble's config.pbtxt alone decides
what is served.
"""

from __future__ import annotations

from collections.abc import Sequence

from tritonclient.grpc import model_config_pb2 as pb

from encserve import PipelineInfo
from encserve._pipeline import CONTRACT_VERSION
from encserve_export.checkpoint.tasks.table import stated_task_of
from encserve_export.checkpoint.tasks.task import (
    BYTES,
    FP32,
    INT8,
    INT32,
    INT64,
    UINT8,
    GraphOutput,
    Task,
    graph_outputs,
)
from encserve_export.engines.table import engine_of
from encserve_repository.config_text import pin_versions
from encserve_repository.layout import encode_model
from encserve_repository.manifest import Manifest
from encserve_server.steps.encode.host.requirements import HostRequirements
from encserve_server.steps.request.arrival import ARRIVED_NS

from .steps import head_inputs, tokenize_outputs

TYPES = {
    BYTES: pb.TYPE_STRING,
    FP32: pb.TYPE_FP32,
    INT8: pb.TYPE_INT8,
    INT32: pb.TYPE_INT32,
    INT64: pb.TYPE_INT64,
    UINT8: pb.TYPE_UINT8,
}
REQUESTS_AROUND = 64
"""Requests of a batch of the steps around the encode step. Versions of a pipeline share
their configuration, whatever engine each has."""


def shared_configs(certified: Sequence[tuple[Manifest, str]]) -> dict[str, pb.ModelConfig]:
    """The configurations of pipelines, each with its certificate, that share the encode step of the first: by model
    name, the ensembles last."""
    manifests = [manifest for manifest, _ in certified]
    first = manifests[0]
    steps = {}
    for manifest in manifests:
        steps[f"{manifest.name}_tokenize"] = _tokenize(manifest)
        if manifest is first:
            steps[encode_model(manifest.name, manifest.engine)] = _encode(manifests)
        steps[f"{manifest.name}_head"] = _head(manifest)
    for name, config in steps.items():
        config.name = name
        config.max_batch_size = config.max_batch_size or REQUESTS_AROUND
        config.dynamic_batching.SetInParent()
        pin_versions(config, [first.version])
    return steps | {manifest.name: _ensemble(manifest, certificate) for manifest, certificate in certified}


def _tokenize(manifest: Manifest) -> pb.ModelConfig:
    task = _task(manifest)
    return python_backend(
        inputs=[tensor_in(task, name) for name in task.inputs],
        outputs=[tensor_out(task, name) for name in _tokenized(manifest)],
    )


def _encode(manifests: Sequence[Manifest]) -> pb.ModelConfig:
    """The tensors, and what the engine needs beside them. A backend that hands the graph one row for the whole batch
    gives each request as many rows back as the input that an output `follows` has elements."""
    first = manifests[0]
    tensors = pb.ModelConfig(
        input=[tensor_in(_task(first), name) for name in first.graph_inputs],
        output=[
            pb.ModelOutput(name=name, data_type=pb.TYPE_FP32, dims=[-1, _columns(manifest, output)])
            for manifest in manifests
            for name, output in _graph_outputs(manifest).items()
        ],
        batch_output=[
            pb.BatchOutput(
                target_name=[name],
                kind=pb.BatchOutput.BATCH_SCATTER_WITH_INPUT_SHAPE,
                source_input=[output.follows],
            )
            for manifest in manifests
            for name, output in _graph_outputs(manifest).items()
        ],
    )
    return engine_of(first).config(first, tensors)


def _head(manifest: Manifest) -> pb.ModelConfig:
    task = _task(manifest)
    encoded = [
        pb.ModelInput(
            name=output.name, data_type=pb.TYPE_FP32, dims=[-1, _columns(manifest, output)], allow_ragged_batch=True
        )
        for output in task.outputs
    ]
    return python_backend(
        inputs=[*encoded, *(tensor_in(task, name) for name in (*task.head_inputs, ARRIVED_NS))],
        outputs=[tensor_out(task, name) for name in task.answers],
    )


def _ensemble(manifest: Manifest, certificate: str) -> pb.ModelConfig:
    """A linear chain: the head waits for what the encode step gives, whatever else it takes."""
    name, task = manifest.name, _task(manifest)
    encode = encode_model(manifest.body or name, manifest.engine)
    steps = [
        step_of(f"{name}_tokenize", manifest.version, task.inputs, _tokenized(manifest)),
        step_of(encode, manifest.version, manifest.graph_inputs, []),
        step_of(f"{name}_head", manifest.version, (*head_inputs(task), ARRIVED_NS), task.answers),
    ]
    for graph_name, output in _graph_outputs(manifest).items():
        steps[1].output_map[graph_name] = output.name
    config = pb.ModelConfig(
        name=name,
        platform="ensemble",
        max_batch_size=engine_of(manifest).requests_per_batch(manifest),
        input=[pb.ModelInput(name=name, data_type=pb.TYPE_STRING, dims=[-1]) for name in task.inputs],
        output=[tensor_out(task, name) for name in (*task.answers, *task.counts)],
        ensemble_scheduling=pb.ModelEnsembling(step=steps),
    )
    pin_versions(config, [manifest.version])
    for key, value in card(manifest, certificate).items():
        config.parameters[key].string_value = value
    return config


def card(manifest: Manifest, certificate: str) -> dict[str, str]:
    """What a client needs to know of a pipeline, which it reads with Triton's ModelConfig call."""
    assert manifest.contract_version == int(CONTRACT_VERSION), "the exporter writes the contract that the SDK reads"
    info = PipelineInfo(
        name=manifest.name,
        version=str(manifest.version),
        task=manifest.task,
        precision=manifest.precision,
        engine=manifest.engine,
        dimensions=manifest.dimensions,
        pairs=manifest.pairs,
        labels=tuple(manifest.labels),
        mask_token=manifest.mask_token,
        **manifest.limits,
        prompt_names=tuple(sorted(manifest.prompts)),
        adapters=tuple(manifest.adapters),
        added_tokens=manifest.added_tokens,
        requirements=HostRequirements.of({"requirements": manifest.requirements}).in_words(),
        option_defaults=manifest.option_defaults,
        certificate=certificate,
        relaxed=tuple(manifest.parity.get("relaxed", ())),
        candidate=None,  # which a repository states of the active version
        cascade=None,  # which has its own configuration
    )
    return info.to_parameters()


def _tokenized(manifest: Manifest) -> tuple[str, ...]:
    """What the tokenize step gives: the tokens, and when the request came."""
    return (*tokenize_outputs(_task(manifest), manifest.graph_inputs), ARRIVED_NS)


def python_backend(*, inputs: list[pb.ModelInput], outputs: list[pb.ModelOutput]) -> pb.ModelConfig:
    """A step in Triton's Python backend, in one process."""
    instances = [pb.ModelInstanceGroup(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)]
    return pb.ModelConfig(backend="python", input=inputs, output=outputs, instance_group=instances)


def tensor_in(task: Task, name: str) -> pb.ModelInput:
    """An input of a step or an ensemble, by the type and the dimensions that the task gives the tensor."""
    kind, dims = task.tensor(name)
    return pb.ModelInput(name=name, data_type=TYPES[kind], dims=[-1] * dims, allow_ragged_batch=True)


def tensor_out(task: Task, name: str) -> pb.ModelOutput:
    """An output, likewise."""
    kind, dims = task.tensor(name)
    return pb.ModelOutput(name=name, data_type=TYPES[kind], dims=[-1] * dims)


def _graph_outputs(manifest: Manifest) -> dict[str, GraphOutput]:
    return graph_outputs(_task(manifest), manifest.head)


def _columns(manifest: Manifest, output: GraphOutput) -> int:
    return manifest.columns.get(output.name, manifest.dimensions)


def _task(manifest: Manifest) -> Task:
    return stated_task_of(vars(manifest))


def step_of(model: str, version: int, inputs: Sequence[str], outputs: Sequence[str]) -> pb.ModelEnsembling.Step:
    """A step whose tensors keep their names in the ensemble."""
    return pb.ModelEnsembling.Step(
        model_name=model,
        model_version=version,
        input_map={name: name for name in inputs},
        output_map={name: name for name in outputs},
    )
