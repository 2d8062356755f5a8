"""Texts as rows of tokens: cut to a length, and put into requests."""

import numpy as np
import pytest

from encserve_export.certificate.figures.company import cut_to
from encserve_export.certificate.subject.packed_request import packed_request, requests_of
from encserve_server.steps.encode.bounds import Bounds

MASK = 9
TEXT = {"input_ids": np.array([1, 2, MASK, 4, 5]), "mask_at": np.array([2])}
BOUNDS = Bounds(max_length=20, max_tokens=100, vocabularies={"input_ids": 10}, mask_id=MASK)


@pytest.mark.parametrize(
    ("length", "ids"), [(1, [1]), (2, [1, 9]), (3, [1, 2, 9]), (5, [1, 2, 9, 4, 5]), (8, [1, 2, 9, 4, 5, 1, 2, 9])]
)
def test_a_text_with_a_mask_has_one_at_every_length_but_is_never_a_mask_alone(length, ids):
    text = cut_to(TEXT, length)
    assert text["input_ids"].tolist() == ids
    assert text["mask_at"].tolist() == [place for place, id_ in enumerate(ids) if id_ == MASK]
    BOUNDS.check(packed_request([TEXT, text, text]))


def test_a_text_without_masks_gets_none():
    text = cut_to({"input_ids": np.array([1, 2]), "mask_at": np.array([], np.int64)}, 3)
    assert (text["input_ids"].tolist(), text["mask_at"].tolist()) == ([1, 2, 1], [])
    assert cut_to({"input_ids": np.array([1, 2])}, 1).keys() == {"input_ids"}


def texts_of_lengths(*lengths):
    return [{"input_ids": np.arange(length)} for length in lengths]


@pytest.mark.parametrize(
    ("lengths", "most_texts", "most_tokens", "requests"),
    [
        ((3, 4), 8, 100, [[3, 4]]),
        ((3, 4, 5), 8, 100, [[3, 4], [5]]),
        ((1, 2, 3, 4, 5, 6), 8, 100, [[1, 2, 3], [4, 5, 6]]),
        ((1, 2, 3, 4, 5, 6), 2, 100, [[1, 2], [3, 4], [5, 6]]),
        ((5, 5, 5, 5), 8, 9, [[5], [5], [5], [5]]),
        ((20, 1, 2), 8, 9, [[20], [1, 2]]),
    ],
)
def test_texts_that_keep_company_share_requests_within_the_limits(lengths, most_texts, most_tokens, requests):
    made = requests_of(texts_of_lengths(*lengths), most_texts=most_texts, most_tokens=most_tokens)
    assert [[len(text["input_ids"]) for text in texts] for texts in made] == requests
