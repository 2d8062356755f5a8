"""The verbs beside `embed`, on both clients: what they send, and what they make of the answer."""

import asyncio
import json

import numpy as np
import pytest

from encserve import AsyncClient, Client, ContractError, Entity, Fill, InvalidInput, Span
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline


class Server:
    """Answers each request from its texts, and keeps the requests."""

    def __init__(self, answer):
        self.requests = []
        self._answer = answer

    def __call__(self, request):
        self.requests.append(request)
        rows = len(request.inputs.get("text_pair", request.inputs["text"]))
        counts = {
            "token_count": np.arange(2, 2 + rows, dtype=np.int32)[None],
            "dropped_count": np.zeros((1, rows), np.int32),
        }
        return {**counts, **self._answer(request)}


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def ask(request):
    """ask(pipeline, answer, verb, ...): the verb's result and the requests that were sent."""

    def call(pipeline, answer, verb, *args, settings=(), **options):
        server = Server(answer)
        settings = {"texts_per_request": 2, "concurrency": 1, **dict(settings)}

        async def wait():
            async with AsyncClient(transport=AsyncFakeTransport(server, pipelines=[pipeline]), **settings) as client:
                return await getattr(client, verb)(*args, model="fake", **options)

        if request.param:
            return asyncio.run(wait()), server.requests
        with Client(transport=FakeTransport(server, pipelines=[pipeline]), **settings) as client:
            return getattr(client, verb)(*args, model="fake", **options), server.requests

    return call


def texts_of(request, name="text"):
    return [text.decode() for text in request.inputs[name]]


def floats(*values):
    return np.array([values], np.float32)


def whole(*values):
    return np.array([values], np.int32)


CLASSES = fake_pipeline(task="text-classification", labels=("a", "ä"))
PAIRS = fake_pipeline(task="text-classification", labels=("a", "ä"), pairs=True)
RANKS = fake_pipeline(task="text-ranking", pairs=True)
TOKENS = fake_pipeline(task="token-classification")
SPANS = fake_pipeline(task="question-answering", pairs=True, option_defaults={"top_k": 1})
MASKS = fake_pipeline(task="fill-mask", mask_token="[MASK]", option_defaults={"top_k": 2})
ZERO = fake_pipeline(task="zero-shot-classification")


def classes(request):
    n, k = len(request.inputs["text"]), request.parameters.get("top_k", 2)
    return {
        "label": np.array([[["ä".encode(), b"a"][:k]] * n], object),
        "score": np.array([[[len(text), 0.5][:k] for text in request.inputs["text"]]], np.float32),
    }


class TestClassify:
    def test_lists_are_split_and_joined(self, ask):
        result, requests = ask(CLASSES, classes, "classify", ["x", "yy", "zzz"])
        assert result.labels == [("ä", "a")] * 3
        assert result.scores.tolist() == [[1, 0.5], [2, 0.5], [3, 0.5]]
        assert result.token_counts.tolist() == [2, 3, 2]
        assert (result.model, result.version, len(result)) == ("fake", "1", 3)
        assert [texts_of(request) for request in requests] == [["x", "yy"], ["zzz"]]
        assert requests[0].outputs == ("label", "score", "token_count", "dropped_count")

    def test_options(self, ask):
        result, requests = ask(CLASSES, classes, "classify", ["x"], top_k=1, truncate="start")
        assert result.scores.shape == (1, 1)
        assert requests[0].parameters == {"top_k": 1, "truncate": "start"}

    def test_windows_are_reported(self, ask):
        def windows(request):
            return {**classes(request), "window_count": np.full((1, len(request.inputs["text"])), 3, np.int32)}

        result, requests = ask(CLASSES, windows, "classify", ["x", "y", "z"], long_text="chunk", overlap=0)
        assert result.window_counts.tolist() == [3, 3, 3]
        assert requests[0].parameters == {"long_text": "chunk", "overlap": 0}
        assert requests[0].outputs[-1] == "window_count"
        assert ask(CLASSES, classes, "classify", ["x"])[0].window_counts.tolist() == [1]
        with pytest.raises(InvalidInput, match="long_text is 'whole', expected one of 'truncate', 'chunk'"):
            ask(CLASSES, windows, "classify", ["x"], long_text="whole")

    def test_pairs(self, ask):
        _, requests = ask(PAIRS, classes, "classify", ["a", "b", "c"], text_pairs=iter(["x", "y", "z"]))
        assert [texts_of(request, "text_pair") for request in requests] == [["x", "y"], ["z"]]

    def test_nothing(self, ask):
        result, requests = ask(CLASSES, classes, "classify", [])
        assert (result.labels, result.scores.shape, requests) == ([], (0, 2), [])

    @pytest.mark.parametrize(
        ("pipeline", "options", "message"),
        [
            (CLASSES, {"text_pairs": ["x"]}, "takes single texts, no pairs"),
            (PAIRS, {}, "wants a second text for each"),
            (PAIRS, {"text_pairs": ["x", "y"]}, "texts and text_pairs differ in number: 1 and 2"),
            (PAIRS, {"text_pairs": "x"}, "text_pairs is a single str"),
            (PAIRS, {"text_pairs": [None]}, "text_pair 0 is NoneType"),
            (CLASSES, {"top_k": 0}, "top_k is 0, expected a positive int"),
            (TOKENS, {}, "is for token-classification, classify needs text-classification"),
        ],
    )
    def test_refused(self, ask, pipeline, options, message):
        with pytest.raises(InvalidInput, match=message):
            ask(pipeline, classes, "classify", ["x"], **options)

    def test_too_few_labels_break_the_contract(self, ask):
        with pytest.raises(ContractError, match=r"'label' has shape \[1, 1, 1\], the contract promises \[1, 1, 2\]"):
            ask(CLASSES, lambda request: {"label": np.array([[[b"a"]]], object)}, "classify", ["x"])


