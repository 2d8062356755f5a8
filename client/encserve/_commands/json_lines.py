"""An answer as JSON lines on stdout, one for each text."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from encserve._commands.cut import Cut
from encserve._results import Answer

Kind = TypeVar("Kind", bound=Answer)


def print_texts(answer: Kind, fields: Callable[[Kind, int], dict[str, Any]]) -> None:
    """Print a line for each text: its index and counts, and what `fields` says of it; then what was cut, on stderr."""
    for row in range(len(answer)):
        counts = {
            "index": row,
            "token_count": int(answer.token_counts[row]),
            "dropped_count": int(answer.dropped_counts[row]),
        }
        print(json.dumps({**counts, **fields(answer, row)}, ensure_ascii=False))
    report_cut(answer)


def report_cut(answer: Answer) -> None:
    """Say on stderr what was cut, if anything was."""
    cut = Cut()
    cut.add(answer)
    cut.report()
