"""Adapters that lie within a checkpoint, which belong to it: each in a folder of its own, as PEFT saves them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from encserve_export.errors import CheckpointError

from .adapter_config import CONFIG_FILE

_OF_TRAINING = re.compile(r"checkpoint-\d+")
"""Folders in which the trainer of transformers keeps states of a training on its way, which belong to no checkpoint."""


def brought_adapters(folder: Path) -> dict[str, str]:
    """The folders of the adapters within `folder`, by their own names. One that lies in `folder` itself is none of it,
    and neither is one of `checkpoint-500/` and its like.

    Raises:
        CheckpointError: two have one name.
    """
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*/**/" + CONFIG_FILE)):
        name = file.parent.name
        if any(_OF_TRAINING.fullmatch(part) for part in file.relative_to(folder).parts):
            continue
        if name in found:
            raise CheckpointError(f"{folder} brings two adapters of the name {name}: {found[name]} and {file.parent}")
        found[name] = str(file.parent)
    return found


def prompt_of(adapter: str, prompt_names: Collection[str]) -> str | None:
    """The prompt that goes with an adapter that a checkpoint brings: that of its name, in whatever way both are
    written, as `retrieval_query` and `retrieval.query`; None where there is none."""
    return next((name for name in sorted(prompt_names) if _plain(name) == _plain(adapter)), None)


def _plain(name: str) -> str:
    return name.lower().translate(str.maketrans(".-", "__"))
