"""Where a batch is cut into micro-batches: by tokens, by padding, and by the pairs of queries and keys of attention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt

from encserve_server.steps.encode.network.micro_batches import Cost

from .sizes import Sizes

STATED_BYTES = 4 * 2**30
"""What a batch may take beside the weights."""
_CPU_TOKENS, _GPU_TOKENS = 1_024, 16_384
"""Of a micro-batch. The states of more tokens leave the caches of a CPU; those of fewer leave a GPU idle."""
_CPU_SCORES, _GPU_SCORES = 2**25, 2**26
"""Of all heads at once: an array of them takes 128 MiB on a CPU, 256 MiB on a GPU, in FP32."""
_GPU_PADDED_SCORES = 2**22
"""Of all heads, that a GPU computes in a micro-batch for nothing, where attention is written out.

An estimate, and never measured. Attention moves each score about eight times into memory and out of it, 32 bytes in
FP32, so these are 128 MiB: 0.04 ms in a layer at 3.3 TB/s, 0.4 ms at 0.3 TB/s. Another micro-batch launches some thirty
operators in each layer, at about 5 us each: 0.15 ms. What limits padding on a CPU, where a micro-batch costs as much as
ten tokens, would cut three to five times as often."""
NUMBER_BYTES = 4
"""In FP32; fp16 takes half."""
_KEPT_BYTES = 64 * 2**20
"""What glibc keeps of freed memory on top of its heap: twice the size from which it maps memory, 32 MiB at most."""
_STATES = 12
"""Arrays as wide as the network, of each token, that live at once within a layer: queries, keys, values, their padded
copies and their mixture, and what is added to the states again."""
_INNER_STATES = 3
"""Arrays as wide as the feed-forward part; gated ones have two, and what becomes of them."""
_PADDED_STATES = 5
"""Of the arrays as wide as the network those that have a place for padding."""
_SCORES = 4
"""Arrays with a number for each head and pair of places: products, masked, their softmax, and what an allocator keeps
of one that was given back."""


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """Where a batch is cut, its texts taken by length, the longest first."""

    tokens: int
    """The most of a micro-batch; one text alone may have more."""
    places: int
    """The most places of the padded view, n L, in which attention has them."""
    padding: int
    """The most pairs of a query and a key that attention computes in a micro-batch only because its texts differ in
    length."""
    pairs: int
    """The most pairs of a query and a key in a micro-batch. One text alone may have more: attention takes its queries
    in blocks of so many pairs."""


def cuts_of(sizes: Sizes, cost: Cost, *, on_gpu: bool) -> Cuts:
    """The cuts for a network: such that a micro-batch takes half of `STATED_BYTES`, even of a wide network. `cost` is
    what one costs on a CPU."""
    tokens, scores = (_GPU_TOKENS, _GPU_SCORES) if on_gpu else (_CPU_TOKENS, _CPU_SCORES)
    padding = _GPU_PADDED_SCORES // sizes.heads if on_gpu else round(cost.overhead / cost.pair)
    pairs = max(1, scores // sizes.heads)

    def cuts(tokens: int) -> Cuts:
        return Cuts(tokens=tokens, places=2 * tokens, padding=padding, pairs=pairs)

    while tokens > 1 and micro_batch_bytes(sizes, cuts(tokens), 1) > STATED_BYTES // 2:
        tokens //= 2
    return cuts(tokens)


def places_of(tokens: int, padding: int) -> int:
    """The places that micro-batches have which are cut by their tokens and their padding alone.

    n texts of L places are padded with at most n (L - 1) places, as none is empty, and with at most padding / L, as a
    text of l tokens leaves L - l places and L^2 - l^2 pairs. The smaller of the two is largest in between.
    """
    return tokens + isqrt(tokens * padding)


def in_whole_blocks(cuts: Cuts, block: int) -> Cuts:
    """The most that attention has of what is cut so where the padded view of a micro-batch is as long as a multiple of
    `block`: each of its n texts, of which none is empty, has less than `block` places more."""
    more = block - 1
    return replace(
        cuts,
        places=cuts.places + more * cuts.tokens,
        padding=cuts.padding + 2 * more * cuts.places + more**2 * cuts.tokens,  # n (L + more)^2 less n L^2
    )


def needs_blocks(cuts: Cuts, longest: int, *, cut_by_pairs: bool) -> bool:
    """Whether a text of `longest` tokens has more than `cuts.pairs`; or some together, where no cut heeds that."""
    return max(longest**2, 0 if cut_by_pairs else _pairs_together(cuts, longest)) > cuts.pairs


def micro_batch_bytes(sizes: Sizes, cuts: Cuts, longest: int, *, in_blocks: bool = True) -> int:
    """What the largest micro-batch of a network takes while a layer of it runs, or its head, of texts of up to
    `longest` tokens; `in_blocks` says whether attention takes the queries of one long text in blocks.

    An estimate from above, out of what lives at once in the graph. A test holds it against the peak of a process.
    """
    places = max(cuts.places, longest)
    tokens = places if sizes.padded else max(cuts.tokens, longest)
    pairs = max(longest**2, _pairs_together(cuts, longest))
    if in_blocks:
        pairs = max(longest, min(pairs, cuts.pairs))  # a block has one query at least
    padded = (places - tokens) * _PADDED_STATES * sizes.width
    layer = layer_numbers(sizes, tokens, pairs) + padded + sizes.of_each_pair * longest**2
    return max(layer, places * sizes.head) * NUMBER_BYTES + _KEPT_BYTES


def layer_numbers(sizes: Sizes, tokens: int, pairs: int) -> int:
    """Numbers that live at once in a layer, for its states of `tokens` and the scores of `pairs`."""
    states = _STATES * sizes.width + _INNER_STATES * sizes.inner + sizes.adapted
    return tokens * states + pairs * _SCORES * sizes.heads


def _pairs_together(cuts: Cuts, longest: int) -> int:
    """Of several texts: n L^2 is the sum of l L, and not more than L times their tokens, and padding."""
    return cuts.tokens * min(longest, cuts.tokens) + cuts.padding
