"""Texts on which a precision is tried before it is certified: those of the corpus that are for choices alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.network.graph_file import Pack

from .parts import CorpusText, Part, corpus_of
from .rows import Tokens, rows_about

ORDINARY_TEXTS = 32
"""How many of the packs that are tried are ordinary texts; they come first."""
_SEED = 2
_REPEATED = 8
"""How many random tokens are each repeated to a text of the maximum length, in which nothing averages out."""
_SHOWN = 8
"""On how many of the ordinary packs every layer is looked at."""


def trial_packs(checkpoint: Checkpoint) -> list[dict[str, NDArray[np.int64]]]:
    """Packs, one row of tokens each: ordinary ones of all lengths, one token over and over, and tokens at random."""
    longest = checkpoint.max_length
    rng = np.random.default_rng(_SEED)
    known = len(checkpoint.tokenizer)
    special = [index for index in checkpoint.tokenizer.all_special_ids if index is not None]
    repeated = [*special, *rng.integers(known, size=_REPEATED).tolist()]
    hard = [np.full(longest, token, np.int64) for token in repeated]
    hard += [rng.integers(known, size=size) for size in (1, longest)]
    ordinary = [_pack(checkpoint, np.array(ids, np.int64), types) for ids, types in _ordinary_rows(checkpoint)]
    return ordinary + [_pack(checkpoint, row) for row in hard]


def _ordinary_rows(checkpoint: Checkpoint) -> list[Tokens]:
    """`ORDINARY_TEXTS` rows of all lengths, the shortest first: a text may have several, as windows or labels."""
    about = rows_about(checkpoint, [each.text for each in ordinary_texts(checkpoint.max_length)])
    rows = sorted(about, key=lambda row: len(row[0]))
    return [rows[place] for place in np.linspace(0, len(rows) - 1, ORDINARY_TEXTS).round().astype(int)]


def ordinary_texts(longest_tokens: int) -> Sequence[CorpusText]:
    """Texts of the corpus of all lengths, the shortest first."""
    return corpus_of(Part.CHOICE).sample(ORDINARY_TEXTS, seed=_SEED, longest_tokens=longest_tokens)


def ordinary_packs(packs: Sequence[Pack]) -> Sequence[Pack]:
    """Some of the ordinary packs of `trial_packs`, of all lengths."""
    return packs[: ORDINARY_TEXTS : ORDINARY_TEXTS // _SHOWN]


def _pack(
    checkpoint: Checkpoint, input_ids: NDArray[np.int64], types: Sequence[int] | None = None
) -> dict[str, NDArray[np.int64]]:
    """One row as the graph takes it. Where its `types` are not known, the second half is taken for a second text."""
    if "mask_at" in checkpoint.graph_inputs and not (input_ids == checkpoint.tokenizer.mask_token_id).any():
        input_ids = np.concatenate([input_ids[:-1], [checkpoint.tokenizer.mask_token_id]])
    places = np.arange(len(input_ids))
    known: dict[str, NDArray[np.int64]] = {
        "input_ids": input_ids,
        "lengths": np.array([len(input_ids)], np.int64),
        "token_type_ids": np.array(types if types is not None else places >= len(input_ids) // 2, np.int64),
        "attention_mask": np.ones_like(input_ids),
        "pooling_mask": np.ones_like(input_ids),
        "adapter_ids": np.full_like(input_ids, len(input_ids) % (len(checkpoint.adapters) + 1)),
        "mask_at": np.flatnonzero(input_ids == checkpoint.tokenizer.mask_token_id),
    }
    if "entity_roles" in checkpoint.graph_inputs:
        known["entity_roles"] = checkpoint.guessed_roles(input_ids)
    return {name: known[name] for name in checkpoint.graph_inputs}
