"""Which kinds of nodes a network's time goes to, and what share of the processor's products it reaches, by way.

    python -m benchmarks.cost.node_time [--ways "fp32 onnxruntime,bf16 openvino"] [--graphs FOLDER] [--budgets 512]
        [--rounds 7] [--json FILE]

Graphs of MiniLM are made in each precision on each runtime of engine `python`, without their certificates. Each
computes texts of *mixed* in the micro-batches of a server, 128 texts at a time, on one thread that keeps to one core.
Tokens per second are of processor time, which other programs on the machine disturb less; the ways and the products of
matrices in their precision take turns, and shares are medians over the rounds. Then each network computes the same
texts once more with its runtime's own clock on every node, and the time of nodes is added up by kind.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.cost.node_kinds import KINDS, kinds_in_onnxruntime, kinds_in_openvino
from benchmarks.exported import CHECKPOINT
from benchmarks.machine import describe_machine
from benchmarks.roofline.linear_layers import LinearLayers
from benchmarks.roofline.products import PRODUCTS, SHAPES
from benchmarks.workloads import LONGEST, make_workload
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import TOKEN_BUDGET, ExportConfig
from encserve_export.engines.engine import Tracing
from encserve_export.engines.python_backend.python_onnxruntime import ONNXRUNTIME
from encserve_export.engines.python_backend.python_openvino import OPENVINO
from encserve_export.network.packed_graph import GRAPH_FILE
from encserve_export.precision.recipe import Recipe
from encserve_export.publication.steps import trace
from encserve_export.texts.calibration import calibrate
from encserve_server.steps.encode.host.cpu_flags import lacks, read_cpu_flags
from encserve_server.steps.encode.host.heap import settle_heap
from encserve_server.steps.encode.network.loading import Network, load_network
from encserve_server.steps.encode.network.packed_session import PackedSession

OFFERED: dict[str, tuple[str, Recipe]] = {
    f"{precision.value} {engine.runtime.value}": (engine.runtime.value, recipe)
    for engine in (ONNXRUNTIME, OPENVINO)
    for precision, recipe in engine.precisions.items()
    if not lacks(read_cpu_flags(), recipe.needs_cpu)
}
"""Way -> its runtime, and how its graph is made."""
OUTPUT = "sentence_embedding"
AT_ONCE = 128
"""Texts that are cut together, as of four callers of 32 texts."""
TEXTS = 4 * AT_ONCE
PRODUCT_S = 0.15
"""Processor seconds of each product in each round."""
KINDS_IN = {"onnxruntime": kinds_in_onnxruntime, "openvino": kinds_in_openvino}
Feed = dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Timed:
    """A way with a token budget, and what it computes."""

    way: str
    graph: Path
    network: Network
    feeds: list[Feed]
    """The graph's inputs of each micro-batch."""


def main() -> None:
    """Make the graphs, time the ways and the products in turn, then ask each runtime for the time of its nodes."""
    arguments = parse_arguments()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    chosen = {way: OFFERED[way] for way in arguments.ways.split(",")}
    with tempfile.TemporaryDirectory() as temporary:
        graphs = make_graphs(chosen, arguments.graphs or Path(temporary))
        timed = list(opened(chosen, graphs, arguments.budgets))
        settle_heap()  # as a step does
        flops = LinearLayers.of_config(json.loads((CHECKPOINT / "config.json").read_text())).flops_per_token
        speeds, peaks = time_in_turn(timed, arguments.rounds)
        found = [
            {
                "way": each.way,
                "token_budget": budget,
                "tokens_per_s": round(statistics.median(speed), 1),
                "of_products": median_ratio(speed, [peak / flops for peak in peaks[each.way.split()[0]]]),
                "times_first": median_ratio(speed, speeds[0]),
                "kinds": kinds_of(each),
            }
            for (_, budget), each, speed in zip(product(chosen, arguments.budgets), timed, speeds, strict=True)
        ]
    products = {precision: round(statistics.median(peak) / flops, 1) for precision, peak in peaks.items()}
    report(found, products)
    if arguments.json:
        written = {"machine": describe_machine(), "tokens_per_s_of_products": products, "ways": found}
        arguments.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ways", default=",".join(OFFERED), help="the first is what others are compared with")
    parser.add_argument("--graphs", type=Path, help="keep graphs here, and take those that are here")
    parser.add_argument("--budgets", type=lambda text: [int(each) for each in text.split(",")], default=[TOKEN_BUDGET])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def make_graphs(ways: Mapping[str, tuple[str, Recipe]], folder: Path) -> dict[str, Path]:
    """The graph file of each way."""
    graphs = {way: folder / way.replace(" ", "-") / GRAPH_FILE for way in ways}
    missing = [way for way, graph in graphs.items() if not graph.exists()]
    if missing:
        config = ExportConfig(checkpoint=str(CHECKPOINT), name="timed")
        checkpoint = load_checkpoint(config)
        calibration = calibrate(config, checkpoint)
        traced = folder / "traced"
        if not traced.exists():
            trace({"": checkpoint}, Tracing(), traced)
        for way in missing:
            shutil.copytree(traced, graphs[way].parent)
            if (making := ways[way][1].making) is not None:
                making.transform(graphs[way], checkpoint, calibration)
    return graphs


