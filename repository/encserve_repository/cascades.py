"""Cascades, which ask two pipelines in the versions that they were fitted to."""

from __future__ import annotations

import json
from pathlib import Path

from .config_text import parameters_of
from .errors import Damaged
from .versions import active_config, model_names

PARAMETER = "cascade"
"""The parameter of an ensemble that says which two pipelines it asks."""
_ROLES = ("small", "large")


def cascades_asking(repository: Path, name: str) -> dict[str, str]:
    """Return the active cascades that ask the pipeline `name`, with the version of it that each was fitted to. What is
    no cascade, or cannot be read, is passed over.

    Raises:
        OSError: the repository cannot be read.
    """
    found = {}
    for model in model_names(repository):
        try:
            config = active_config(repository, model)
            stated = json.loads(parameters_of(config)[PARAMETER]) if config is not None else {}
            members = {stated[role]: stated[f"{role}_version"] for role in _ROLES}
        except (Damaged, ValueError, KeyError, TypeError):
            continue
        if name in members:
            found[model] = str(members[name])
    return found
