"""Triton's C++ onnxruntime backend: where the encode step runs, how its memory stays bounded, how it is warmed up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tritonclient.grpc import model_config_pb2 as pb

from .backend_queue import add_queue
from .config import Device, Precision
from .manifest import Manifest

WARMUP_FOLDER = "warmup"
_WARMUP_TOKENS = 8_192
"""Of the largest sample."""
_KINDS = {
    None: pb.ModelInstanceGroup.KIND_AUTO,  # a GPU where there is one
    Device.GPU: pb.ModelInstanceGroup.KIND_GPU,
    Device.CPU: pb.ModelInstanceGroup.KIND_CPU,
}


def onnxruntime_config(manifest: Manifest) -> pb.ModelConfig:
    """What the backend needs beside the tensors."""
    config = pb.ModelConfig(backend="onnxruntime")
    config.instance_group.add(count=1, kind=_KINDS[manifest.device])
    # A memory pattern is kept for every shape that was seen, and a pack hardly ever has the shape of another.
    config.parameters["enable_mem_pattern"].string_value = "0"
    if manifest.device is Device.CPU:
        # The arena gives back after each batch what it does not need for the next. On a GPU that would cost a
        # synchronisation each time; there it grows by what is asked for, up to the largest batch that limits allow.
        config.parameters["memory.enable_memory_arena_shrinkage"].string_value = "cpu:0"
    else:
        cuda = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="cuda")
        for name, value in cuda_options(manifest.precision).items():
            cuda.parameters[name] = value
    add_queue(config)
    add_warmup(config, manifest)
    return config


def cuda_options(precision: Precision) -> dict[str, str]:
    """What ONNX Runtime's CUDA provider is told."""
    options = {
        "arena_extend_strategy": "kSameAsRequested",  # the default doubles
        "use_tf32": "0",  # the certificate is of FP32, and TF32 keeps 10 bits of 23
    }
    if precision in (Precision.FP16, Precision.INT8):
        options["enable_skip_layer_norm_strict_mode"] = "1"  # norms add up in FP32, as was certified
    return options


def add_warmup(config: pb.ModelConfig, manifest: Manifest) -> None:
    """Name the requests that come before those of callers; `warmup_files` has what they read."""
    for lengths in warmup_lengths(manifest.limits):
        config.model_warmup.append(_warmup(manifest, lengths))


def warmup_lengths(limits: Mapping[str, int]) -> list[list[int]]:
    """Lengths of the texts of each sample: one short, one middling and one long text, and many long ones."""
    max_length = limits["max_length"]
    singles = sorted({min(16, max_length), min(64, max_length), max_length})
    many = min(16, limits["max_texts_per_request"], _WARMUP_TOKENS // max_length)
    return [*([length] for length in singles), *([[max_length] * many] if many > 1 else [])]


def warmup_files(manifest: Manifest) -> dict[str, bytes]:
    """The files that the samples read, by name within the model's folder `warmup`: lengths, int64."""
    samples = warmup_lengths(manifest.limits)
    return {_file_of(lengths): np.array(lengths, "<i8").tobytes() for lengths in samples}


def _file_of(lengths: list[int]) -> str:
    return f"lengths_{len(lengths)}x{lengths[0]}"


def _warmup(manifest: Manifest, lengths: list[int]) -> pb.ModelWarmup:
    sample = pb.ModelWarmup(name=f"{len(lengths)} texts of {lengths[0]} tokens", batch_size=1)
    for name in manifest.graph_inputs:
        tensor = sample.inputs[name]
        tensor.data_type = pb.TYPE_INT64
        if name == "lengths":
            tensor.dims.append(len(lengths))
            tensor.input_data_file = _file_of(lengths)
        else:
            tensor.dims.append(len(lengths) if name == "mask_at" else sum(lengths))
            tensor.zero_data = True  # token 0 is in every vocabulary
    return sample
