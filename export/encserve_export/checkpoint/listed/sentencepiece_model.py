"""What a file of SentencePiece says, as the step that reads texts takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers.convert_slow_tokenizer import import_protobuf

from encserve_export.errors import Unsupported

_CUTS = {1: "unigram", 2: "bpe"}
_NORMAL, _UNUSED, _USER_DEFINED = 1, 5, 4


def described(file: Path) -> dict[str, Any]:
    """The part of `pieces.json` that a model of SentencePiece decides.

    Raises:
        Unsupported: it cuts words or characters, writes bytes of unknown characters, has pieces that are taken always
            or never, or a rule for spaces that the step does not have.
    """
    model = import_protobuf().ModelProto()  # type: ignore[no-untyped-call]
    model.ParseFromString(file.read_bytes())
    rules, trained = model.normalizer_spec, model.trainer_spec
    wrong = {
        "cuts neither likeliest pieces nor joined ones": trained.model_type not in _CUTS,
        "writes bytes of unknown characters": trained.byte_fallback,
        "puts spaces behind words": trained.treat_whitespace_as_suffix,
        "writes spaces as they are": not rules.escape_whitespaces,
        "has pieces that are taken always, or never": any(
            piece.type in (_USER_DEFINED, _UNUSED) for piece in model.pieces
        ),
    }
    if found := [what for what, is_so in wrong.items() if is_so]:
        raise Unsupported(f"{file} {found[0]}, which is not supported in tokenizers that look pieces up in a list")
    return {
        "cut": _CUTS[trained.model_type],
        "scores": {piece.piece: piece.score for piece in model.pieces if piece.type == _NORMAL},
        "replacements": _replacements(rules.precompiled_charsmap),
        "adds_space": rules.add_dummy_prefix,
        "drops_spaces": rules.remove_extra_whitespaces,
    }


def _replacements(blob: bytes) -> dict[str, str]:
    """Characters -> what stands in their place, out of the double-array trie of a model: its size in bytes, its units
    of 32 bits, and the texts that its leaves point to, each with a zero behind it."""
    if not blob:
        return {}
    size = int.from_bytes(blob[:4], "little")
    units: NDArray[np.uint32] = np.frombuffer(blob[4 : 4 + size], "<u4")
    texts = blob[4 + size :]
    made: dict[bytes, str] = {}
    labels = np.arange(1, 256)
    waiting = [(0, b"")]
    while waiting:
        node, key = waiting.pop()
        unit = int(units[node])
        base = node ^ ((unit >> 10) << ((unit & (1 << 9)) >> 6))
        if (unit >> 8) & 1 and key:
            begin = int(units[base]) & 0x7FFFFFFF
            made[key] = texts[begin : texts.index(b"\0", begin)].decode()
        below = base ^ labels
        labelled = labels[below < len(units)]
        below = below[below < len(units)]
        found = (units[below] & 0x800000FF) == labelled
        waiting += [
            (place, key + bytes([label]))
            for place, label in zip(below[found].tolist(), labelled[found].tolist(), strict=True)
        ]
    return {key.decode(): text for key, text in made.items()}
