"""The pipelines of transformers over HTTP: what stands in a request, and where."""

from dataclasses import replace

import numpy as np
import pytest
from unit.gateway.asgi import post
from unit.gateway.pipelines import DIMENSIONS, generated, vector_of

from encserve.testing import fake_pipeline
from encserve_gateway.aliases import Alias


async def asked(fake, name, inputs, **parameters):
    answered = await post(fake.gateway, f"/models/{name}", {"inputs": inputs, "parameters": parameters})
    assert answered.status == 200, answered.body
    return answered.json


async def test_vectors(fake):
    answered = await post(fake().gateway, "/models/plain", {"inputs": "a", "normalize": False})
    np.testing.assert_array_equal(np.float32(answered.json), [vector_of("a", normalize=False)])
    tokens = await post(fake().gateway, "/models/tokens", {"inputs": "a b"})
    assert np.shape(tokens.json) == (1, 4, DIMENSIONS)
    assert (await post(fake().gateway, "/models/sparse", {"inputs": "a"})).json[0][0]["index"] == 3


async def test_text_classification(fake):
    for inputs in ("a", ["a"]):
        (labels,) = await asked(fake(), "classify", inputs)
        assert [item["label"] for item in labels] == ["neutral", "negative", "positive"]
    assert len((await asked(fake(), "classify", "a", top_k=2))[0]) == 2
    assert len((await asked(fake(), "classify", "a", top_k=50))[0]) == 3
    assert [labels[0]["label"] for labels in await asked(fake(), "classify", ["a", "a b"])] == ["neutral", "negative"]


async def test_text_classification_of_pairs(fake):
    pair = {"text": "a", "text_pair": "b c"}
    assert (await asked(fake(), "entail", pair))[0][0]["label"] == "negative"
    assert len(await asked(fake(), "entail", [pair, pair])) == 2
    for wrong in ("a", ["a"], [pair, "a"], {"text": "a"}):
        assert (await post(fake().gateway, "/models/entail", {"inputs": wrong})).status == 422


async def test_token_classification(fake):
    gateway = fake()
    place = {"score": 0.5, "word": "Paris", "start": 0, "end": 5}
    assert await asked(gateway, "tag", "Paris by night") == [{"entity_group": "LOC"} | place]
    assert await asked(gateway, "tag", ["Paris by night"]) == [[{"entity_group": "LOC"} | place]]
    assert await asked(gateway, "tag", "Paris by night", aggregation_strategy="none") == [{"entity": "LOC"} | place]
    assert gateway.requests[-1].parameters["aggregation"] == "none"
    all_labels = await asked(gateway, "tag", "Paris by night", ignore_labels=[])
    assert [entity["entity_group"] for entity in all_labels] == ["LOC", "O"]
    assert (await asked(gateway, "tag", "Paris by night", ignore_labels=["LOC"]))[0]["word"] == "night"


async def test_zero_shot_classification(fake):
    gateway = fake()
    labels = await asked(gateway, "zero-shot", "a", candidate_labels=["x", "y"], multi_label=True)
    assert [item["label"] for item in labels] == ["x", "y"]
    assert gateway.requests[-1].parameters["multi_label"] is True
    options = {"candidate_labels": "x, y,", "hypothesis_template": "It is {}."}
    (first, second) = await asked(gateway, "zero-shot", ["a", "b"], **options)
    assert [item["label"] for item in second] == [item["label"] for item in first] == ["x", "y"]
    assert gateway.requests[-1].parameters["hypothesis_template"] == "It is {}."


async def test_fill_mask(fake):
    one = await asked(fake(), "mask", "a [MASK] car", top_k=2)
    expected = {"score": 0.25, "token": 0, "token_str": " red", "sequence": "a red car"}
    assert (one[0], len(one)) == (expected, 2)
    two = await asked(fake(), "mask", "a [MASK] car, a [MASK] bus")
    assert two[1][1]["sequence"] == "a [MASK] car, a green bus"
    assert (await asked(fake(), "mask", ["a [MASK]"]))[0][0]["sequence"] == "a red"


