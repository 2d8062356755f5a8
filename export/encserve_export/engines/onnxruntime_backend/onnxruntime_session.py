"""A graph in ONNX Runtime as Triton's onnxruntime backend opens it: with its session and run options, by the step's own
configuration (`src/onnxruntime.cc` of the backend, 24.10 to 26.06)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.engines.served_encoder import Network, Tensors

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
SHRINKAGE = "memory.enable_memory_arena_shrinkage"


def open_session(graph: Path, config: pb.ModelConfig) -> onnxruntime.InferenceSession:
    """Load `graph` as the backend does for an instance of `config`, on the first GPU where its instances are for GPUs.

    Raises:
        RuntimeError: it runs on the CPU alone, which ONNX Runtime falls back to and which would certify another thing.
    """
    providers = providers_of(config)
    session = onnxruntime.InferenceSession(graph, session_options(config), providers=providers)
    if len(providers) > 1:
        session.disable_fallback()  # also while it runs
        if CUDA not in session.get_providers():
            raise RuntimeError("it fell back to the CPU; what ONNX Runtime wrote above says why")
    return session


def network_of(session: onnxruntime.InferenceSession, config: pb.ModelConfig) -> Network:
    """What runs a batch, as the backend does: all outputs are computed, whichever were asked for."""
    options = onnxruntime.RunOptions()
    if shrinkage := _parameters(config).get(SHRINKAGE, ""):
        options.add_run_config_entry(SHRINKAGE, shrinkage)

    def run(pack: Tensors, outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        given = dict(zip((each.name for each in session.get_outputs()), session.run(None, pack, options), strict=True))
        return [given[output] for output in outputs]

    return run


def session_options(config: pb.ModelConfig) -> onnxruntime.SessionOptions:
    """Those that the backend sets. It takes every optimization of graphs, and leaves the number of threads to ONNX
    Runtime, which takes one for each core."""
    stated = _parameters(config)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(stated.get("intra_op_thread_count", 0))
    options.inter_op_num_threads = int(stated.get("inter_op_thread_count", 0))
    options.enable_cpu_mem_arena = _flag(stated.get("enable_mem_arena", "1"))
    options.enable_mem_pattern = _flag(stated.get("enable_mem_pattern", "1"))
    return options


def providers_of(config: pb.ModelConfig) -> list[Any]:
    """The providers that the backend appends, with their options, before that of the CPU."""
    if any(group.kind != pb.ModelInstanceGroup.KIND_GPU for group in config.instance_group):
        return [CPU]
    options = {
        name: value
        for accelerator in config.optimization.execution_accelerators.gpu_execution_accelerator
        for name, value in accelerator.parameters.items()
    }
    # What follows is read from the model's parameters alone, and overwrites what stands elsewhere.
    strategy = (
        config.parameters["arena_extend_strategy"].string_value if "arena_extend_strategy" in config.parameters else "0"
    )
    options["arena_extend_strategy"] = ("kNextPowerOfTwo", "kSameAsRequested")[int(strategy)]
    options["cudnn_conv_algo_search"] = "EXHAUSTIVE"
    options["do_copy_in_default_stream"] = "1"
    return [(CUDA, options), CPU]


def _parameters(config: pb.ModelConfig) -> dict[str, str]:
    return {name: value.string_value for name, value in config.parameters.items()}


def _flag(text: str) -> bool:
    return text.lower() in ("1", "true")
