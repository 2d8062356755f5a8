"""A manifest of no checkpoint, for tests of what reads and writes one."""

from dataclasses import asdict

from encserve_repository.manifest import Manifest
from encserve_server.steps.encode.host.requirements import HostRequirements

ANYTHING = {
    "task": "feature-extraction",
    "precision": "fp32",
    "engine": "python",
    "requirements": asdict(HostRequirements(backend="python")),
    "checkpoint": {},
    "opset": 20,
    "dimensions": 1,
    "pooling": None,
    "pairs": False,
    "labels": [],
    "mask_token": "",
    "graph_inputs": ("text",),
    "limits": {},
    "token_budget": None,
    "prompts": {},
    "option_defaults": {},
    "tokenizer_sha256": "",
    "parity": {},
    "tools": {},
}


def toy_manifest(name, version, files, **changes):
    """The manifest of a version with `files`, by their sha256."""
    return Manifest(name=name, version=version, files=files, **ANYTHING | changes)
