"""int8 rows against FP32 on texts that are hard for it, and on those of the certificate: writes the table of
docs/precision.md.

    python -m benchmarks.precision.int8_texts [--checkpoint FOLDER] [--most 1000] [--json FILE]

Both are asked through the encode step, one request a text. The hard texts are messages of Sphinx (extra `docs`) in all
languages that it speaks, letters of twenty scripts at random in words of up to 30 letters, and paragraphs of the
docstrings of Python's standard library. int8 is calibrated on the calibration part of the corpus, so that it has seen
none of them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sphinx
from babel.messages.mofile import read_mo
from numpy.typing import NDArray

from benchmarks.precision.precision_front import MINILM, docstring_paragraphs
from benchmarks.precision.served_ways import served
from encserve_export.certificate.figures.neighbours import overlap
from encserve_export.certificate.figures.parity import unit
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig, Precision
from encserve_export.engines.engine import ORDINARY
from encserve_export.engines.python_backend.python_onnxruntime import ONNXRUNTIME
from encserve_export.engines.ways import Way
from encserve_export.hardware import hardware
from encserve_export.publication.steps import EncodeSteps, trace
from encserve_export.publication.tools import tool_versions
from encserve_export.texts.calibration import calibrate
from encserve_export.texts.parts import Part, corpus_of

OUTPUT = "sentence_embedding"
MESSAGES_EACH = 10
"""Of each language."""
SCRIPTS = {
    "Latin": (0x61, 0x7A),
    "Greek": (0x3B1, 0x3C9),
    "Cyrillic": (0x430, 0x44F),
    "Armenian": (0x561, 0x586),
    "Hebrew": (0x5D0, 0x5EA),
    "Arabic": (0x627, 0x64A),
    "Devanagari": (0x905, 0x939),
    "Bengali": (0x985, 0x9B9),
    "Gurmukhi": (0xA05, 0xA39),
    "Gujarati": (0xA85, 0xAB9),
    "Tamil": (0xB85, 0xBB9),
    "Telugu": (0xC05, 0xC39),
    "Kannada": (0xC85, 0xCB9),
    "Malayalam": (0xD05, 0xD39),
    "Thai": (0xE01, 0xE2E),
    "Georgian": (0x10D0, 0x10F0),
    "Hangul": (0xAC00, 0xD7A3),
    "Hiragana": (0x3041, 0x3096),
    "Katakana": (0x30A1, 0x30FA),
    "Han": (0x4E00, 0x9FFF),
}
"""First and last letter of each."""
RANDOM_EACH = 10
LONGEST_WORD = 30


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured on one set of texts."""

    texts: str
    count: int
    cosine_mean: float
    cosine_min: float
    neighbours: float
    """Of the ten nearest texts of the set, the share that are the ten nearest in FP32."""


