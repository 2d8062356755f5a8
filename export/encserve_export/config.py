"""What an export is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from encserve_repository.layout import NAME, RESERVED_ENDINGS

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
    """The names of the engines that are here: what runs the encode step. `engines/table.py` says which there are."""

    PYTHON = "python"
    """Triton's Python backend with a `Runtime`: sorts each batch by length; needs no other backend."""
    ONNXRUNTIME = "onnxruntime"
    """Triton's C++ onnxruntime backend, on one `Device`."""
    TENSORRT = "tensorrt"
    """Triton's tensorrt backend, with a plan for one GPU architecture and one TensorRT."""

    def __str__(self) -> str:
        return self.value


TOKEN_BUDGET = 512
"""Tokens of a micro-batch. Between 128 and 1,024 the speed on a CPU differed by about 10 %, as it does from run to
run."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """One export. Raises InvalidConfig when built with a value that no engine could take; what the engine that is asked
    for does not have is refused when that is looked up."""

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
    """None takes the fastest one by measurement on this host whose certificate holds."""
    engine: str = Engine.PYTHON
    """The name of an engine of `engines/table.py`."""
    runtime: Runtime | None = None
    """Of the engine `python`; None takes the preferred one, ONNX Runtime where it has the precision."""
    compare_runtimes: bool = False
    """Whether every runtime that has the precision is tried, and the fastest taken whose certificate holds."""
    calibration: Path | None = None
    """Texts like those that will be served, one a line or in JSON lines; None takes encserve's own corpus."""
    calibration_field: str = "text"
    """The field of a JSON line that holds the text."""
    labels: Path | None = None
    """Texts whose labels are known, in JSON lines, to fit a temperature on; of text-classification. None fits none."""
    certify_all: bool = False
    """Whether the certificate asks the whole corpus, however long it takes; else the texts for which it has time."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Limits of the certificate in place of those of the precision, by their names in `limits.ParityLimits`."""
    device: Device | None = None
    """Of engine onnxruntime; None takes the CPU, or a GPU for a precision that only GPUs have."""
    max_length: int | None = None
    """Tokens of a text that the network sees, special tokens included; None takes the checkpoint's own."""
    token_budget: int | None = None
    """Tokens of a micro-batch of the encode step, of engine python; None takes the default."""
    revision: str | None = None
    """Commit or tag of a hub checkpoint."""
    base_revision: str | None = None
    """Commit or tag of the encoder that a checkpoint of GLiNER names, where its own files do not have all of it."""
    allow_pickle: bool = False
    """Whether weights may come from a pickle, which can run code when it is read."""

    trust_remote_code: str | None = None
    """The commit of a hub checkpoint, or the digest of a folder's Python files, whose code may run; None runs none."""
    followed_by: str | None = None
    """The engine of the version that will take this one's place: what one request may ask for is its limits already."""
    activate: bool | None = None
    """Whether what serves from the next start on is this version; None: unless a server runs on the repository."""
    heads: Mapping[str, str] = field(default_factory=dict)
    """Further checkpoints on the same encoder, by the name of their head: each becomes the pipeline NAME-HEAD."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Folders of low-rank adapters as PEFT saves them, by the name that requests ask for them with."""
    own_adapters: bool = True
    """Whether the adapters that the checkpoint itself brings are served with it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The pipelines, the first checkpoint's first."""
        return (self.name, *(f"{self.name}-{head}" for head in self.heads))

    def __post_init__(self) -> None:
        for head in self.heads:
            if not NAME.fullmatch(head) or head.endswith(RESERVED_ENDINGS):
                raise InvalidConfig(
                    f"--head {head!r}: its name needs letters, digits, '.', '_' and '-', beginning with a letter or "
                    f"digit, without the endings {', '.join(RESERVED_ENDINGS)}"
                )
        self._check_adapters()
        if not NAME.fullmatch(self.name):
            raise InvalidConfig(
                f"--name {self.name!r}: letters, digits, '.', '_' and '-', beginning with a letter or digit"
            )
        if self.name.endswith(RESERVED_ENDINGS):
            raise InvalidConfig(
                f"--name {self.name!r}: the endings {', '.join(RESERVED_ENDINGS)} belong to models that encserve makes"
            )
        if self.token_budget is not None and self.token_budget < 1:
            raise InvalidConfig(f"--token-budget {self.token_budget}: must be 1 at least")
        if self.max_length is not None and self.max_length < 3:
            raise InvalidConfig(
                f"--max-length {self.max_length}: must be 3 at least (two special tokens and one of text)"
            )

    def _check_adapters(self) -> None:
        for adapter in self.adapters:
            if not NAME.fullmatch(adapter) or adapter == "none":
                raise InvalidConfig(
                    f"--adapter {adapter!r}: its name needs letters, digits, '.', '_' and '-', beginning with a letter "
                    "or digit, and 'none' is what requests call the checkpoint without one"
                )
        if self.adapters and self.heads:
            raise InvalidConfig(
                "--adapter and --head cannot be given together: heads share an encoder without adapters"
            )
        asked = (self.engine, self.precision, self.runtime or Runtime.ONNXRUNTIME, self.compare_runtimes)
        if self.adapters and asked != (Engine.PYTHON, Precision.FP32, Runtime.ONNXRUNTIME, False):
            raise InvalidConfig(
                f"--adapter is served by --engine {Engine.PYTHON} with --runtime {Runtime.ONNXRUNTIME.value} in "
                f"--precision {Precision.FP32.value} alone"
            )