def ranks(request):
    """A document's score is the number it consists of."""
    values = np.array([float(text) for text in request.inputs["text_pair"]], np.float32)
    order = np.argsort(-values, kind="stable")[: request.parameters.get("top_k")]
    return {"index": order[None].astype(np.int32), "score": values[order][None]}


class TestRerank:
    def test_requests_are_merged_into_one_order(self, ask):
        result, requests = ask(RANKS, ranks, "rerank", "q", ["3", "5", "4", "9", "5"])
        assert result.indices.tolist() == [3, 1, 4, 2, 0]
        assert result.scores.tolist() == [9, 5, 5, 4, 3]
        assert len(result) == 5
        assert [texts_of(request) for request in requests] == [["q"]] * 3

    def test_top_k_of_all(self, ask):
        result, requests = ask(RANKS, ranks, "rerank", "q", ["3", "5", "4", "9", "5"], top_k=3, prompt_name="query")
        assert result.indices.tolist() == [3, 1, 4]
        assert requests[0].parameters == {"top_k": 3, "prompt_name": "query"}

    def test_no_documents(self, ask):
        result, _ = ask(RANKS, ranks, "rerank", "q", [])
        assert result.indices.tolist() == result.scores.tolist() == []

    def test_a_long_query_counts_with_each_document(self, ask):
        pipeline = fake_pipeline(task="text-ranking", pairs=True, max_tokens_per_request=100)
        _, requests = ask(pipeline, ranks, "rerank", "q" * 80, ["1", "2"], settings={"texts_per_request": 64})
        assert len(requests) == 2

    @pytest.mark.parametrize(
        ("query", "documents", "message"),
        [
            (None, ["1"], "query is NoneType"),
            ("\ud800", ["1"], "query is no valid Unicode"),
            ("q", ["1", 2], "document 1 is int"),
            ("q", "1", "documents is a single str"),
        ],
    )
    def test_refused(self, ask, query, documents, message):
        with pytest.raises(InvalidInput, match=message):
            ask(RANKS, ranks, "rerank", query, documents)


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
            "no_answer_score": floats(0.25),
        }

    result, requests = ask(SPANS, spans, "answer", "q", "context", top_k=3, no_answer=True, overlap=0)
    assert result.spans == [[Span("yes", 0.5, 7, 10), Span("", 0.25, 0, 0)]]
    assert result.no_answer_scores.tolist() == [0.25]
    assert (texts_of(requests[0]), texts_of(requests[0], "text_pair")) == (["q"], ["context"])
    assert requests[0].parameters == {"top_k": 3, "no_answer": True, "overlap": 0}
    for question, context, message in ((1, "c", "question is int"), ("q", None, "context 0 is NoneType")):
        with pytest.raises(InvalidInput, match=message):
            ask(SPANS, spans, "answer", question, context)


