"""Texts on which a precision is tried before it is certified: neither the calibration's nor the certificate's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .checkpoint import Checkpoint
from .corpus import mixed_texts
from .half_graph import Pack
from .probes import probe_of

ORDINARY_TEXTS = 32
"""Of the packs that are tried, those that come first."""
_SEED = 2  # not the certificate's
_REPEATED = 8
"""Tokens of which a text of the maximum length is made, each alone: nothing averages out in it."""
_SHOWN = 8
"""Of the ordinary ones, those on which every layer is looked at."""


def trial_packs(checkpoint: Checkpoint) -> list[dict[str, NDArray[np.int64]]]:
    """Packs, one text each: ordinary ones of all lengths, one token over and over, and tokens at random."""
    longest = checkpoint.max_length
    probe = probe_of(checkpoint, mixed_texts(ORDINARY_TEXTS, longest_bytes=8 * longest, seed=_SEED))
    rows = [np.array(ids, np.int64) for ids, _ in probe.expected]
    rng = np.random.default_rng(_SEED)
    known = len(checkpoint.tokenizer)
    special = [index for index in checkpoint.tokenizer.all_special_ids if index is not None]
    repeated = [*special, *rng.integers(known, size=_REPEATED).tolist()]
    rows += [np.full(longest, token, np.int64) for token in repeated]
    rows += [rng.integers(known, size=size) for size in (1, longest)]
    return [_pack(checkpoint, row) for row in rows]


def ordinary_packs(packs: Sequence[Pack]) -> Sequence[Pack]:
    """Some of the ordinary texts of `trial_packs`, of all lengths."""
    return packs[: ORDINARY_TEXTS : ORDINARY_TEXTS // _SHOWN]


def _pack(checkpoint: Checkpoint, input_ids: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    if "mask_at" in checkpoint.graph_inputs and not (input_ids == checkpoint.tokenizer.mask_token_id).any():
        input_ids = np.concatenate([input_ids[:-1], [checkpoint.tokenizer.mask_token_id]])
    known: Mapping[str, NDArray[np.int64]] = {
        "input_ids": input_ids,
        "lengths": np.array([len(input_ids)], np.int64),
        "token_type_ids": (np.arange(len(input_ids)) >= len(input_ids) // 2).astype(np.int64),
        "mask_at": np.flatnonzero(input_ids == checkpoint.tokenizer.mask_token_id),
    }
    return {name: known[name] for name in checkpoint.graph_inputs}
