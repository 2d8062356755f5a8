"""The routes of text-embeddings-inference, field by field."""

import numpy as np
import pytest
from unit.gateway.asgi import ask, get, post
from unit.gateway.pipelines import DIMENSIONS, MAX_LENGTH, PIPELINES, vector_of

from encserve import DeadlineExceeded, InferenceFailed, Overloaded, RateLimited, Unavailable
from encserve_gateway.aliases import Alias

LONG = " ".join(f"word{number}" for number in range(20))


def floats(answered):
    assert answered.status == 200, answered.body
    return np.array(answered.json, np.float32)


@pytest.mark.parametrize("path", ["/embed", "/models/embed/embed"])
async def test_embed(fake, path):
    answered = await post(fake().gateway, path, {"inputs": "a"})
    np.testing.assert_array_equal(floats(answered), [vector_of("a")])
    assert {"x-compute-type": "python+fp32", "x-compute-tokens": "3", "x-compute-characters": "1"}.items() <= (
        answered.headers.items()
    )
    assert answered.headers["x-total-time"].isdecimal()
    several = await post(fake().gateway, path, {"inputs": ["a", "b c"]})
    np.testing.assert_array_equal(floats(several), [vector_of("a"), vector_of("b c")])


async def test_33_texts(fake):
    assert floats(await post(fake().gateway, "/embed", {"inputs": ["a"] * 33})).shape == (33, DIMENSIONS)


async def test_normalize_dimensions_and_prompts(fake):
    gateway = fake().gateway
    for options, expected in (
        ({"normalize": False}, {"normalize": False}),
        ({"normalize": True}, {}),
        ({"normalize": None}, {}),
        ({"dimensions": 4}, {"dimensions": 4}),
        ({"prompt_name": "query"}, {"prompt_name": "query"}),
        ({"prompt_name": ""}, {"prompt_name": ""}),
    ):
        answered = await post(gateway, "/models/embed/embed", {"inputs": "a"} | options)
        np.testing.assert_array_equal(floats(answered), [vector_of("a", **expected)])


async def test_which_end_is_cut(fake):
    gateway = fake().gateway
    for options, cut in (
        ({}, None),
        ({"truncate": None, "truncation_direction": "Right"}, "end"),
        ({"truncate": True, "truncation_direction": "Left"}, "start"),
        ({"truncation_direction": "left"}, "start"),
    ):
        answered = await post(gateway, "/embed", {"inputs": LONG} | options)
        np.testing.assert_array_equal(floats(answered), [vector_of(LONG, truncate=cut)])
        assert answered.headers["encserve-dropped-count"] == "14"


