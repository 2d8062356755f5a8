"""The graph of engine `onnxruntime` beside the encode step of engine `python`: time, and the memory of the worst batch.

    python -m benchmarks.cost.batch_graph [--rounds 9]

Exports MiniLM for both engines and gives both the same requests in this process, in turns: the graph with the options
of Triton's backend, all requests of a batch as one pack; the step with its lanes and micro-batches. Prints how long
each takes, their ratio by round, and how much memory the graph takes at the peak for 16 requests of 32 texts of which
one has 256 tokens, where attention that pads a batch to its longest text took 5.7 GB.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import exported
from benchmarks.machine import describe_machine
from encserve_export.engines.onnxruntime_backend.onnxruntime_session import network_of, open_session
from encserve_export.engines.python_backend.in_process import InProcessStep
from encserve_export.engines.served_encoder import BatchedPacks, ServedEncoder, Tensors
from encserve_repository.config_text import from_text

REQUESTS = 16
OUTPUT = "sentence_embedding"


def main() -> None:
    """Export, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(0)
    mixed = [rng.lognormal(3.22, 0.8, 32).clip(3, 256).astype(np.int64) for _ in range(REQUESTS)]
    one_long = [np.array([256, *rng.integers(5, 20, 31)]) for _ in range(REQUESTS)]
    print(describe_machine())
    with tempfile.TemporaryDirectory() as work:
        batched = exported.pipeline(Path(work), "--engine", "onnxruntime", "--device", "cpu")
        packed = exported.pipeline(Path(work))
        with graph_of(batched) as graph:
            graph.encode(requests_of([np.array([5, 6, 7])]), [OUTPUT])
            print(f"one long text in each request: {peak_bytes(graph, requests_of(one_long)) / 1e6:.0f} MB at the peak")
            with InProcessStep(packed / f"{exported.MODEL}_encode" / "1") as step:
                for name, lengths in (("mixed lengths", mixed), ("one long text in each request", one_long)):
                    compare(name, [graph, step], requests_of(lengths), rounds)


def graph_of(repository: Path) -> ServedEncoder:
    """The exported graph, as Triton's backend would open it."""
    folder = repository / f"{exported.MODEL}_encode"
    config = from_text((folder / "config.pbtxt").read_text())
    network = network_of(open_session(folder / "1" / "model.onnx", config), config)
    return BatchedPacks(network, follows={OUTPUT: "lengths"}, max_requests=config.max_batch_size)


def requests_of(lengths: Sequence[NDArray[np.int64]]) -> list[Tensors]:
    """Requests of texts of these lengths; no text comes twice."""
    rng = np.random.default_rng(1)
    return [{"input_ids": rng.integers(1_000, 20_000, each.sum()), "lengths": each} for each in lengths]


def compare(name: str, encoders: Sequence[ServedEncoder], requests: Sequence[Tensors], rounds: int) -> None:
    """Ask both in turns, and print their seconds and the ratio."""
    seconds = np.empty((rounds, len(encoders)))
    for number in range(-1, rounds):  # the first is for warming up
        for index in np.random.default_rng(number + 1).permutation(len(encoders)):
            began_s = time.perf_counter()
            answers = encoders[index].encode(requests, [OUTPUT])
            seconds[number, index] = time.perf_counter() - began_s
            assert not any(isinstance(answer, Exception) for answer in answers)
    graph_s, step_s = np.median(seconds, axis=0)
    ratios = np.sort(seconds[:, 1] / seconds[:, 0])
    print(
        f"{name}: {sum(int(each['lengths'].sum()) for each in requests):,} tokens, graph {graph_s:.2f} s, "
        f"engine python {step_s:.2f} s; throughput of the graph by that of engine python {np.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def peak_bytes(encoder: ServedEncoder, requests: Sequence[Tensors]) -> int:
    """What this process takes at the peak, beside what it holds before."""

    def memory(kind: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))

    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here
    before = memory("VmRSS")
    encoder.encode(requests, [OUTPUT])
    return memory("VmHWM") - before


if __name__ == "__main__":
    main()
