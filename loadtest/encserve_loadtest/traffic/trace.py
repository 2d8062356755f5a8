"""Which texts came, in the order in which they came: what tells how often they repeat."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encserve_loadtest.errors import InvalidPlan

from .corpus import text_of_line

_DIGEST_BYTES = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Texts of consecutive traffic. The texts themselves are not kept."""

    source: str
    """The name of the file."""
    texts: NDArray[np.int64]
    """A number for each text that came, equal where the texts are, from 0 in the order of their first coming, (n,)."""
    sizes: NDArray[np.int64]
    """The UTF-8 bytes of each, (n,)."""


def read_trace(path: Path) -> Trace:
    """Read a file of JSON lines, each an object with the text under "text", or a JSON string.

    Raises:
        InvalidPlan: it cannot be read, is empty, or a line is malformed; the message names the line, and no text.
    """
    known: dict[bytes, int] = {}
    texts, sizes = [], []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    raw = text_of_line(path, number, line).encode(errors="surrogatepass")
                    texts.append(known.setdefault(blake2b(raw, digest_size=_DIGEST_BYTES).digest(), len(known)))
                    sizes.append(len(raw))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPlan(f"the trace {path} cannot be read: {error}") from error
    if not texts:
        raise InvalidPlan(f"the trace {path} is empty")
    return Trace(source=path.name, texts=np.array(texts, np.int64), sizes=np.array(sizes, np.int64))
