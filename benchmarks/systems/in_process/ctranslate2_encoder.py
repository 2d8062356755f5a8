"""CTranslate2: its encoder of BERT's kind, in batches of so many tokens that it sorts by length.

Two workers of one thread, or one of two, as it is faster here; the mean of the tokens and the length of 1 are ours, as
its documentation has them.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.systems.in_process.embedder import LONGEST, Library, cores

BATCH_TOKENS = 1_024
"""Padded tokens of a batch: more leave the caches of a core."""


class System(Library):
    def __init__(self, folder: str, kind: str) -> None:
        import ctranslate2
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST)

        def encoder(workers: int, threads: int) -> Any:
            return ctranslate2.Encoder(
                folder, device="cpu", compute_type=kind, inter_threads=workers, intra_threads=threads
            )

        self._alone = encoder(1, cores())
        self._many = encoder(cores(), 1)
        self._pool = ThreadPoolExecutor(cores())
        texts = [f"{'word ' * (1 + number % 60)}" for number in range(96)]
        if self._seconds(texts, self._on_one) < self._seconds(texts, self._on_many):
            self._on_many = self._on_one  # type: ignore[method-assign]

    def _seconds(self, texts: list[str], way: Any) -> float:
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        way(ids)
        begin = time.perf_counter()
        way(ids)
        return time.perf_counter() - begin

    def embed(self, texts: list[str], variant: str) -> Any:
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        return self._on_one(ids) if len(ids) == 1 else self._on_many(ids)

    def _on_one(self, ids: list[list[int]]) -> Any:
        return self._in_order(ids, lambda batches: [rows_of(self._alone, batch) for batch in batches])

    def _on_many(self, ids: list[list[int]]) -> Any:
        return self._in_order(ids, lambda batches: self._pool.map(lambda batch: rows_of(self._many, batch), batches))

    @staticmethod
    def _in_order(ids: list[list[int]], run: Any) -> Any:
        import numpy as np

        groups = groups_of(ids)
        found = list(run([[ids[index] for index in group] for group in groups]))
        rows = np.empty((len(ids), found[0].shape[1]), np.float32)
        rows[np.concatenate(groups)] = np.concatenate(found)
        return rows


def groups_of(ids: list[list[int]]) -> list[list[int]]:
    """Places of texts, the longest first, in batches of `BATCH_TOKENS` at most."""
    groups: list[list[int]] = []
    for index in sorted(range(len(ids)), key=lambda index: -len(ids[index])):
        if groups and len(ids[groups[-1][0]]) * (len(groups[-1]) + 1) <= BATCH_TOKENS:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def rows_of(encoder: Any, ids: list[list[int]]) -> Any:
    """Vectors (n, W) of length 1: the mean of each text's tokens."""
    import numpy as np

    hidden = np.array(encoder.forward_batch(ids).last_hidden_state)  # (n, L, W)
    lengths = np.array([len(each) for each in ids])
    mask = (np.arange(hidden.shape[1]) < lengths[:, None]).astype(np.float32)
    rows = np.einsum("nlw,nl->nw", hidden, mask) / lengths[:, None]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
