"""A checkpoint with another configuration: the files stay where they are, and nothing in its folder is changed."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from encserve_export.checkpoint.json_file import read_needed_object, read_object
from encserve_export.config import ExportConfig

from .gte_new import MODEL_TYPE, in_terms_of_gte

_CONFIG = "config.json"
_READINGS = {MODEL_TYPE: in_terms_of_gte}
"""Model type -> its configuration in the terms of transformers."""


def is_foreign(folder: Path, asked: ExportConfig) -> bool:
    """Whether transformers has the network in `folder` under another name; not where its own code is to run."""
    return asked.trust_remote_code is None and read_object(folder / _CONFIG).get("model_type") in _READINGS


@lru_cache(maxsize=1)
def laid_out_natively(folder: Path) -> Path:
    """A folder with the checkpoint in `folder` as transformers reads it, which is taken away when this process ends.

    Raises:
        Unsupported: a setting that transformers' network does not have.
        CheckpointError: the configuration lacks a number.
    """
    stated = read_needed_object(folder / _CONFIG)
    native = _READINGS[stated["model_type"]](folder / _CONFIG, stated)
    target = Path(tempfile.mkdtemp(prefix=f"encserve-{folder.resolve().name}-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    for entry in folder.iterdir():
        if entry.name != _CONFIG and entry.suffix != ".py":
            (target / entry.name).symlink_to(entry.resolve())
    (target / _CONFIG).write_text(json.dumps(native, ensure_ascii=False, indent=2), encoding="utf-8")
    return target
