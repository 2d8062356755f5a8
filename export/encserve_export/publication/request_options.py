"""The options that a request may set, task by task, as rules that the server's `options` module reads."""

from __future__ import annotations

from typing import Any

from encserve_export.adapters.lora import NONE
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.gliner.scores import MOST_LABELS
from encserve_export.checkpoint.tasks.adapted import ADAPTED_BY_TEXT
from encserve_export.checkpoint.tasks.table import BY_TABLE
from encserve_server.steps.instance.lanes import LANES
from encserve_server.steps.tokenize.given_vectors import KINDS
from encserve_server.steps.tokenize.layouts.queries_by_table import SIDES

MAX_TEXTS_PER_REQUEST = 256
_IN_WINDOWS = ("feature-extraction", "text-classification", "token-classification")
_WITH_WRITTEN_PROMPTS = ("feature-extraction", "token-embedding", "sparse-embedding")
_ANY = 2**31 - 1
MOST_OF_AN_INSTRUCTION = 4_096
"""UTF-8 bytes."""
MOST_SPANS = 65_536
"""Of all texts of a request, as they are read; the tokenize step refuses more than a request may have of tokens."""

Rule = dict[str, Any]


def options_of(checkpoint: Checkpoint, *, calibrated: bool = False) -> dict[str, Rule]:
    """Option -> kind, default and bounds. A request that sets none gets the answer of the reference library.

    `calibrated` says whether a temperature is fitted.
    """
    offered: dict[str, Rule] = {
        "truncate": _choice(cut_side(checkpoint), ["end", "start", "error"]),
        "lane": _choice(LANES[0], list(LANES)),
        "cancel": {"kind": "id", "default": None},
        "fresh": {"kind": "flag", "default": False},
    }
    if checkpoint.task.prompts:
        offered["prompt_name"] = _choice(
            None if checkpoint.modules.table else checkpoint.modules.default_prompt_name,  # whose sides have their own
            ["", *sorted(checkpoint.modules.prompts)],
        )
    if checkpoint.leaves_out_prompts:  # which stand at the start
        offered["truncate"] = _choice("end", ["end", "error"])
    if checkpoint.task.name in _WITH_WRITTEN_PROMPTS:
        offered["prompt"] = {"kind": "text", "default": None, "most": MOST_OF_AN_INSTRUCTION}
    if checkpoint.adapters:
        by_text = checkpoint.task.name in ADAPTED_BY_TEXT and not checkpoint.task.pairs
        names = [NONE, *(adapter.name for adapter in checkpoint.adapters)]
        offered["adapter"] = {"kind": "adapters", "default": NONE, "allowed": names, "by_text": by_text}
    match checkpoint.task.name:
        case "feature-extraction":
            offered |= _of_vectors(checkpoint, normalize=checkpoint.modules.normalize)
        case "token-embedding":
            offered |= _of_vectors(checkpoint, normalize=checkpoint.modules.token_normalize)
            if checkpoint.modules.pools_by_mean:
                offered["spans"] = {"kind": "spans", "default": None, "most": MOST_SPANS}
                offered["span_by"] = _choice(None, ["sentence", "tokens"])
                offered["span_tokens"] = _whole(None, 1, checkpoint.max_length)
        case "late-interaction":
            offered |= _of_vectors(checkpoint, normalize=checkpoint.modules.token_normalize)
            offered["input_type"] = _choice("document", ["query", "document"])
            offered["rank"] = {"kind": "flag", "default": False}
            offered["document_vectors"] = _choice(None, [*KINDS])
            offered["top_k"] = _whole(None, 1, _ANY)
        case "hybrid-embedding":
            of_vectors = _of_vectors(checkpoint, normalize=True)
            offered |= {name: of_vectors[name] for name in ("normalize", "output_dtype")}
            offered |= {each.option: {"kind": "flag", "default": True} for each in checkpoint.task.outputs}
            offered["top_k"] = _whole(None, 1, int(checkpoint.config.vocab_size))
        case "sparse-embedding":
            offered["top_k"] = _whole(None, 1, checkpoint.dimensions)
            if table := checkpoint.modules.table:
                offered[BY_TABLE] = _choice(SIDES[not table.queries_by_default], [*SIDES])
        case "text-classification":
            offered["top_k"] = _whole(None, 1, checkpoint.dimensions)
            if calibrated:
                offered["probabilities"] = {"kind": "flag", "default": False}
        case "text-ranking":
            offered["top_k"] = _whole(None, 1, _ANY)
            if checkpoint.template:  # of which the end is never cut
                offered["truncate"] = _choice("end", ["end", "error"])
                most = MOST_OF_AN_INSTRUCTION if checkpoint.template.instructed else 0
                offered["instruction"] = {"kind": "text", "default": None, "most": most}
        case "token-classification":
            offered["aggregation"] = _choice("simple", ["none", "simple", "first", "average", "max"])
        case "question-answering":
            del offered["truncate"]  # what is too long gets windows
            offered["top_k"] = _whole(1, 1, 100)
            offered["max_answer_length"] = _whole(15, 1, checkpoint.max_length)
            offered["overlap"] = _whole(min(128, checkpoint.max_length // 2), 0, checkpoint.max_length)
            offered["no_answer"] = {"kind": "flag", "default": False}
            offered["align_to_words"] = {"kind": "flag", "default": True}
        case "fill-mask":
            offered["top_k"] = _whole(5, 1, min(1000, checkpoint.dimensions))
            offered["score_texts"] = {"kind": "flag", "default": False}
        case "zero-shot-token-classification":
            offered["truncate"] = _choice(
                "end", ["end", "start", "error"]
            )  # as the library, whatever its tokenizer says
            offered["labels"] = {"kind": "labels", "default": None, "most": MOST_LABELS, "required": True}
            offered["threshold"] = {"kind": "number", "default": 0.5, "above": 0, "most": 1}
            offered["nested"] = {"kind": "flag", "default": False}
            if checkpoint.entities and checkpoint.entities.LABELS_COMPETE:
                offered["multi_label"] = {"kind": "flag", "default": False}
            else:
                offered["descriptions"] = {"kind": "strings", "default": None, "most": MOST_LABELS}
        case "zero-shot-classification":
            offered["labels"] = {"kind": "labels", "default": None, "most": MAX_TEXTS_PER_REQUEST, "required": True}
            offered["multi_label"] = {"kind": "flag", "default": False}
            offered["hypothesis_template"] = {"kind": "template", "default": "This example is {}."}
    if checkpoint.task.name in _IN_WINDOWS and checkpoint.task.layout != "text_pairs":
        offered["long_text"] = _choice("truncate", ["truncate", "chunk"])
        offered["overlap"] = _whole(checkpoint.max_length // 8, 0, checkpoint.max_length)
    return offered


def cut_side(checkpoint: Checkpoint) -> str:
    """The end of a text at which its tokenizer cuts."""
    return "start" if checkpoint.tokenizer.truncation_side == "left" else "end"


def _of_vectors(checkpoint: Checkpoint, *, normalize: bool) -> dict[str, Rule]:
    most = checkpoint.dimensions
    trained = [length for length in checkpoint.trained_dimensions if length < most]
    return {
        "dimensions": (
            {"kind": "trained", "default": None, "allowed": [*trained, most]} if trained else _whole(None, 1, most)
        ),
        "normalize": {"kind": "flag", "default": normalize},
        "output_dtype": _choice("float32", ["float32", "int8", "binary"]),
    }


def _choice(default: str | None, allowed: list[str]) -> Rule:
    return {"kind": "choice", "default": default, "allowed": allowed}


def _whole(default: int | None, least: int, most: int) -> Rule:
    return {"kind": "whole", "default": default, "least": least, "most": most}
