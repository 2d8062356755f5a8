"""Languages of a text, and of what is made of it."""

import numpy as np
import pytest

from encserve_server.steps.generate.texts.languages import Languages

IDS = {"deu_Latn": 7, "fra_Latn": 8}


@pytest.mark.parametrize(("at", "marked"), [(0, [[8, 2, 3], [8]]), (-1, [[1, 2, 8], [8]])])
def test_each_text_is_marked_with_its_language(at, marked):
    languages = Languages.in_settings({"languages": {"at": at, "ids": IDS}})
    texts = np.split(np.array([1, 2, 3, 1]), [3])
    languages.mark(texts, {"source_language": "fra_Latn"})
    assert [ids.tolist() for ids in texts] == marked


def test_a_text_begins_with_the_language_that_is_asked_for():
    languages = Languages(at=0, ids=IDS)
    assert languages.first({"target_language": "deu_Latn"}) == {"first": 7}
    assert languages.first({"target_language": ""}) == {}


def test_most_networks_know_none():
    assert Languages.in_settings({"languages": None}) is None
