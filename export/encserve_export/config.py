"""What an export is asked to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from .errors import InvalidConfig


class Precision(str, Enum):
    """Type of the graph's weights and activations."""

    FP32 = "fp32"
    FP16 = "fp16"
    """For GPUs: linear layers in fp16; norms, softmax and sums in FP32."""
    BF16 = "bf16"
    """Linear layers multiply bfloat16 numbers, on processors that can."""
    INT8 = "int8"
    """Linear layers multiply 8-bit integers; on engines for GPUs those that can, and the rest is fp16."""


class Runtime(str, Enum):
    """What runs the graph inside the engine `python`."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
    """Needs the extra `openvino`, here and where the pipeline is served."""


class Device(str, Enum):
    """Where an engine that can do both computes."""

    GPU = "gpu"
    CPU = "cpu"


class Engine(str, Enum):
    """What runs the encode step."""

    PYTHON = "python"
    """Triton's Python backend with a `Runtime`: sorts each batch by length; needs no other backend."""
    ONNXRUNTIME = "onnxruntime"
    """Triton's C++ onnxruntime backend, on CUDA where the host has it."""
    TENSORRT = "tensorrt"
    """Triton's tensorrt backend, with a plan for one GPU architecture and one TensorRT."""


TOKEN_BUDGET = 512
"""Tokens of a micro-batch. Between 128 and 1,024 the speed on a CPU differed by about 10 %, as it does from run to
run."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
STEPS = ("tokenize", "encode", "head")
_STEP_ENDINGS = (*(f"_{step}" for step in STEPS), "_encode_tensorrt")


def encode_model(name: str, engine: str) -> str:
    """The Triton model that runs the encode step of the pipeline `name`.

    All versions of a model share one backend, so a plan has a model of its own beside that of other engines, and may
    follow them as the next version of the pipeline.
    """
    return f"{name}_encode_tensorrt" if engine == Engine.TENSORRT.value else f"{name}_encode"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """One export. Raises InvalidConfig when built with a value that cannot work."""

    checkpoint: str
    """A local folder, or a hub id such as `sentence-transformers/all-MiniLM-L6-v2`."""
    name: str
    """Name of the pipeline."""
    repository: Path = Path("model_repository")
    task: str | None = None
    """A Hugging Face task name; None reads it from the checkpoint."""
    pairs: bool = False
    """Whether the requests of a text-classification carry pairs of texts."""
    precision: Precision | None = Precision.FP32
    """None takes the fastest one that this processor has and whose certificate holds."""
    engine: Engine = Engine.PYTHON
    runtime: Runtime | None = None
    """Of the engine `python`; None takes the one in which the precision is fastest."""
    calibration: Path | None = None
    """Texts like those that will be served, one a line or in JSON lines; None takes a seeded corpus."""
    calibration_field: str = "text"
    """The field of a JSON line that holds the text."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Limits of the certificate in place of those of the precision, by their names in `limits.ParityLimits`."""
    device: Device | None = None
    """Of engine onnxruntime; None leaves it to the host: a GPU where there is one."""
    max_length: int | None = None
    """Tokens of a text that the network sees, special tokens included; None takes the checkpoint's own."""
    token_budget: int | None = None
    """Tokens of a micro-batch of the encode step, of engine python; None takes the default."""
    revision: str | None = None
    """Commit or tag of a hub checkpoint."""
    allow_pickle: bool = False
    """Whether weights may come from a pickle, which can run code when it is read."""

    trust_remote_code: str | None = None
    """The commit of a hub checkpoint, or the digest of a folder's Python files, whose code may run; None runs none."""
    followed_by: Engine | None = None
    """The engine of the version that will take this one's place: what one request may ask for is its limits already."""
    heads: Mapping[str, str] = field(default_factory=dict)
    """Further checkpoints on the same encoder, by the name of their head: each becomes the pipeline NAME-HEAD."""

    @property
    def tokens_per_micro_batch(self) -> int | None:
        """The token budget; None for an engine that has none."""
        return (self.token_budget or TOKEN_BUDGET) if self.engine is Engine.PYTHON else None

    @property
    def names(self) -> tuple[str, ...]:
        """The pipelines, the first checkpoint's first."""
        return (self.name, *(f"{self.name}-{head}" for head in self.heads))

    def __post_init__(self) -> None:
        for head in self.heads:
            if not _NAME.fullmatch(head) or head.endswith(_STEP_ENDINGS):
                raise InvalidConfig(
                    f"--head {head!r}: its name needs letters, digits, '.', '_' and '-', beginning with a letter or "
                    f"digit, without the endings {', '.join(_STEP_ENDINGS)}"
                )
        if self.runtime is not None and self.engine is not Engine.PYTHON:
            raise InvalidConfig(
                f"--runtime {self.runtime.value}: only --engine python has runtimes, not {self.engine.value}"
            )
        if self.device is not None and self.engine is not Engine.ONNXRUNTIME:
            raise InvalidConfig(
                f"--device {self.device.value} is for --engine onnxruntime; engine {self.engine.value} has no choice"
            )
        if self.precision is Precision.FP16 and self.device is Device.CPU:
            raise InvalidConfig(
                "--precision fp16 --device cpu: a CPU has no arithmetic in fp16 and runs it slower than fp32"
            )
        if self.precision is Precision.INT8 and self.device is Device.CPU:
            raise InvalidConfig(
                "--precision int8 --device cpu: on engine onnxruntime int8 has fp16 beside it, which a CPU has no "
                "arithmetic in; int8 on a CPU is for --engine python"
            )
        if self.precision is Precision.FP16 and self.engine is Engine.PYTHON:
            raise InvalidConfig(
                "--precision fp16 --engine python: a CPU has no arithmetic in fp16, and runs such a graph slower than "
                "fp32; fp16 is for --engine onnxruntime or tensorrt on a GPU"
            )
        if not _NAME.fullmatch(self.name):
            raise InvalidConfig(
                f"--name {self.name!r}: letters, digits, '.', '_' and '-', beginning with a letter or digit"
            )
        if self.name.endswith(_STEP_ENDINGS):
            raise InvalidConfig(
                f"--name {self.name!r}: the endings {', '.join(_STEP_ENDINGS)} belong to a pipeline's steps"
            )
        if self.token_budget is not None and self.token_budget < 1:
            raise InvalidConfig(f"--token-budget {self.token_budget}: must be 1 at least")
        if self.token_budget is not None and self.engine is not Engine.PYTHON:
            raise InvalidConfig(
                f"--token-budget {self.token_budget}: engine {self.engine.value} runs each batch as one pack; only "
                "engine python has micro-batches"
            )
        if self.max_length is not None and self.max_length < 3:
            raise InvalidConfig(
                f"--max-length {self.max_length}: must be 3 at least (two special tokens and one of text)"
            )
