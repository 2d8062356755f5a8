"""What a certificate asked and what the library said, kept beside the manifest so that it can be asked again.

Of the user's own texts nothing is kept but what the library says of them, and of that no piece of a text: who asks
again brings the file.
"""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve_export.certificate.subject.examination import Examination
from encserve_export.errors import CertificateFailed
from encserve_export.reference.messages import Answer, Asked

FILE_NAME = "reference.npz"
OWN = "held_out"
"""The section of the user's own texts."""
LENGTHS = "lengths"
"""The section of texts of all lengths, each in a request of its own."""
_MOST_NUMBERS = 16_000_000
"""64 MB. Of wide answers, as the vectors of tokens are, some of the requests are kept only."""


@dataclass(frozen=True)
class Kept:
    """One request, with what the library said to it."""

    asked: Asked
    """Without inputs where its texts are the user's own."""
    answers: list[tuple[Answer, ...]]
    """For each text or pair."""
    first: int
    """The number of its first text, as the certificate counts them."""
    place: int = 0
    """Which of the requests of its section it is."""


@dataclass(frozen=True)
class Section:
    """Requests that are compared together."""

    kept: list[Kept]
    token_counts: list[int]
    """Tokens of every text's longest row, also of those whose answers were not kept."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a certificate was measured with."""

    task: str
    sections: dict[str, Section]
    """By name: "corpus", and where there are such "neighbours", `LENGTHS` and `OWN`."""
    wide: list[Asked] = field(default_factory=list)
    """Of the section `LENGTHS` the requests whose answers are too wide to be kept."""


def write_reference(folder: Path, task: str, examinations: Mapping[str, Examination]) -> None:
    """Write into `folder` what was asked and what the library said, by section."""
    described: dict[str, Any] = {}
    numbers = [np.empty(0, np.float32)]
    room = _MOST_NUMBERS // max(1, len(examinations))
    wide: list[Asked] = []
    for name, examination in examinations.items():
        kept = _kept(examination, room, own=name == OWN)
        if name == LENGTHS:
            places = {each.place for each in kept}
            wide = [asked for place, asked in enumerate(examination.requests) if place not in places]
        described[name] = {
            "kept": [
                {
                    "inputs": each.asked.inputs,
                    "options": each.asked.options,
                    "variant": each.asked.variant,
                    "first": each.first,
                    "place": each.place,
                    "answers": [[_described(answer) for answer in of_text] for of_text in each.answers],
                }
                for each in kept
            ],
            "token_counts": examination.token_counts,
        }
        numbers += [answer.numbers.ravel() for each in kept for of_text in each.answers for answer in of_text]
    asked = [{"inputs": each.inputs, "options": each.options} for each in wide]
    stated = json.dumps({"task": task, "sections": described, "wide": asked}, ensure_ascii=False)
    arrays: dict[str, NDArray[Any]] = {
        "described": np.frombuffer(stated.encode(), np.uint8),
        "numbers": np.concatenate(numbers).astype(np.float32),
    }
    # Not np.savez, which writes the time of day into the archive: equal exports give equal files.
    with zipfile.ZipFile(folder / FILE_NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)  # type: ignore[no-untyped-call]


def read_reference(file: Path) -> Reference:
    """Read what `write_reference` wrote.

    Raises:
        CertificateFailed: the file is missing, broken, or of an earlier release.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            described, numbers = json.loads(arrays["described"].tobytes()), arrays["numbers"]
        sections, begin = {}, 0
        for name, section in described["sections"].items():
            kept = []
            for each in section["kept"]:
                asked = Asked(each["inputs"], each["options"], each["variant"])
                answers = []
                for of_text in each["answers"]:
                    ends = begin + np.cumsum([0, *(int(np.prod(stated["shape"])) for stated in of_text)])
                    parts = (numbers[one:end] for one, end in itertools.pairwise(ends))
                    answers.append((*map(_answer, of_text, parts),))
                    begin = int(ends[-1])
                kept.append(Kept(asked, answers, each["first"], each["place"]))
            sections[name] = Section(kept, section["token_counts"])
        wide = [Asked(each["inputs"], each["options"]) for each in described["wide"]]
        return Reference(task=described["task"], sections=sections, wide=wide)
    except FileNotFoundError as error:
        raise CertificateFailed(
            f"{file} is missing: it holds what the library says of the checkpoint; export the pipeline again"
        ) from error
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CertificateFailed(f"{file} cannot be read: {error}; export the pipeline again") from error


def without_texts(answer: Answer) -> Answer:
    """An answer whose keys say where something is, and not what: a key that ends with a piece of the text between two
    places loses it."""
    shortened = (
        key[:-1] if isinstance(key, tuple) and len(key) > 2 and isinstance(key[-1], str) else key for key in answer.keys
    )
    return replace(answer, keys=tuple(shortened))


def _kept(examination: Examination, room: int, *, own: bool) -> list[Kept]:
    """As many of the requests as `room` has numbers for, and the first in any case."""
    kept: list[Kept] = []
    first = 0
    for place, (asked, answered) in enumerate(zip(examination.requests, examination.answered, strict=True)):
        size = sum(answer.numbers.size for each in answered.answers for answer in each)
        if not kept or size <= room:
            room -= size
            answers = list(answered.answers)
            if own:
                answers = [(*map(without_texts, each),) for each in answers]
            kept.append(Kept(replace(asked, inputs={}) if own else asked, answers, first, place))
        first += asked.count
    return kept


def _described(answer: Answer) -> dict[str, Any]:
    return {"kind": answer.kind, "keys": answer.keys, "shape": answer.numbers.shape}


def _answer(stated: dict[str, Any], numbers: Any) -> Answer:
    keys = tuple(tuple(key) if isinstance(key, list) else key for key in stated["keys"])
    return Answer(stated["kind"], numbers.reshape(stated["shape"]), keys)
