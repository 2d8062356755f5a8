"""A checkpoint with another configuration: the files stay where they are, and nothing in its folder is changed."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from encserve_export.config import ExportConfig
from encserve_export.json_file import read_needed_object, read_object

from .gte_new import in_terms_of_gte, is_new
from .jina_bert import in_terms_of_jina_bert, is_jina_bert
from .nomic_moe import in_terms_of_nomic_moe, is_nomic_moe

_CONFIG = "config.json"
_Reading: TypeAlias = Callable[[Path, Mapping[str, Any]], dict[str, Any]]
_READINGS: tuple[tuple[Callable[[Mapping[str, Any]], bool], _Reading], ...] = (
    (is_new, in_terms_of_gte),
    (is_jina_bert, in_terms_of_jina_bert),
    (is_nomic_moe, in_terms_of_nomic_moe),
)
"""Which configurations are meant, and how each is written down in the terms of a network that is there."""


def is_foreign(folder: Path, asked: ExportConfig) -> bool:
    """Whether the network in `folder` is there under another name; not where its own code is to run."""
    return asked.trust_remote_code is None and _reading_of(read_object(folder / _CONFIG)) is not None


def _reading_of(stated: Mapping[str, Any]) -> _Reading | None:
    return next((reading for is_meant, reading in _READINGS if is_meant(stated)), None)


def laid_out_natively(folder: Path, network: Path) -> Path:
    """A folder with the checkpoint in `folder` as transformers reads it, which is taken away when this process ends.

    Args:
        folder: Of the checkpoint.
        network: Where in it the network lies: there, or in a folder within.

    Raises:
        Unsupported: a setting that transformers' network does not have.
        CheckpointError: the configuration lacks a number.
    """
    stated = read_needed_object(network / _CONFIG)
    reading = _reading_of(stated)
    assert reading is not None
    native = reading(network / _CONFIG, stated)
    target = Path(tempfile.mkdtemp(prefix=f"encserve-{folder.resolve().name}-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    parts = network.relative_to(folder).parts
    _link(folder, target, parts)
    (target.joinpath(*parts) / _CONFIG).write_text(json.dumps(native, ensure_ascii=False, indent=2), encoding="utf-8")
    return target


def _link(folder: Path, target: Path, parts: tuple[str, ...]) -> None:
    """Name in `target` what lies in `folder`, but for Python code, and for the configuration in the folder within it
    that `parts` lead to."""
    for entry in folder.iterdir():
        if parts and entry.name == parts[0]:
            (target / entry.name).mkdir()
            _link(entry, target / entry.name, parts[1:])
        elif (parts or entry.name != _CONFIG) and entry.suffix != ".py":
            (target / entry.name).symlink_to(entry.resolve())