REFUSED = {
    "nothing": ("/embed", {}, 422, "Validation", "Input validation error: inputs is missing"),
    "no texts": ("/embed", {"inputs": []}, 400, "Empty", "`inputs` cannot be empty"),
    "an empty text": ("/embed", {"inputs": ""}, 400, "Empty", "`inputs` cannot be empty"),
    "an empty one of two": ("/embed", {"inputs": ["a", ""]}, 400, "Empty", "`inputs` cannot be empty"),
    "too long": (
        "/embed",
        {"inputs": LONG, "truncate": False},
        422,
        "Validation",
        "Input validation error: `inputs` must have less than 8 tokens. Given: 22",
    ),
    "ids": (
        "/embed",
        {"inputs": [[1, 2]]},
        422,
        "Validation",
        "Input validation error: inputs has ids of tokens; this server takes text",
    ),
    "an unknown prompt": (
        "/models/embed/embed",
        {"inputs": "a", "prompt_name": "other"},
        422,
        "Validation",
        "Input validation error: prompt_name is not one of the prompts of this model: 'query', 'document'",
    ),
    "no dimension": (
        "/embed",
        {"inputs": "a", "dimensions": 0},
        422,
        "Validation",
        "Input validation error: dimensions is 0, expected 1 or more",
    ),
    "more dimensions than there are": (
        "/embed",
        {"inputs": "a", "dimensions": 17},
        422,
        "Validation",
        "Input validation error: dimensions should be smaller than the maximum embedding dimension",
    ),
    "another task": (
        "/models/rerank/embed",
        {"inputs": "a"},
        424,
        "Backend",
        "Backend error: the model 'rerank' does text-ranking, here feature-extraction is asked for",
    ),
    "an unknown name": (
        "/models/nobody/embed",
        {"inputs": "a"},
        404,
        "Validation",
        "the model 'nobody' does not exist",
    ),
    "nothing to rank": ("/rerank", {"query": "q", "texts": []}, 400, "Empty", "`texts` cannot be empty"),
    "no query": ("/rerank", {"texts": ["a"]}, 422, "Validation", "Input validation error: query is missing"),
    "raw scores": (
        "/rerank",
        {"query": "q", "texts": ["a"], "raw_scores": True},
        422,
        "Validation",
        "Input validation error: raw_scores is true; this server gives the scores of the checkpoint's own activation "
        "only",
    ),
    "too long to rank": (
        "/rerank",
        {"query": "q", "texts": ["a", LONG], "truncate": False},
        422,
        "Validation",
        "Input validation error: `texts` must have less than 8 tokens. Given: 22",
    ),
    "no sentences": (
        "/similarity",
        {"inputs": {"source_sentence": "a", "sentences": []}},
        400,
        "Empty",
        "`inputs.sentences` cannot be empty",
    ),
    "no object": (
        "/similarity",
        {"inputs": "a"},
        422,
        "Validation",
        "Input validation error: inputs is a text, expected an object",
    ),
    "three texts": (
        "/predict",
        {"inputs": ["a", "b", "c"]},
        422,
        "Validation",
        "Input validation error: inputs has 3 texts at 0, expected one, or two that are a pair",
    ),
    "a pair for who takes none": (
        "/predict",
        {"inputs": ["a", "b"]},
        422,
        "Validation",
        "Input validation error: inputs has 2 texts at 0, this model takes 1",
    ),
    "no texts to judge": ("/predict", {"inputs": []}, 400, "Empty", "`inputs` cannot be empty"),
    "numbers to judge": (
        "/predict",
        {"inputs": [["a"], [1]]},
        422,
        "Validation",
        "Input validation error: inputs has something else than a list of texts at 1",
    ),
    "tokens": (
        "/tokenize",
        {"inputs": "a"},
        424,
        "Backend",
        "Backend error: pipelines of encserve take text and do not show how they cut it into tokens",
    ),
}


@pytest.mark.parametrize(("path", "body", "status", "kind", "message"), REFUSED.values(), ids=REFUSED)
async def test_what_is_wrong_is_named_in_tei_s_form(fake, path, body, status, kind, message):
    answered = await post(fake().gateway, path, body)
    assert (answered.status, answered.json) == (status, {"error": message, "error_type": kind})


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Overloaded, 429, "Overloaded"),
        (RateLimited, 429, "Overloaded"),
        (Unavailable, 503, "Unhealthy"),
        (InferenceFailed, 424, "Backend"),
        (DeadlineExceeded, 504, "Backend"),
    ],
)
async def test_errors_of_the_pipeline(fake, error, status, kind):
    def fail(request):
        raise error("a reason")

    answered = await post(fake(fail, timeout_s=0.05).gateway, "/embed", {"inputs": "a"})
    assert (answered.status, answered.json["error_type"]) == (status, kind)
    assert ("retry-after" in answered.headers) == (status in (429, 503))


async def test_bodies_and_methods_in_tei_s_form(fake):
    gateway = fake().gateway
    broken = await ask(gateway, "POST", "/embed", body=b"{", headers={"content-type": "application/json"})
    assert (broken.status, broken.json["error_type"]) == (400, "Validation")
    assert (await ask(gateway, "POST", "/embed", body=b"{}")).json["error_type"] == "Validation"
    assert (await get(gateway, "/embed")).status == 405


async def test_embed_all(fake):
    answered = await post(fake().gateway, "/embed_all", {"inputs": ["a b", "c"]})
    assert [np.array(rows).shape for rows in answered.json] == [(4, DIMENSIONS), (3, DIMENSIONS)]
    np.testing.assert_array_equal(np.concatenate([np.ravel(rows) for rows in answered.json]), np.arange(7 * DIMENSIONS))


async def test_embed_sparse(fake):
    answered = await post(fake().gateway, "/embed_sparse", {"inputs": "a"})
    assert [term["index"] for term in answered.json[0]] == [3, 5, 7]
    np.testing.assert_allclose([term["value"] for term in answered.json[0]], [0.5, 0.1, 0.9], rtol=1e-6)


TEXTS = ["a", "ccc", "bb", "ccc"]


