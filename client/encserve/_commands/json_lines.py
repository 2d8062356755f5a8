"""Answers as JSON lines on stdout, one for each text, and on stderr what was cut from the texts."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from encserve._results import Answer

Kind = TypeVar("Kind", bound=Answer)


def print_texts(answers: Iterable[Kind], fields: Callable[[Kind, int], dict[str, Any]]) -> None:
    """Print a line for each text, as the answers come: its index and counts, and what `fields` says of it; then what
    was cut."""
    report_cut(_printed(answer, fields) for answer in answers)


def report_cut(answers: Iterable[Answer]) -> None:
    """Say on stderr, after the last of the answers, what was cut from their texts, if anything was."""
    texts = cut = tokens = 0
    for answer in answers:
        texts += len(answer)
        cut += int(np.count_nonzero(answer.dropped_counts))
        tokens += int(answer.dropped_counts.sum(dtype=np.int64))
    if cut:
        print(f"encserve: {cut} of {texts} texts were too long: {tokens} tokens were cut", file=sys.stderr)


def _printed(answer: Kind, fields: Callable[[Kind, int], dict[str, Any]]) -> Kind:
    for row in range(len(answer)):
        counts = {
            "index": answer.start + row,
            "token_count": int(answer.token_counts[row]),
            "dropped_count": int(answer.dropped_counts[row]),
        }
        print(json.dumps({**counts, **fields(answer, row)}, ensure_ascii=False))
    sys.stdout.flush()
    return answer
