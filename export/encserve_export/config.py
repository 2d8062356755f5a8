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


class Engine(str, Enum):
    """What runs the encode step."""

    PYTHON = "python"
    """Triton's Python backend with ONNX Runtime: sorts each batch by length; needs no other backend."""
    ONNXRUNTIME = "onnxruntime"
    """Triton's C++ onnxruntime backend, on CUDA where the host has it."""


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
STEPS = ("tokenize", "encode", "head")
_STEP_ENDINGS = tuple(f"_{step}" for step in STEPS)


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
    precision: Precision = Precision.FP32
    engine: Engine = Engine.PYTHON
    max_length: int | None = None
    """Tokens of a text that the network sees, special tokens included; None takes the checkpoint's own."""
    revision: str | None = None
    """Commit or tag of a hub checkpoint."""
    allow_pickle: bool = False
    """Whether weights may come from a pickle, which can run code when it is read."""

    heads: Mapping[str, str] = field(default_factory=dict)
    """Further checkpoints on the same encoder, by the name of their head: each becomes the pipeline NAME-HEAD."""

    @property
    def names(self) -> tuple[str, ...]:
        """The pipelines, the first checkpoint's first."""
        return (self.name, *(f"{self.name}-{head}" for head in self.heads))

    def __post_init__(self) -> None:
        for head in self.heads:
            if not _NAME.fullmatch(head) or head.endswith(_STEP_ENDINGS):
                raise InvalidConfig(
                    f"--head {head!r}: its name needs letters, digits, '.', '_' and '-', beginning with a letter or "
                    "digit, without the endings _tokenize, _encode and _head"
                )
        if self.heads and self.engine is not Engine.PYTHON:
            raise InvalidConfig(f"--head: several heads need --engine python, not {self.engine.value}")
        if not _NAME.fullmatch(self.name):
            raise InvalidConfig(
                f"--name {self.name!r}: letters, digits, '.', '_' and '-', beginning with a letter or digit"
            )
        if self.name.endswith(_STEP_ENDINGS):
            raise InvalidConfig(
                f"--name {self.name!r}: the endings _tokenize, _encode and _head belong to a pipeline's steps"
            )
        if self.max_length is not None and self.max_length < 3:
            raise InvalidConfig(
                f"--max-length {self.max_length}: must be 3 at least (two special tokens and one of text)"
            )
