"""What an engine is: one way to run the encode step, as one object. `table.py` has them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.attention.fused_attention import DOMAIN, OPERATOR
from encserve_export.config import Device, ExportConfig, Precision, Runtime
from encserve_export.network.memory import Request
from encserve_export.network.micro_batched_graph import Interface
from encserve_export.network.sizes import Sizes
from encserve_export.precision.recipe import Recipe
from encserve_repository.manifest import Manifest
from encserve_server.steps.encode.bounds import Bounds
from encserve_server.steps.encode.host.requirements import HostRequirements

from .served_encoder import ServedEncoder

Stage = Callable[[str], AbstractContextManager[object]]
"""Called with what is being done; the context lasts as long as that takes."""
Say = Callable[[str], None]
"""Called with what the user should know."""


@dataclass(frozen=True, kw_only=True)
class Tracing:
    """Which FP32 graph an engine starts from."""

    constant_length: bool = False
    """Whether attention pads every text to the maximum length, so that only sizes of dimensions vary."""
    fused_attention: bool = False
    """Whether attention is one operator, `fused_attention.OPERATOR`."""

    @property
    def record(self) -> dict[str, str]:
        """What the manifest says of it."""
        return {"attention": f"{DOMAIN}.{OPERATOR}"} if self.fused_attention else {}


ORDINARY = Tracing()
"""Attention is written out, and pads to the longest text of a pack."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What an engine takes at once."""

    requests: int
    """Of a batch: the step's `max_batch_size`."""
    texts_per_request: int | None = None
    """None where the engine asks for no limit of its own."""
    tokens_per_request: int | None = None


@dataclass(frozen=True, kw_only=True)
class CutNetwork:
    """What memory goes by: a network in a precision, and the micro-batches that are asked for."""

    sizes: Sizes
    precision: Precision
    token_budget: int | None
    """Tokens of a micro-batch, where the engine has such."""


@dataclass(frozen=True, kw_only=True)
class EncodeStep:
    """The encode step of a version, as it stands in its folder."""

    folder: Path
    precision: Precision
    """Which `model.onnx` in the folder has."""
    follows: Mapping[str, str]
    """Output of the graph -> the input of which it has a row for each element."""
    max_length: int
    """Tokens of the longest text."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """What the manifest says of the largest batch, once the step is built."""


@dataclass(frozen=True, kw_only=True)
class NewEncodeStep(EncodeStep):
    """One that is being made, with what a build needs to know beside."""

    interface: Interface
    """What goes into the graph, and what comes out."""
    bounds: Bounds
    """Of one request, whoever sent it."""
    sizes: Sizes
    """Of the network."""
    request: Request
    """The most that one request asks for."""
    token_budget: int | None
    """Tokens of a micro-batch, where the engine has such."""
    choices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Output that a request may do without -> `option`, the flag that says so, and its `columns`."""
    usual_lengths: Sequence[int]
    """Tokens of the calibration texts."""
    timings: Path
    """Where what was measured of kernels is kept for the next time."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the manifest says of a build."""

    made: Mapping[str, Any] = field(default_factory=dict)
    """Of how the graph was made."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """Of a plan: what it was built with and for."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """Of the largest batch and request that the limits allow: what they take at most beside the weights, in bytes."""


class EncodeEngine(Protocol):
    """One way to run the encode step."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def name(self) -> str:
        """What `--engine` calls it."""

    @property
    def runtime(self) -> Runtime | None:
        """What `--runtime` calls it, where the engine has several."""

    @property
    def device(self) -> Device | None:
        """What `--device` calls it, where the engine has several."""

    @property
    def precisions(self) -> Mapping[Precision, Recipe]:
        """What it offers."""

    @property
    def tracing(self) -> Tracing:
        """The graph that it starts from."""

    @property
    def measured_on(self) -> str:
        """Where a certificate of `open` is taken: "cpu" or "gpu"."""

    @property
    def tools(self) -> tuple[str, ...]:
        """Python distributions that it is made with, beside those of every engine."""

    def requests_per_batch(self, manifest: Manifest) -> int:
        """The step's `max_batch_size`."""

    @property
    def answers_none(self) -> bool:
        """Whether its step answers a request that has no text for the network, as one of queries that a table answers
        has none."""

    def token_budget(self, asked: int | None) -> int | None:
        """Tokens of a micro-batch that its step cuts, where `asked` are wanted or none are named; None where it cuts
        none by tokens that one could ask for."""

    def looks_at_texts(self, precision: Precision) -> bool:
        """Whether what it serves is made with the calibration texts, or fitted to their lengths."""

    def emulates(self, precision: Precision) -> bool:
        """Whether a CPU stands for the GPU that it is for when a certificate of `open` is taken; without arithmetic in
        fp16 it rounds what it computed."""

    def serves_as_here(self, precision: Precision) -> bool:
        """Whether what runs on this host, and how fast, is what will be served."""

    def tried_by_auto(self, precision: Precision) -> bool:
        """Whether `--precision auto` and `--runtime auto` may take it: whether something is known here of its speed."""

    def tokenize_settings(self, graph_inputs: Sequence[str]) -> Mapping[str, Any]:
        """What the settings of the tokenize step say of it: `marker`, the inputs of a request of one token, where its
        step does not tell what it has to do."""

    def check_heads(self, longest: Mapping[str, int], *, masks: bool) -> None:
        """Refuse to serve several heads by one encode step; `longest` has the tokens of the longest text of each, and
        `masks` says whether one is asked for masks. Raises Unsupported."""

    def ahead(self, config: ExportConfig) -> ExportConfig | None:
        """What is exported to serve meanwhile, where what `config` asks for takes long to build; None where it does
        not. Raises UnsupportedHost: this host cannot build it."""

    def unavailable(self) -> str:
        """Why nothing can be made for it with this installation, in words; empty if it can."""

    def on_this_host(self, say: Say) -> Sequence[EncodeEngine]:
        """The forms of it that are worth making here, the best first.

        Raises:
            UnsupportedHost: there is none.
        """

    def least_bytes(self, network: CutNetwork, request: Request) -> int | None:
        """What it takes beside the weights where requests may be as large as `request`: with one of them in a batch, on
        one core. None where that does not go by the request."""

    def capacity(self, max_length: int) -> Capacity:
        """What it takes at once, for texts of up to `max_length` tokens. Raises InvalidConfig: they are too long."""

    def build(self, step: NewEncodeStep, stage: Stage) -> Iterator[Built]:
        """Write what it serves into the folder of the step.

        What stands in the folder is to be certified at each item, before the next is asked for; the last is what is
        published. Raises ExportError.
        """

    def open(self, step: EncodeStep) -> AbstractContextManager[ServedEncoder]:
        """What stands in the folder of the step, as it will be served."""

    def requirements(self, precision: Precision, plan: Mapping[str, Any]) -> HostRequirements:
        """What a version asks of the host that serves it; `plan` is what the manifest says of its plan."""

    def config(self, manifest: Manifest, tensors: pb.ModelConfig) -> pb.ModelConfig:
        """The step's configuration, but for its name and versions; `tensors` has its inputs and outputs, and for each
        output a `batch_output` that scatters its rows to the requests."""

    def warmup_files(self, manifest: Manifest) -> dict[str, bytes]:
        """What Triton reads before it sends the step its first requests, by file."""
