"""Where a checkpoint lies: a folder here, or a snapshot that the hub gives."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.repocard import metadata_load
from yaml import YAMLError

from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, InvalidConfig
from encserve_repository.manifest import sha256_of

from .remote_code import check_commit

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
FILES = ["*.json", "*.jinja", "*.txt", "*.model", "README.md"]
"""What a checkpoint has beside weights and code."""
_WEIGHTS, _OF_LAYERS = "*.safetensors", "*/*.safetensors"
"""Of the network with all that stands behind it; and of the layers behind it alone, each in a folder of its own."""
_PICKLED_HEADS = ("sparse_linear.pt", "colbert_linear.pt")
"""Of BGE-M3, beside the network."""
_PICKLES, _PICKLES_OF_LAYERS = "*pytorch_model*.bin", "*/pytorch_model.bin"
"""Likewise; of the network in one file or several."""
_OF_READING = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "*.model"),
)
"""The configuration, and what transformers makes a tokenizer of."""
_NOT_OF_LAYERS = ["*Transformer/*.safetensors", "*Transformer/*.bin", "*adapter_model.safetensors", "checkpoint-*/*"]
"""What else lies in folders: a network of its own, adapters, states of a training on its way."""


def checkpoint_folder(config: ExportConfig, *, weights: bool = True) -> Path:
    """The folder of the checkpoint that `config` names, downloaded where it is a hub id: without the weights of its
    network and of its adapters where they are not asked for, but with those of layers behind the network.

    Raises:
        CheckpointError: there is no such checkpoint.
        InvalidConfig: a revision of a local folder, or code that is not trusted by its commit.
    """
    local = Path(config.checkpoint)
    if local.is_dir():
        if config.revision:
            raise InvalidConfig(f"--revision {config.revision}: {local} is a local folder, which has no revisions")
        return local
    if not HUB_ID.fullmatch(config.checkpoint):
        raise CheckpointError(_neither(config))
    check_commit(config)
    patterns = [
        *FILES,
        _WEIGHTS if weights else _OF_LAYERS,
        *([_PICKLES if weights else _PICKLES_OF_LAYERS] if config.allow_pickle else ()),
        *(_PICKLED_HEADS if config.allow_pickle else ()),
        *(["*.py"] if config.trust_remote_code is not None else ()),
    ]
    left_out = None if weights else _NOT_OF_LAYERS
    try:
        return Path(
            snapshot_download(
                config.checkpoint, revision=config.revision, allow_patterns=patterns, ignore_patterns=left_out
            )
        )
    except HFValidationError as error:  # as of ./folder
        raise CheckpointError(_neither(config)) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0].removeprefix("Got: ")
        raise CheckpointError(
            f"{config.checkpoint} is no folder here, and the hub does not give it: {reason}"
        ) from error


def _neither(config: ExportConfig) -> str:
    return f"{config.checkpoint} is neither a folder nor a hub id (organisation/name)"


def source_of(config: ExportConfig) -> str:
    """What the manifest calls the checkpoint: the name of a local folder, or the hub id that was asked for."""
    local = Path(config.checkpoint)
    return local.resolve().name if local.is_dir() else config.checkpoint


def licence_of(folder: Path) -> str | None:
    """The licence that the metadata of the checkpoint's model card state, or several; None where they state none, or
    are not what the hub takes for metadata."""
    try:
        stated = (metadata_load(folder / "README.md") or {}).get("license")
    except (FileNotFoundError, ValueError, YAMLError):
        return None
    if isinstance(stated, list):
        return ", ".join(map(str, stated))
    return str(stated) if stated else None


def weights_digest(folder: Path) -> str:
    """Return the sha256 of the names and digests of the files of weights in a folder. Of local folders, whose name may
    be that of another training, it says whether they are of the same one."""
    return _digest_of(
        folder, (file for pattern in (_WEIGHTS, _PICKLES, *_PICKLED_HEADS) for file in folder.rglob(pattern))
    )


def reading_digest(folder: Path) -> str:
    """Return the sha256 of the names and digests of the files in a folder that say what a network is made of and how it
    reads texts."""
    return _digest_of(folder, (file for pattern in _OF_READING for file in folder.glob(pattern)))


def _digest_of(folder: Path, files: Iterable[Path]) -> str:
    lines = [f"{sha256_of(file)}  ./{file.relative_to(folder).as_posix()}\n" for file in sorted({*files})]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
