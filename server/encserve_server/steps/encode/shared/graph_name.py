"""What rows depend on beside the text: another graph, another runtime or another release of it may give other bits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def graph_name(settings: Mapping[str, Any]) -> bytes:
    """Return a digest of the graph that the settings of an encode step name, of the order of its inputs, and of what
    runs it."""
    from importlib.metadata import version  # with the parser of e-mail, which no step has that shares nothing

    runtime = settings["runtime"]
    named = [sorted(settings["graph_sha256"].items()), list(settings["tensors"]), runtime, version(runtime)]
    named.append(sorted(settings["hints"].items()))
    return hashlib.sha256(json.dumps(named).encode()).digest()
