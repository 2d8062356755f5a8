"""GLiNER behind a real server: entities of the labels of a call, as the library finds them."""

import httpx2
import pytest
from export.gliner.test_entities import ASKED, GOLDEN, LABELS, TEXTS, chosen

from encserve import InvalidInput
from encserve_export.verify import verify

MODEL = "entities-gliner"
CASES = {MODEL: "projected", "entities-words": "words of ModernBERT"}
BOTH = [MODEL, pytest.param("entities-words", marks=pytest.mark.slow)]
SEEN = GOLDEN["cases"][CASES[MODEL]]["answers"]


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("asked", ASKED)
def test_the_entities_are_those_of_the_library(client, model, asked):
    answer = client.extract_entities(TEXTS, LABELS, model=model, **chosen(ASKED[asked]))
    seen = GOLDEN["cases"][CASES[model]]["answers"][asked]
    for ours, theirs in zip(answer.entities, seen, strict=True):
        assert [vars(each) | {"score": None} for each in ours] == [each | {"score": None} for each in theirs]
        assert [each.score for each in ours] == pytest.approx([each["score"] for each in theirs], abs=1e-5)
    assert answer.dropped_counts[:-1].tolist() == [0] * (len(TEXTS) - 1)
    assert answer.dropped_counts[-1] > 0, "of 60 words 40 count"


def test_one_text_is_answered_as_in_company(client):
    alone = [client.extract_entities([text], LABELS, model=MODEL).entities[0] for text in TEXTS]
    assert alone == client.extract_entities(TEXTS, LABELS, model=MODEL).entities


def test_labels_are_those_of_the_call(client):
    found = client.extract_entities(TEXTS[:1], ["weather"], model=MODEL, threshold=0.01).entities[0]
    assert found
    assert {each.label for each in found} == {"weather"}


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([f"label {number}" for number in range(65)], {}, "has 65 labels; it must have 1 to 64"),
        (["a", "a"], {}, "each label may be there once"),
        (["a <<ENT>> b"], {}, "label 0 has the marker of labels in it"),
        (["a"], {"threshold": 1.5}, "must be a number above 0, at most 1"),
    ],
)
def test_what_is_wrong_is_named(client, labels, options, message):
    with pytest.raises(InvalidInput, match=message):
        client.extract_entities(["a"], labels, model=MODEL, **options)


def test_the_gateway_has_the_same(gateway):
    asked = {"texts": TEXTS[:2], "labels": LABELS, "model": MODEL, "nested": True}
    found = httpx2.post(f"{gateway}/v1/zero-shot-token-classification", json=asked, timeout=60).json()
    assert [len(each) for each in found["entities"]] == [len(each) for each in SEEN["nested"][:2]]


@pytest.mark.parametrize("model", BOTH)
def test_a_server_answers_as_certified(client, repository, model):
    assert verify(client._transport, model, repository, timeout_s=300).complaints == []
