"""Labels of a trained classifier in each precision, beside those of its checkpoint in FP32.

    python -m benchmarks.precision.label_agreement [--paragraphs 1500] [--json FILE]

The classifier is that of `examples/train_classifier.py`. It is asked about pairs of held-out messages, one after the
other: of one label, and of two, which lie near the border between labels, where rounding shows; and about paragraphs of
the docstrings of Python's standard library, which belong to no label and lie anywhere. It was trained on none of them,
and no precision was calibrated on them. What is for GPUs is measured as a GPU would round it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from examples.train_classifier import MESSAGES, Messages, read_messages, train
from numpy.typing import NDArray

from benchmarks.precision.precision_front import docstring_paragraphs
from benchmarks.precision.served_ways import served
from encserve_export.certificate.alone import rows_alone
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.checkpoint.tasks.task import graph_outputs
from encserve_export.config import ExportConfig
from encserve_export.engines.engine import Tracing
from encserve_export.engines.served_encoder import ServedEncoder
from encserve_export.engines.table import ENGINES
from encserve_export.engines.ways import Way
from encserve_export.publication.steps import EncodeSteps, trace
from encserve_export.publication.tools import tool_versions
from encserve_export.texts.calibration import calibrate
from encserve_export.texts.rows import Tokens, rows_about
from encserve_server.steps.encode.host.cpu_flags import lacks, read_cpu_flags

CLOSE = 0.1
"""Of a label's lead over the next one, in probability."""
Logits = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one precision on one set of texts."""

    way: str
    texts: str
    count: int
    agreement: float
    """Share of the texts whose label is the checkpoint's."""
    flipped: int
    close: int
    """Of the count, the texts in which the checkpoint's label leads by less than `CLOSE`."""
    widest_flip: float
    """Of the texts whose label changed, the largest lead that the checkpoint's label had over its next, in
    probability; 0 where none changed."""
    largest_change: float
    """Largest change of any probability."""


def main() -> None:
    """Train, turn the graph into each precision, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paragraphs", type=int, default=1_500, help="of docstrings (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    names, training, held_out = read_messages(MESSAGES)
    sets = {
        "docstrings": docstring_paragraphs(arguments.paragraphs),
        "pairs of one label": pairs(held_out, same=True),
        "pairs of two labels": pairs(held_out, same=False),
    }
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = train(names, training)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        config = ExportConfig(checkpoint=folder, name="support")
        checkpoint = load_checkpoint(config)
        rows = compare(checkpoint, config, Path(folder), sets)
    report(rows)
    if arguments.json:
        written: dict[str, Any] = {
            "command": "python -m benchmarks.precision.label_agreement",
            "rows": [asdict(row) for row in rows],
            "tools": tool_versions("openvino"),
        }
        arguments.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def pairs(messages: Messages, *, same: bool) -> list[str]:
    """Two messages, one after the other, of the same label or of two."""
    labelled = zip(messages.texts, messages.labels, strict=True)
    return [f"{a} {b}" for (a, one), (b, other) in itertools.permutations(labelled, 2) if (one == other) is same]


def compare(checkpoint: Checkpoint, config: ExportConfig, folder: Path, sets: dict[str, list[str]]) -> list[Row]:
    """Every precision that this processor can do, on every set of texts."""
    tokens = {name: rows_about(checkpoint, texts) for name, texts in sets.items()}
    print("the checkpoint, one text after the other", file=sys.stderr)
    expected = {
        name: np.concatenate([rows_alone(checkpoint, *each).numpy() for each in rows]) for name, rows in tokens.items()
    }
    calibration = calibrate(config, checkpoint)
    traced = folder / "traced"
    trace({"": checkpoint}, Tracing(), traced)
    encode = folder / "encode"
    encode.mkdir()
    steps = EncodeSteps(checkpoints={"": checkpoint}, config=config, calibration=calibration, timings=folder)
    rows = []
    for way in [Way(precision, engine) for engine in ENGINES for precision in engine.precisions]:
        on_a_gpu = way.engine.requirements(way.precision, {}).gpu and way.recipe.imitation is None
        if way.engine.tracing != Tracing() or on_a_gpu or lacks(read_cpu_flags(), way.recipe.needs_cpu):
            continue
        print(way, file=sys.stderr)
        with served(way, steps, traced=traced, folder=encode) as encoder:
            found = {name: logits(checkpoint, encoder, tokens[name]) for name in sets}
        rows += [row_of(way, name, found[name], expected[name]) for name in sets]
    return rows


def logits(checkpoint: Checkpoint, encoder: ServedEncoder, rows: Sequence[Tokens]) -> Logits:
    """As the encode step computes them: (n, labels)."""
    (output,) = graph_outputs(checkpoint.task, "")
    requests = []
    for ids, types in rows:
        request = {"input_ids": np.array(ids, np.int64), "lengths": np.array([len(ids)])}
        if "token_type_ids" in checkpoint.graph_inputs:
            request["token_type_ids"] = np.array(types, np.int64)
        requests.append(request)
    answers = encoder.encode(requests, [output])
    return np.concatenate([answer[output] for answer in answers if not isinstance(answer, Exception)])


def row_of(way: Way, texts: str, found: Logits, expected: Logits) -> Row:
    """Labels compared, and by how much the flipped ones had led."""
    ours, theirs = probabilities(found), probabilities(expected)
    flipped = ours.argmax(1) != theirs.argmax(1)
    ordered = np.sort(theirs, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]  # (n,)
    return Row(
        way=str(way),
        texts=texts,
        count=len(theirs),
        agreement=1 - float(flipped.mean()),
        flipped=int(flipped.sum()),
        close=int((lead < CLOSE).sum()),
        widest_flip=float(lead[flipped].max(initial=0)),
        largest_change=float(np.abs(ours - theirs).max()),
    )


def probabilities(scores: Logits) -> NDArray[np.float64]:
    """Softmax over labels: (n, labels)."""
    grown = np.exp(scores.astype(np.float64) - scores.max(1, keepdims=True))
    return np.asarray(grown / grown.sum(1, keepdims=True))


def report(rows: Sequence[Row]) -> None:
    print(f"| way | texts | labels that agree | flipped | leads below {CLOSE} | widest flipped | change |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.way} | {row.count:,} {row.texts} | {row.agreement:.4f} | {row.flipped} | {row.close} "
            f"| {row.widest_flip:.3f} | {row.largest_change:.3f} |"
        )


if __name__ == "__main__":
    main()
