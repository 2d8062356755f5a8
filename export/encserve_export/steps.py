"""The files of a pipeline's steps: graph, tokenizer, settings, and the server's model sources copied as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import onnx
from tokenizers import Tokenizer

from encserve_server.models.limits import MAX_WHOLE_BYTES, Limits
from encserve_server.models.request_bounds import Bounds
from encserve_server.models.safe_cuts import safe_cuts_of
from encserve_server.models.step_settings import FILE_NAME as SETTINGS_FILE

from .calibration import Calibration
from .checkpoint import Checkpoint
from .config import Engine, ExportConfig, Runtime
from .fused_attention import fused_layers, fusing
from .graph_file import read_graph_file, write_graph_file
from .manifest import sha256_of
from .packed_graph import GRAPH_FILE, write_graph
from .packed_heads import PackedHeads, packed_network
from .packing import constant_longest
from .precisions import Way
from .task_options import MAX_TEXTS_PER_REQUEST, options_of
from .tasks import Task, graph_output
from .tensorrt_operators import check_operators, rewrite_integers
from .tensorrt_profile import bounds_of

if TYPE_CHECKING:
    import torch

_COMMON = ("options.py", "replies.py", "request_tensors.py", "step_settings.py")
_LANES = ("batch_times.py", "counters.py", "lanes.py", "load_page.py")
_TOKENIZE = (
    "tokenize.py",
    "frame.py",
    "kept_tokens.py",
    "limits.py",
    "packed_rows.py",
    "safe_cuts.py",
    "tokenization.py",
    "turns.py",
)
_ENCODE = (
    "encode.py",
    "cores.py",
    "cpu_flags.py",
    "encode_batch.py",
    "encode_lane.py",
    "lone_threads.py",
    "micro_batches.py",
    "packed_session.py",
    "recent_rows.py",
    "request_bounds.py",
    "request_columns.py",
)
_HEAD = ("head.py", "heads.py")

MAX_TOKENS_PER_REQUEST = 65_536
MAX_BYTES_PER_TEXT = 16 * 1024 * 1024
"""Of a text that truncation cuts at a safe place, so that most of it is never tokenized; others are tokenized whole."""
_READ_WHOLE = ("context_windows", "masked_texts")
"""Layouts that need every token of a text."""
QUEUE = {"max_queued_texts": 8_192, "max_queued_bytes": 64 * 1024 * 1024}
"""What may wait in each lane of a pipeline."""


def sources_of(task: Task, runtime: Runtime = Runtime.ONNXRUNTIME) -> dict[str, tuple[str, ...]]:
    """The server modules that each step needs; the first becomes its model.py. `runtime` is the encode step's."""
    return {
        "tokenize": (*_TOKENIZE, *_LANES, *_COMMON, f"{task.layout}.py", *task.layout_sources),
        "encode": (*_ENCODE, f"{runtime.value}_network.py", *_LANES, *_COMMON),
        "head": (*_HEAD, *_COMMON, f"{task.head}.py", *task.head_sources),
    }


def limits_of(checkpoint: Checkpoint, config: ExportConfig) -> Limits:
    """What one request may ask of a pipeline."""
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer_file())
    whole = checkpoint.task.layout in _READ_WHOLE or safe_cuts_of(tokenizer) is None
    texts, tokens = MAX_TEXTS_PER_REQUEST, max(MAX_TOKENS_PER_REQUEST, checkpoint.max_length)
    if Engine.TENSORRT in (config.engine, config.followed_by):
        bounds = bounds_of(checkpoint.max_length)
        texts, tokens = bounds.texts_per_request, bounds.tokens_per_request
    return Limits(
        max_length=checkpoint.max_length,
        max_texts_per_request=texts,
        max_tokens_per_request=tokens,
        max_bytes_per_text=MAX_WHOLE_BYTES if whole else MAX_BYTES_PER_TEXT,
    )


def tokenize_outputs(task: Task, graph_inputs: tuple[str, ...]) -> tuple[str, ...]:
    """What the tokenize step gives: to the graph, to the head, and to the client."""
    to_head = (name for name in task.head_inputs if name not in (*task.inputs, *graph_inputs))
    return tuple(dict.fromkeys((*graph_inputs, *to_head, *task.counts)))


def head_inputs(task: Task) -> tuple[str, ...]:
    """What the head step takes."""
    return (task.output, *task.head_inputs)


def trace(
    checkpoints: Mapping[str, Checkpoint], config: ExportConfig, folder: Path, *, fused_attention: bool = False
) -> int:
    """Write the FP32 graph of the encode step into `folder`; `checkpoints` by the name of their head.

    With `fused_attention` layers attend by one operator where they can; returns how many do.
    """
    folder.mkdir(parents=True)
    first, *others = checkpoints.values()
    network = PackedHeads([first, *others]) if others else packed_network(first)
    longest = max(checkpoint.max_length for checkpoint in checkpoints.values())
    constant = constant_longest(longest) if config.engine is Engine.TENSORRT else nullcontext()
    with constant, fusing() if fused_attention else nullcontext():
        write_graph(first, network, folder / GRAPH_FILE, list(follows_of(checkpoints)))
    return fused_layers(onnx.load(folder / GRAPH_FILE, load_external_data=False))


