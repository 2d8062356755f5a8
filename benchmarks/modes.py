"""How callers send their texts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mode:
    """So many callers, each sending its next request of `size` texts when its last one was answered."""

    name: str
    streams: int
    size: int
    texts: int
    """Of one measurement."""

    def requests(self, texts: list[str]) -> list[list[str]]:
        """The requests of one measurement."""
        texts = texts[: self.texts]
        return [texts[begin : begin + self.size] for begin in range(0, len(texts), self.size)]


MODES = {
    mode.name: mode
    for mode in (
        Mode("1x1", streams=1, size=1, texts=256),
        Mode("32x1", streams=32, size=1, texts=768),
        Mode("4x32", streams=4, size=32, texts=1536),
        Mode("1x1024", streams=1, size=1024, texts=1024),
    )
}
