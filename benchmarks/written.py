"""Tables in a page of the documentation, between the marks of the script that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Marks:
    """Two lines of a page, each there once."""

    begin: str
    end: str

    def inside(self, path: Path) -> str:
        """What stands between them."""
        return path.read_text(encoding="utf-8").partition(self.begin)[2].partition(self.end)[0]

    def put(self, path: Path, text: str) -> None:
        """Write the text between them, in place of what is there."""
        before, begin, rest = path.read_text(encoding="utf-8").partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            raise SystemExit(f"{path} has no line {self.begin}, or none that ends it")
        path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *rows])
