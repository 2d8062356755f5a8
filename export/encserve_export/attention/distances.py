"""Tables whose entries depend on the distance of a query and a key only, for texts of any length.

Networks compute such tables with logarithms that they round to whole buckets; another runtime's logarithm can fall on
the other side. Here the network itself computes the entry of each distance, once, and the graph only looks it up.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .packing import current_packing


def by_distance(square: Tensor) -> Tensor:
    """(..., K + 1, K + 1) -> (..., 2 K + 1): the entries of the distances -K to K, out of the first column and row."""
    return torch.cat((square[..., :, 0].flip(-1), square[..., 0, 1:]), dim=-1)


def over_pairs(table: Tensor) -> Tensor:
    """(..., 2 K + 1) -> (..., m or 1, c, k), for the pairs of queries and keys; distances beyond K have K's entry."""
    reach = table.shape[-1] // 2
    return table[..., current_packing().pairs().distance.clamp(-reach, reach) + reach]
