"""`encserve inspect`: what a checkpoint is served as, or why it is refused, without an export."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encserve_export import require_extra

if TYPE_CHECKING:
    from encserve_export.checkpoint.checkpoint import Checkpoint

SUMMARY = "say what a checkpoint is served as, or why it is refused, without exporting it"
_POOLED = "feature-extraction"
_BYTES = 4
"""Of a number in FP32."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("checkpoint", help="a checkpoint folder, or a hub id")
    parser.add_argument("--task", help="Hugging Face task name (default: read from the checkpoint)")
    parser.add_argument(
        "--adapter", choices=("none",), help="none: without the adapters that the checkpoint brings, as of an export"
    )
    parser.add_argument("--pairs", action="store_true", help="text-classification of pairs of texts")
    parser.add_argument("--max-length", type=int, metavar="N", help="tokens of a text that count")
    parser.add_argument("--revision", metavar="SHA", help="commit or tag of a hub checkpoint")
    parser.add_argument("--base-revision", metavar="SHA", help="as `encserve export` takes it")
    parser.add_argument("--allow-pickle", action="store_true", help="accept weights in a pickle, which can run code")
    parser.add_argument("--trust-remote-code", metavar="REVISION", help="as `encserve export` takes it")
    parser.add_argument(
        "--weights",
        action=argparse.BooleanOptionalAction,
        help="whether to read the weights, too, and check that the network takes all of them (default: those of a "
        "folder; of a hub id the small ones of layers behind the network alone are downloaded)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object in place of lines")


def run(arguments: argparse.Namespace) -> int:
    """Say what the checkpoint is. What an export would refuse is the error of this command, too."""
    require_extra()
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers.utils import logging as transformers_logging

    from encserve_export.checkpoint.loading import load_checkpoint
    from encserve_export.config import ExportConfig

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    weights = Path(arguments.checkpoint).is_dir() if arguments.weights is None else arguments.weights
    config = ExportConfig(
        checkpoint=arguments.checkpoint,
        name="inspected",  # of no pipeline: nothing is published
        own_adapters=arguments.adapter is None,
        task=arguments.task,
        pairs=arguments.pairs,
        max_length=arguments.max_length,
        revision=arguments.revision,
        base_revision=arguments.base_revision,
        allow_pickle=arguments.allow_pickle,
        trust_remote_code=arguments.trust_remote_code,
    )
    found = dict(_described(load_checkpoint(config, weights=weights), weights=weights))
    if arguments.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    width = max(map(len, found))
    for name, value in found.items():
        plain = isinstance(value, str) and "\n" not in value
        print(f"{name:<{width}}  {value if plain else json.dumps(value, ensure_ascii=False)}")
    return 0


def _described(checkpoint: Checkpoint, *, weights: bool) -> Iterator[tuple[str, Any]]:
    """What there is to say, by name."""
    from encserve_export.generation.defaults import defaults_of

    modules, task = checkpoint.modules, checkpoint.task
    parameters = sum(tensor.numel() for tensor in checkpoint.model.parameters())
    yield "checkpoint", checkpoint.source
    if checkpoint.revision:
        yield "revision", checkpoint.revision
    if checkpoint.base:
        yield "base", checkpoint.base.record
    yield "licence", checkpoint.licence or "not stated"
    yield "task", task.name
    yield "reads", "pairs of texts" if task.pairs else "single texts"
    yield "family", checkpoint.config.model_type
    yield "attention", _attention(checkpoint)
    if task.name == _POOLED or modules.scores:
        yield "pooling", modules.pooling
        yield "dense_layers", len(modules.token_dense) + len(modules.dense)
        yield "normalized", modules.normalize
        if not modules.pools_prompt:
            yield "pools", "the tokens of a text, without those of its prompt"
    if modules.table:
        weighing = sum(weight != 0 for weight in modules.table.weights)
        yield "queries", {"answered_by": f"a table of {weighing} tokens", "max_length": modules.table.max_length}
        yield "prompts_by_default", modules.side_prompts
        yield "without_input_type", "query" if modules.table.queries_by_default else "document"
    if checkpoint.late:
        late = checkpoint.late
        lengths = zip(("query", "document"), (late.query, late.document), checkpoint.side_lengths, strict=True)
        for name, side, length in lengths:
            yield name, {"before": side.marker or side.prompt, "max_length": length, "skips": list(side.skipped_words)}
        yield "query_expansion", asdict(late.expansion) if late.expansion else None
        yield "score", "maxsim, over the query's vectors" if late.mean else "maxsim"
        yield "normalized", modules.token_normalize
    if checkpoint.entities:
        stated = checkpoint.entities.settings
        yield "labels", f"of each request, at most {checkpoint.entity_settings['most_labels']}"
        yield "entities", stated.found
    if checkpoint.template:
        yield "template", checkpoint.template.render("QUERY", "DOCUMENT")
    if task.generates:
        yield "prompts", defaults_of(checkpoint.model, checkpoint.source).prompts
    elif task.prompts:
        yield "prompts", modules.prompts
        yield "default_prompt", modules.default_prompt_name
    if checkpoint.adapters:
        yield "adapters", {each.name: each.record for each in checkpoint.adapters}
    if checkpoint.labels:
        yield "labels", checkpoint.labels
    if not task.generates:
        yield "dimensions", checkpoint.dimensions
    yield "max_length", checkpoint.max_length
    yield "parameters", parameters
    yield "fp32_bytes", parameters * _BYTES
    yield "weights", "read: the network takes all of them" if weights else "not looked at"
    yield "certified", "no: `encserve export` compares it with the library"


def _attention(checkpoint: Checkpoint) -> str:
    """How its tokens see each other."""
    if not checkpoint.config.num_hidden_layers:
        return "none: a token has its vector whatever stands beside it"
    direction = checkpoint.family.direction(checkpoint.config)
    runs = "padded inside the graph" if checkpoint.family.padded else "packed"
    return f"{runs}, {'to what stands before' if direction.causal else 'both ways'}"
