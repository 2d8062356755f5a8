"""What this machine can do at most with encserve's graph and its runtime: no server, all texts in hand.

Three ways, of which the best is the bound: one text a call on as many sessions of one thread as there are cores; sorted
by length in padded batches; sorted by length in packed micro-batches. All tokenize, pool and normalise, as the server
does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.closed_loop import Done, Load
from benchmarks.exported import CHECKPOINT, MODEL, padded_graph
from benchmarks.systems.side_by_side import rows_of_texts
from benchmarks.workloads import LONGEST
from encserve_server.steps.encode.network.loading import load_network
from encserve_server.steps.encode.network.micro_batches import Cost
from encserve_server.steps.encode.network.onnxruntime_network import SLOW_FUSIONS
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
        runtime, hints = self._settings["runtime"], self._settings["hints"]
        self._session = PackedSession(
            load_network(runtime, self._folder / "model.onnx", hints, side_by_side=self._cores),
            follows=self._settings["follows"],
            token_budget=self._settings["token_budget"],
            cost=Cost(**self._settings["micro_batch_cost"]),
        )
        self._padded = [_session(padded_graph()) for _ in range(self._cores)]
        self._threads = ThreadPoolExecutor(self._cores)
        self._computed = self._real = 0

    def run(self, load: Load, variant: str) -> Done:
        if load.streams == 1 and len(load.requests[0]) == 1:
            return self._each(load)
        self._computed = self._real = 0
        done, begin = Done(), time.perf_counter()
        texts = [text for request in load.requests for text in request]
        chunk = 1024
        for first in range(0, len(texts), chunk):
            if time.perf_counter() - begin > load.cap_s:
                break
            part = texts[first : first + chunk]
            vectors = WAYS[variant](self, self._tokenize(part))
            assert vectors.shape == (len(part), 384), vectors.shape
            done.texts += len(part)
        done.wall_s = time.perf_counter() - begin
        return done

    def _each(self, load: Load) -> Done:
        """The latency of one text at a time."""
        done, begin = Done(), time.perf_counter()
        for request in load.requests:
            before = time.perf_counter()
            self._one(self._tokenize(request)[0])
            done.add(request, time.perf_counter() - before)
            if time.perf_counter() - begin > load.cap_s:
                break
        done.wall_s = time.perf_counter() - begin
        return done

    def _tokenize(self, texts: list[str]) -> Ids:
        return [np.array(encoding.ids, np.int64) for encoding in self._tokenizer.encode_batch_fast(texts)]

    def one_a_call(self, ids: Ids) -> NDArray[np.float32]:
        return np.concatenate(list(self._threads.map(self._one, ids)))

    def padded(self, ids: Ids) -> NDArray[np.float32]:
        groups = self._groups(ids)
        lengths = np.array([len(each) for each in ids])
        self._computed += sum(len(group) * int(lengths[group].max()) for group in groups)
        self._real += int(lengths.sum())
        return self._on_padded(groups, ids)

    def packed(self, ids: Ids) -> NDArray[np.float32]:
        columns = self._columns(ids)
        return _normalised(rows_of_texts(self._session, columns, self._outputs[0], threads=self._cores))

    def _one(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        return _normalised(self._session.run_pack(self._columns([ids]), self._outputs)[self._outputs[0]])

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
        """Run each group on the next session that is free."""
        free = list(self._padded)

        def one(group: NDArray[np.intp]) -> NDArray[np.float32]:
            session = free.pop()
            try:
                return _run_padded(session, [ids[index] for index in group])
            finally:
                free.append(session)

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


def _run_padded(session: Any, ids: Ids) -> NDArray[np.float32]:
    longest = max(len(each) for each in ids)
    padded = np.zeros((len(ids), longest), np.int64)
    mask = np.zeros_like(padded)
    for row, each in enumerate(ids):
        padded[row, : len(each)] = each
        mask[row, : len(each)] = 1
    feed = {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}
    (hidden,) = session.run(None, feed)  # (n, L, H)
    return _normalised(np.einsum("nlh,nl->nh", hidden, mask.astype(np.float32)) / mask.sum(1, keepdims=True))


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    normalised: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return normalised


def _session(graph: Path) -> Any:
    """A padded graph with the settings that the encode step has for its own."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(SLOW_FUSIONS)
    )
