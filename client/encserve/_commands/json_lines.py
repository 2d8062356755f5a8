"""Answers as JSON lines on stdout, one for each text."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from encserve._commands.cut import Cut
from encserve._results import Answer

Kind = TypeVar("Kind", bound=Answer)


def print_texts(answers: Iterable[Kind], fields: Callable[[Kind, int], dict[str, Any]]) -> None:
    """Print a line for each text, as the answers come: its index and counts, and what `fields` says of it; then what
    was cut, on stderr."""
    cut = Cut()
    for answer in answers:
        cut.add(answer)
        for row in range(len(answer)):
            counts = {
                "index": answer.start + row,
                "token_count": int(answer.token_counts[row]),
                "dropped_count": int(answer.dropped_counts[row]),
            }
            print(json.dumps({**counts, **fields(answer, row)}, ensure_ascii=False))
        sys.stdout.flush()
    cut.report()


def report_cut(answer: Answer) -> None:
    """Say on stderr what was cut, if anything was."""
    cut = Cut()
    cut.add(answer)
    cut.report()
