"""How large a batch of a TensorRT plan may be, and the optimization profile that says so to the builder.

In a plan every text is padded to one length L inside attention, L being the longest that the pipeline takes. Memory for
the largest batch is taken when the plan is loaded, so n * L * L is bounded, and with it what one request may ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from encserve_export.attention.pairs import TILE
from encserve_export.errors import InvalidConfig
from encserve_export.network.cuts import NUMBER_BYTES, layer_numbers
from encserve_export.network.sizes import Sizes

ATTENTION_PLACES = 2**24
"""n * L * L of the largest batch; a head's scores take 64 MiB of it in FP32."""
_MOST_ROWS = 512
_MOST_REQUESTS = 16
_LEAST_ROWS = 4
LONGEST = isqrt(ATTENTION_PLACES // _LEAST_ROWS)
"""The longest text of which a batch still holds four."""

Shape = tuple[int]
Profile = dict[str, tuple[Shape, Shape, Shape]]
"""Input -> its smallest, usual and largest shape."""


@dataclass(frozen=True, kw_only=True)
class PlanBounds:
    """What a plan takes at once."""

    requests: int
    """Of a batch: its `max_batch_size`."""
    texts_per_request: int
    max_length: int
    """Tokens of the longest text."""

    @property
    def tokens_per_request(self) -> int:
        """Tokens of a request: each of its texts may be as long as any."""
        return self.texts_per_request * self.max_length

    @property
    def tokens(self) -> int:
        """Tokens of a batch, T."""
        return self.requests * self.tokens_per_request

    @property
    def rows(self) -> int:
        """Rows of a batch, n. A text may become several windows, all but its last of the maximum length, so that the
        tokens of a request bound them: to as many full ones as there are texts, and a last one for each text."""
        return 2 * self.requests * self.texts_per_request


def bounds_of(max_length: int) -> PlanBounds:
    """The bounds of a plan for texts of up to `max_length` tokens.

    Raises:
        InvalidConfig: the texts are too long for attention that pads all of them to one length.
    """
    if max_length > LONGEST:
        raise InvalidConfig(
            f"--engine tensorrt pads every text to the maximum length inside attention, so {LONGEST} tokens are the "
            f"most, and this checkpoint takes {max_length}: give --max-length {LONGEST} or less, or use another engine"
        )
    texts = min(_MOST_ROWS, ATTENTION_PLACES // max_length**2) // 2
    requests = 1
    while requests < _MOST_REQUESTS and 4 * requests * requests <= texts:
        requests *= 2
    return PlanBounds(requests=requests, texts_per_request=texts // requests, max_length=max_length)


def batch_bytes(bounds: PlanBounds, sizes: Sizes) -> int:
    """What the largest batch of a plan takes beside the weights, out of the arrays of its graph in FP32.

    An estimate from above; what TensorRT itself takes for all of them stands in the manifest's `plan` once it is built.
    """
    longest, tiled = bounds.max_length, bounds.max_length >= 2 * TILE and not sizes.padded
    groups, queries = (bounds.tokens // TILE + bounds.rows, TILE) if tiled else (bounds.rows, bounds.max_length)
    pairs, tokens = groups * queries * longest, bounds.rows * longest if sizes.padded else bounds.tokens
    copies = 2 * groups * (queries + longest) * sizes.width  # of queries and their mixture, of keys and values
    layer = layer_numbers(sizes, tokens, pairs) + copies + pairs * sizes.of_each_pair
    return max(layer, bounds.rows * longest * sizes.head) * NUMBER_BYTES


def profile_of(bounds: PlanBounds, graph_inputs: Sequence[str], lengths: Sequence[int]) -> Profile:
    """The profile of a plan: from one token of one text to the bounds, best at a batch full of requests of one text
    each, as long as the calibration texts, of which `lengths` has the tokens."""
    texts = bounds.requests
    tokens = min(max(texts, round(texts * sum(lengths) / len(lengths))), bounds.tokens)
    sizes = {"lengths": (1, texts, bounds.rows), "mask_at": (1, texts, bounds.tokens)}
    of_tokens = (1, tokens, bounds.tokens)
    return {name: tuple((size,) for size in sizes.get(name, of_tokens)) for name in graph_inputs}  # type: ignore[misc]
