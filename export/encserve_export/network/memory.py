"""What the largest batch takes that the limits allow, beside the weights; and limits by which it fits.

Of a graph that cuts batches into micro-batches by itself. What lasts as long as the batch are its tokens and the rows
of its answer; what a micro-batch takes is in `cuts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .cuts import STATED_BYTES

MOST_REQUESTS = 16
"""Of a batch."""
_LITTLE_BYTES = STATED_BYTES // 16
"""A request that takes no more is never made smaller: where there is no room for it, there would be none for half."""
_FLOAT, _INTEGER = 4, 8
_INDICES = 12
"""Integers for each token of the batch: the inputs, their sorted copies, and where each token goes."""
_COPIES_OF_ROWS = 3
"""Rows of the answer: as the micro-batches gave them, joined, and in order."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The most that one request asks for."""

    tokens: int
    longest: int
    """Tokens of its longest text."""
    numbers_per_token: float
    """Numbers of its answer, by tokens: the columns of all rows, one a text, a token or a mask."""
    columns: int = 0
    """Numbers of a row of every output: of requests of any texts, no token has more."""

    @property
    def bytes(self) -> int:
        """What lasts as long as the batch: its tokens, and the rows of its answer."""
        return round(self.tokens * (_INDICES * _INTEGER + self.numbers_per_token * _FLOAT * _COPIES_OF_ROWS))


def tokens_that_fit(most: int, request_of: Callable[[int], Request], least_bytes: Callable[[Request], int]) -> int:
    """As many tokens of a request, `most` or fewer, as fit into `STATED_BYTES`, one text of the longest at least.

    `request_of` gives the largest request of so many tokens, and `least_bytes` what an engine takes at the least that
    allows it.
    """
    request = request_of(most)
    while request.tokens > request.longest and request.bytes > _LITTLE_BYTES and least_bytes(request) > STATED_BYTES:
        request = request_of(request.tokens // 2)
    return max(request.tokens, request.longest)


def memory_of(request: Request, micro_batch: int) -> dict[str, int]:
    """What the manifest says: the most requests of a batch, a power of two with which it fits into `STATED_BYTES` or 1;
    and what one request and a whole batch take at most, in bytes beside the weights."""
    requests = MOST_REQUESTS
    while requests > 1 and micro_batch + requests * request.bytes > STATED_BYTES:
        requests //= 2
    return {
        "requests_per_batch": requests,
        "micro_batch_bytes": micro_batch,
        "request_bytes": micro_batch + request.bytes,
        "batch_bytes": micro_batch + requests * request.bytes,
    }
