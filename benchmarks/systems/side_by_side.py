"""All texts of a benchmark in micro-batches, on threads side by side, without the lanes of a server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from encserve_server.steps.encode.network.packed_session import PackedSession
from encserve_server.steps.encode.request import Columns


def rows_of_texts(session: PackedSession, columns: Columns, output: str, *, threads: int) -> NDArray[np.float32]:
    """The rows (n, W) of an output that has one for each text, in the order of the texts."""
    lengths = np.array([len(ids) for ids in columns["input_ids"]], np.int64)
    groups = session.groups(lengths, workers=threads)

    def run(group: NDArray[np.intp]) -> NDArray[np.float32]:
        own = {name: [column[index] for index in group] for name, column in columns.items()}
        return session.run_pack(own, [output])[output]

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(run, groups))
    rows = np.empty((len(lengths), found[0].shape[1]), np.float32)
    rows[np.concatenate(groups)] = np.concatenate(found)
    return rows
