"""The files of a pipeline's steps: graph, tokenizer, settings, and the server's model sources copied as they are."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from encserve_server.models.options import Options
from encserve_server.models.step_settings import FILE_NAME as SETTINGS_FILE
from encserve_server.models.tokenization import Limits

from .checkpoint import Checkpoint
from .config import Engine
from .manifest import sha256_of
from .packed_graph import write_graph

SOURCES = {
    "tokenize": ("tokenize.py", "options.py", "replies.py", "step_settings.py", "tokenization.py"),
    "encode": ("encode.py", "micro_batches.py", "options.py", "packed_session.py", "replies.py", "step_settings.py"),
    "head": ("head.py", "options.py", "replies.py", "step_settings.py", "vectors.py"),
}
"""The modules that each step needs; the first becomes its model.py."""

MAX_TEXTS_PER_REQUEST = 256
MAX_TOKENS_PER_REQUEST = 65_536
MAX_BYTES_PER_TEXT = 256 * 1024
TOKEN_BUDGET = 512
"""Tokens of a micro-batch. Between 128 and 1,024 the speed on a CPU differs by less than 5 %; below and above it
falls."""


def limits_of(checkpoint: Checkpoint) -> Limits:
    """What one request may ask of a pipeline."""
    return Limits(
        max_length=checkpoint.max_length,
        max_texts_per_request=MAX_TEXTS_PER_REQUEST,
        max_tokens_per_request=max(MAX_TOKENS_PER_REQUEST, checkpoint.max_length),
        max_bytes_per_text=MAX_BYTES_PER_TEXT,
    )


def option_defaults_of(checkpoint: Checkpoint) -> Options:
    """What a request gets that chooses nothing: the answer of sentence-transformers."""
    return Options(
        truncate="end",
        prompt_name=checkpoint.modules.default_prompt_name or None,
        dimensions=None,
        normalize=checkpoint.modules.normalize,
    )


def write_steps(checkpoint: Checkpoint, engine: Engine, folders: dict[str, Path]) -> None:
    """Write each step's files into its version folder, `folders` by step."""
    options = {
        "option_defaults": asdict(option_defaults_of(checkpoint)),
        "prompt_names": sorted(checkpoint.modules.prompts),
        "dimensions": checkpoint.dimensions,
    }

    tokenizer = folders["tokenize"] / "tokenizer.json"
    tokenizer.write_text(checkpoint.tokenizer_file(), encoding="utf-8")
    _copy_sources("tokenize", folders["tokenize"])
    _write_settings(
        folders["tokenize"],
        {
            **options,
            "limits": asdict(limits_of(checkpoint)),
            "prompts": checkpoint.modules.prompts,
            "tokenizer_sha256": sha256_of(tokenizer),
        },
    )

    write_graph(checkpoint, folders["encode"] / "model.onnx")
    if engine is Engine.PYTHON:
        digests = {file.name: sha256_of(file) for file in sorted(folders["encode"].iterdir())}
        _copy_sources("encode", folders["encode"])
        _write_settings(folders["encode"], {"token_budget": TOKEN_BUDGET, "graph_sha256": digests})

    _copy_sources("head", folders["head"])
    _write_settings(folders["head"], options)


def _copy_sources(step: str, folder: Path) -> None:
    package = files("encserve_server.models")
    for position, source in enumerate(SOURCES[step]):
        target = "model.py" if position == 0 else source
        (folder / target).write_bytes((package / source).read_bytes())


def _write_settings(folder: Path, settings: dict[str, Any]) -> None:
    text = json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8")
