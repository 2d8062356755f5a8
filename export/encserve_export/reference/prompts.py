"""What an encoder of sentence-transformers puts before texts."""

from __future__ import annotations

from typing import Any


def prompts_of(encoder: Any) -> dict[str, str]:
    """What a request may ask for, by name."""
    return {name: prompt for name, prompt in encoder.prompts.items() if prompt}


def prompt_arguments(options: dict[str, Any]) -> dict[str, str]:
    """What `encode` and `predict` get. An empty name asks for no prompt, where a missing one asks for the default; an
    instruction, or a prompt that is written out, stands in the place of either."""
    for written in ("instruction", "prompt"):
        if written in options:
            return {"prompt": options[written]}
    name = options.get("prompt_name")
    return {"prompt": ""} if name == "" else {} if name is None else {"prompt_name": name}


def prompt_before(encoder: Any, options: dict[str, Any]) -> str:
    """The very text that a request gets before each of its own."""
    if "prompt" in options:
        return str(options["prompt"])
    name = options.get("prompt_name", encoder.default_prompt_name)
    return encoder.prompts[name] if name else ""
