"""The files of a pipeline's steps: graph, tokenizer, settings, and the server's model sources copied as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import onnx

from encserve_export.attention.fused_attention import fused_layers, fusing
from encserve_export.attention.packing import constant_longest
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.tasks.task import Task, graph_outputs
from encserve_export.config import ExportConfig, Precision
from encserve_export.engines.engine import NewEncodeStep, Tracing
from encserve_export.engines.step_sources import copy_sources, sources_of
from encserve_export.engines.table import engine_for
from encserve_export.engines.ways import Way
from encserve_export.network.adapted_network import adapted
from encserve_export.network.micro_batched_graph import Interface
from encserve_export.network.packed_graph import GRAPH_FILE, write_graph
from encserve_export.network.packed_heads import PackedHeads, packed_network
from encserve_export.network.sizes import sizes_of
from encserve_export.texts.calibration import Calibration
from encserve_repository.manifest import sha256_of
from encserve_server.steps.encode.bounds import Bounds
from encserve_server.steps.instance.settings import FILE_NAME as SETTINGS_FILE
from encserve_server.steps.request.arrival import ARRIVED_NS
from encserve_server.steps.tokenize.limits import Limits

from .request_limits import largest_request, limits_by_head
from .request_options import options_of

if TYPE_CHECKING:
    import torch

QUEUE = {"max_queued_texts": 8_192, "max_queued_bytes": 64 * 1024 * 1024}
"""What may wait in each lane of a pipeline."""


def tokenize_outputs(task: Task, graph_inputs: tuple[str, ...]) -> tuple[str, ...]:
    """What the tokenize step gives: to the graph, to the head, and to the client."""
    to_head = (name for name in task.head_inputs if name not in (*task.inputs, *graph_inputs))
    return tuple(dict.fromkeys((*graph_inputs, *to_head, *task.counts)))


def head_inputs(task: Task) -> tuple[str, ...]:
    """What the head step takes."""
    return (*(output.name for output in task.outputs), *task.head_inputs)


def trace(checkpoints: Mapping[str, Checkpoint], tracing: Tracing, folder: Path) -> int:
    """Write the FP32 graph of the encode step into `folder`; `checkpoints` by the name of their head.

    Returns in how many layers attention is one operator.
    """
    folder.mkdir(parents=True)
    first, *others = checkpoints.values()
    network = PackedHeads([first, *others]) if others else packed_network(first)
    longest = max(checkpoint.max_length for checkpoint in checkpoints.values())
    constant = constant_longest(longest) if tracing.constant_length else nullcontext()
    fused = fusing() if tracing.fused_attention else nullcontext()
    with constant, fused, adapted(first, network) as traced:
        write_graph(first, traced, folder / GRAPH_FILE, list(follows_of(checkpoints)))
    return fused_layers(onnx.load(folder / GRAPH_FILE, load_external_data=False))


def write_graph_of(
    way: Way, checkpoint: Checkpoint, calibration: Calibration, *, traced: Path, folder: Path
) -> dict[str, Any]:
    """Write the graph of the encode step into its version folder, which is emptied first: the FP32 graph in the folder
    `traced`, in the precision of `way`. Returns what the manifest says of how."""
    shutil.rmtree(folder)
    shutil.copytree(traced, folder)
    making = way.recipe.making
    return {} if making is None else making.transform(folder / GRAPH_FILE, checkpoint, calibration)


@dataclass(frozen=True, kw_only=True)
class EncodeSteps:
    """The encode step of a version, which is made in several precisions until a certificate holds.

    It serves the pipelines of all heads, so that what it must be able to take is the most that any of them allows.
    """

    checkpoints: Mapping[str, Checkpoint]
    """By the name of their head."""
    config: ExportConfig
    calibration: Calibration
    timings: Path
    """Where what was measured of kernels is kept for the next time."""

    def step(self, precision: Precision, folder: Path) -> NewEncodeStep:
        """The step in one precision, which is made in `folder`."""
        all_of_them = list(self.checkpoints.values())
        limits = limits_by_head(self.checkpoints, self.config).values()
        texts = max(each.max_texts_per_request for each in limits)
        tokens = max(each.max_tokens_per_request for each in limits)
        return NewEncodeStep(
            folder=folder,
            precision=precision,
            follows=follows_of(self.checkpoints),
            max_length=max(each.max_length for each in limits),
            interface=interface_of(self.checkpoints),
            bounds=encode_bounds(self.checkpoints, self.config),
            sizes=sizes_of(all_of_them),
            request=largest_request(all_of_them, texts, tokens),
            token_budget=engine_for(self.config).token_budget(self.config.token_budget),
            choices=choices_of(self.checkpoints),
            usual_lengths=self.calibration.lengths,
            timings=self.timings,
        )


def encode_bounds(checkpoints: Mapping[str, Checkpoint], config: ExportConfig) -> Bounds:
    """What one request may ask of the encode step, whoever sent it."""
    first = next(iter(checkpoints.values()))
    embeddings = cast("torch.nn.Embedding", first.encoder.get_input_embeddings())
    types = getattr(first.config, "type_vocab_size", 0) or 2  # 0, as in DeBERTa-v3: told by the tokenizer, and ignored
    adapters = len(first.adapters) + 1
    sizes = {
        "input_ids": embeddings.num_embeddings,
        "token_type_ids": types,
        "attention_mask": 2,
        "pooling_mask": 2,
        "entity_roles": first.entities.ROLES if first.entities else 0,
        "adapter_ids": adapters,
    }
    limits = limits_by_head(checkpoints, config).values()
    answered = any(checkpoint.modules.table for checkpoint in checkpoints.values())
    return Bounds(
        max_length=max(each.max_length for each in limits),
        max_tokens=max(each.max_tokens_per_request for each in limits),
        vocabularies={name: sizes[name] for name in first.graph_inputs if name in sizes},
        mask_id=interface_of(checkpoints).mask_id,
        columns_of_none=columns_of(checkpoints) if answered else None,
    )


def follows_of(checkpoints: Mapping[str, Checkpoint]) -> dict[str, str]:
    """Output of the graph -> the input of which it has a row for each element."""
    return {
        name: output.follows
        for head, checkpoint in checkpoints.items()
        for name, output in graph_outputs(checkpoint.task, head).items()
    }


def columns_of(checkpoints: Mapping[str, Checkpoint]) -> dict[str, int]:
    """Output of the graph -> its columns."""
    return {
        name: checkpoint.columns[output.name]
        for head, checkpoint in checkpoints.items()
        for name, output in graph_outputs(checkpoint.task, head).items()
    }


def choices_of(checkpoints: Mapping[str, Checkpoint]) -> dict[str, dict[str, Any]]:
    """Output of the graph that a request may do without -> the flag that says so, and its columns."""
    columns = columns_of(checkpoints)
    return {
        name: {"option": output.option, "columns": columns[name]}
        for head, checkpoint in checkpoints.items()
        for name, output in graph_outputs(checkpoint.task, head).items()
        if output.option
    }


def interface_of(checkpoints: Mapping[str, Checkpoint]) -> Interface:
    """What goes into the graph of the encode step, and what comes out."""
    first, *_ = checkpoints.values()
    mask_id = first.tokenizer.mask_token_id if "mask_at" in first.graph_inputs else None
    return Interface(inputs=first.graph_inputs, follows=follows_of(checkpoints), mask_id=mask_id)


def write_steps(checkpoint: Checkpoint, config: ExportConfig, limits: Limits, folders: dict[str, Path]) -> None:
    """Write the files of the steps around the encode step into their version folders, `folders` by step."""
    task = checkpoint.task
    options = {"options": options_of(checkpoint, calibrated=config.labels is not None)}
    own = task.settings(checkpoint.config, checkpoint.modules, checkpoint.tokenizer)
    masks = {"mask_id": checkpoint.tokenizer.mask_token_id} if "mask_at" in checkpoint.graph_inputs else {}
    engine = engine_for(config).tokenize_settings(checkpoint.graph_inputs)
    arrival = {"arrival": ARRIVED_NS}
    template = {"template": asdict(checkpoint.template)} if checkpoint.template else {}
    late = {"late_interaction": {**checkpoint.late_settings, "width": checkpoint.dimensions}} if checkpoint.late else {}
    table = {"query_table": _query_table(checkpoint)} if checkpoint.modules.table else {}
    entities = {"entities": checkpoint.entity_settings} if checkpoint.entities else {}

    tokenizer = folders["tokenize"] / "tokenizer.json"
    tokenizer.write_text(checkpoint.tokenizer_file(), encoding="utf-8")
    copy_sources(sources_of("tokenize", f"tokenize.layouts.{task.layout}"), folders["tokenize"])
    write_settings(
        folders["tokenize"],
        {
            **options,
            **own,
            **masks,
            **engine,
            **arrival,
            **template,
            **late,
            **table,
            **entities,
            **({"leaves_out_prompt": True} if checkpoint.leaves_out_prompts else {}),
            "layout": task.layout,
            "tensors": tokenize_outputs(task, checkpoint.graph_inputs),
            "limits": asdict(limits),
            "queue": QUEUE,
            "encode_model": folders["encode"].parent.name,
            "prompts": checkpoint.modules.prompts,
            **_prompts_of_adapters(checkpoint),
            "tokenizer_sha256": sha256_of(tokenizer),
        },
    )

    copy_sources(sources_of("head", f"head.answers.{task.head}"), folders["head"])
    head = {"head": task.head, "tensors": head_inputs(task)}
    bounds = {"limits": asdict(limits)} if checkpoint.late else {}
    names = _names_of_columns(checkpoint)
    write_settings(folders["head"], {**options, **own, **head, **arrival, **late, **entities, **bounds, **names})


def _prompts_of_adapters(checkpoint: Checkpoint) -> dict[str, dict[str, str]]:
    """The prompts that come with adapters, by the name of the adapter."""
    prompts = checkpoint.modules.prompts
    named = {each.name: prompts[each.prompt_name] for each in checkpoint.adapters if each.prompt_name}
    return {"adapter_prompts": named} if named else {}


def _query_table(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the tokenize step knows of queries that a table answers."""
    table = checkpoint.modules.table
    assert table is not None
    return {
        "max_length": table.max_length,
        "prompt_names": checkpoint.modules.side_prompts,
        "weights": table.weights,
    }


def _names_of_columns(checkpoint: Checkpoint) -> dict[str, list[str]]:
    """The labels, or the tokens of the vocabulary as a text shows them."""
    if checkpoint.task.name != "fill-mask":
        return {"labels": checkpoint.labels} if checkpoint.labels else {}
    known = len(checkpoint.tokenizer)  # a network's vocabulary may be padded beyond
    tokens = [str(checkpoint.tokenizer.decode([id_])) if id_ < known else "" for id_ in range(checkpoint.dimensions)]
    return {"tokens": tokens}


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a step beside its model."""
    text = json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")
