"""The requests that Triton sends to a C++ backend before those of callers, which would else pay for first times."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tritonclient.grpc import model_config_pb2 as pb

from encserve_repository.manifest import Manifest

_WARMUP_TOKENS = 8_192
"""Of the largest sample."""


def add_warmup(config: pb.ModelConfig, manifest: Manifest) -> None:
    """Name the requests; `warmup_files` has what they read."""
    for lengths in warmup_lengths(manifest.limits):
        config.model_warmup.append(_warmup(manifest, lengths))


def warmup_lengths(limits: Mapping[str, int]) -> list[list[int]]:
    """Lengths of the texts of each sample: one short, one middling and one long text, and many long ones."""
    max_length = limits["max_length"]
    singles = sorted({min(16, max_length), min(64, max_length), max_length})
    many = min(16, limits["max_texts_per_request"], _WARMUP_TOKENS // max_length)
    return [*([length] for length in singles), *([[max_length] * many] if many > 1 else [])]


def warmup_files(manifest: Manifest) -> dict[str, bytes]:
    """The files that the samples read, by name within the model's folder `warmup`: lengths, and where the graph is
    asked for masks, the tokens, of which the first of each text is one. int64."""
    samples = warmup_lengths(manifest.limits)
    files = {_file_of(lengths): np.array(lengths, "<i8").tobytes() for lengths in samples}
    if manifest.mask_id is not None:
        files |= {_masked_file_of(lengths, manifest): _masked(lengths, manifest.mask_id) for lengths in samples}
    return files


def _file_of(lengths: list[int]) -> str:
    return f"lengths_{len(lengths)}x{lengths[0]}"


def _masked_file_of(lengths: list[int], manifest: Manifest) -> str:
    return f"tokens_{len(lengths)}x{lengths[0]}_mask_{manifest.mask_id}"


def _masked(lengths: list[int], mask_id: int) -> bytes:
    tokens = np.zeros(sum(lengths), "<i8")
    tokens[np.cumsum(lengths) - lengths] = mask_id
    return tokens.tobytes()


def _warmup(manifest: Manifest, lengths: list[int]) -> pb.ModelWarmup:
    sample = pb.ModelWarmup(name=f"{len(lengths)} texts of {lengths[0]} tokens", batch_size=1)
    for name in manifest.graph_inputs:
        tensor = sample.inputs[name]
        tensor.data_type = pb.TYPE_INT64
        if name == "lengths":
            tensor.dims.append(len(lengths))
            tensor.input_data_file = _file_of(lengths)
        else:
            # The graph takes from `mask_at` how many masks there are, and finds them among the tokens.
            tensor.dims.append(len(lengths) if name == "mask_at" else sum(lengths))
            if name == "input_ids" and manifest.mask_id is not None:
                tensor.input_data_file = _masked_file_of(lengths, manifest)
            else:
                tensor.zero_data = True  # token 0 is in every vocabulary
    return sample
