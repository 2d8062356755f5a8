"""What a certificate was measured on, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEVICES = {"cpu": "the CPU", "gpu": "the GPU"}


def measured_in_words(parity: Mapping[str, Any]) -> str:
    """On how many texts of which corpus, on which device, and whether a CPU imitated the GPU that will serve."""
    corpus = parity["corpus"]
    again = f" and {parity['variants']} times on some of them with options" if parity.get("variants") else ""
    emulated = ", which rounds as the GPU that it is for (emulated)" if parity["arithmetic"] == "emulated" else ""
    return (
        f"measured on {parity['texts']} texts{again}, of the {corpus['part']} part of the corpus with sha256 "
        f"{corpus['sha256'][:12]}, on {_DEVICES[parity['measured_on']]}{emulated}; {parity['hardware']}"
    )
