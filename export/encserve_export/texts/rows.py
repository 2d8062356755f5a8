"""The rows of tokens that a request becomes, as the tokenizer of transformers gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.reference.messages import Asked

from .questions import Form, questions_of

Tokens: TypeAlias = tuple[list[int], list[int] | None]
"""Token ids of a row, and its token types where the graph takes them."""
_TEXTS = 8
"""Of a request: each has but one query."""
_LABELS = ("sport", "a place to eat")
"""Others than a certificate asks about."""


def rows_about(checkpoint: Checkpoint, texts: Sequence[str]) -> list[Tokens]:
    """The rows of requests about `texts`, as the task of the checkpoint makes them, but for those of no tokens."""
    form = Form(
        task=checkpoint.task.name,
        layout=checkpoint.task.layout,
        max_length=checkpoint.max_length,
        mask_token=checkpoint.tokenizer.mask_token or "",
        texts_per_request=_TEXTS,
        labels=_LABELS,
    )
    rows = [row for request in questions_of(form, texts) for row in rows_of(checkpoint, request)]
    return [row for row in rows if row[0]]


def rows_of(checkpoint: Checkpoint, request: Asked) -> list[Tokens]:
    """The rows of one request, in its order."""
    if checkpoint.modules.table and request.options.get("input_type") == "query":
        return []  # which the network never sees
    if checkpoint.entities:
        labels = request.options["labels"]
        return [(checkpoint.labelled_row(text, labels), None) for text in request.inputs["text"]]
    if checkpoint.late:
        return _marked_rows(checkpoint, request)
    texts, others = request.inputs["text"], request.inputs.get("text_pair")
    how: dict[str, Any] = {"truncation": True}
    match checkpoint.task.layout:
        case "context_windows":
            how = {"truncation": "only_second", "return_overflowing_tokens": True}
            how["stride"] = min(128, checkpoint.max_length // 2)
        case "hypotheses":
            labels, template = request.options["labels"], request.options["hypothesis_template"]
            others = [template.replace("{}", label) for label in labels] * len(texts)
            texts = [text for text in texts for _ in labels]
            how = {"truncation": "only_first"}
        case "text_pairs" | "templated_pairs" if others is not None and len(texts) < len(others):
            texts = texts * len(others)
    modules = checkpoint.modules
    prompt = modules.prompts.get(modules.side_prompts.get("document", modules.default_prompt_name) or "", "")
    if checkpoint.template and others is not None:
        pairs = zip(texts, others, strict=True)
        texts, others = [checkpoint.template.render(*pair, prompt) for pair in pairs], None
        how["add_special_tokens"], prompt = False, ""
    typed = "token_type_ids" in checkpoint.graph_inputs
    encoded = checkpoint.tokenizer(
        [prompt + text for text in texts],
        others,
        max_length=checkpoint.max_length,
        padding=False,
        return_token_type_ids=True if typed else None,  # None leaves it to the tokenizer
        **how,
    )
    types = encoded["token_type_ids"] if typed else [None] * len(encoded["input_ids"])
    return list(zip(encoded["input_ids"], types, strict=True))


def _marked_rows(checkpoint: Checkpoint, request: Asked) -> list[Tokens]:
    """The rows of queries, or of documents, with their markers, and filled up."""
    side = checkpoint.late_settings[request.options.get("input_type", "document")]
    tokenizer, marker = checkpoint.tokenizer, side["marker"]
    ahead = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"].index(0)
    rows: list[Tokens] = []
    for text in request.inputs["text"]:
        room = side["max_length"] - len(marker)
        ids = tokenizer(side["prompt"] + text, truncation=True, max_length=room)["input_ids"]
        ids = [*ids[:ahead], *marker, *ids[ahead:]]
        rows.append(([*ids, *[side["filler"]] * (side["filled_to"] - len(ids))], None))
    return rows
