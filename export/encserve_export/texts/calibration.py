"""Calibration: the texts on which a precision looks at a network before it rounds it, and what the manifest says of
them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.config import ExportConfig
from encserve_export.errors import InvalidConfig

from .calibration_file import own_texts
from .parts import Part, corpus_of, digest_of
from .rows import Tokens, rows_about
from .vocabulary_texts import vocabulary_texts

CORPUS = f"encserve's corpus, part {Part.CALIBRATION.value}, and tokens drawn from the vocabulary"
"""What the manifest says of where the texts come from that are no file's."""
MIN_TOKENS = 512
"""How many tokens the texts of a file that are not held out must have: fewer say too little of what the activations of
a network look like."""
_DOCUMENTS, _LONGEST_TOKENS = 16, 128
"""How many long documents are made of the corpus, beside its texts as they stand, and how long they are. More tokens
take long: the time of int8 is proportional to them."""
_VOCABULARY_TEXTS = 128
_PACK_TOKENS = 2_048


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Tokens of calibration texts, as the graph takes them, and texts like them that it does not hold."""

    packs: list[dict[str, NDArray[np.int64]]]
    """Inputs of the graph by name, for some texts together."""
    record: dict[str, Any]
    """What the manifest says: where the texts come from, their digest, how many texts and tokens; of a file also how
    often it repeats a text, and digest and number of the texts held out."""
    held_out: tuple[str, ...] = ()
    """Of a file, a third of its texts, of which nothing that is made or chosen may know: for the certificate."""

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
        return _of_the_corpus(checkpoint)
    return _of_a_file(config.calibration, config.calibration_field, checkpoint)


def corpus_texts(checkpoint: Checkpoint) -> list[str]:
    """The texts of a calibration without a file: those of the corpus that are for it, long ones that are made of them,
    and such as are drawn from the vocabulary."""
    corpus = corpus_of(Part.CALIBRATION)
    drawn = vocabulary_texts(_VOCABULARY_TEXTS, tokenizer=checkpoint.tokenizer.backend_tokenizer)
    sample = corpus.sample(4 * _DOCUMENTS, longest_tokens=_LONGEST_TOKENS)
    documents = [each for each in sample if each.domain == "document"]
    return [each.text for each in (*corpus.texts, *documents)] + drawn


def _of_the_corpus(checkpoint: Checkpoint) -> Calibration:
    return _calibration(checkpoint, corpus_texts(checkpoint), {"source": CORPUS})


def _of_a_file(file: Path, field: str, checkpoint: Checkpoint) -> Calibration:
    own = own_texts(file, field)
    held_out = {"sha256": digest_of(own.held_out), "texts": len(own.held_out), "shares_no": own.apart}
    record = {"source": file.name, "repeated": own.repeated, "held_out": held_out}
    made = _calibration(checkpoint, own.kept, record, tuple(own.held_out))
    if made.record["tokens"] < MIN_TOKENS:
        raise InvalidConfig(
            f"--calibration {file}: {len(own.kept)} texts of {made.record['tokens']} tokens together, a third of the "
            f"file held out; {MIN_TOKENS} tokens are the least"
        )
    return made


def _calibration(
    checkpoint: Checkpoint, texts: list[str], record: dict[str, Any], held_out: tuple[str, ...] = ()
) -> Calibration:
    rows = rows_about(checkpoint, texts)
    tokens = sum(len(ids) for ids, _ in rows)
    return Calibration(
        packs=packs_of(checkpoint, rows),
        record={**record, "sha256": digest_of(texts), "texts": len(texts), "tokens": tokens},
        held_out=held_out,
    )


def packs_of(checkpoint: Checkpoint, rows: Sequence[Tokens]) -> list[dict[str, NDArray[np.int64]]]:
    """Texts of similar lengths together, so that attention pads little."""
    groups: list[list[Tokens]] = []
    room = 0
    for row in sorted(rows, key=lambda row: len(row[0])):
        if len(row[0]) > room:
            groups.append([])
            room = _PACK_TOKENS
        groups[-1].append(row)
        room -= len(row[0])
    return [_pack(checkpoint, group) for group in groups]


def _pack(checkpoint: Checkpoint, group: list[Tokens]) -> dict[str, NDArray[np.int64]]:
    input_ids = np.concatenate([np.array(ids, np.int64) for ids, _ in group])
    known = {"input_ids": input_ids, "lengths": np.array([len(ids) for ids, _ in group], np.int64)}
    if "token_type_ids" in checkpoint.graph_inputs:
        known["token_type_ids"] = np.concatenate([np.array(types, np.int64) for _, types in group])
    for name in ("attention_mask", "pooling_mask"):
        if name in checkpoint.graph_inputs:
            known[name] = np.ones_like(input_ids)
    if "entity_roles" in checkpoint.graph_inputs:
        known["entity_roles"] = np.concatenate([checkpoint.guessed_roles(ids) for ids, _ in group])
    if "adapter_ids" in checkpoint.graph_inputs:
        known["adapter_ids"] = np.zeros_like(input_ids)
    if "mask_at" in checkpoint.graph_inputs:
        known["mask_at"] = np.flatnonzero(input_ids == checkpoint.tokenizer.mask_token_id)
    return known
