"""Calibration: the texts on which a precision looks at a network before it rounds it, and what the manifest says of
them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration_file import read_texts
from .checkpoint import Checkpoint
from .config import ExportConfig
from .corpus import mixed_texts, vocabulary_texts
from .errors import InvalidConfig
from .probes import probe_of

MIN_TEXTS, MIN_TOKENS = 16, 512
"""Of a file: fewer say too little of what the activations of a network look like."""
MAX_TEXTS = 512
"""Texts beyond are left out: statistics change little with more, and an export takes longer."""
_DEFAULT_TEXTS, _DEFAULT_LONGEST_BYTES = 64, 1_000
_DEFAULT_SEED = 1  # not the certificate's
_VOCABULARY_TEXTS = 128
_PACK_TOKENS = 2_048


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Tokens of calibration texts, as the graph takes them."""

    packs: list[dict[str, NDArray[np.int64]]]
    """Inputs of the graph by name, for some texts together."""
    record: dict[str, Any]
    """What the manifest says: where the texts come from, their digest, how many texts and tokens."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [length for pack in self.packs for length in pack["lengths"].tolist()]


def calibrate(config: ExportConfig, checkpoint: Checkpoint) -> Calibration:
    """The calibration texts of an export, tokenized as transformers does.

    Raises:
        InvalidConfig: the file is missing, is not what it should be, or holds too little text.
    """
    if config.calibration is None:
        tokenizer = checkpoint.tokenizer.backend_tokenizer
        texts = [
            *mixed_texts(_DEFAULT_TEXTS, longest_bytes=_DEFAULT_LONGEST_BYTES, seed=_DEFAULT_SEED),
            *vocabulary_texts(_VOCABULARY_TEXTS, tokenizer=tokenizer),
        ]
        source = f"passages in several languages, seed {_DEFAULT_SEED}, and tokens drawn from the vocabulary"
    else:
        texts = read_texts(config.calibration, config.calibration_field)
        source = config.calibration.name
        if len(texts) < MIN_TEXTS:
            raise InvalidConfig(f"--calibration {config.calibration}: {len(texts)} texts; {MIN_TEXTS} are the least")
        texts = texts[:MAX_TEXTS]
    rows = probe_of(checkpoint, texts).expected
    tokens = sum(len(ids) for ids, _ in rows)
    if config.calibration is not None and tokens < MIN_TOKENS:
        raise InvalidConfig(
            f"--calibration {config.calibration}: {len(texts)} texts of {tokens} tokens together; {MIN_TOKENS} tokens "
            "are the least"
        )
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return Calibration(
        packs=_packs(checkpoint, rows),
        record={"source": source, "sha256": digest, "texts": len(texts), "tokens": tokens},
    )


def _packs(checkpoint: Checkpoint, rows: list[Any]) -> list[dict[str, NDArray[np.int64]]]:
    """Texts of similar lengths together, so that attention pads little."""
    groups: list[list[Any]] = []
    room = 0
    for row in sorted(rows, key=lambda row: len(row[0])):
        if len(row[0]) > room:
            groups.append([])
            room = _PACK_TOKENS
        groups[-1].append(row)
        room -= len(row[0])
    return [_pack(checkpoint, group) for group in groups]


def _pack(checkpoint: Checkpoint, group: list[Any]) -> dict[str, NDArray[np.int64]]:
    input_ids = np.concatenate([np.array(ids, np.int64) for ids, _ in group])
    known = {"input_ids": input_ids, "lengths": np.array([len(ids) for ids, _ in group], np.int64)}
    if "token_type_ids" in checkpoint.graph_inputs:
        known["token_type_ids"] = np.concatenate([np.array(types, np.int64) for _, types in group])
    if "mask_at" in checkpoint.graph_inputs:
        known["mask_at"] = np.flatnonzero(input_ids == checkpoint.tokenizer.mask_token_id)
    return known
