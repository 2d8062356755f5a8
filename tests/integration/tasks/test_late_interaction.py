"""Late interaction: the vectors and scores against sentence-transformers, and those of vectors that were kept."""

from base64 import b64encode

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


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "binary"])
def test_vectors_that_were_kept_score_in_the_server_as_in_the_client(client, gateway, precision):
    """Also where they are given over HTTP, as base64 and as numbers."""
    dtype = "float32" if precision == "float16" else precision
    kept = client.embed_tokens(TEXTS, model="late-bert", output_dtype=dtype).vectors
    query = client.embed_tokens([QUERY], model="late-bert", input_type="query")
    if precision == "float16":
        kept = [own.astype(np.float16) for own in kept]
    whole = [own.astype(np.float32) for own in kept]
    if precision == "binary":
        whole = [np.unpackbits(own, axis=1, count=query.vectors[0].shape[1]).astype(np.float32) * 2 - 1 for own in kept]
    if dtype != "float32":
        whole = [own / np.linalg.norm(own, axis=1, keepdims=True) for own in whole]
    (scores,) = query.scores(whole)
    answer = client.rerank(QUERY, kept, model="late-bert")
    np.testing.assert_allclose(answer.scores, scores[answer.indices], **SCORES)
    assert (np.diff(answer.scores) <= 0).all()
    assert sorted(answer.indices.tolist()) == list(range(len(TEXTS)))
    assert set(answer.token_counts.tolist()) == set(query.token_counts.tolist())
    assert client.rerank(QUERY, kept, model="late-bert", top_k=2).indices.tolist() == answer.indices[:2].tolist()
    asked = {"query": QUERY, "model": "late-bert", "document_vectors": precision}
    for documents in ([own.tolist() for own in kept], [b64encode(own.tobytes()).decode() for own in kept]):
        found = httpx2.post(f"{gateway}/v1/rerank", json=asked | {"documents": documents}, timeout=60).json()["results"]
        assert [each["index"] for each in found] == answer.indices.tolist()
        np.testing.assert_allclose([each["relevance_score"] for each in found], answer.scores, **SCORES)


def test_vectors_that_were_kept_score_as_their_texts_do(client):
    kept = client.embed_tokens(TEXTS, model="late-bert")
    of_texts, of_vectors = (client.rerank(QUERY, documents, model="late-bert") for documents in (TEXTS, kept))
    assert of_vectors.indices.tolist() == of_texts.indices.tolist()
    np.testing.assert_allclose(of_vectors.scores, of_texts.scores, **SCORES)
    halved = client.embed_tokens(TEXTS, model="late-bert", dimensions=8)
    (scores,) = client.embed_tokens([QUERY], model="late-bert", input_type="query", dimensions=8).scores(halved)
    shorter = client.rerank(QUERY, halved, model="late-bert", dimensions=8)
    np.testing.assert_allclose(shorter.scores, scores[shorter.indices], **SCORES)


def test_vectors_that_are_none_of_the_pipeline_are_refused(client):
    kept = client.embed_tokens(TEXTS, model="late-bert").vectors
    with pytest.raises(InvalidInput, match="dimensions says where they were shortened"):
        client.rerank(QUERY, [own[:, :8] for own in kept], model="late-bert")
    with pytest.raises(InvalidInput, match="document 1 holds NaN or infinity"):
        client.rerank(QUERY, [kept[0], kept[1] * np.float32(np.nan)], model="late-bert")
    with pytest.raises(InvalidInput, match="document 0 is given as vectors of 6 numbers in float32"):
        client.rerank(QUERY, [own.reshape(-1, 6) for own in kept], model="late-bert", dimensions=6)
    with pytest.raises(InvalidInput, match=r"document 1 is given as vectors of 12 numbers .* has length inf"):
        client.rerank(QUERY, [kept[0], np.full_like(kept[1], 3e38)], model="late-bert")
    with pytest.raises(InvalidInput, match="document 0 is no base64"):
        client.rerank(QUERY, ["no base64"], model="late-bert", document_vectors="float32")
    with pytest.raises(InvalidInput, match="ranks texts of documents"):
        client.rerank(QUERY, kept, model="rank-bert")


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
