"""Triton's tensorrt backend: a plan for the GPU of this host, out of a graph that pads every text to one length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.config import Engine, ExportConfig, Precision
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
from encserve_export.engines.onnxruntime_backend.onnxruntime_engine import ONNXRUNTIME_ON_GPU, on_cpu
from encserve_export.engines.onnxruntime_backend.onnxruntime_session import network_of, open_session
from encserve_export.engines.plain_engine import PlainEngine
from encserve_export.engines.served_encoder import BatchedPacks, Network, ServedEncoder
from encserve_export.engines.warmup import add_warmup, warmup_files
from encserve_export.errors import Unsupported
from encserve_export.network.graph_file import read_graph_file, remove_graph_file, write_graph_file
from encserve_export.network.memory import Request
from encserve_export.network.packed_graph import GRAPH_FILE
from encserve_export.precision import fp16, int8_static
from encserve_export.precision.half import gpu_rounding
from encserve_export.precision.recipe import Recipe
from encserve_repository.manifest import Manifest
from encserve_server.steps.encode.host.requirements import HostRequirements

from .operators import check_operators, rewrite_integers
from .plan import PLAN_FILE, Target, build_plan, find_target
from .profile import batch_bytes, bounds_of, profile_of

_CONSTANT_LENGTH = Tracing(constant_length=True)


@dataclass(frozen=True, kw_only=True)
class TensorRtEngine(PlainEngine):
    """The backend with plans for one GPU."""

    precisions: Mapping[Precision, Recipe]
    target: Target | None = None
    """The GPU and the TensorRT of this host, once they were looked for."""
    title: str = Engine.TENSORRT.value
    name: str = Engine.TENSORRT
    runtime: None = None
    device: None = None
    tools: tuple[str, ...] = ()
    tracing: Tracing = _CONSTANT_LENGTH
    measured_on: str = "gpu"

    def looks_at_texts(self, precision: Precision) -> bool:
        """The profile of a plan is fitted to their lengths."""
        return True

    def serves_as_here(self, precision: Precision) -> bool:
        """Never: a plan takes minutes to build, and is not measured."""
        return False

    def check_heads(self, longest: Mapping[str, int], *, masks: bool) -> None:
        """All must take texts of one length."""
        super().check_heads(longest, masks=masks)
        if len(set(longest.values())) > 1:
            raise Unsupported(
                "a plan pads the texts of all heads to one length, and their checkpoints take "
                f"{list(longest.values())} tokens: give --max-length"
            )

    def ahead(self, config: ExportConfig) -> ExportConfig:
        """ONNX Runtime on the same GPU, in the precision that is asked of the plan, which may be left to choice; or in
        fp16 where it does not offer that. Raises UnsupportedHost: no plan can be built here."""
        find_target()
        offered = (None, *ONNXRUNTIME_ON_GPU.precisions)
        precision = config.precision if config.precision in offered else Precision.FP16
        engine = ONNXRUNTIME_ON_GPU
        return replace(config, engine=engine.name, device=engine.device, precision=precision, followed_by=self.name)

    def on_this_host(self, say: Say) -> Sequence[EncodeEngine]:
        """For the GPU of this host. Raises UnsupportedHost: it has none, or no TensorRT."""
        return [replace(self, target=find_target())]

    def least_bytes(self, network: CutNetwork, request: Request) -> None:
        """None: its profile bounds a batch."""

    def capacity(self, max_length: int) -> Capacity:
        """Bounded, since memory for the largest batch is taken when the plan is loaded."""
        bounds = bounds_of(max_length)
        return Capacity(
            requests=bounds.requests,
            texts_per_request=bounds.texts_per_request,
            tokens_per_request=bounds.tokens_per_request,
        )

    def build(self, step: NewEncodeStep, stage: Stage) -> Iterator[Built]:
        """The graph in TensorRT's operators, so that no GPU is kept busy with one that fails; then its plan."""
        file = step.folder / GRAPH_FILE
        graph = read_graph_file(file)
        rewrite_integers(graph)
        check_operators(graph)
        write_graph_file(graph, file)
        bounds = bounds_of(step.max_length)
        memory = {"requests_per_batch": bounds.requests, "batch_bytes": batch_bytes(bounds, step.sizes)}
        yield Built(memory=memory)
        assert self.target is not None, "`on_this_host` finds it"
        profile = profile_of(bounds, step.interface.inputs, step.usual_lengths)
        with stage(f"building a plan for {self.target.gpu}"):
            plan = build_plan(self.target, file, step.folder / PLAN_FILE, profile, step.timings)
        remove_graph_file(file)
        yield Built(plan=plan, memory=memory)

    @contextmanager
    def open(self, step: EncodeStep) -> Iterator[ServedEncoder]:
        """The plan on the GPU; before there is one, the graph on the CPU, in imitation of a GPU."""
        most = self.capacity(step.max_length).requests
        with self._network(step) as network, BatchedPacks(network, follows=step.follows, max_requests=most) as encoder:
            yield encoder

    @contextmanager
    def _network(self, step: EncodeStep) -> Iterator[Network]:
        if (step.folder / PLAN_FILE).is_file():
            from .plan_session import PlanSession  # torch moves its tensors

            assert self.target is not None, "`on_this_host` finds it"
            yield PlanSession(self.target, step.folder / PLAN_FILE)
            return
        imitation = self.precisions[step.precision].imitation
        unchanged = nullcontext(step.folder)
        with unchanged if imitation is None else imitation.as_gpus_round(step.folder / GRAPH_FILE) as folder:
            yield network_of(open_session(Path(folder) / GRAPH_FILE, on_cpu()), on_cpu())

    def requirements(self, precision: Precision, plan: Mapping[str, Any]) -> HostRequirements:
        """The GPU and the TensorRT that the plan was built for."""
        return HostRequirements(
            backend="tensorrt",
            gpu=True,
            gpu_architecture=plan.get("gpu_architecture", ""),
            tensorrt_version=plan.get("tensorrt_version", ""),
        )

    def requests_per_batch(self, manifest: Manifest) -> int:
        """As its capacity."""
        return self.capacity(manifest.limits["max_length"]).requests

    def config(self, manifest: Manifest, tensors: pb.ModelConfig) -> pb.ModelConfig:
        """One profile, and warm-up."""
        config = pb.ModelConfig(backend="tensorrt")
        config.max_batch_size = self.requests_per_batch(manifest)
        config.instance_group.add(count=1, kind=pb.ModelInstanceGroup.KIND_GPU, profile=["0"])
        config.MergeFrom(tensors)
        add_warmup(config, manifest)
        return config

    def warmup_files(self, manifest: Manifest) -> dict[str, bytes]:
        """Lengths of texts, and where masks are asked for, the tokens."""
        return warmup_files(manifest)


TENSORRT = TensorRtEngine(
    precisions={
        Precision.FP32: Recipe(),
        Precision.FP16: Recipe(making=fp16, calibrated=True, imitation=gpu_rounding),
        Precision.INT8: Recipe(making=int8_static, calibrated=True, imitation=gpu_rounding),
    }
)