def write_encode(
    checkpoints: Mapping[str, Checkpoint],
    config: ExportConfig,
    way: Way,
    calibration: Calibration,
    traced: Path,
    folder: Path,
) -> dict[str, Any]:
    """Write the encode step's files into its version folder, which is emptied first: the FP32 graph in the folder
    `traced`, turned into the precision of `way`. Returns what the manifest says of how."""
    shutil.rmtree(folder)
    shutil.copytree(traced, folder)
    first = next(iter(checkpoints.values()))
    made = way.rewrite(folder / GRAPH_FILE, first, calibration)
    if way.engine is Engine.TENSORRT:
        graph = read_graph_file(folder / GRAPH_FILE)
        rewrite_integers(graph)
        check_operators(graph)
        write_graph_file(graph, folder / GRAPH_FILE)
    if way.runtime is not None:
        digests = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
        _copy_sources(sources_of(first.task, way.runtime)["encode"], folder)
        _write_settings(
            folder,
            {
                "tensors": first.graph_inputs,
                "bounds": asdict(encode_bounds(checkpoints, config)),
                "follows": follows_of(checkpoints),
                "token_budget": config.tokens_per_micro_batch,
                "micro_batch_cost": asdict(way.micro_batch_cost(first.config.hidden_size)),
                "runtime": way.runtime.value,
                "hints": way.hints,
                "fast_on_cpu": way.fast_on_cpu,
                "graph_sha256": digests,
            },
        )
    return made


def encode_bounds(checkpoints: Mapping[str, Checkpoint], config: ExportConfig) -> Bounds:
    """What one request may ask of the encode step, whoever sent it."""
    first = next(iter(checkpoints.values()))
    embeddings = cast("torch.nn.Embedding", first.encoder.get_input_embeddings())
    types = getattr(first.config, "type_vocab_size", 0) or 2  # 0, as in DeBERTa-v3: told by the tokenizer, and ignored
    sizes = {"input_ids": embeddings.num_embeddings, "token_type_ids": types}
    limits = [limits_of(checkpoint, config) for checkpoint in checkpoints.values()]
    return Bounds(
        max_length=max(each.max_length for each in limits),
        max_tokens=max(each.max_tokens_per_request for each in limits),
        vocabularies={name: sizes[name] for name in first.graph_inputs if name in sizes},
    )


def follows_of(checkpoints: Mapping[str, Checkpoint]) -> dict[str, str]:
    """Output of the graph -> the input of which it has a row for each element."""
    return {graph_output(checkpoint.task, head): checkpoint.task.follows for head, checkpoint in checkpoints.items()}


def write_steps(checkpoint: Checkpoint, config: ExportConfig, folders: dict[str, Path]) -> None:
    """Write the files of the steps around the encode step into their version folders, `folders` by step."""
    task = checkpoint.task
    options = {"options": options_of(checkpoint)}
    own = task.settings(checkpoint.config, checkpoint.modules, checkpoint.tokenizer)
    masks = {"mask_id": checkpoint.tokenizer.mask_token_id} if "mask_at" in checkpoint.graph_inputs else {}

    tokenizer = folders["tokenize"] / "tokenizer.json"
    tokenizer.write_text(checkpoint.tokenizer_file(), encoding="utf-8")
    _copy_sources(sources_of(task)["tokenize"], folders["tokenize"])
    _write_settings(
        folders["tokenize"],
        {
            **options,
            **own,
            **masks,
            "layout": task.layout,
            "tensors": tokenize_outputs(task, checkpoint.graph_inputs),
            "limits": asdict(limits_of(checkpoint, config)),
            "queue": QUEUE,
            "encode_model": folders["encode"].parent.name,
            "prompts": checkpoint.modules.prompts,
            "tokenizer_sha256": sha256_of(tokenizer),
        },
    )

    _copy_sources(sources_of(task)["head"], folders["head"])
    head = {"head": task.head, "tensors": head_inputs(task)}
    _write_settings(folders["head"], {**options, **own, **head, **_names_of_columns(checkpoint)})


def _names_of_columns(checkpoint: Checkpoint) -> dict[str, list[str]]:
    """The labels, or the tokens of the vocabulary as a text shows them."""
    if checkpoint.task.name != "fill-mask":
        return {"labels": checkpoint.labels} if checkpoint.labels else {}
    known = len(checkpoint.tokenizer)  # a network's vocabulary may be padded beyond
    tokens = [str(checkpoint.tokenizer.decode([id_])) if id_ < known else "" for id_ in range(checkpoint.dimensions)]
    return {"tokens": tokens}


def _copy_sources(sources: Sequence[str], folder: Path) -> None:
    package = files("encserve_server.models")
    for position, source in enumerate(sources):
        target = "model.py" if position == 0 else source
        (folder / target).write_bytes((package / source).read_bytes())


def _write_settings(folder: Path, settings: dict[str, Any]) -> None:
    text = json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")
