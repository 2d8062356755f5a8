"""What a micro-batch costs here, in the form that `encserve_server.steps.encode.network.micro_batches` counts with.

    python -m benchmarks.cost.micro_batch_cost [--precision fp32] [--runtime onnxruntime] [--rounds 5]

Exports MiniLM, runs micro-batches of many shapes while another thread keeps the other core busy, and fits the medians
of their seconds by least squares of the relative error. The constants of the engines
(`export/encserve_export/engines/python_onnxruntime.py` and `python_openvino.py`) come from here, with `pair` times the
width of the network.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import exported
from encserve_server.steps.encode.host.cores import usable_cores
from encserve_server.steps.encode.host.heap import settle_heap
from encserve_server.steps.encode.network.loading import load_network
from encserve_server.steps.encode.network.packed_session import PackedSession
from encserve_server.steps.encode.request import Columns
from encserve_server.steps.instance.settings import read_settings

WIDTH = 384
"""Of MiniLM."""
MOST_TOKENS = 1_000


def main() -> None:
    """Export, measure, fit, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = ("--precision", arguments.precision, "--runtime", arguments.runtime)
        repository = exported.pipeline(Path(folder), *options)
        shapes = shapes_of(np.random.default_rng(0))
        seconds = measure(session_of(repository), shapes, arguments.rounds)
    overhead, pair, errors = fit(shapes, seconds)
    print(f"overhead {overhead:.3g} tokens, pair {pair:.3g} tokens, times the width {pair * WIDTH:.3g}")
    print(f"relative error: {np.median(errors):.1%} at the median, {errors.max():.1%} at most, {len(shapes)} shapes")


def session_of(repository: Path) -> PackedSession:
    """The encoder as the encode step loads it."""
    folder = repository / f"{exported.MODEL}_encode" / "1"
    settings = read_settings(folder)
    runtime, hints = settings["runtime"], settings["hints"]
    network = load_network(runtime, folder / "model.onnx", hints, side_by_side=usable_cores())
    settle_heap()
    return PackedSession(network, follows=settings["follows"], token_budget=settings["token_budget"])


def shapes_of(rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """The lengths of the texts of micro-batches: equal ones, and mixed ones."""
    counts, lengths = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48), (8, 16, 24, 36, 64, 100, 160, 256)
    shapes = [np.full(n, length) for n, length in itertools.product(counts, lengths) if n * length <= MOST_TOKENS]
    mixed = [rng.lognormal(3.3, 0.7, rng.integers(2, 20)).clip(4, 256).astype(np.int64) for _ in range(40)]
    return shapes + mixed


def measure(session: PackedSession, shapes: Sequence[NDArray[np.int64]], rounds: int) -> NDArray[np.float64]:
    """Median seconds of each: (shapes,)."""
    rng = np.random.default_rng(1)
    packs = [{"input_ids": [rng.integers(1_000, 20_000, length) for length in shape]} for shape in shapes]
    seconds = np.empty((rounds, len(packs)))
    with busy(session, packs):
        for round_, (index, pack) in itertools.product(range(rounds), enumerate(packs)):
            begin = time.perf_counter()
            session.run_pack(pack, ["sentence_embedding"])
            seconds[round_, index] = time.perf_counter() - begin
    return np.asarray(np.median(seconds, axis=0))


@contextmanager
def busy(session: PackedSession, packs: Sequence[Columns]) -> Iterator[None]:
    """Another thread computes meanwhile, as it does in a server with work."""
    ended = threading.Event()

    def compute() -> None:
        for pack in itertools.cycle(packs[::-1]):
            if ended.is_set():
                return
            session.run_pack(pack, ["sentence_embedding"])

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def fit(shapes: Sequence[NDArray[np.int64]], seconds: NDArray[np.float64]) -> tuple[float, float, NDArray[np.float64]]:
    """Overhead and pair in tokens, and the relative error of each shape."""
    terms = np.array([[1.0, shape.sum(), len(shape) * shape.max() ** 2] for shape in shapes])
    factors, *_ = np.linalg.lstsq(terms / seconds[:, None], np.ones(len(shapes)), rcond=None)
    errors = np.abs(terms @ factors / seconds - 1)
    return float(factors[0] / factors[1]), float(factors[2] / factors[1]), errors


if __name__ == "__main__":
    main()
