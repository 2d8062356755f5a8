"""Cases 29 to 47: text-embeddings-inference, as its own tests and the clients of it ask. What pipelines cannot do is
refused in TEI's form: ids of tokens, raw scores, /tokenize."""

import numpy as np
import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import DIMENSIONS, MAX_LENGTH, vector_of

from .case import LONG, Case, close_to, contains, tei, vectors, without


def case(number, what, path, body, status=200, has=None, **about):
    return Case(number, what, path, body, status, has, **about)


def embed(number, what, status=200, has=None, **fields):
    return Case(number, what, "/models/embed/embed", fields, status, has)


def ranked(number, what, status=200, has=None, **fields):
    return Case(number, what, "/rerank", {"query": "q"} | fields, status, has)


def predicted(what, inputs, has, status=200, model="classify"):
    return Case(43, what, f"/models/{model}/predict", {"inputs": inputs}, status, has)


def decimal(value):
    return value.isdecimal()


def order(*indices):
    return lambda found: tuple(item["index"] for item in found) == indices


LABELS = [{"label": "neutral"}, {"label": "negative"}, {"label": "positive"}]
DOCUMENTS = ["a", "ccc", "bb"]
RAW = "raw_scores is true; this server gives the scores of the checkpoint's own activation only"

CASES = [
    case(29, "one text is a list of one", "/embed", {"inputs": "a"}, has=vectors(vector_of("a")),
         told={"x-compute-tokens": "3", "x-total-time": decimal, "x-compute-time": decimal}),
    embed(30, "normalize false", inputs="a", normalize=False, has=vectors(vector_of("a", normalize=False))),
    embed(30, "normalize true", inputs="a", normalize=True, has=vectors(vector_of("a"))),
    embed(30, "normalize absent", inputs="a", has=vectors(vector_of("a"))),
    embed(31, "too long and not to be cut", 422, inputs=LONG, truncate=False,
          has=tei("Validation", "must have less than 8 tokens. Given: 22")),
    *(embed(32, f"cut at the {side}", inputs=LONG, truncation_direction=side,
            has=vectors(vector_of(LONG, truncate=end)))
      for side, end in (("Left", "start"), ("left", "start"), ("Right", "end"), ("right", "end"))),
    embed(33, "a prompt", inputs="a", prompt_name="query", has=vectors(vector_of("a", prompt_name="query"))),
    embed(33, "an unknown prompt", 422, inputs="a", prompt_name="other", has=tei("Validation", "prompt_name")),
    embed(33, "no prompt", inputs="a", prompt_name="", has=vectors(vector_of("a", prompt_name=""))),
    embed(34, "no text", 400, inputs=[], has=tei("Empty", "`inputs` cannot be empty")),
    embed(34, "an empty text", 400, inputs=["a", ""], has=tei("Empty", "`inputs` cannot be empty")),
    embed(35, "33 texts", inputs=["a"] * 33, has=vectors(*[vector_of("a")] * 33)),
    Case(35, "and /info says that they may be", "/info", has={"max_client_batch_size": 2_048}),
    case(36, "vectors of tokens, special ones among them", "/embed_all", {"inputs": ["a b", "c"]},
         has=lambda found: [np.shape(rows) for rows in found] == [(4, DIMENSIONS), (3, DIMENSIONS)]),
    case(37, "sparse vectors", "/embed_sparse", {"inputs": ["a", "b"]}, has=[
        [{"index": 3, "value": close_to(0.5)}, {"index": 5, "value": close_to(0.1)}, {"index": 7}]] * 2),
    ranked(38, "a bare list, best first", texts=DOCUMENTS, has=[
        lambda item: item.keys() == {"index", "score"} and item["index"] == 1, {"index": 2}, {"index": 0}]),
    ranked(39, "with its texts", texts=DOCUMENTS, return_text=True,
           has=[{"text": "ccc"}, {"text": "bb"}, {"text": "a"}]),
    ranked(39, "texts that are the same", texts=["a"] * 4, has=lambda found: (
        sorted(item["index"] for item in found) == [0, 1, 2, 3] and len({item["score"] for item in found}) == 1)),
    ranked(40, "no texts", 400, texts=[], has=tei("Empty", "`texts` cannot be empty")),
    ranked(41, "raw scores are refused", 422, texts=DOCUMENTS, raw_scores=True, has=tei("Validation", RAW)),
    ranked(41, "raw scores are not wanted", texts=DOCUMENTS, raw_scores=False, has=order(1, 2, 0)),
    ranked(42, "LiteLLM's top_n", texts=DOCUMENTS, top_n=2, has=order(1, 2)),
    ranked(42, "without top_n all, as llama-index asserts", texts=DOCUMENTS, truncate=True, has=order(1, 2, 0)),
    predicted("a text", "a", LABELS),
    predicted("a list of one text", ["a"], LABELS),
    predicted("two texts are one pair", ["a", "b c"], [{"label": "negative"}, {}, {}], model="entail"),
    predicted("a batch", [["a"], ["b c"]], [LABELS, [{"label": "negative"}, {}, {}]]),
    predicted("a batch of texts and pairs is refused by who takes texts", [["a"], ["b", "c"]],
              tei("Validation", "inputs has 2 texts at 1, this model takes 1"), 422),
    predicted("three texts", ["a", "b", "c"], tei("Validation", "inputs has 3 texts at 0"), 422),
    case(44, "cosines", "/similarity", {"inputs": {"source_sentence": "a", "sentences": ["a", "b", "c"]}},
         has=[close_to(1), *[lambda cosine: -1 <= cosine <= 1] * 2]),
    case(44, "no sentences", "/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 400,
         tei("Empty", "`inputs.sentences` cannot be empty")),
    *(case(45, f"{path} is refused", path, body, 424, tei("Backend", "do not show how they cut it into tokens"))
      for path, body in (("/tokenize", {"inputs": "é😀a"}), ("/tokenize", {"prompt": "a"}), ("/decode", {"ids": [1]}))),
    Case(46, "/info of the first", "/info", has={"model_id": "classify", "max_input_length": MAX_LENGTH}),
    *(Case(46, f"/info of {name}", f"/models/{name}/info", has={
        "model_id": name, "max_input_length": MAX_LENGTH, "model_type": {kind: lambda about: isinstance(about, dict)}})
      for name, kind in (("embed", "embedding"), ("rerank", "reranker"), ("classify", "classifier"))),
    Case(46, "the labels of a classifier", "/models/classify/info", has={
        "model_type": {"classifier": {"id2label": {"2": "negative"}, "label2id": {"negative": 2}}}}),
    case(47, "an unknown name", "/models/nobody/embed", {"inputs": "a"}, 404, tei("Validation", "nobody")),
    case(47, "another task", "/models/rerank/embed", {"inputs": "a"}, 424, tei("Backend", "text-ranking")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_cases(fake, case):
    await case.check(fake)


async def test_case_32_both_ends_differ(fake):
    left, right = vector_of(LONG, truncate="start"), vector_of(LONG, truncate="end")
    assert left @ right < 0.99


async def test_case_38_indices_are_a_permutation_and_scores_descend(fake):
    texts = [f"{'x' * (number * 7 % 13)}" for number in range(40)]
    found = (await post(fake().gateway, "/rerank", {"query": "q", "texts": [text or "y" for text in texts]})).json
    assert sorted(item["index"] for item in found) == list(range(40))
    assert [item["score"] for item in found] == sorted((item["score"] for item in found), reverse=True)
    contains(found[0], without("text"))
