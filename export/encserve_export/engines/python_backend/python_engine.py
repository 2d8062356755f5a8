"""Triton's Python backend with a runtime on the CPU: the steps' own code cuts each batch into micro-batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.config import TOKEN_BUDGET, Device, Engine, Precision, Runtime
from encserve_export.engines.engine import (
    ORDINARY,
    Built,
    Capacity,
    CutNetwork,
    EncodeStep,
    NewEncodeStep,
    Stage,
    Tracing,
)
from encserve_export.engines.plain_engine import PlainEngine
from encserve_export.engines.step_sources import copy_sources, sources_of
from encserve_export.network.cuts import Cuts, cuts_of, in_whole_blocks, micro_batch_bytes, needs_blocks, places_of
from encserve_export.network.graph_file import mapped_bytes, read_graph_file, write_graph_file
from encserve_export.network.memory import Request
from encserve_export.network.packed_graph import GRAPH_FILE
from encserve_export.network.query_blocks import try_query_blocks
from encserve_export.network.sizes import Sizes
from encserve_export.precision.recipe import Recipe
from encserve_repository.manifest import Manifest, sha256_of
from encserve_server.steps.encode.host.requirements import HostRequirements
from encserve_server.steps.encode.lane import LaneSize
from encserve_server.steps.instance.lanes import LANES
from encserve_server.steps.instance.settings import FILE_NAME as SETTINGS_FILE

from .in_process import InProcessStep


@dataclass(frozen=True, kw_only=True)
class PythonEngine(PlainEngine):
    """One runtime."""

    runtime: Runtime
    precisions: Mapping[Precision, Recipe]
    module: str = ""
    """The runtime's Python module, where not every installation has it."""
    name: str = Engine.PYTHON
    device: Device | None = None
    tracing: Tracing = ORDINARY
    measured_on: str = "cpu"
    block: int = 1
    """The padded view of attention has as many places as a multiple of this."""
    has_loops: bool = False
    """Whether the runtime has ONNX's Loop, and sequences of what it gives."""

    @property
    def tools(self) -> tuple[str, ...]:
        """The runtime, where it is one beside ONNX Runtime."""
        return (self.module,) if self.module else ()

    @property
    def title(self) -> str:
        """Such as "python with onnxruntime"."""
        return f"{self.name} with {self.runtime.value}"

    @property
    def answers_none(self) -> bool:
        """Yes, at once."""
        return True

    def unavailable(self) -> str:
        """That the runtime is not installed."""
        if self.module and find_spec(self.module) is None:
            needs = f"{self.title} needs {self.module}"
            return f"{needs}; install with: pip install '.[{self.module}]' in a clone of encserve"
        return ""

    def token_budget(self, asked: int | None) -> int:
        """As it is asked for."""
        return asked or TOKEN_BUDGET

    def tokenize_settings(self, graph_inputs: Sequence[str]) -> Mapping[str, Any]:
        """Nothing: the step itself tells what it has to do."""
        return {}

    def check_heads(self, longest: Mapping[str, int], *, masks: bool) -> None:
        """It serves all of them."""

    def cuts(self, sizes: Sizes, precision: Precision, token_budget: int | None) -> Cuts:
        """By the budget; a thread computes one micro-batch at a time."""
        cuts = cuts_of(sizes, self.precisions[precision].micro_batch_cost(sizes.width), on_gpu=False)
        tokens = token_budget or cuts.tokens
        return in_whole_blocks(replace(cuts, tokens=tokens, places=places_of(tokens, cuts.padding)), self.block)

    def least_bytes(self, network: CutNetwork, request: Request) -> int:
        """What the threads of one core take together, in either lane beside the largest request."""
        cuts = self.cuts(network.sizes, network.precision, network.token_budget)
        in_blocks = self.has_loops or not needs_blocks(cuts, request.longest, cut_by_pairs=False)
        micro_batch = micro_batch_bytes(network.sizes, cuts, request.longest, in_blocks=in_blocks)
        memory = _memory_of_lanes(request, micro_batch, cuts.tokens)
        return memory["bytes_per_core"] + memory["request_bytes"]

    def capacity(self, max_length: int) -> Capacity:
        """Of any length."""
        return Capacity(requests=64)

    def build(self, step: NewEncodeStep, stage: Stage) -> Iterator[Built]:
        """Write the sources of the step and its settings beside the graph, in which a long text has its queries in
        blocks, where the runtime has loops over what they give."""
        assert step.token_budget is not None, "the engine has micro-batches"
        cuts = self.cuts(step.sizes, step.precision, step.token_budget)
        bounded = not needs_blocks(cuts, step.max_length, cut_by_pairs=False)
        made = {}
        if not bounded and self.has_loops:
            graph = read_graph_file(step.folder / GRAPH_FILE)
            bounded = try_query_blocks(graph, cuts.pairs * step.sizes.heads)
            write_graph_file(graph, step.folder / GRAPH_FILE)
            made["query_blocks"] = bounded
        digests = {file.name: sha256_of(file) for file in sorted(step.folder.iterdir())}
        recipe = self.precisions[step.precision]
        settings = {
            "tensors": step.interface.inputs,
            "bounds": asdict(step.bounds),
            "follows": dict(step.follows),
            **({"choices": dict(step.choices)} if step.choices else {}),
            "token_budget": step.token_budget,
            "micro_batch_cost": asdict(recipe.micro_batch_cost(step.sizes.width)),
            "runtime": self.runtime.value,
            "hints": dict(recipe.hints),
            "requirements": asdict(self.requirements(step.precision, {})),
            "graph_sha256": digests,
            "mapped_bytes": mapped_bytes(step.folder / GRAPH_FILE),
        }
        copy_sources(sources_of("encode"), step.folder)
        text = json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        (step.folder / SETTINGS_FILE).write_text(text, encoding="utf-8")
        largest = micro_batch_bytes(step.sizes, cuts, step.max_length, in_blocks=bounded)
        yield Built(made=made, memory=_memory_of_lanes(step.request, largest, step.token_budget))

    def open(self, step: EncodeStep) -> InProcessStep:
        """The very code of the step; no setting of this process's environment changes it."""
        return InProcessStep(step.folder)

    def requirements(self, precision: Precision, plan: Mapping[str, Any]) -> HostRequirements:
        """A processor on which the precision is what it says."""
        recipe = self.precisions[precision]
        return HostRequirements(
            backend="python",
            module=self.module,
            cpu_any_of=recipe.needs_cpu,
            fast_with=recipe.fast_on_cpu,
            x64quantprecision=recipe.x64quantprecision,
        )

    def requests_per_batch(self, manifest: Manifest) -> int:
        """As its capacity."""
        return self.capacity(manifest.limits["max_length"]).requests

    def config(self, manifest: Manifest, tensors: pb.ModelConfig) -> pb.ModelConfig:
        """One process: its threads share the cores. The step itself gives each request its rows."""
        config = pb.ModelConfig(backend="python", max_batch_size=self.requests_per_batch(manifest))
        config.input.extend(tensors.input)
        config.output.extend(tensors.output)
        config.instance_group.add(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)
        return config


def _memory_of_lanes(request: Request, micro_batch: int, token_budget: int) -> dict[str, int]:
    """What the manifest says, for each core where it goes by those of the host that serves.

    Each lane has a thread for every core, and each thread a micro-batch. A lane is given more until enough tokens wait
    in it, of texts of any length; the last request may be the largest.
    """
    waiting = replace(
        request, tokens=LaneSize(threads=1, token_budget=token_budget).most, numbers_per_token=request.columns
    ).bytes
    return {
        "micro_batch_bytes": micro_batch,
        "micro_batches_per_core": len(LANES),
        "waiting_bytes_per_core": len(LANES) * waiting,
        "bytes_per_core": len(LANES) * micro_batch,
        "request_bytes": len(LANES) * request.bytes,
    }
