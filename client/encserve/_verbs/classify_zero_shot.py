"""`classify_zero_shot`: texts to labels that the caller chooses."""

from __future__ import annotations

import json
from collections.abc import Iterable

from encserve._errors import InvalidInput
from encserve._texts import as_sequence, check_texts
from encserve._verbs.classify import decode_classifications
from encserve._verbs.options import AdapterOption, CallOptions, TruncateOption
from encserve._verbs.verb import TEXTS, Given, Verb

MAX_BYTES_OF_LABEL = 65_536


class ClassifyZeroShotOptions(TruncateOption, AdapterOption, CallOptions, total=False):
    """The keywords of `classify_zero_shot`."""

    multi_label: bool | None
    """Whether each label is judged by itself; otherwise they share a probability of 1."""
    hypothesis_template: str | None
    """A sentence that has {} once, where the label goes; "This example is {}." without it."""


def labels_parameter(labels: Iterable[str]) -> str:
    """The request parameter `labels`, a JSON list. Raises InvalidInput."""
    chosen = as_sequence(labels, name="labels")
    if not chosen:
        raise InvalidInput("labels is empty, expected at least one label")
    check_texts(chosen, max_bytes=MAX_BYTES_OF_LABEL, name="label")
    return json.dumps(list(chosen), ensure_ascii=False)


def _count(given: Given) -> int:
    return len(json.loads(str(given["labels"])))


CLASSIFY_ZERO_SHOT = Verb(
    name="classify_zero_shot",
    task="zero-shot-classification",
    about="""Give texts labels that the model was not trained for.

    Each label becomes a hypothesis that a text may entail.
    """,
    arguments={
        "texts": TEXTS["texts"],
        "labels": "Any number of labels, each once.",
        "model": TEXTS["model"],
    },
    keywords=ClassifyZeroShotOptions,
    outputs=lambda given: ("label", "score"),
    decode=lambda answer: decode_classifications(answer, _count(answer.given)),
    rows_per_text=_count,
)
