"""What this machine can do at most with a runtime that encserve serves with: no server, all texts in hand.

Three ways: one text a call on as many threads as there are cores; sorted by length in padded batches; sorted by length
in packed micro-batches. All tokenize, pool and normalise, as the server does. A repository that was exported for
OpenVINO has all three of them in OpenVINO. With one caller of one text at a time, packed and padded give that text all
cores, as the server does. The best of these, and of all other systems that have all texts in hand, is the bound.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.closed_loop import Done, Load, serially
from benchmarks.exported import CHECKPOINT, MODEL, padded_graph
from benchmarks.systems.side_by_side import rows_of_texts
from benchmarks.workloads import LONGEST
from encserve_server.steps.encode.host.heap import settle_heap
from encserve_server.steps.encode.network.loading import Network, load_network
from encserve_server.steps.encode.network.micro_batches import Cost
from encserve_server.steps.encode.network.packed_session import PackedSession
from encserve_server.steps.instance.settings import read_settings

Ids = Sequence[NDArray[np.int64]]
"""The token ids of texts."""


class System:
    """Variants: one text a call, padded, packed."""

    def __init__(self, repository: str) -> None:
        self._folder = Path(repository) / f"{MODEL}_encode" / "1"
        self._settings = read_settings(self._folder)
        self._outputs = list(self._settings["follows"])
        self._cores = len(os.sched_getaffinity(0))
        self._tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST)
        self._session = self._packed_session(side_by_side=self._cores)
        self._padded = self._load(padded_graph(), side_by_side=self._cores)
        self._alone = self._packed_session(threads=self._cores)
        self._padded_alone = self._load(padded_graph(), threads=self._cores)
        settle_heap()  # as a step does
        self._threads = ThreadPoolExecutor(self._cores)
        self._computed = self._real = 0

    def _load(self, graph: Path, *, side_by_side: int = 1, threads: int = 1) -> Network:
        runtime, hints = self._settings["runtime"], self._settings["hints"]
        return load_network(runtime, graph, hints, side_by_side=side_by_side, threads=threads)

    def _packed_session(self, *, side_by_side: int = 1, threads: int = 1) -> PackedSession:
        return PackedSession(
            self._load(self._folder / "model.onnx", side_by_side=side_by_side, threads=threads),
            follows=self._settings["follows"],
            token_budget=self._settings["token_budget"],
            cost=Cost(**self._settings["micro_batch_cost"]),
        )

    def run(self, load: Load, variant: str) -> Done:
        if load.streams == 1 and len(load.requests[0]) == 1:
            return self._each(load, ALONE[variant])
        self._computed = self._real = 0
        return serially(load, lambda texts: self.embed(texts, variant))

    def embed(self, texts: list[str], variant: str) -> NDArray[np.float32]:
        return WAYS[variant](self, self._tokenize(texts))

    def _each(self, load: Load, way: Callable[[System, NDArray[np.int64]], object]) -> Done:
        """The latency of one text at a time."""
        return serially(load, lambda texts: way(self, self._tokenize(texts)[0]))

    def _tokenize(self, texts: list[str]) -> Ids:
        return [np.array(encoding.ids, np.int64) for encoding in self._tokenizer.encode_batch_fast(texts)]

    def one_a_call(self, ids: Ids) -> NDArray[np.float32]:
        return np.concatenate(list(self._threads.map(self.one, ids)))

    def padded(self, ids: Ids) -> NDArray[np.float32]:
        groups = self._groups(ids)
        lengths = np.array([len(each) for each in ids])
        self._computed += sum(len(group) * int(lengths[group].max()) for group in groups)
        self._real += int(lengths.sum())
        return self._on_padded(groups, ids)

    def packed(self, ids: Ids) -> NDArray[np.float32]:
        columns = self._columns(ids)
        return _normalised(rows_of_texts(self._session, columns, self._outputs[0], threads=self._cores))

    def one(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """One text on one thread."""
        return _normalised(self._session.run_pack(self._columns([ids]), self._outputs)[self._outputs[0]])

    def one_on_all_cores(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        return _normalised(self._alone.run_pack(self._columns([ids]), self._outputs)[self._outputs[0]])

    def one_padded_on_all_cores(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """By the graph for padded batches, which has nothing to pad in a batch of one text."""
        return _run_padded(self._padded_alone, [ids])

    def _columns(self, ids: Ids) -> dict[str, Ids]:
        """What each text has of each graph input: token types are zero."""
        return {
            name: ids if name == "input_ids" else [np.zeros_like(each) for each in ids]
            for name in self._settings["tensors"]
            if name != "lengths"
        }

    def _groups(self, ids: Ids) -> list[NDArray[np.intp]]:
        lengths = np.array([len(each) for each in ids])
        return self._session.groups(lengths, workers=self._cores)

    def _on_padded(self, groups: Sequence[NDArray[np.intp]], ids: Ids) -> NDArray[np.float32]:

        def one(group: NDArray[np.intp]) -> NDArray[np.float32]:
            return _run_padded(self._padded, [ids[index] for index in group])

        rows = list(self._threads.map(one, groups))
        vectors = np.empty((len(ids), rows[0].shape[1]), np.float32)
        vectors[np.concatenate(list(groups))] = np.concatenate(rows)
        return vectors

    def padding(self) -> float | None:
        """Of the padded batches of the last load."""
        return self._computed / self._real - 1 if self._real else None

    def close(self) -> None:
        self._threads.shutdown()


WAYS = {"one text a call": System.one_a_call, "padded": System.padded, "packed": System.packed}
ALONE: dict[str, Callable[[System, NDArray[np.int64]], object]] = {
    "one text a call": System.one,
    "padded": System.one_padded_on_all_cores,
    "packed": System.one_on_all_cores,
}
"""Of one caller that sends one text at a time."""


def _run_padded(network: Network, ids: Ids) -> NDArray[np.float32]:
    longest = max(len(each) for each in ids)
    padded = np.zeros((len(ids), longest), np.int64)
    mask = np.zeros_like(padded)
    for row, each in enumerate(ids):
        padded[row, : len(each)] = each
        mask[row, : len(each)] = 1
    feed = {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}
    (hidden,) = network.run(feed, ["last_hidden_state"])  # (n, L, H)
    return _normalised(np.einsum("nlh,nl->nh", hidden, mask.astype(np.float32)) / mask.sum(1, keepdims=True))


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    normalised: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return normalised
