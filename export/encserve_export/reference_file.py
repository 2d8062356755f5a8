"""What a certificate asked and what the checkpoint answers, kept beside the manifest so that it can be asked again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CertificateFailed
from .parity import Rows

FILE_NAME = "reference.npz"
_MOST_NUMBERS = 16_000_000
"""64 MB. Wide rows, as those of a vocabulary, are kept of some of the texts only."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request, and how the numbers of the encode step are to be read."""

    inputs: dict[str, list[str]]
    """Texts by input of the pipeline."""
    options: dict[str, Any]
    """Options of the request that differ from the defaults."""
    output: str
    """The output of the encode step."""
    follows: str
    """The input of the encode step of which the output has a row for each element; "lengths": one for each text."""
    logits: bool
    """Whether the rows are logits; vectors otherwise."""
    read: list[list[int]] | None = None
    """For each text the rows that the head looks at; None for all of all."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the checkpoint gives for a question, as transformers runs it in FP32."""

    question: Question
    input_ids: list[NDArray[np.int64]]
    """The tokens that each row of a pack must have, (t,)."""
    token_type_ids: list[NDArray[np.int64]] | None
    kept: list[int]
    """The texts whose rows were kept, by index."""
    rows: list[Rows]
    """The rows (r, W) of those texts."""


def write_reference(
    folder: Path,
    question: Question,
    tokens: Sequence[tuple[list[int], list[int] | None]],
    rows: Sequence[Rows],
) -> None:
    """Write the reference: the `tokens` of each text with their types, and the `rows` that the network gives."""
    kept: list[int] = []
    room = _MOST_NUMBERS
    for index in np.random.default_rng(0).permutation(len(rows)).tolist():
        if not kept or rows[index].size <= room:
            kept.append(index)
            room -= rows[index].size
    kept.sort()
    types = [each for _, each in tokens if each is not None]
    arrays = {
        "question": np.frombuffer(json.dumps(asdict(question), ensure_ascii=False).encode(), np.uint8),
        "lengths": np.array([len(ids) for ids, _ in tokens], np.int64),
        "input_ids": np.concatenate([np.array(ids, np.int64) for ids, _ in tokens]),
        "token_type_ids": np.concatenate([np.array(each, np.int64) for each in types]) if types else np.empty(0),
        "kept": np.array(kept, np.int64),
        "row_counts": np.array([len(rows[index]) for index in kept], np.int64),
        "rows": np.concatenate([rows[index] for index in kept]),
    }
    # Not np.savez, which writes the time of day into the archive: equal exports give equal files.
    with zipfile.ZipFile(folder / FILE_NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)  # type: ignore[no-untyped-call]


def read_reference(file: Path) -> Reference:
    """Read what `write_reference` wrote.

    Raises:
        CertificateFailed: the file is missing or broken.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            question = Question(**json.loads(arrays["question"].tobytes()))
            ends = np.cumsum(arrays["lengths"])[:-1]
            types = arrays["token_type_ids"]
            return Reference(
                question=question,
                input_ids=np.split(arrays["input_ids"], ends),
                token_type_ids=np.split(types, ends) if len(types) else None,
                kept=arrays["kept"].tolist(),
                rows=np.split(arrays["rows"], np.cumsum(arrays["row_counts"])[:-1]),
            )
    except FileNotFoundError as error:
        raise CertificateFailed(
            f"{file} is missing: it holds what the checkpoint says, and exports have it since `encserve verify` is "
            "there; export the pipeline again"
        ) from error
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise CertificateFailed(f"{file} cannot be read: {error}; export the pipeline again") from error