def test_fill_mask(ask):
    def fills(request):
        counts = [text.count(b"[MASK]") for text in request.inputs["text"]]
        m = sum(counts)
        return {
            "mask_count": np.array([counts], np.int32),
            "token": np.array([[[b"a", b"b"]] * m], object),
            "token_id": np.array([[[1, 2]] * m], np.int32),
            "score": np.array([[[0.5, 0.25]] * m], np.float32),
        }

    result, _ = ask(MASKS, fills, "fill_mask", ["[MASK]", "[MASK] x [MASK]", "[MASK]"])
    pair = [Fill("a", 1, 0.5), Fill("b", 2, 0.25)]
    assert result.masks == [[pair], [pair, pair], [pair]]
    without_default = fake_pipeline(task="fill-mask", mask_token="[MASK]")
    with pytest.raises(ContractError, match=r"'token' has shape \[1, 1, 2\], the contract promises \[1, 1, 5\]"):
        ask(without_default, fills, "fill_mask", ["[MASK]"])


class TestScore:
    @staticmethod
    def answer(request):
        sizes = [len(text) for text in request.inputs["text"]]
        return {
            "mask_count": np.array([sizes], np.int32),
            "pseudo_log_likelihood": -np.array([sizes], np.float32),
        }

    def test_copies_count_as_texts(self, ask):
        texts = ["abc", "", "de", "fghijklmn", "o"]
        result, requests = ask(MASKS, self.answer, "score", texts, settings={"texts_per_request": 6})
        assert result.log_likelihoods.tolist() == [-3, 0, -2, -9, -1]
        assert result.scored_counts.tolist() == [3, 0, 2, 9, 1]
        assert [texts_of(request) for request in requests] == [texts[:3], texts[3:4], texts[4:]]
        assert requests[0].parameters == {"score_texts": True}
        assert requests[0].outputs == ("mask_count", "pseudo_log_likelihood", "token_count", "dropped_count")

    def test_no_texts(self, ask):
        result, requests = ask(MASKS, self.answer, "score", [])
        assert (len(result), result.log_likelihoods.shape, requests) == (0, (0,), [])


class TestClassifyZeroShot:
    @staticmethod
    def answer(request):
        labels = [label.encode() for label in json.loads(request.parameters["labels"])]
        n = len(request.inputs["text"])
        return {"label": np.array([[labels] * n], object), "score": np.ones((1, n, len(labels)), np.float32)}

    def test_labels_travel_as_json_and_count_as_texts(self, ask):
        result, requests = ask(
            ZERO,
            self.answer,
            "classify_zero_shot",
            ["a", "b", "c"],
            ["x", "ä", "z"],
            multi_label=True,
            settings={"texts_per_request": 6},
        )
        assert result.labels == [("x", "ä", "z")] * 3
        assert result.scores.shape == (3, 3)
        assert requests[0].parameters == {"labels": '["x", "ä", "z"]', "multi_label": True}
        assert [len(request.inputs["text"]) for request in requests] == [2, 1]

    @pytest.mark.parametrize(
        ("labels", "message"),
        [([], "labels is empty"), ("x", r"labels is a single str, .*: pass \[label\]"), ([1], "label 0 is int")],
    )
    def test_refused(self, ask, labels, message):
        with pytest.raises(InvalidInput, match=message):
            ask(ZERO, self.answer, "classify_zero_shot", ["a"], labels)


def test_embed_tokens(ask):
    def vectors(request):
        lengths = [len(text) for text in request.inputs["text"]]
        total = sum(lengths)
        return {
            "token_count": np.array([lengths], np.int32),
            "embedding": np.arange(3 * total, dtype=np.float32).reshape(1, total, 3),
            "offsets": np.zeros((1, total, 2), np.int32),
        }

    pipeline = fake_pipeline(task="token-embedding")
    result, _ = ask(pipeline, vectors, "embed_tokens", ["aa", "b", "ccc"], normalize=True)
    assert [each.shape for each in result.vectors] == [(2, 3), (1, 3), (3, 3)]
    assert [each.shape for each in result.offsets] == [(2, 2), (1, 2), (3, 2)]
    assert result.vectors[1].tolist() == [[6, 7, 8]]
    assert ask(pipeline, vectors, "embed_tokens", [])[0].vectors == []


def test_embed_sparse(ask):
    def terms(request):
        n = len(request.inputs["text"])
        ids = np.array([[7, 8][: 2 * (n - 1)]], np.int32)
        return {"term_count": np.array([[0, 2][:n]], np.int32), "token_id": ids, "weight": ids.astype(np.float32)}

    asked = {"top_k": 2, "prompt_name": ""}
    result, requests = ask(fake_pipeline(task="sparse-embedding"), terms, "embed_sparse", ["a", "b", "c"], **asked)
    assert [ids.tolist() for ids in result.token_ids] == [[], [7, 8], []]
    assert [weights.tolist() for weights in result.weights] == [[], [7, 8], []]
    assert requests[0].parameters == asked
