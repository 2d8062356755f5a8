"""The options under which a certificate asks about some texts again, because they change what an answer means."""

from __future__ import annotations

from typing import Any

from encserve_export.checkpoint.checkpoint import Checkpoint

_PROMPT = "Find what is said of a place: "
_THRESHOLD = 0.2
"""Of entities, where the default is 0.5."""
_DESCRIBED = {"person": "somebody, by name", "place": "where it is"}
"""Labels, and what they mean."""
_INSTRUCTION = "Which document names a place?"


def variants_of(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Sets of options that differ from the defaults."""
    return [*_of_prompts(checkpoint), *_of_task(checkpoint)]


def _of_prompts(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    if not checkpoint.task.prompts:
        return []
    modules = checkpoint.modules
    by_default = modules.default_prompt_name or any(modules.side_prompts.values())
    names = [*sorted(modules.prompts), *([""] if by_default else [])]
    sides: list[dict[str, str]] = [{"input_type": "query"}] if modules.table else []
    return [{"prompt_name": name, **side} for side in ({}, *sides) for name in names]


def _of_task(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    match checkpoint.task.name:
        case "feature-extraction":
            trained = [each for each in checkpoint.trained_dimensions if each < checkpoint.dimensions]
            shorter = trained[0] if trained else max(1, checkpoint.dimensions // 2)
            other = {"prompt": _PROMPT} if checkpoint.leaves_out_prompts else {"truncate": "start"}
            return [other, {"dimensions": shorter, "normalize": True}]
        case "late-interaction":
            return [{"rank": True}]
        case "token-classification":
            return [{"aggregation": each} for each in ("none", "first", "average", "max")]
        case "question-answering":
            return [{"top_k": 3}]
        case "zero-shot-token-classification":
            compete = checkpoint.entities is not None and checkpoint.entities.LABELS_COMPETE
            own = {"multi_label": True} if compete else _described(checkpoint)
            return [{"nested": True}, {**own, "threshold": _THRESHOLD}, *_of_many_labels(checkpoint)]
        case "zero-shot-classification":
            return [{"multi_label": True}]
        case "text-ranking" if checkpoint.template and checkpoint.template.instructed:
            return [{"instruction": _INSTRUCTION}]
        case _:
            return []


def _described(checkpoint: Checkpoint) -> dict[str, Any]:
    """Labels with what they mean, as many as leave half of a row to the text."""
    labels, descriptions = [*_DESCRIBED], [*_DESCRIBED.values()]
    while labels and len(checkpoint.labelled_row("", labels, descriptions)) > checkpoint.max_length // 2:
        del labels[-1], descriptions[-1]
    return {"labels": labels, "descriptions": descriptions} if labels else {}


def _of_many_labels(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """As many labels as a request may have, or as leave half of a row to the text."""
    labels = list(map(str, range(1, checkpoint.entity_settings["most_labels"] + 1)))
    while labels and len(checkpoint.labelled_row("", labels)) > checkpoint.max_length // 2:
        labels.pop()
    return [{"labels": labels}] if labels else []
