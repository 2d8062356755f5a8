"""Late interaction: the vectors and scores against sentence-transformers, and those of vectors that were kept."""

import httpx2
import numpy as np
import pytest
from references import TEXTS
from sentence_transformers import MultiVectorEncoder

from encserve import Client, InvalidInput

from .pipelines import SCORES

QUERY = "storm in the harbour"


@pytest.fixture(scope="module")
def encoder(checkpoints):
    return MultiVectorEncoder(str(checkpoints["late-bert"]), device="cpu")


@pytest.mark.parametrize("kind", ["query", "document"])
def test_vectors(client, encoder, kind):
    one = encoder.encode_query if kind == "query" else encoder.encode_document
    answer = client.embed_tokens(TEXTS, model="late-bert", input_type=kind)
    for text, vectors, offsets, seen in zip(TEXTS, answer.vectors, answer.offsets, answer.token_counts, strict=True):
        np.testing.assert_allclose(vectors, one(text).numpy(), **SCORES)
        assert len(offsets) == len(vectors) <= seen
        assert offsets[:2].tolist() == [[-1, -1]] * 2, "a special token and the marker"


def test_rerank(client, server, encoder):
    query = client.embed_tokens([QUERY], model="late-bert", input_type="query")
    (scores,) = query.scores(client.embed_tokens(TEXTS, model="late-bert"))
    answer = client.rerank(QUERY, TEXTS, model="late-bert")
    order = np.argsort(-scores, kind="stable")
    np.testing.assert_allclose(answer.scores, scores[order], **SCORES)
    np.testing.assert_allclose(answer.scores, scores[answer.indices], **SCORES)
    theirs = encoder.similarity([encoder.encode_query(QUERY)], [encoder.encode_document(text) for text in TEXTS])
    np.testing.assert_allclose(answer.scores, theirs[0].numpy()[answer.indices], **SCORES)
    with Client(server.grpc_url, timeout_s=300) as other:
        for place, index in enumerate(answer.indices):
            alone = other.rerank(QUERY, [TEXTS[index]], model="late-bert")
            np.testing.assert_allclose(alone.scores, answer.scores[place], **SCORES)
            assert alone.token_counts == answer.token_counts[index]
        best = other.rerank(QUERY, TEXTS, model="late-bert", top_k=2)
        assert best.indices.tolist() == answer.indices[:2].tolist()


def test_the_gateway_ranks(gateway, client):
    expected = client.rerank(QUERY, TEXTS, model="late-bert")
    asked = {"query": QUERY, "documents": TEXTS, "model": "late-bert"}
    results = httpx2.post(f"{gateway}/v1/rerank", json=asked, timeout=60).json()["results"]
    assert [each["index"] for each in results] == expected.indices.tolist()
    np.testing.assert_allclose([each["relevance_score"] for each in results], expected.scores, **SCORES)


def test_options_of_other_pipelines_are_refused(client):
    with pytest.raises(InvalidInput, match="unknown option 'prompt_name'"):
        client.rerank(QUERY, TEXTS, model="late-bert", prompt_name="query")
    with pytest.raises(InvalidInput, match="unknown option 'input_type'"):
        client.embed_tokens(TEXTS, model="embed-tokens-bert", input_type="query")
