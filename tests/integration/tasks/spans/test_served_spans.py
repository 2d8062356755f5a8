"""Late chunking behind a real server: vectors of spans against transformers' states of the whole text."""

import httpx2
import numpy as np
import pytest
from export.spans.test_late_chunking import SPANS, TEXTS, expected

from encserve import InvalidInput

CLOSE = {"rtol": 0, "atol": 1e-4}
MODEL = "embed-tokens-bert"


def test_spans_that_are_given(client, checkpoints):
    answer = client.embed_spans(TEXTS, model=MODEL, spans=SPANS)
    for text, spans, vectors, places in zip(TEXTS, SPANS, answer.vectors, answer.spans, strict=True):
        assert places.tolist() == spans
        np.testing.assert_allclose(vectors, expected(checkpoints[MODEL], text, spans), **CLOSE)


@pytest.mark.parametrize("options", [{}, {"span_by": "tokens", "span_tokens": 4}])
def test_spans_that_the_server_finds(client, checkpoints, options):
    answer = client.embed_spans(TEXTS, model=MODEL, **options)
    for text, vectors, places in zip(TEXTS, answer.vectors, answer.spans, strict=True):
        np.testing.assert_allclose(vectors, expected(checkpoints[MODEL], text, places.tolist()), **CLOSE)


def test_vectors_of_tokens_are_as_before(client):
    answer = client.embed_tokens(TEXTS, model=MODEL)
    assert [len(own) for own in answer.vectors] == answer.token_counts.tolist()


def test_a_span_without_a_token_is_refused(client):
    with pytest.raises(InvalidInput, match="span 0 of text 0, from 3 to 4, has no token that the network saw"):
        client.embed_spans(TEXTS[:1], model=MODEL, spans=[[(3, 4)]])


def test_the_gateway_has_the_same(client, gateway):
    expected_answer = client.embed_spans(TEXTS[:1], model=MODEL, output_dtype="int8")
    asked = {"texts": TEXTS[:1], "model": MODEL, "output_dtype": "int8"}
    found = httpx2.post(f"{gateway}/v1/token-embedding/embed_spans", json=asked, timeout=60).json()
    assert found["spans"][0] == expected_answer.spans[0].tolist()
    assert found["vectors"][0] == expected_answer.vectors[0].tolist()
