"""`classify_zero_shot`: texts to labels that the caller chooses."""

import json
from collections.abc import Iterable

import numpy as np

from encserve._call import Verb
from encserve._errors import InvalidInput
from encserve._messages import Parameter
from encserve._protocol import TRUNCATIONS, flag, given, nothing, one_of, text_option
from encserve._results import Classifications
from encserve._split import as_sequence, check_texts
from encserve._verbs.classify import decode_classifications


def classify_zero_shot_options(
    labels: Iterable[str], *, truncate: str | None, multi_label: bool | None, hypothesis_template: str | None
) -> tuple[int, dict[str, Parameter]]:
    """The number of labels, and the request parameters. Raises InvalidInput."""
    chosen = as_sequence(labels, name="labels")
    if not chosen:
        raise InvalidInput("labels is empty, expected at least one label")
    check_texts(chosen, max_bytes=MAX_BYTES_OF_LABEL, name="label")
    return len(chosen), given(
        {
            "labels": json.dumps(list(chosen), ensure_ascii=False),
            "truncate": one_of("truncate", truncate, TRUNCATIONS),
            "multi_label": flag("multi_label", multi_label),
            "hypothesis_template": text_option("hypothesis_template", hypothesis_template),
        }
    )


MAX_BYTES_OF_LABEL = 65_536


def classify_zero_shot_verb(label_count: int) -> Verb[Classifications]:
    """The verb whose answer has `label_count` labels for each text."""
    return Verb(
        name="classify_zero_shot",
        task="zero-shot-classification",
        outputs=("label", "score"),
        decode=lambda answer: decode_classifications(answer, label_count),
        nothing=lambda pipeline, options: Classifications(
            labels=[], scores=np.empty((0, label_count), np.float32), **nothing(pipeline)
        ),
    )