async def test_question_answering(fake):
    gateway = fake()
    inputs = {"question": "who?", "context": "😀 Paris burns"}
    first = {"answer": "😀", "score": 0.5, "start": 0, "end": 1}
    assert await asked(gateway, "question", inputs) == first
    assert await asked(gateway, "question", inputs, top_k=1) == first
    several = await asked(gateway, "question", inputs, top_k=3, max_answer_len=4, doc_stride=2)
    assert several[1] == {"answer": "Paris", "score": 0.5, "start": 2, "end": 7}
    sent = gateway.requests[-1].parameters
    assert (sent["max_answer_length"], sent["overlap"], sent["no_answer"]) == (4, 2, False)


PROMPTED = fake_pipeline(
    name="t5", task="text2text-generation", max_length=8, prompt_names=("summarization", "translation_en_to_de")
)


def made(request):
    """What the fake makes of texts, for a pipeline of another name."""
    texts = [text.decode() for text in request.inputs["text"]]
    counts = {name: np.full((1, len(texts)), 3, np.int32) for name in ("token_count", "dropped_count")}
    return generated(request, texts) | counts


async def test_texts_that_are_made(fake):
    gateway = fake()
    names = ("generated_text", "summary_text", "translation_text")
    assert await asked(gateway, "generate", "a b") == [dict.fromkeys(names, "A B")]
    assert [each["generated_text"] for each in await asked(gateway, "generate", ["a", "b c"])] == ["A", "B C"]
    assert gateway.requests[-1].parameters == {}


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({"max_new_tokens": 5, "min_new_tokens": 2}, {"max_new_tokens": 5, "min_new_tokens": 2}),
        ({"generate_parameters": {"max_length": 6, "min_length": 3}}, {"max_new_tokens": 5, "min_new_tokens": 2}),
        ({"max_new_tokens": 9, "generate_parameters": {"max_new_tokens": 5}}, {"max_new_tokens": 5}),
        (
            {"do_sample": True, "temperature": 0.5, "top_k": 3, "top_p": 0.5, "seed": 1},
            {"do_sample": True, "temperature": "0.5", "top_k": 3, "top_p": "0.5", "seed": 1},
        ),
        ({"stop": ["x"], "return_full_text": False, "details": False}, {"stop": '["x"]'}),
        ({"truncation": "only_first"}, {"truncate": "end"}),
        ({"src_lang": "en", "tgt_lang": "de"}, {"prompt_name": "translation_en_to_de"}),
    ],
    ids=str,
)
async def test_how_texts_are_made(fake, parameters, options):
    gateway = fake(made, pipelines=(PROMPTED,))
    await asked(gateway, "t5", "a b", **parameters)
    assert gateway.requests[-1].parameters == options


async def test_languages_that_a_model_knows_are_no_prompts(fake):
    defaults = {"source_language": "eng_Latn", "target_language": ""}
    gateway = fake(made, pipelines=(replace(PROMPTED, option_defaults=defaults),))
    await asked(gateway, "t5", "a b", src_lang="fra_Latn", tgt_lang="deu_Latn")
    assert gateway.requests[-1].parameters == {"source_language": "fra_Latn", "target_language": "deu_Latn"}


async def test_a_name_has_the_prompt_of_a_summary(fake):
    gateway = fake(
        made, pipelines=(PROMPTED,), aliases=(Alias(name="sum", pipeline="t5", prompt_name="summarization"),)
    )
    await asked(gateway, "sum", "a b")
    assert gateway.requests[-1].parameters == {"prompt_name": "summarization"}


async def test_a_text_that_is_not_to_be_cut(fake):
    long = " ".join("abcdefghij")
    body = {"inputs": long, "parameters": {"truncation": "do_not_truncate"}}
    answered = await post(fake().gateway, "/models/generate", body)
    assert (answered.status, "must have less than 8 tokens" in answered.json["error"]) == (422, True)


async def test_a_body_tells_what_it_is_about(fake):
    gateway = fake().gateway
    ranked = await post(gateway, "/", {"query": "q", "texts": ["a", "bb"]})
    assert [item["index"] for item in ranked.json] == [1, 0]
    similar = await post(gateway, "/", {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}})
    assert len(similar.json) == 2
    question = await post(gateway, "/", {"inputs": {"question": "who?", "context": "Paris"}, "parameters": {}})
    assert question.json["answer"] == "Paris"
    labels = await post(gateway, "/", {"inputs": "a", "parameters": {"candidate_labels": ["x"]}})
    assert labels.json[0]["label"] == "x"
    first = await post(gateway, "/", {"inputs": "a", "parameters": {}})  # "classify" is the first by name
    assert first.json[0][0]["label"] == "neutral"
    named = await post(gateway, "/models/rerank", {"query": "q", "texts": ["a", "bb"]})
    assert [item["index"] for item in named.json] == [1, 0]