def opened(
    ways: Mapping[str, tuple[str, Recipe]], graphs: Mapping[str, Path], budgets: Sequence[int]
) -> Iterator[Timed]:
    """Each way with each token budget, loaded for one thread."""
    config = json.loads((CHECKPOINT / "config.json").read_text())
    texts = token_ids()
    for way, (runtime, recipe) in ways.items():
        network = load_network(runtime, graphs[way], recipe.hints, side_by_side=1)
        for budget in budgets:
            cost = recipe.micro_batch_cost(config["hidden_size"])
            session = PackedSession(network, follows={OUTPUT: "lengths"}, token_budget=budget, cost=cost)
            yield Timed(way, graphs[way], network, feeds_of(session, texts))


def token_ids() -> list[NDArray[np.int64]]:
    """Those of some texts of *mixed*."""
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    texts = make_workload("mixed", CHECKPOINT).texts[:TEXTS]
    return [np.array(encoding.ids, np.int64) for encoding in tokenizer.encode_batch_fast(texts)]


def feeds_of(session: PackedSession, texts: Sequence[NDArray[np.int64]]) -> list[Feed]:
    """The graph's inputs of each micro-batch, as a server of two cores cuts them."""
    feeds = []
    for first in range(0, len(texts), AT_ONCE):
        part = texts[first : first + AT_ONCE]
        for group in session.groups(np.array([len(text) for text in part]), workers=2):
            own = [part[index] for index in group]
            feeds.append({"input_ids": np.concatenate(own), "lengths": np.array([len(text) for text in own])})
    return feeds


def time_in_turn(timed: Sequence[Timed], rounds: int) -> tuple[list[list[float]], dict[str, list[float]]]:
    """Tokens per processor second of each; and by precision operations per processor second of its best product. One of
    each for every round."""
    tokens = sum(len(feed["input_ids"]) for feed in timed[0].feeds)
    products = {
        each.way.split()[0]: [
            (shape.flops, make(shape))
            for (precision, _), make in PRODUCTS.items()
            if precision == each.way.split()[0]
            for shape in SHAPES
        ]
        for each in timed
    }
    speeds: list[list[float]] = [[] for _ in timed]
    peaks: dict[str, list[float]] = {precision: [] for precision in products}
    for round_ in range(rounds + 1):
        for each, speed in zip(timed, speeds, strict=True):
            begin = time.process_time()
            for feed in each.feeds:
                each.network.run(feed, [OUTPUT])
            speed.append(tokens / (time.process_time() - begin))
        for precision, multiplied in products.items():
            peaks[precision].append(max(operations_per_s(flops, multiply) for flops, multiply in multiplied))
        print(f"round {round_} of {rounds}", flush=True)
    # The first round does what is done once.
    return [speed[1:] for speed in speeds], {precision: peak[1:] for precision, peak in peaks.items()}


def operations_per_s(flops: int, multiply: Any) -> float:
    """Of a product that is computed again and again, by processor time."""
    done, begin = 0, time.process_time()
    while (taken_s := time.process_time() - begin) < PRODUCT_S:
        multiply()
        done += flops
    return done / taken_s


def kinds_of(timed: Timed) -> dict[str, float]:
    """The share of each kind of node in the time of all."""
    runtime, recipe = OFFERED[timed.way]
    seconds = KINDS_IN[runtime](timed.graph, recipe.hints, timed.feeds, OUTPUT)
    whole = sum(seconds.values())
    return {kind: round(part / whole, 3) for kind, part in seconds.items()}


def median_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Over another value of the same round."""
    return round(statistics.median(value / other for value, other in zip(values, others, strict=True)), 3)


def report(found: Sequence[Mapping[str, Any]], products: Mapping[str, float]) -> None:
    for precision, tokens_per_s in products.items():
        print(f"products in {precision}: linear layers of {tokens_per_s:,.0f} tokens a processor second")
    kinds = [kind for kind in KINDS if any(each["kinds"].get(kind, 0) >= 0.005 for each in found)]
    print(f"| way | tokens/s | of the products | times the first | {' | '.join(kinds)} |")
    print("|" + "---|" * (4 + len(kinds)))
    several = len({each["token_budget"] for each in found}) > 1
    for each in found:
        name = f"{each['way']}, {each['token_budget']}" if several else each["way"]
        shares = " | ".join(f"{each['kinds'].get(kind, 0):.2f}" for kind in kinds)
        speed = f"{each['tokens_per_s']:,.0f} | {each['of_products']:.2f} | {each['times_first']:.2f}"
        print(f"| {name} | {speed} | {shares} |")


if __name__ == "__main__":
    main()
