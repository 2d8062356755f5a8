"""The encode step of a version as its engine serves it, in this process: what a certificate is taken of.

Engine `python` has the step itself, in `python_backend.in_process`. Here is what stands for a C++ backend of Triton,
where no code of ours runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from encserve_server.steps.encode.request import Rows

Tensors: TypeAlias = Mapping[str, NDArray[np.int64]]
"""The packed tensors of a request, or of a batch: `input_ids` (T,), `lengths` (n,), and what else the graph takes."""
Network: TypeAlias = Callable[[Tensors, Sequence[str]], Sequence[NDArray[np.float32]]]
"""What a graph gives for its inputs, in the order of the outputs that are named: (rows, W) of each."""


class ServedEncoder(Protocol):
    """An encode step."""

    def encode(self, requests: Sequence[Tensors], outputs: Sequence[str]) -> list[Rows | Exception]:
        """The rows (r, W) of each request's `outputs`, or what went wrong with it. The requests wait together, as those
        that reach a server at once do; one text alone is computed as a text alone is."""

    def close(self) -> None:
        """Give back threads and memory."""

    def __enter__(self) -> ServedEncoder:
        """Itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""


class BatchedPacks:
    """Triton's dynamic batcher before a graph: the requests of a batch are one pack, and fail together.

    Args:
        network: runs the graph.
        follows: output -> the input of which it has a row for each element.
        max_requests: of a batch, as the `max_batch_size` of the step's configuration.
    """

    def __init__(self, network: Network, *, follows: Mapping[str, str], max_requests: int) -> None:
        self._network = network
        self._follows = follows
        self._max_requests = max_requests

    def encode(self, requests: Sequence[Tensors], outputs: Sequence[str]) -> list[Rows | Exception]:
        """The rows (r, W) of each request's `outputs`, or what went wrong with its batch."""
        return [
            rows
            for begin in range(0, len(requests), self._max_requests)
            for rows in self._batch(requests[begin : begin + self._max_requests], outputs)
        ]

    def _batch(self, requests: Sequence[Tensors], outputs: Sequence[str]) -> Iterator[Rows | Exception]:
        pack = {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}
        try:
            of_all = dict(zip(outputs, self._network(pack, outputs), strict=True))
        except Exception as error:  # runtimes raise what they like
            yield from [error] * len(requests)
            return
        ends = {
            output: np.cumsum([len(request[self._follows[output]]) for request in requests[:-1]]) for output in outputs
        }
        parts = {output: np.split(rows, ends[output]) for output, rows in of_all.items()}
        for index in range(len(requests)):
            yield {output: own[index] for output, own in parts.items()}

    def close(self) -> None:
        """Let the graph go."""
        del self._network

    def __enter__(self) -> BatchedPacks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