@pytest.mark.parametrize(
    ("name", "body", "status", "message"),
    [
        ("nobody", {"inputs": "a"}, 404, "the model 'nobody' does not exist"),
        ("rerank", {"inputs": "a"}, 424, "Backend error: a model of text-ranking is asked at /rerank"),
        (
            "classify",
            {"inputs": "a", "parameters": {"function_to_apply": "none"}},
            422,
            "Input validation error: parameters.function_to_apply is not offered; these are: top_k",
        ),
        (
            "tag",
            {"inputs": "a", "parameters": {"aggregation_strategy": "best"}},
            422,
            "Input validation error: parameters.aggregation_strategy is 'best', expected one of 'none', 'simple', "
            "'first', 'average', 'max'",
        ),
        (
            "tag",
            {"inputs": "a", "parameters": {"ignore_labels": "O"}},
            422,
            "Input validation error: parameters.ignore_labels is a text, expected a list of labels",
        ),
        ("zero-shot", {"inputs": "a"}, 422, "Input validation error: parameters.candidate_labels is missing"),
        ("question", {"inputs": {"question": "a"}}, 422, "Input validation error: inputs.context is missing"),
        (
            "question",
            {"inputs": {"question": "a", "context": "b"}, "parameters": {"align_to_words": False}},
            422,
            "Input validation error: parameters.align_to_words is false; answers begin and end with words here",
        ),
        (
            "generate",
            {"inputs": "a", "stream": True},
            422,
            "Input validation error: stream is true; texts are streamed at /v1/completions",
        ),
        (
            "generate",
            {"inputs": "a", "parameters": {"generate_parameters": {"max_length": 1}}},
            422,
            "Input validation error: parameters.generate_parameters.max_length is 1, expected 2 or more",
        ),
        (
            "generate",
            {"inputs": "a", "parameters": {"details": True}},
            422,
            "Input validation error: parameters.details is true, and is not offered",
        ),
        (
            "generate",
            {"inputs": "a", "parameters": {"src_lang": "en", "tgt_lang": "fr"}},
            422,
            "Input validation error: parameters.tgt_lang with src_lang asks for a prompt that this model does not "
            "have; it has none for languages",
        ),
        ("mask", {"inputs": []}, 400, "`inputs` cannot be empty"),
        (
            "mask",
            {"inputs": "a", "parameters": 3},
            422,
            "Input validation error: parameters is a whole number, expected an object",
        ),
    ],
)
async def test_what_is_wrong_is_named(fake, name, body, status, message):
    answered = await post(fake().gateway, f"/models/{name}", body)
    assert (answered.status, answered.json["error"]) == (status, message)


async def test_parameters_that_are_null_are_not_there(fake):
    assert len((await asked(fake(), "classify", "a", function_to_apply=None, top_k=None))[0]) == 3


@pytest.mark.parametrize("name", ["num_beam_groups", "encoder_no_repeat_ngram_size", "best_of"])
async def test_how_texts_cannot_be_made_is_refused_by_name(fake, name):
    for parameters in ({name: 2}, {"generate_parameters": {name: 2}}, {"generate_kwargs": {name: 2}}):
        answered = await post(fake().gateway, "/models/generate", {"inputs": "a", "parameters": parameters})
        assert answered.status == 422
        assert f"{name} is not offered" in answered.json["error"]


async def test_how_tokens_are_searched_for_is_told_in_any_of_three_places(fake):
    search = {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True, "no_repeat_ngram_size": 3}
    for parameters in (search, {"generate_parameters": search}, {"generate_kwargs": search}):
        gateway = fake()
        await asked(gateway, "generate", "a", **parameters)
        sent = gateway.requests[-1].parameters
        assert {name: sent.get(name) for name in search} == search | {"length_penalty": "2.0", "early_stopping": "true"}
    with_penalty = fake()
    await asked(with_penalty, "generate", "a", repetition_penalty=1.2)
    assert with_penalty.requests[-1].parameters["repetition_penalty"] == "1.2"
