"""Triton's C++ onnxruntime backend, on the CPU or on a GPU: where the encode step runs, and how its memory stays
bounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.attention.fused_attention import OPERATOR
from encserve_export.config import Device, Engine, Precision
from encserve_export.engines.engine import (
    Built,
    Capacity,
    CutNetwork,
    EncodeEngine,
    EncodeStep,
    NewEncodeStep,
    Say,
    Stage,
    Tracing,
)
from encserve_export.engines.plain_engine import PlainEngine
from encserve_export.engines.served_encoder import BatchedPacks, ServedEncoder
from encserve_export.engines.warmup import add_warmup, warmup_files
from encserve_export.errors import WayFailed
from encserve_export.network.cuts import Cuts, cuts_of, micro_batch_bytes, needs_blocks
from encserve_export.network.graph_file import read_graph_file, write_graph_file
from encserve_export.network.memory import MOST_REQUESTS, Request, memory_of
from encserve_export.network.micro_batched_graph import in_micro_batches
from encserve_export.network.packed_graph import GRAPH_FILE
from encserve_export.network.query_blocks import try_query_blocks
from encserve_export.network.sizes import Sizes, takes_linear_memory
from encserve_export.precision import fp16
from encserve_export.precision.half import gpu_rounding
from encserve_export.precision.recipe import Recipe
from encserve_repository.manifest import Manifest
from encserve_server.steps.encode.host.requirements import HostRequirements

from .cuda import why_no_cuda
from .onnxruntime_session import SHRINKAGE, network_of, open_session


@dataclass(frozen=True, kw_only=True)
class OnnxRuntimeEngine(PlainEngine):
    """The backend on one kind of device."""

    device: Device
    precisions: Mapping[Precision, Recipe]
    on_cuda: bool = False
    """Whether certificates are taken on the GPU of this host; else on its CPU, in imitation of a GPU where it rounds
    otherwise."""
    fused_attention: bool = False
    """Whether attention is one operator, which CUDA alone computes."""
    name: str = Engine.ONNXRUNTIME
    runtime: None = None
    tools: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Such as "onnxruntime on a GPU"."""
        attention = f", attention as {OPERATOR}" if self.fused_attention else ""
        return f"{self.name}{' on a GPU' if self.device is Device.GPU else ''}{attention}"

    @property
    def tracing(self) -> Tracing:
        """With attention as one operator, or written out."""
        return Tracing(fused_attention=self.fused_attention)

    @property
    def measured_on(self) -> str:
        """The GPU of this host, or its CPU."""
        return "gpu" if self.on_cuda else "cpu"

    def emulates(self, precision: Precision) -> bool:
        """Where a GPU rounds otherwise than the CPU that stands for it."""
        return not self.on_cuda and self.precisions[precision].imitation is not None

    def on_this_host(self, say: Say) -> Sequence[EncodeEngine]:
        """What is for a GPU is certified on the GPU of this host, if there is one: with attention in one operator, and
        written out."""
        if self.device is not Device.GPU:
            return [self]
        if lacking := why_no_cuda():
            say(f"warning: certified on the CPU, with attention written out and not as {OPERATOR}: {lacking}")
            return [self]
        return [replace(self, on_cuda=True, fused_attention=fused) for fused in (True, False)]

    def cuts(self, sizes: Sizes, precision: Precision) -> Cuts:
        """By the device. Attention in one operator computes no padding, so that memory alone bounds it."""
        cost = self.precisions[precision].micro_batch_cost(sizes.width)
        cuts = cuts_of(sizes, cost, on_gpu=self.device is Device.GPU)
        return replace(cuts, padding=cuts.pairs) if self.fused_attention else cuts

    def least_bytes(self, network: CutNetwork, request: Request) -> int:
        """One micro-batch after the other, beside a request."""
        cuts = self.cuts(network.sizes, network.precision)
        return memory_of(request, micro_batch_bytes(network.sizes, cuts, request.longest))["request_bytes"]

    def capacity(self, max_length: int) -> Capacity:
        """A batch is one pack, so it stays small."""
        return Capacity(requests=MOST_REQUESTS)

    def build(self, step: NewEncodeStep, stage: Stage) -> Iterator[Built]:
        """The graph, which cuts a batch into micro-batches itself, and the queries of a long text into blocks: no code
        of ours stands before it."""
        file, cuts = step.folder / GRAPH_FILE, self.cuts(step.sizes, step.precision)
        graph = read_graph_file(file)
        made: dict[str, Any] = {"micro_batches": asdict(cuts)}
        bounded = not needs_blocks(cuts, step.max_length, cut_by_pairs=True)
        if not bounded:
            bounded = try_query_blocks(graph, cuts.pairs * step.sizes.heads)
            made["query_blocks"] = bounded
            bounded = bounded and (not self.fused_attention or takes_linear_memory(step.sizes))
        write_graph_file(in_micro_batches(graph, step.interface, cuts), file)
        largest = micro_batch_bytes(step.sizes, cuts, step.max_length, in_blocks=bounded)
        yield Built(made=made, memory=memory_of(step.request, largest))

    @contextmanager
    def open(self, step: EncodeStep) -> Iterator[ServedEncoder]:
        """The graph with the options of the backend. Raises WayFailed: ONNX Runtime does not load it."""
        config = self._options(step.precision) if self.on_cuda else on_cpu()
        imitation = None if self.on_cuda else self.precisions[step.precision].imitation
        graph = step.folder / GRAPH_FILE
        with nullcontext(step.folder) if imitation is None else imitation.as_gpus_round(graph) as folder:
            try:
                session = open_session(folder / GRAPH_FILE, config)
            except Exception as error:  # ONNX Runtime's exceptions have no base of their own
                where = "CUDA" if self.on_cuda else "the CPU"
                raise WayFailed(f"ONNX Runtime does not load the graph on {where}: {error}") from error
            network = network_of(session, config)
            most = self._requests_per_batch(step.memory, step.max_length)
            with BatchedPacks(network, follows=step.follows, max_requests=most) as encoder:
                yield encoder

    def requirements(self, precision: Precision, plan: Mapping[str, Any]) -> HostRequirements:
        """The backend, and a GPU where it is for one."""
        return HostRequirements(backend="onnxruntime", gpu=self.device is Device.GPU)

    def requests_per_batch(self, manifest: Manifest) -> int:
        """As many as fit the memory that the manifest states."""
        return self._requests_per_batch(manifest.memory, manifest.limits["max_length"])

    def config(self, manifest: Manifest, tensors: pb.ModelConfig) -> pb.ModelConfig:
        """Options and warm-up."""
        config = self._options(Precision(manifest.precision))
        config.max_batch_size = self.requests_per_batch(manifest)
        config.MergeFrom(tensors)
        add_warmup(config, manifest)
        return config

    def warmup_files(self, manifest: Manifest) -> dict[str, bytes]:
        """Lengths of texts, and where masks are asked for, the tokens."""
        return warmup_files(manifest)

    def _requests_per_batch(self, memory: Mapping[str, int], max_length: int) -> int:
        return memory.get("requests_per_batch", self.capacity(max_length).requests)

    def _options(self, precision: Precision) -> pb.ModelConfig:
        return on_cpu() if self.device is Device.CPU else on_gpu(precision)


