"""All engines. A new one is a file beside this, and a line in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from encserve_export.config import Device, ExportConfig, Precision, Runtime
from encserve_export.errors import InvalidConfig, Unsupported
from encserve_repository.manifest import Manifest

from .engine import EncodeEngine
from .onnxruntime_backend.onnxruntime_engine import ONNXRUNTIME_ON_CPU, ONNXRUNTIME_ON_GPU
from .python_backend.python_onnxruntime import ONNXRUNTIME
from .python_backend.python_openvino import OPENVINO
from .tensorrt_backend.tensorrt_engine import TENSORRT

if TYPE_CHECKING:
    from encserve_export.checkpoint.checkpoint import Checkpoint

ENGINES: tuple[EncodeEngine, ...] = (ONNXRUNTIME, OPENVINO, ONNXRUNTIME_ON_CPU, ONNXRUNTIME_ON_GPU, TENSORRT)
"""Of several that can do what is asked for the first is taken."""


def engines_like(name: str, runtime: Runtime | None = None, device: Device | None = None) -> list[EncodeEngine]:
    """The engines of that name; with a runtime and on a device, where they are given."""
    return [
        engine
        for engine in ENGINES
        if engine.name == name and runtime in (None, engine.runtime) and device in (None, engine.device)
    ]


def engine_for(config: ExportConfig) -> EncodeEngine:
    """The first engine that is asked for. Raises InvalidConfig: none offers what is asked of it."""
    check_asked(config)
    for engine in engines_like(config.engine, config.runtime, config.device):
        if config.precision is None or config.precision in engine.precisions:
            return engine
    raise InvalidConfig(f"--engine {config.engine} does not offer what is asked of it")


def engines_of(config: ExportConfig) -> list[EncodeEngine]:
    """The engine that is asked for, and that of the version which will follow."""
    return [engine_for(config), *(engines_like(config.followed_by)[:1] if config.followed_by else [])]


def engine_of(manifest: Manifest) -> EncodeEngine:
    """The engine of a version."""
    return engine_stated(manifest.engine, manifest.runtime.get("name"), manifest.device)


def engine_stated(name: str, runtime: str | None, device: str | None) -> EncodeEngine:
    """The engine that a manifest names. Raises ValueError: this release has none of that name."""
    (engine,) = engines_like(name, Runtime(runtime) if runtime else None, Device(device) if device else None)
    return engine


def check_asked(config: ExportConfig) -> None:
    """Refuse what the engine that is asked for does not have.

    Raises:
        InvalidConfig: names it, and the engines that have it.
    """
    engines = engines_like(config.engine)
    if not engines:
        raise InvalidConfig(f"--engine {config.engine}: there is none of that name, only {_names(ENGINES)}")
    if config.runtime is not None and not any(engine.runtime for engine in engines):
        having = _names(engine for engine in ENGINES if engine.runtime)
        raise InvalidConfig(
            f"--runtime {config.runtime.value}: only --engine {having} has runtimes, not {config.engine}"
        )
    if config.device is not None and not any(engine.device for engine in engines):
        having = _names(engine for engine in ENGINES if engine.device)
        raise InvalidConfig(
            f"--device {config.device.value} is for --engine {having}; engine {config.engine} has no choice"
        )
    if config.token_budget is not None and engines[0].token_budget(config.token_budget) is None:
        having = _names(engine for engine in ENGINES if engine.token_budget(config.token_budget))
        raise InvalidConfig(
            f"--token-budget {config.token_budget}: engine {config.engine} runs each batch as one pack; only engine "
            f"{having} has micro-batches"
        )
    asked = engines_like(config.engine, config.runtime, config.device)
    if config.precision is Precision.FP16 and not any(config.precision in engine.precisions for engine in asked):
        on = f" --device {config.device.value}" if config.device else ""
        having = _names(engine for engine in ENGINES if config.precision in engine.precisions)
        raise InvalidConfig(
            f"--precision fp16 --engine {config.engine}{on}: a CPU has no arithmetic in fp16, and runs such a graph "
            f"slower than fp32; fp16 is for --engine {having} on a GPU"
        )


def check_heads(config: ExportConfig, checkpoints: Mapping[str, Checkpoint]) -> None:
    """Refuse heads that the engine, or the one that follows, cannot serve beside each other; by name.

    Raises:
        Unsupported: and why.
    """
    longest = {head: checkpoint.max_length for head, checkpoint in checkpoints.items()}
    masks = any("mask_at" in checkpoint.graph_inputs for checkpoint in checkpoints.values())
    if len(checkpoints) > 1:
        for engine in engines_of(config):
            engine.check_heads(longest, masks=masks)


def check_entities(config: ExportConfig, checkpoints: Mapping[str, Checkpoint]) -> None:
    """Refuse entities of labels that a request brings where the engine, or the one that follows, is TensorRT, of which
    nothing here has shown that it computes their heads.

    Raises:
        Unsupported: and why.
    """
    for head, checkpoint in checkpoints.items():
        if checkpoint.entities and len(checkpoints) > 1:
            raise Unsupported(f"--head {head}: {checkpoint.task.name} shares its encoder with no other head")
        if checkpoint.entities and any(engine is TENSORRT for engine in engines_of(config)):
            raise Unsupported(f"--engine tensorrt is not served for {checkpoint.task.name}: nobody tried its heads")


def check_queries(config: ExportConfig, checkpoints: Mapping[str, Checkpoint]) -> None:
    """Refuse queries that a table answers where the engine, or the one that follows, takes no request without a text
    for its network.

    Raises:
        Unsupported: and why.
    """
    if not any(checkpoint.modules.table for checkpoint in checkpoints.values()):
        return
    for engine in engines_of(config):
        if not engine.answers_none:
            raise Unsupported(
                f"--engine {engine.name} has a C++ backend, which takes no request without a text for its network, as "
                f"a query is that a table answers; --engine {_names(each for each in ENGINES if each.answers_none)} "
                "does"
            )


def _names(engines: Iterable[EncodeEngine]) -> str:
    return " or ".join(dict.fromkeys(str(engine.name) for engine in engines))
