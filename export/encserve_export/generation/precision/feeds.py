"""What the step of a decoder is fed while texts are generated: the inputs on which it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from encserve_export.errors import Unsupported
from encserve_export.generation.defaults import GenerationDefaults
from encserve_export.network.graph_file import Pack
from encserve_server.steps.generate.decoder.cache import Cache
from encserve_server.steps.generate.decoder.network import GenerateNetwork

from .sources import Source

TOGETHER = 16
"""How many texts are decoded together."""


class StepFeeds:
    """The inputs of each step while `network` takes the likeliest token each time, for all of `sources`, of `most` new
    tokens at most. Whoever iterates has them computed; each is good until the next."""

    def __init__(
        self, network: GenerateNetwork, defaults: GenerationDefaults, sources: Sequence[Source], *, most: int
    ) -> None:
        self._network, self._defaults, self._most = network, defaults, most
        self._sources = sorted(sources, key=len)  # so that few places are padded

    def __iter__(self) -> Iterator[Pack]:
        for begin in range(0, len(self._sources), TOGETHER):
            yield from self._decoded(self._sources[begin : begin + TOGETHER])

    def some(self, count: int) -> list[Pack]:
        """So many of them, or all where there are fewer, evenly from all steps of all texts, copied so that they stay.

        Raises:
            Unsupported: there is none.
        """
        steps = sum(1 for _ in self)  # which nobody knows before: texts end when they like
        if not steps:
            raise Unsupported(
                f"int8: the texts by which layers are chosen give no step of the decoder; they are "
                f"{len(self._sources)}, of {self._most} new tokens at most"
            )
        parts = min(count, steps)
        middles = {(2 * part + 1) * steps // (2 * parts) for part in range(parts)}
        return [
            {name: array.copy() for name, array in feed.items()}
            for number, feed in enumerate(self)
            if number in middles
        ]

    def _decoded(self, sources: Sequence[Source]) -> Iterator[Pack]:
        shape, defaults = self._network.shape, self._defaults
        cache = Cache(shape.layers, shape.heads, shape.size)
        for kept in self._network.encode(sources):
            cache.add(kept)
        last = np.full((len(sources), 1), defaults.start_token, np.int64)
        for made in range(self._most):
            yield self._network.feed(last, cache)
            logits = self._network.step(last, cache)[:, 0]
            last = self._next(logits, made)[:, None]
            ended = np.flatnonzero(np.isin(last[:, 0], defaults.end_tokens)).tolist()
            for row in reversed(ended):  # whose place the last row takes
                last[row] = last[cache.remove(row)]
                last = last[: cache.rows]
            if not cache.rows:
                return

    def _next(self, logits: NDArray[np.float32], made: int) -> NDArray[np.int64]:
        """The tokens (T,) after so many that were made."""
        if made == 0 and self._defaults.first_token is not None:
            return np.full(len(logits), self._defaults.first_token, np.int64)
        logits[:, [token for token in self._defaults.never_tokens if token < logits.shape[1]]] = -np.inf
        return np.asarray(logits.argmax(axis=1), np.int64)
