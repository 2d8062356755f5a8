"""The clients of Hugging Face, TEI and Cohere against the gateway: what they get is what the SDK gets."""

import base64

import cohere
import httpx2
import numpy as np
import pytest
from huggingface_hub import InferenceClient, close_session
from huggingface_hub.errors import HfHubHTTPError
from references import TEXTS

TOLERANCE = {"rtol": 0, "atol": 1e-6}
FULL = [text for text in TEXTS if text]
QUERY = "storm in the harbour"


@pytest.fixture(autouse=True)
def closed_session():
    """The connections of `huggingface_hub`, which all of its clients share."""
    yield
    close_session()


@pytest.fixture
def hub(gateway):
    """A client of `huggingface_hub` for a path."""
    return lambda path: InferenceClient(base_url=f"{gateway}{path}")


@pytest.fixture
def post(gateway):
    def asked(path, body):
        answered = httpx2.post(f"{gateway}{path}", json=body, timeout=60)
        assert answered.status_code == 200, answered.text
        return answered.json()

    return asked


@pytest.mark.parametrize("path", ["/models/embed-bert", "/models/embed-bert/embed", "/embed"])
def test_feature_extraction(hub, client, path):
    got = hub(path).feature_extraction(FULL, truncate=True)
    np.testing.assert_allclose(got, client.embed(FULL, model="embed-bert", normalize=True).vectors, **TOLERANCE)
    raw = hub(path).feature_extraction(FULL[0], normalize=False)
    np.testing.assert_allclose(raw, client.embed(FULL[:1], model="embed-bert", normalize=False).vectors, **TOLERANCE)


def test_sentence_similarity(hub, client):
    got = hub("/similarity").sentence_similarity(FULL[0], other_sentences=FULL[1:])
    vectors = client.embed(FULL, model="embed-bert", normalize=True).vectors
    np.testing.assert_allclose(got, vectors[1:] @ vectors[0], rtol=0, atol=1e-5)


def test_text_classification(hub, client):
    for name in ("classify-bert", "classify-roberta"):
        for text in FULL:
            got = hub(f"/models/{name}").text_classification(text)
            expected = client.classify([text], model=name)
            assert [each.label for each in got] == list(expected.labels[0])
            np.testing.assert_allclose([each.score for each in got], expected.scores[0], **TOLERANCE)
    assert len(hub("/models/classify-bert").text_classification(FULL[0], top_k=2)) == 2


@pytest.mark.parametrize("strategy", [None, "none", "first"])
def test_token_classification(hub, client, strategy):
    for text in ["😀 Paris and Ghent", *FULL]:
        got = hub("/models/tokens-bert").token_classification(text, aggregation_strategy=strategy)
        (entities,) = client.classify_tokens([text], model="tokens-bert", aggregation=strategy).entities
        entities = [each for each in entities if each.label != "O"]
        labels = [each.entity if strategy == "none" else each.entity_group for each in got]
        assert labels == [each.label for each in entities]
        assert [(each.start, each.end, each.word) for each in got] == [(e.start, e.end, e.text) for e in entities]
        assert all(text[each.start : each.end] == each.word for each in got)


def test_zero_shot_classification(hub, client):
    labels = ["weather", "films", "medicine"]
    for multi_label in (True, False):
        got = hub("/models/zero-shot-bert").zero_shot_classification(FULL[0], labels, multi_label=multi_label)
        expected = client.classify_zero_shot(FULL[:1], labels, model="zero-shot-bert", multi_label=multi_label)
        assert [each.label for each in got] == list(expected.labels[0])
        np.testing.assert_allclose([each.score for each in got], expected.scores[0], **TOLERANCE)


def test_fill_mask(hub, client):
    mask = client.pipeline("mask-bert").mask_token
    text = f"The harbour {mask} went out."
    got = hub("/models/mask-bert").fill_mask(text, top_k=3)
    ((fills,),) = client.fill_mask([text], model="mask-bert", top_k=3).masks
    assert [(each.token, each.token_str) for each in got] == [(fill.token_id, fill.token) for fill in fills]
    assert got[0].sequence == f"The harbour {fills[0].token} went out."


def test_question_answering(hub, client):
    context = "😀 The harbour lights went out one by one as the storm came in."
    got = hub("/models/answer-bert").question_answering(question="What came?", context=context)
    (spans,) = client.answer("What came?", context, model="answer-bert", top_k=3).spans
    assert (got.answer, got.start, got.end) == (spans[0].text, spans[0].start, spans[0].end)
    assert context[got.start : got.end] == got.answer
    three = hub("/models/answer-bert").question_answering(question="What came?", context=context, top_k=3)
    assert [each.answer for each in three] == [span.text for span in spans]