def on_cpu() -> pb.ModelConfig:
    """How the backend opens a graph on the CPU."""
    config = _backend(pb.ModelInstanceGroup.KIND_CPU)
    # The arena gives back after each batch what it does not need for the next.
    config.parameters[SHRINKAGE].string_value = "cpu:0"
    return config


def on_gpu(precision: Precision) -> pb.ModelConfig:
    """How the backend opens a graph on a GPU.

    There the arena never shrinks, which would cost a synchronisation after each batch: it grows by what is asked for,
    up to the largest batch that limits allow.
    """
    config = _backend(pb.ModelInstanceGroup.KIND_GPU)
    config.parameters["arena_extend_strategy"].string_value = "1"  # kSameAsRequested; 0 doubles
    cuda = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="cuda")
    cuda.parameters["use_tf32"] = "0"  # the certificate is of FP32, and TF32 keeps 10 bits of 23
    if precision is Precision.FP16:
        cuda.parameters["enable_skip_layer_norm_strict_mode"] = "1"  # norms add up in FP32, as was certified
    return config


def _backend(kind: pb.ModelInstanceGroup.Kind) -> pb.ModelConfig:
    """An instance of one kind, said in so many words: left to Triton, a step would move to a GPU that it was not
    certified for."""
    config = pb.ModelConfig(backend="onnxruntime")
    config.instance_group.add(count=1, kind=kind)
    # A memory pattern is kept for every shape that was seen, and a pack hardly ever has the shape of another.
    config.parameters["enable_mem_pattern"].string_value = "0"
    return config


ONNXRUNTIME_ON_CPU = OnnxRuntimeEngine(device=Device.CPU, precisions={Precision.FP32: Recipe()})
ONNXRUNTIME_ON_GPU = OnnxRuntimeEngine(
    device=Device.GPU,
    # Not int8: it was never measured on ONNX Runtime's CUDA provider.
    precisions={Precision.FP32: Recipe(), Precision.FP16: Recipe(making=fp16, calibrated=True, imitation=gpu_rounding)},
)
