"""What the processor can do, by the names that Linux gives it in /proc/cpuinfo."""

from __future__ import annotations

import re
from pathlib import Path

BF16 = ("avx512_bf16", "amx_bf16")
"""Processor flags, each of which multiplies bfloat16 numbers in hardware."""
VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")
"""Processor flags, each of which multiplies 8-bit numbers and adds up the products in one instruction."""


def read_cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the flags of the first processor; none where /proc/cpuinfo is missing, as outside Linux."""
    try:
        return parse_cpu_flags(cpuinfo.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return frozenset()


def parse_cpu_flags(cpuinfo: str) -> frozenset[str]:
    """Return the processor flags in the text of /proc/cpuinfo."""
    found = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(found.group(1).split()) if found else frozenset()


def lacks(flags: frozenset[str], any_of: tuple[str, ...]) -> str:
    """Return, as a phrase, what a processor lacks that has none of the flags `any_of`; empty if it has one, or if none
    is asked for."""
    return "" if not any_of or flags.intersection(any_of) else " or ".join(any_of)
