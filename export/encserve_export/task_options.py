"""The options that a request may set, task by task, as rules that the server's `options` module reads."""

from __future__ import annotations

from typing import Any

from .checkpoint import Checkpoint

Rule = dict[str, Any]


def options_of(checkpoint: Checkpoint) -> dict[str, Rule]:
    """Option -> kind, default and bounds. A request that sets none gets the answer of the reference library."""
    offered: dict[str, Rule] = {"truncate": _choice("end", ["end", "start", "error"])}
    match checkpoint.task.name:
        case "feature-extraction":
            modules = checkpoint.modules
            default_prompt = modules.default_prompt_name or None
            offered["prompt_name"] = _choice(default_prompt, ["", *sorted(modules.prompts)])
            offered["dimensions"] = _whole(None, 1, checkpoint.dimensions)
            offered["normalize"] = {"kind": "flag", "default": modules.normalize}
        case "text-classification":
            offered["top_k"] = _whole(None, 1, checkpoint.dimensions)
        case "text-ranking":
            offered["top_k"] = _whole(None, 1, 2**31 - 1)
    return offered


def _choice(default: str | None, allowed: list[str]) -> Rule:
    return {"kind": "choice", "default": default, "allowed": allowed}


def _whole(default: int | None, least: int, most: int) -> Rule:
    return {"kind": "whole", "default": default, "least": least, "most": most}