@pytest.mark.parametrize(("route", "pipeline"), [("embed_all", "tokens"), ("embed_sparse", "sparse")])
async def test_a_name_settles_what_becomes_of_long_texts_and_the_prompt_of_every_kind_of_vectors(fake, route, pipeline):
    asked = fake(
        aliases=(
            Alias(name="strict", pipeline=pipeline, truncate="error"),
            Alias(name="late", pipeline=pipeline, truncate="start", prompt_name=""),
        )
    )
    refused = await post(asked.gateway, f"/models/strict/{route}", {"inputs": LONG})
    assert (refused.status, refused.json["error"].rpartition(". ")[2]) == (422, "Given: 22")
    assert (await post(asked.gateway, f"/models/late/{route}", {"inputs": LONG})).status == 200
    assert asked.requests[-1].parameters.items() >= {("truncate", "start"), ("prompt_name", "")}


async def test_rerank(fake):
    asked = fake()
    answered = await post(asked.gateway, "/rerank", {"query": "q", "texts": TEXTS})
    assert [item["index"] for item in answered.json] == [1, 3, 2, 0]
    assert all(item.keys() == {"index", "score"} for item in answered.json)
    np.testing.assert_allclose([item["score"] for item in answered.json], [0.03, 0.03, 0.02, 0.01], rtol=1e-6)
    with_text = await post(asked.gateway, "/rerank", {"query": "q", "texts": TEXTS, "return_text": True})
    assert [item["text"] for item in with_text.json] == ["ccc", "ccc", "bb", "a"]


@pytest.mark.parametrize(("top", "count"), [(2, 2), (8000, 4), (0, 4), (None, 4)])
async def test_rerank_takes_as_many_as_litellm_asks_for(fake, top, count):
    answered = await post(fake().gateway, "/rerank", {"query": "q", "texts": TEXTS, "top_n": top, "model": "x"})
    assert len(answered.json) == count


async def test_predict(fake):
    gateway = fake().gateway
    for inputs in ("a", ["a"]):
        flat = await post(gateway, "/predict", {"inputs": inputs})
        assert [item["label"] for item in flat.json] == ["neutral", "negative", "positive"]
        np.testing.assert_allclose([item["score"] for item in flat.json], [0.7, 0.2, 0.1], rtol=1e-6)
    nested = await post(gateway, "/predict", {"inputs": [["a"], ["a b"]]})
    assert [labels[0]["label"] for labels in nested.json] == ["neutral", "negative"]


async def test_predict_pairs(fake):
    asked = fake()
    pair = await post(asked.gateway, "/models/entail/predict", {"inputs": ["a", "b c"]})
    assert pair.json[0]["label"] == "negative"
    (request,) = asked.requests
    assert (list(request.inputs["text"]), list(request.inputs["text_pair"])) == ([b"a"], [b"b c"])
    batch = await post(asked.gateway, "/models/entail/predict", {"inputs": [["a", "b"], ["c", "d e"]]})
    assert [labels[0]["label"] for labels in batch.json] == ["neutral", "negative"]
    assert (await post(asked.gateway, "/models/entail/predict", {"inputs": "a"})).status == 422


async def test_similarity(fake):
    body = {"inputs": {"source_sentence": "a", "sentences": ["a", "b", "c d"]}}
    answered = floats(await post(fake().gateway, "/similarity", body))
    np.testing.assert_allclose(answered, [vector_of(text) @ vector_of("a") for text in ("a", "b", "c d")], atol=1e-6)
    assert answered[0] <= 1
    prompted = await post(fake().gateway, "/models/embed/similarity", body | {"parameters": {"prompt_name": "query"}})
    expected = [vector_of(text, prompt_name="query") for text in ("a", "b", "c d")]
    np.testing.assert_allclose(floats(prompted), expected @ expected[0], atol=1e-6)


async def test_info(fake):
    gateway = fake(aliases=(Alias(name="strict", pipeline="embed", truncate="error"),)).gateway
    for path, name, automatic in (("/info", "strict", False), ("/models/embed/info", "embed", True)):
        answered = (await get(gateway, path)).json
        assert (answered["model_id"], answered["served_model_name"]) == ("embed", name)
        assert (answered["max_input_length"], answered["auto_truncate"]) == (MAX_LENGTH, automatic)
        assert answered["model_dtype"] == "float32"
    kinds = {each.name: (await get(gateway, f"/models/{each.name}/info")).json["model_type"] for each in PIPELINES}
    assert {name: next(iter(kind)) for name, kind in kinds.items() if name in ("embed", "rerank", "classify")} == {
        "embed": "embedding",
        "rerank": "reranker",
        "classify": "classifier",
    }
    assert kinds["classify"]["classifier"]["id2label"]["2"] == "negative"
    assert (await get(gateway, "/models/nobody/info")).json["error_type"] == "Validation"
