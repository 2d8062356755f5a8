"""Where the time of one step of a decoder goes: its graph by kinds of operators, in FP32 and in int8.

    python -m benchmarks.generation.profile [--rows 32] [--new 64] [--source 64] [--steps 60] [--tiny]

A T5 of the size of t5-small with random weights, of which no more than the graphs are made: int8 has all products in
integers, whatever that moves. A step has so many texts, each with places for so many new tokens and for so many of its
source. ONNX Runtime writes down how long each node took. Of each the tenth percentile counts, so that others on the
machine move it little; writing it down takes some microseconds itself, which small nodes show most. Beside it stands
what the engine does between two steps: whether logits are finite, which token is the likeliest, and to keep its keys
and values.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime
import transformers
from numpy.typing import NDArray

from benchmarks.generation.checkpoint import write_checkpoint
from benchmarks.machine import describe_machine
from benchmarks.written import table
from encserve_export.generation.graphs import shape_of, write_graphs
from encserve_export.network.graph_file import Pack
from encserve_export.precision.int8_rows import to_integers
from encserve_server.steps.encode.host.cores import usable_cores
from encserve_server.steps.encode.network.onnxruntime_network import OnnxRuntimeNetwork
from encserve_server.steps.generate.decoder.cache import Cache
from encserve_server.steps.generate.decoder.network import STEP_FILE, Shape, step_inputs

PRODUCTS = ("MatMul", "FusedMatMul", "Gemm", "MatMulIntegerToFloat")
HEAD, LINEAR, ROWS, ATTENTION, NORMS, REST = (
    *("product with the vocabulary", "other products with weights", "rounding rows, and their scales"),
    *("products with keys and values, softmax", "norms", "the rest"),
)
KINDS = (HEAD, LINEAR, ROWS, ATTENTION, NORMS, REST)


def main() -> None:
    """Make the graphs, run them, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--new", type=int, default=64, help="places for new tokens")
    parser.add_argument("--source", type=int, default=64, help="places for tokens of the source")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--tiny", action="store_true", help="a small network, to try the run itself")
    arguments = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="encserve-profile-") as work:
        folder = Path(work)
        checkpoint = write_checkpoint(folder / "checkpoint", tiny=arguments.tiny)
        model = transformers.T5ForConditionalGeneration.from_pretrained(checkpoint).eval()  # type: ignore[no-untyped-call]
        shape = shape_of(model, model.config.vocab_size - 28)
        write_graphs(model, shape.vocabulary, folder)
        feed = feed_of(shape, arguments.rows, new=arguments.new, source=arguments.source)
        found = {"fp32": profiled(folder, feed, shape, steps=arguments.steps)}
        to_integers(folder / STEP_FILE, [feed], tried=[feed], shown=[feed], most_error=np.inf)
        found["int8"] = profiled(folder, feed, shape, steps=arguments.steps)
    rows = [[kind, *(_said([each[kind]]) for each in found.values())] for kind in KINDS]
    rows.append(["all", *(_said(list(each.values())) for each in found.values())])
    print(table(["part of a step, and its nodes", *found], rows))
    beside = between(shape, arguments.rows)
    print("\nbetween two steps: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in beside.items()))
    print(f"\n{machine['cpu']}, {machine['cores']} cores, {machine['load_before']} programs beside it when it began.")


def _said(parts: Sequence[tuple[float, int]]) -> str:
    return f"{sum(ms for ms, _ in parts):.1f} ms, {sum(nodes for _, nodes in parts)}"


def feed_of(shape: Shape, rows: int, *, new: int, source: int) -> dict[str, NDArray[Any]]:
    """Inputs of a step."""
    rng = np.random.default_rng(0)
    feed: dict[str, NDArray[Any]] = {
        "token": rng.integers(3, shape.vocabulary, (rows, 1)),
        "position": rng.integers(0, new, rows),
        "source_length": rng.integers(1, source + 1, rows),
    }
    for name in list(step_inputs(shape))[3:]:
        places = (rows, 1, shape.heads, new, shape.size) if "past" in name else (rows, shape.heads, source, shape.size)
        feed[name] = rng.standard_normal(places, np.float32)
    return feed


def profiled(folder: Path, feed: Pack, shape: Shape, *, steps: int) -> Mapping[str, tuple[float, int]]:
    """Kind of a node -> milliseconds of a step, and how many nodes there are."""

    def profiling() -> Any:
        options = made()
        options.enable_profiling, options.profile_file_prefix = True, str(folder / "step")
        return options

    made = onnxruntime.SessionOptions
    with patch.object(onnxruntime, "SessionOptions", profiling):
        network = OnnxRuntimeNetwork(folder / STEP_FILE, {}, side_by_side=1, threads=usable_cores(), arena=True)
    for _ in range(steps):
        network.run(feed, ["logits", "key", "value"])
    events = json.loads(Path(network._session.end_profiling()).read_text())
    took, kind_of = defaultdict[str, list[float]](list), dict[str, str]()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            took[event["name"]].append(event["dur"] / 1e3)
            kind_of[event["name"]] = _kind(event["name"], event["args"], shape)
    found = dict.fromkeys(KINDS, (0.0, 0))
    for name, each in took.items():
        ms, nodes = found[kind_of[name]]
        found[kind_of[name]] = ms + float(np.percentile(each, 10)), nodes + 1
    return found


def _kind(name: str, about: Mapping[str, Any], shape: Shape) -> str:
    operator, output = about["op_name"], next(iter(about["output_type_shape"][0].values()))
    if operator in PRODUCTS:
        last = next(iter(about["input_type_shape"][0].values()))
        if len(last) > 3:
            return ATTENTION
        return HEAD if output[-1] == shape.vocabulary else LINEAR
    if operator == "Softmax":
        return ATTENTION
    if operator in ("SimplifiedLayerNormalization", "LayerNormalization"):
        return NORMS
    if operator in ("QuantizeLinear", "ReduceMax", "ReduceMin", "Max", "Div") or output[-1:] == [shape.vocabulary]:
        return ROWS
    return REST


def between(shape: Shape, rows: int) -> dict[str, float]:
    """What is done between two steps -> milliseconds."""
    logits = np.random.default_rng(0).standard_normal((rows, 1, shape.vocabulary), np.float32)
    cache = Cache(shape.layers, shape.heads, shape.size)
    for _ in range(rows):
        cache.add(np.zeros((2 * shape.layers, shape.heads, 20, shape.size), np.float32))
    new = np.zeros((shape.layers, rows, 1, shape.heads, shape.size), np.float32)
    return {
        "finite": _least_ms(lambda: np.isfinite(logits).all(axis=(1, 2))),
        "likeliest": _least_ms(lambda: [int(row[0].argmax()) for row in logits]),
        "kept": _least_ms(lambda: cache.keep(new, new)),
    }


def _least_ms(do: Callable[[], object]) -> float:
    took = []
    for _ in range(30):
        begun_s = time.perf_counter()
        do()
        took.append(time.perf_counter() - begun_s)
    return min(took) * 1e3


if __name__ == "__main__":
    main()
