"""`classify_tokens` and `answer`, which find spans of texts."""

import numpy as np
import pytest
from unit.client.verbs.conftest import texts_of

from encserve import Entity, InvalidInput, Span
from encserve.testing import fake_pipeline

TOKENS = fake_pipeline(task="token-classification")
SPANS = fake_pipeline(task="question-answering", pairs=True, option_defaults={"top_k": 1})


def test_classify_tokens(ask):
    def entities(request):
        n = len(request.inputs["text"])
        return {
            "entity_count": np.array([[0, 2][:n]], np.int32),
            "label": np.array([[b"PER", b"LOC"][: 2 * (n - 1)]], object),
            "entity": np.array([[b"x", "ä".encode()][: 2 * (n - 1)]], object),
            "score": np.array([[0.5, 0.25][: 2 * (n - 1)]], np.float32),
            "start": np.array([[0, 3][: 2 * (n - 1)]], np.int32),
            "end": np.array([[1, 4][: 2 * (n - 1)]], np.int32),
        }

    result, requests = ask(TOKENS, entities, "classify_tokens", ["a", "b", "c"], aggregation="max")
    assert result.entities == [[], [Entity("PER", 0.5, "x", 0, 1), Entity("LOC", 0.25, "ä", 3, 4)], []]
    assert requests[0].parameters == {"aggregation": "max"}
    with pytest.raises(InvalidInput, match="aggregation is 'median', expected one of 'none'"):
        ask(TOKENS, entities, "classify_tokens", ["a"], aggregation="median")


def test_answer(ask):
    def spans(request):
        return {
            "answer": np.array([[[b"yes", b"", b""]]], object),
            "score": np.array([[[0.5, 0.25, 0]]], np.float32),
            "start": np.array([[[7, 0, -1]]], np.int32),
            "end": np.array([[[10, 0, -1]]], np.int32),
            "no_answer_score": np.array([[0.25]], np.float32),
        }

    result, requests = ask(SPANS, spans, "answer", "q", "context", top_k=3, no_answer=True, overlap=0)
    assert result.spans == [[Span("yes", 0.5, 7, 10), Span("", 0.25, 0, 0)]]
    assert result.no_answer_scores.tolist() == [0.25]
    assert (texts_of(requests[0]), texts_of(requests[0], "text_pair")) == (["q"], ["context"])
    assert requests[0].parameters == {"top_k": 3, "no_answer": True, "overlap": 0}
    for question, context, message in ((1, "c", "question is int"), ("q", None, "context 0 is NoneType")):
        with pytest.raises(InvalidInput, match=message):
            ask(SPANS, spans, "answer", question, context)
