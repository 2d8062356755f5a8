"""All engines. A new one is a file beside this, and a line in it."""

from __future__ import annotations

from encserve_export.config import Device, Engine, ExportConfig, Runtime
from encserve_export.errors import InvalidConfig
from encserve_repository.manifest import Manifest

from .engine import EncodeEngine
from .onnxruntime_backend.onnxruntime_engine import ONNXRUNTIME_ON_CPU, ONNXRUNTIME_ON_GPU
from .python_backend.python_onnxruntime import ONNXRUNTIME
from .python_backend.python_openvino import OPENVINO
from .tensorrt_backend.tensorrt_engine import TENSORRT

ENGINES: tuple[EncodeEngine, ...] = (ONNXRUNTIME, OPENVINO, ONNXRUNTIME_ON_CPU, ONNXRUNTIME_ON_GPU, TENSORRT)
"""Of several that can do what is asked for the first is taken."""


def engines_like(name: Engine, runtime: Runtime | None = None, device: Device | None = None) -> list[EncodeEngine]:
    """The engines of that name; with a runtime and on a device, where they are given."""
    return [
        engine
        for engine in ENGINES
        if engine.name is name and runtime in (None, engine.runtime) and device in (None, engine.device)
    ]


def engine_for(config: ExportConfig) -> EncodeEngine:
    """The first engine that is asked for. Raises InvalidConfig: none offers what is asked of it."""
    for engine in engines_like(config.engine, config.runtime, config.device):
        if config.precision is None or config.precision in engine.precisions:
            return engine
    raise InvalidConfig(f"--engine {config.engine.value} does not offer what is asked of it")


def engine_of(manifest: Manifest) -> EncodeEngine:
    """The engine of a version."""
    return engine_stated(manifest.engine, manifest.runtime.get("name"), manifest.device)


def engine_stated(name: str, runtime: str | None, device: str | None) -> EncodeEngine:
    """The engine that a manifest names. Raises ValueError: this release has none of that name."""
    (engine,) = engines_like(Engine(name), Runtime(runtime) if runtime else None, Device(device) if device else None)
    return engine
