"""The precision fp16: a graph is turned, tried on texts that are hard for it, and measured as a GPU would round it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from .calibration import Calibration
from .checkpoint import Checkpoint
from .corpus import mixed_texts
from .graph_file import write_graph_file
from .half_graph import halve, strictly_rounded
from .layer_errors import layer_errors
from .probes import probe_of

_TEXTS = 32
_SEED = 2  # not the certificate's
_REPEATED = 8
"""Tokens of which a text of the maximum length is made, each alone: nothing averages out in it."""


def transform(graph: Path, checkpoint: Checkpoint, calibration: Calibration) -> dict[str, Any]:
    """Rewrite an FP32 graph file in fp16; returns what the manifest says of it.

    Raises:
        Unsupported: the graph cannot be fp16.
    """
    full, packs = onnx.load(graph), trial_packs(checkpoint)
    turned = halve(full, [*packs, *calibration.packs])
    write_graph_file(turned.model, graph)
    return {
        "method": "fp16, with norms, softmax, masks and sums in fp32",
        "kept_fp32": turned.kept,
        "layers": layer_errors(full, strictly_rounded(turned.model), packs[: _TEXTS : _TEXTS // 8]),
    }


@contextmanager
def as_gpus_round(graph: Path) -> Iterator[Path]:
    """A folder with a copy of the fp16 `graph` that rounds on a CPU as a GPU does, for a while."""
    with TemporaryDirectory(prefix="encserve-fp16-") as folder:
        write_graph_file(strictly_rounded(onnx.load(graph)), Path(folder) / graph.name)
        yield Path(folder)


def trial_packs(checkpoint: Checkpoint) -> list[dict[str, NDArray[np.int64]]]:
    """Packs, one text each: ordinary ones of all lengths, one token over and over, and tokens at random."""
    longest = checkpoint.max_length
    probe = probe_of(checkpoint, mixed_texts(_TEXTS, longest_bytes=8 * longest, seed=_SEED))
    rows = [np.array(ids, np.int64) for ids, _ in probe.expected]
    rng = np.random.default_rng(_SEED)
    known = len(checkpoint.tokenizer)
    special = [index for index in checkpoint.tokenizer.all_special_ids if index is not None]
    repeated = [*special, *rng.integers(known, size=_REPEATED).tolist()]
    rows += [np.full(longest, token, np.int64) for token in repeated]
    rows += [rng.integers(known, size=size) for size in (1, longest)]
    return [_pack(checkpoint, row) for row in rows]


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
