"""Triton's configuration of a pipeline's four models, built as protobuf messages and written as text.

Each step pins one version, and the ensemble pins the version of each step: the ensemble's config.pbtxt alone decides
what is served.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from .config import STEPS, Engine
from .manifest import Manifest
from .packed_graph import OUTPUT

MAX_REQUESTS_PER_BATCH = {Engine.PYTHON: 64, Engine.ONNXRUNTIME: 16}
"""max_batch_size by engine. The C++ backend runs a batch as one pack, so its batches stay smaller."""


def pipeline_configs(manifest: Manifest, certificate: str) -> dict[str, pb.ModelConfig]:
    """The configurations by model name: the three steps, and the ensemble last."""
    build = {"tokenize": _tokenize, "encode": _encode, "head": _head}
    steps = {f"{manifest.name}_{step}": build[step](manifest) for step in STEPS}
    for name, config in steps.items():
        config.name = name
        config.max_batch_size = MAX_REQUESTS_PER_BATCH[manifest.engine]
        config.dynamic_batching.SetInParent()
        pin_versions(config, [manifest.version])
    return {**steps, manifest.name: _ensemble(manifest, certificate)}


def to_text(config: pb.ModelConfig) -> str:
    """The text of a config.pbtxt."""
    return str(text_format.MessageToString(config))


def from_text(text: str) -> pb.ModelConfig:
    """Parse a config.pbtxt. Raises google.protobuf.text_format.ParseError."""
    return text_format.Parse(text, pb.ModelConfig())


def pin_versions(config: pb.ModelConfig, versions: Sequence[int]) -> None:
    """Let Triton load exactly `versions` of a model."""
    config.version_policy.specific.ClearField("versions")
    config.version_policy.specific.versions.extend(sorted(versions))


def _tokenize(manifest: Manifest) -> pb.ModelConfig:
    return _python_backend(
        inputs=[_tensor_in("text", pb.TYPE_STRING, -1)],
        outputs=[
            _tensor_out("input_ids", pb.TYPE_INT64, -1),
            _tensor_out("lengths", pb.TYPE_INT64, -1),
            _tensor_out("token_count", pb.TYPE_INT32, -1),
            _tensor_out("dropped_count", pb.TYPE_INT32, -1),
        ],
    )


def _encode(manifest: Manifest) -> pb.ModelConfig:
    inputs = [_tensor_in("input_ids", pb.TYPE_INT64, -1), _tensor_in("lengths", pb.TYPE_INT64, -1)]
    outputs = [_tensor_out(OUTPUT, pb.TYPE_FP32, -1, manifest.dimensions)]
    if manifest.engine is Engine.PYTHON:
        return _python_backend(inputs=inputs, outputs=outputs)
    # The backend hands the graph one row for the whole batch, and gives each request as many rows back as it has
    # lengths.
    scatter = pb.BatchOutput(
        target_name=[OUTPUT], kind=pb.BatchOutput.BATCH_SCATTER_WITH_INPUT_SHAPE, source_input=["lengths"]
    )
    return pb.ModelConfig(backend="onnxruntime", input=inputs, output=outputs, batch_output=[scatter])


def _head(manifest: Manifest) -> pb.ModelConfig:
    return _python_backend(
        inputs=[_tensor_in(OUTPUT, pb.TYPE_FP32, -1, manifest.dimensions)],
        outputs=[_tensor_out("embedding", pb.TYPE_FP32, -1, -1)],
    )


def _ensemble(manifest: Manifest, certificate: str) -> pb.ModelConfig:
    name = manifest.name
    steps = [
        _step(f"{name}_tokenize", manifest.version, ["text"], ["input_ids", "lengths", "token_count", "dropped_count"]),
        _step(f"{name}_encode", manifest.version, ["input_ids", "lengths"], [OUTPUT]),
        _step(f"{name}_head", manifest.version, [OUTPUT], ["embedding"]),
    ]
    config = pb.ModelConfig(
        name=name,
        platform="ensemble",
        max_batch_size=MAX_REQUESTS_PER_BATCH[manifest.engine],
        input=[pb.ModelInput(name="text", data_type=pb.TYPE_STRING, dims=[-1])],
        output=[
            _tensor_out("embedding", pb.TYPE_FP32, -1, -1),
            _tensor_out("token_count", pb.TYPE_INT32, -1),
            _tensor_out("dropped_count", pb.TYPE_INT32, -1),
        ],
        ensemble_scheduling=pb.ModelEnsembling(step=steps),
    )
    pin_versions(config, [manifest.version])
    for key, value in _card(manifest, certificate).items():
        config.parameters[key].string_value = value
    return config


def _card(manifest: Manifest, certificate: str) -> dict[str, str]:
    """What a client needs to know of a pipeline: it reads these with Triton's ModelConfig call."""
    return {
        "encserve_contract": str(manifest.contract_version),
        "task": manifest.task,
        "precision": manifest.precision.value,
        "engine": manifest.engine.value,
        "dimensions": str(manifest.dimensions),
        **{name: str(value) for name, value in manifest.limits.items()},
        "prompt_names": json.dumps(sorted(manifest.prompts)),
        "option_defaults": json.dumps(manifest.option_defaults),
        "certificate": certificate,
    }


def _python_backend(*, inputs: list[pb.ModelInput], outputs: list[pb.ModelOutput]) -> pb.ModelConfig:
    instances = [pb.ModelInstanceGroup(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)]
    return pb.ModelConfig(backend="python", input=inputs, output=outputs, instance_group=instances)


def _tensor_in(name: str, data_type: int, *dims: int) -> pb.ModelInput:
    return pb.ModelInput(name=name, data_type=data_type, dims=dims, allow_ragged_batch=True)


def _tensor_out(name: str, data_type: int, *dims: int) -> pb.ModelOutput:
    return pb.ModelOutput(name=name, data_type=data_type, dims=dims)


def _step(model: str, version: int, inputs: list[str], outputs: list[str]) -> pb.ModelEnsembling.Step:
    """A step whose tensors keep their names in the ensemble."""
    return pb.ModelEnsembling.Step(
        model_name=model,
        model_version=version,
        input_map={name: name for name in inputs},
        output_map={name: name for name in outputs},
    )
