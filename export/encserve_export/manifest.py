"""The manifest of a pipeline version: what it was made from, how, what was measured, and the digest of every file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from .config import Device, Engine, Precision

CONTRACT_VERSION = 1
FILE_NAME = "manifest.json"
_TOOLS = ("encserve", "numpy", "onnx", "onnxruntime", "onnxscript", "tokenizers", "torch", "transformers")


def tool_versions(*further: str) -> dict[str, str]:
    """The versions of what an export is made with, by distribution."""
    return {tool: installed_version(tool) for tool in (*_TOOLS, *further)}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The certificate of one version of a pipeline."""

    name: str
    version: int
    task: str
    precision: Precision
    engine: Engine
    runtime: dict[str, Any] = field(default_factory=dict)
    """Of the engine `python`: its name, and the hints that it is given where it chooses the precision itself."""
    device: Device | None = None
    """Where the engine computes, where that was chosen."""
    made: dict[str, Any] = field(default_factory=dict)
    """How the graph got its precision, where that is not FP32; of fp16 the nodes that stay FP32, with the reasons."""
    plan: dict[str, Any] = field(default_factory=dict)
    """Of the engine `tensorrt`: what the plan was built with and for, from `tensorrt_plan.build_plan`."""
    calibration: dict[str, Any] = field(default_factory=dict)
    """The texts that it was made with, where it was made with texts: source, sha256, texts, tokens."""
    checkpoint: dict[str, Any]
    """source, revision, licence, architecture, and where it ran code of its own, `code`: the state of it."""
    head: str = ""
    """Which head of a shared encoder it is; empty for the first or only one."""
    body: str = ""
    """The pipeline whose encode step it uses; empty for its own."""
    opset: int
    dimensions: int
    """Columns of what the encode step gives: components of a vector, or labels."""
    pooling: str | None
    """None where a head of the checkpoint looks at the token vectors itself."""
    pairs: bool
    """Whether a request carries `text_pair` beside `text`."""
    labels: list[str]
    """The labels of the columns, in order; empty where the task has none."""
    mask_token: str
    """How a text writes a mask; empty where the task has none."""
    graph_inputs: tuple[str, ...]
    limits: dict[str, int]
    """What one request may ask for, by the names of `encserve_server.models.limits.Limits`."""
    token_budget: int | None
    """Tokens of a micro-batch of the encode step; None for an engine that runs each batch as one pack."""
    prompts: dict[str, str]
    option_defaults: dict[str, Any]
    tokenizer_sha256: str
    parity: dict[str, Any]
    """Measured figures with their limits, from `certificate.certify`."""
    files: dict[str, str]
    """sha256 of every file of this version, by path within the repository."""
    contract_version: int = CONTRACT_VERSION
    tools: dict[str, str] = field(default_factory=tool_versions)

    def to_json(self) -> str:
        """The text of manifest.json."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def sha256_of(file: Path) -> str:
    """Digest of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
