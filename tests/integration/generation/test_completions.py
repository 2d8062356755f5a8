"""Clients of other people make texts through the gateway, and what they get is what the SDK gets."""

import time

import openai
import pytest
from gateways import running_gateway
from huggingface_hub import InferenceClient, close_session
from passages import PASSAGES
from told_metrics import metric

TEXTS = PASSAGES[:4]


@pytest.fixture(scope="module")
def gateway(generating):
    with running_gateway(generating.grpc_url, "--model", "t5") as address:
        yield address


@pytest.fixture(scope="module")
def asked(gateway):
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def expected(connected):
    return connected.generate(TEXTS, model="t5")


def test_texts_are_those_of_the_sdk(asked, expected):
    answer = asked.completions.create(model="t5", prompt=TEXTS, temperature=0, seed=1)
    assert [choice.text for choice in answer.choices] == expected.texts
    words = {"eos": "stop", "length": "length"}
    assert [choice.finish_reason for choice in answer.choices] == [words[finish] for finish in expected.finishes]
    assert answer.usage.completion_tokens == expected.output_token_counts.sum()
    assert answer.usage.prompt_tokens == expected.token_counts.sum()


def test_pieces_come_as_they_are_made(asked, expected):
    with asked.completions.create(model="t5", prompt=TEXTS[0], stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == expected.texts[0]
    with asked.completions.create(
        model="t5", prompt=TEXTS[0], max_tokens=200, stream=True, extra_body={"min_tokens": 200}
    ) as stream:
        chunks = list(stream)
    assert len(chunks) > 3
    assert chunks[-1].choices[0].finish_reason == "length"


def test_a_stop_and_a_seed(asked, connected, expected):
    word = expected.texts[0].split()[1]
    assert connected.generate(TEXTS[:1], model="t5", stop=[word]).finishes == ["stop"]
    (stopped,) = asked.completions.create(model="t5", prompt=TEXTS[0], stop=word).choices
    assert (stopped.text, stopped.finish_reason) == (expected.texts[0].partition(word)[0], "stop")
    drawn = connected.generate(TEXTS[:1], model="t5", do_sample=True, temperature=1.5, seed=3).texts
    again = asked.completions.create(model="t5", prompt=TEXTS[0], temperature=1.5, seed=3)
    assert [choice.text for choice in again.choices] == drawn


def test_who_goes_away_in_a_stream_frees_the_place(generating, asked):
    def cancelled():
        return metric(generating, "encserve_generate_finished", reason="cancelled")

    before = cancelled()
    for _ in range(5):
        endless = {"max_tokens": 1_000, "extra_body": {"min_tokens": 1_000}}
        with asked.completions.create(model="t5", prompt=TEXTS[0], stream=True, **endless) as stream:
            next(stream)
        until_s = time.monotonic() + 3
        while time.monotonic() < until_s:
            if cancelled() > before:
                return
            time.sleep(0.05)
    raise AssertionError("nothing was cancelled")


def test_the_client_of_hugging_face(gateway, connected, expected):
    client = InferenceClient(base_url=f"{gateway}/models/t5")
    try:
        assert client.summarization(TEXTS[0]).summary_text == expected.texts[0]
        assert client.translation(TEXTS[0]).translation_text == expected.texts[0]
        short = connected.generate(TEXTS[:1], model="t5", max_new_tokens=3).texts[0]
        assert client.text_generation(TEXTS[0], max_new_tokens=3) == short
        told = client.summarization(TEXTS[0], generate_parameters={"max_length": 4})
        assert told.summary_text == short
    finally:
        close_session()
