"""How much traffic a version must have until it is known to be no worse."""

from __future__ import annotations

from .evidence import Count, evidence_above

MOST = 10_000_000
"""What takes more than this is not known."""


def needed_to_clear(before: Count, share: float, within: float, limit: float) -> int | None:
    """Return of how many it is known that a `share` is not above that of `before` by `within` or more, if no other is
    counted: the evidence for it is above `limit`. Within half a percent; None where it takes more than `MOST`."""

    def known(count: int) -> bool:
        return evidence_above(before, Count(share * count, count), -within) > limit

    low, high = 0, 1
    while not known(high):
        low, high = high, 2 * high
        if high > MOST:
            return None
    while high - low > 1 + high // 200:
        middle = (low + high) // 2
        low, high = (low, middle) if known(middle) else (middle, high)
    return high
