"""A TensorRT plan out of an ONNX graph. It runs on the GPU architecture and with the TensorRT that built it alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from encserve_export.errors import UnsupportedHost
from encserve_export.network.graph_file import graph_digests
from encserve_repository import durable
from encserve_repository.manifest import sha256_of
from encserve_repository.work_folder import TIMINGS

from .profile import Profile

PLAN_FILE = "model.plan"
OLDEST = (10, 12)
"""The first TensorRT in which a network can be typed strongly from end to end; 11 has no other."""
_WORKSPACE_SHARE = 4
"""A kernel may take one such part of the GPU's memory for its intermediate results, while a plan is built and when it
runs; without a limit it could be all that is free at that moment."""
_WHERE = "run it inside NVIDIA's Triton image that will serve the plan, with its GPU"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a plan is built for, and with."""

    tensorrt: Any
    """TensorRT's Python module."""
    version: str
    """Of TensorRT, such as "10.13.3.9"."""
    gpu: str
    """Name of the GPU."""
    architecture: str
    """Of the GPU, such as "sm_90"."""
    memory_bytes: int
    """Of the GPU."""


def find_target() -> Target:
    """The GPU and the TensorRT of this host.

    Raises:
        UnsupportedHost: one of them is missing, or TensorRT is too old, or not the one that Triton has here.
    """
    import torch

    if not torch.cuda.is_available():
        raise UnsupportedHost(
            "--engine tensorrt builds a plan on the GPU that will run it, and there is none that PyTorch "
            f"{torch.__version__} can use: {_WHERE}, or use --engine onnxruntime, whose graphs are made anywhere"
        )
    try:
        tensorrt: Any = import_module("tensorrt")
    except ImportError as error:
        raise UnsupportedHost(
            f"--engine tensorrt needs TensorRT's Python module ({error}): {_WHERE}, where `pip install tensorrt=="
            "VERSION` brings it; VERSION is that of the image, the beginning of $TRT_VERSION"
        ) from error
    version = str(tensorrt.__version__)
    numbers = [int(part) for part in version.split(".")[:2]]
    if tuple(numbers) < OLDEST:
        raise UnsupportedHost(
            f"TensorRT {version} is too old: {OLDEST[0]}.{OLDEST[1]} is the first that types "
            "networks strongly, so that a precision is what the graph says"
        )
    in_image = os.environ.get("TRT_VERSION", "").partition("+")[0]
    if in_image and any(a != b for a, b in zip(in_image.split("."), version.split("."), strict=False)):
        raise UnsupportedHost(
            f"TensorRT's Python module is {version} and this image's Triton has {in_image}, which would refuse the "
            f"plan: pip install tensorrt=={in_image}"
        )
    major, minor = torch.cuda.get_device_capability(0)
    return Target(
        tensorrt=tensorrt,
        version=version,
        gpu=torch.cuda.get_device_name(0),
        architecture=f"sm_{major}{minor}",
        memory_bytes=torch.cuda.get_device_properties(0).total_memory,
    )


def build_plan(target: Target, graph: Path, plan: Path, profile: Profile, timing: Path) -> dict[str, Any]:
    """Build `graph` into the file `plan`; returns what the manifest says of it.

    What TensorRT measures of its kernels is read from the folder `timing` and written back, so that the next plan for
    this GPU takes less time.

    Raises:
        UnsupportedHost: TensorRT refuses the graph, or cannot build it; the message has its words.
    """
    trt = target.tensorrt
    log = _log_of(trt)
    builder = trt.Builder(log)
    # TensorRT 11 types every network strongly and ignores the flag.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        said = "; ".join(f"{error.node_operator()} {error.node_name()}: {error.desc()}" for error in errors)
        raise UnsupportedHost(f"TensorRT {target.version} cannot take the graph: {said or log.said()}")

    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # FP32 is what was certified, and TF32 keeps 10 bits of 23
    shapes = builder.create_optimization_profile()
    for name, (smallest, usual, largest) in profile.items():
        shapes.set_shape(name, smallest, usual, largest)
    if config.add_optimization_profile(shapes) < 0:
        raise UnsupportedHost(f"TensorRT {target.version} does not take the optimization profile: {log.said()}")
    workspace = target.memory_bytes // _WORKSPACE_SHARE
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    timing_cache = timing / f"{TIMINGS}{target.version}-{target.architecture}.timing"
    _take_timings(config, timing_cache)

    built = builder.build_serialized_network(network, config)
    if built is None:
        raise UnsupportedHost(f"TensorRT {target.version} cannot build a plan on {target.gpu}: {log.said()}")
    runtime = trt.Runtime(log)  # lives as long as its engine
    engine = runtime.deserialize_cuda_engine(built)
    if engine is None:
        raise UnsupportedHost(f"TensorRT {target.version} cannot load its plan on {target.gpu}: {log.said()}")
    plan.write_bytes(built)
    measured = config.get_timing_cache()
    if measured is not None:
        written = timing_cache.with_name(f"{timing_cache.name}.new")
        durable.write_file(written, bytes(measured.serialize()))
        durable.move(written, timing_cache)
    return {
        "tensorrt_version": target.version,
        "gpu_architecture": target.architecture,
        "gpu": target.gpu,
        "sha256": sha256_of(plan),
        "graph_sha256": graph_digests(graph),
        "profile": {name: dict(zip(("min", "opt", "max"), sizes, strict=True)) for name, sizes in profile.items()},
        "builder_optimization_level": config.builder_optimization_level,
        "workspace_bytes": workspace,
        "device_memory_bytes": int(engine.device_memory_size_v2),  # of the largest batch, beside the weights
        "timing_cache": {"file": timing_cache.name, "sha256": sha256_of(timing_cache)} if measured is not None else {},
    }


def _take_timings(config: Any, file: Path) -> None:
    """Let the builder start from the timings in `file`; from none, where TensorRT does not take those of another GPU of
    its kind, or cannot read them."""
    for known in (file.read_bytes() if file.is_file() else b"", b""):
        cache = config.create_timing_cache(known)
        if cache is not None and config.set_timing_cache(cache, False):
            return


def _log_of(trt: Any) -> Any:
    """TensorRT's log: what it complains of is kept for error messages, and the rest is not shown."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self._errors.append(message)

        def said(self) -> str:
            return "; ".join(self._errors[-3:]) or "it does not say why"

    return Log()