def main() -> None:
    """Make both graphs, ask both about every set, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=MINILM, help="of sentence embeddings (default: MiniLM)")
    parser.add_argument(
        "--most", type=int, default=2_000, help="texts of each set, evenly out of all (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    sets = {name: texts[:: -(-len(texts) // arguments.most)] for name, texts in text_sets().items()}
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(arguments.checkpoint, sets, Path(folder))
    print("| texts | | cosine, mean / smallest | neighbours |")
    print("|---|---|---|---|")
    for row in rows:
        figures = f"{row.cosine_mean:.5f} / {row.cosine_min:.4f} | {row.neighbours:.3f}"
        print(f"| {row.texts} | {row.count:,} | {figures} |")
    if arguments.json:
        written: dict[str, Any] = {
            "command": "python -m benchmarks.precision.int8_texts",
            "checkpoint": arguments.checkpoint.name,
            "hardware": hardware("cpu"),
            "rows": [asdict(row) for row in rows],
            "tools": {**tool_versions(), "sphinx": sphinx.__version__},
        }
        arguments.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def text_sets() -> dict[str, list[str]]:
    """The texts, by the name of their set."""
    messages = sphinx_messages()
    return {
        "certificate part of the corpus": [each.text for each in corpus_of(Part.CERTIFICATE).texts],
        f"messages of Sphinx in {len(messages)} languages": [text for each in messages.values() for text in each],
        f"letters of {len(SCRIPTS)} scripts at random": random_letters(),
        "paragraphs of docstrings": docstring_paragraphs(300),
    }


def sphinx_messages() -> dict[str, list[str]]:
    """By language, of those in which enough messages are translated: some of them, the longest of a seeded choice."""
    found = {}
    for file in sorted((Path(sphinx.__file__).parent / "locale").glob("*/LC_MESSAGES/sphinx.mo")):
        with file.open("rb") as stream:
            catalog = read_mo(stream)
        translated = {str(message.string) for message in catalog if message.id and isinstance(message.string, str)}
        chosen = sorted(translated - {str(message.id) for message in catalog} - {""})
        random.Random(0).shuffle(chosen)
        if len(chosen) >= MESSAGES_EACH:
            found[file.parts[-3]] = chosen[:MESSAGES_EACH]
    return found


def random_letters() -> list[str]:
    """Texts of one script each, of 3 to 20 words of 1 to `LONGEST_WORD` letters that mean nothing."""
    rng = random.Random(0)
    return [
        " ".join(
            "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, LONGEST_WORD)))
            for _ in range(rng.randint(3, 20))
        )
        for first, last in SCRIPTS.values()
        for _ in range(RANDOM_EACH)
    ]


def compare(folder: Path, sets: dict[str, list[str]], work: Path) -> list[Row]:
    """Vectors of both precisions on every set."""
    config = ExportConfig(checkpoint=str(folder), name="texts")
    checkpoint = load_checkpoint(config)
    traced, encode = work / "traced", work / "encode"
    trace({"": checkpoint}, ORDINARY, traced)
    encode.mkdir()
    calibration = calibrate(config, checkpoint)
    steps = EncodeSteps(checkpoints={"": checkpoint}, config=config, calibration=calibration, timings=work)
    found = []
    for precision in (Precision.INT8, Precision.FP32):
        print(precision.value, file=sys.stderr)
        with served(Way(precision, ONNXRUNTIME), steps, traced=traced, folder=encode) as encoder:
            requests = {name: requests_of(checkpoint, texts) for name, texts in sets.items()}
            answers = {name: encoder.encode(each, [OUTPUT]) for name, each in requests.items()}
        found.append({name: vectors_of(each) for name, each in answers.items()})
    ours, theirs = found
    return [row_of(name, ours[name], theirs[name]) for name in sets]


def requests_of(checkpoint: Checkpoint, texts: Sequence[str]) -> list[dict[str, NDArray[np.int64]]]:
    """One for each text."""
    encoded = checkpoint.tokenizer(list(texts), truncation=True, max_length=checkpoint.max_length)["input_ids"]
    requests = [{"input_ids": np.array(ids, np.int64), "lengths": np.array([len(ids)])} for ids in encoded]
    typed = "token_type_ids" in checkpoint.graph_inputs
    return [each | ({"token_type_ids": np.zeros_like(each["input_ids"])} if typed else {}) for each in requests]


def vectors_of(answers: Sequence[Any]) -> NDArray[np.float64]:
    """Vectors of length 1, (n, H). Raises the error that stands in the place of one."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return unit(np.concatenate([answer[OUTPUT] for answer in answers]))


def row_of(texts: str, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Row:
    """int8 beside FP32."""
    cosine = np.einsum("nh,nh->n", ours, theirs)
    return Row(
        texts=texts,
        count=len(cosine),
        cosine_mean=float(cosine.mean()),
        cosine_min=float(cosine.min()),
        neighbours=float(overlap(ours, theirs).mean()),
    )


if __name__ == "__main__":
    main()
