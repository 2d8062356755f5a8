"""Triton's tensorrt backend: how the plan of an encode step is run and warmed up."""

from __future__ import annotations

from tritonclient.grpc import model_config_pb2 as pb

from .backend_queue import add_queue
from .manifest import Manifest
from .onnxruntime_backend import add_warmup


def tensorrt_config(manifest: Manifest) -> pb.ModelConfig:
    """What the backend needs beside the tensors."""
    config = pb.ModelConfig(backend="tensorrt")
    config.instance_group.add(count=1, kind=pb.ModelInstanceGroup.KIND_GPU, profile=["0"])
    add_queue(config)
    add_warmup(config, manifest)
    return config
