"""Entities of texts, against transformers."""

import numpy as np
import pytest
from references import TEXTS

from .pipelines import SCORES


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("name", ["tokens-bert", "tokens-roberta"])
def test_classify_tokens(client, reference, name, aggregation):
    pipeline = reference(name, "token-classification", aggregation_strategy=aggregation)
    answer = client.classify_tokens(TEXTS, model=name, aggregation=aggregation)
    key = "entity" if aggregation == "none" else "entity_group"
    found = 0
    for text, entities in zip(TEXTS, answer.entities, strict=True):
        expected = pipeline(text)
        assert [(e.label, e.start, e.end) for e in entities] == [(e[key], e["start"], e["end"]) for e in expected]
        assert [e.text for e in entities] == [text[e["start"] : e["end"]] for e in expected]
        np.testing.assert_allclose([e.score for e in entities], [e["score"] for e in expected], **SCORES)
        found += len(entities)
    assert found > len(TEXTS)


def test_texts_without_any_entity(client):
    answer = client.classify_tokens(["", ""], model="tokens-bert")
    assert answer.entities == [[], []]
    assert answer.token_counts.tolist() == [2, 2]
