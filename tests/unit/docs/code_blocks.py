"""The code blocks of the project's pages."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    page.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md")
    for page in ROOT.glob(pattern)
    if ".venv" not in page.parts
)
_FENCE = re.compile(r"^```(?P<language>\S*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class CodeBlock:
    """One fenced block."""

    page: Path
    line: int
    """Where its fence stands in the page, from 1."""
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[CodeBlock]:
    """Those of a page, by its path from the root."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        CodeBlock(page, text.count("\n", 0, found.start()) + 1, found["language"], found["code"])
        for found in _FENCE.finditer(text)
    ]


ALL = [block for page in PAGES for block in blocks_of(page)]


def written_in(*languages: str) -> list[CodeBlock]:
    """The blocks of these languages."""
    return [block for block in ALL if block.language in languages]