def test_errors_of_the_hub_s_client(hub):
    with pytest.raises(HfHubHTTPError) as unknown:
        hub("/models/nobody/embed").feature_extraction("a")
    assert unknown.value.response.status_code == 404
    with pytest.raises(HfHubHTTPError) as wrong:
        hub("/models/rank-bert/embed").feature_extraction("a")
    assert wrong.value.response.json()["error_type"] == "Backend"
    with pytest.raises(HfHubHTTPError) as long:
        hub("/embed").feature_extraction("word " * 3_000, truncate=False)
    assert long.value.response.status_code == 422
    assert "must have less than" in long.value.response.json()["error"]


def test_embed_all_and_embed_sparse(post, client):
    rows = post("/embed_all", {"inputs": FULL})
    expected = client.embed_tokens(FULL, model="embed-tokens-bert", normalize=False).vectors
    for got, vectors in zip(rows, expected, strict=True):
        np.testing.assert_allclose(got, vectors, **TOLERANCE)
    terms = post("/embed_sparse", {"inputs": FULL})
    sparse = client.embed_sparse(FULL, model="embed-sparse-bert")
    for got, ids, weights in zip(terms, sparse.token_ids, sparse.weights, strict=True):
        assert [term["index"] for term in got] == sorted(ids.tolist())
        by_id = dict(zip(ids.tolist(), weights.tolist(), strict=True))
        np.testing.assert_allclose([term["value"] for term in got], [by_id[t["index"]] for t in got], **TOLERANCE)


def test_embed_sparse_of_queries(post, client):
    path = "/models/sparse-routed-bert/embed_sparse"
    for kind in ("query", "document"):
        terms = post(path, {"inputs": FULL, "prompt_name": kind})
        sparse = client.embed_sparse(FULL, model="sparse-routed-bert", input_type=kind)
        assert [[term["index"] for term in got] for got in terms] == [sorted(ids.tolist()) for ids in sparse.token_ids]


def test_rerank_of_tei(post, client):
    got = post("/models/rank-bert/rerank", {"query": QUERY, "texts": TEXTS})
    expected = client.rerank(QUERY, TEXTS, model="rank-bert")
    assert [item["index"] for item in got] == expected.indices.tolist()
    np.testing.assert_allclose([item["score"] for item in got], expected.scores, **TOLERANCE)


def test_predict_of_tei(post, client):
    pair = post("/models/pairs-bert/predict", {"inputs": ["a harbour", "a storm"]})
    expected = client.classify(["a harbour"], text_pairs=["a storm"], model="pairs-bert")
    assert [item["label"] for item in pair] == list(expected.labels[0])
    np.testing.assert_allclose([item["score"] for item in pair], expected.scores[0], **TOLERANCE)


def test_cohere_version_2(gateway, client):
    with cohere.ClientV2(api_key="unused", base_url=gateway) as connected:
        kinds = ["float", "ubinary", "base64"]
        got = connected.embed(
            model="embed-bert", input_type="search_document", texts=TEXTS, embedding_types=kinds, truncate="END"
        )
        expected = client.embed(TEXTS, model="embed-bert", normalize=True)
        np.testing.assert_allclose(got.embeddings.float_, expected.vectors, **TOLERANCE)
        packed = [np.frombuffer(base64.b64decode(text), "<f4") for text in got.embeddings.base64]
        np.testing.assert_allclose(packed, expected.vectors, **TOLERANCE)
        bits = client.embed(TEXTS, model="embed-bert", normalize=True, output_dtype="binary").vectors
        np.testing.assert_array_equal(got.embeddings.ubinary, bits)
        assert got.embeddings.int8 is None
        assert got.meta.billed_units.input_tokens == expected.token_counts.sum()
        ranked = connected.rerank(model="rank-bert", query=QUERY, documents=TEXTS, top_n=3)
        order = client.rerank(QUERY, TEXTS, model="rank-bert", top_k=3)
        assert [item.index for item in ranked.results] == order.indices.tolist()
        np.testing.assert_allclose([item.relevance_score for item in ranked.results], order.scores, **TOLERANCE)
        with pytest.raises(cohere.NotFoundError):
            connected.rerank(model="nobody", query=QUERY, documents=TEXTS)
        with pytest.raises(cohere.BadRequestError) as empty:
            connected.rerank(model="rank-bert", query=QUERY, documents=[])
        assert empty.value.body["message"] == "documents cannot be empty"


def test_cohere_version_1_in_pieces(gateway, client):
    with cohere.Client(api_key="unused", base_url=gateway) as connected:
        texts = [f"{FULL[number % len(FULL)][:40]} {number}" for number in range(200)]
        got = connected.embed(model="embed-bert", input_type="search_document", texts=texts)
        assert len(got.id.split(", ")) == 3
        np.testing.assert_allclose(
            got.embeddings, client.embed(texts, model="embed-bert", normalize=True).vectors, atol=1e-5
        )
        ranked = connected.rerank(model="rank-bert", query=QUERY, documents=TEXTS, return_documents=True)
        assert [item.document.text for item in ranked.results] == [
            TEXTS[index] for index in client.rerank(QUERY, TEXTS, model="rank-bert").indices
        ]
