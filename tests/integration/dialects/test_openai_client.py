"""OpenAI's own client against the gateway, as people use it: what it gets is what the SDK gets."""

import asyncio

import numpy as np
import openai
import pytest
from passages import mixed_texts

TOLERANCE = 1e-6


@pytest.fixture
def openai_client(gateway):
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key="unused") as connected:
        yield connected


def vectors(response):
    return np.array([item.embedding for item in response.data], np.float32)


@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_vectors_are_those_of_the_sdk(openai_client, client, options):
    texts = ["", " ", "👩‍👩‍👧‍👦 family", "Ωμέγα ﬀ", *mixed_texts(60, longest_bytes=2_000)]
    response = openai_client.embeddings.create(model="minilm", input=texts, **options)
    expected = client.embed(texts, model="minilm", normalize=True)
    if options.get("encoding_format") == "base64":
        import base64

        got = np.array([np.frombuffer(base64.b64decode(item.embedding), "<f4") for item in response.data])
    else:
        got = vectors(response)
    assert np.abs(got - expected.vectors).max() <= TOLERANCE
    assert [item.index for item in response.data] == list(range(len(texts)))
    assert response.usage.prompt_tokens == response.usage.total_tokens == expected.token_counts.sum()
    assert response.model == "minilm"


def test_one_text_is_no_list(openai_client, client):
    response = openai_client.embeddings.create(model="minilm", input="How do I get my money back?")
    expected = client.embed(["How do I get my money back?"], model="minilm").vectors
    assert np.abs(vectors(response) - expected).max() <= TOLERANCE


def test_2000_texts(openai_client, client):
    texts = [f"line {number} of two thousand" for number in range(2_000)]
    response = openai_client.embeddings.create(model="minilm", input=texts)
    assert np.abs(vectors(response) - client.embed(texts, model="minilm").vectors).max() <= TOLERANCE


async def test_200_calls_at_once(gateway, client):
    texts = [f"call {number}" for number in range(200)]
    async with openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key="unused") as connected:
        calls = [connected.embeddings.create(model="minilm", input=text) for text in texts]
        responses = await asyncio.gather(*calls)
    got = np.concatenate([vectors(response) for response in responses])
    assert np.abs(got - client.embed(texts, model="minilm").vectors).max() <= 1e-5  # of other batches


def test_dimensions_and_aliases(openai_client, client):
    shortened = openai_client.embeddings.create(model="minilm", input="a text", dimensions=8)
    small = openai_client.embeddings.create(model="small", input="a text")
    expected = client.embed(["a text"], model="minilm", dimensions=8, normalize=True).vectors
    for response in (shortened, small):
        assert np.abs(vectors(response) - expected).max() <= TOLERANCE


def test_models(openai_client):
    assert [model.id for model in openai_client.models.list()] == ["strict", "small", "minilm", "prompted"]
    assert openai_client.models.retrieve("minilm").max_model_len == 256
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("nobody")


def test_errors_are_those_that_programs_catch(openai_client):
    with pytest.raises(openai.NotFoundError) as unknown:
        openai_client.embeddings.create(model="nobody", input="a")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        openai_client.embeddings.create(model="minilm", input="a", dimensions=385)
    assert (wrong.value.param, wrong.value.body["message"]) == (
        "dimensions",
        "dimensions is 385, the vectors of this model have 384",
    )
    with pytest.raises(openai.BadRequestError, match="maximum context length is 256 tokens") as long:
        openai_client.embeddings.create(model="strict", input=["a", "word " * 300])
    assert long.value.code == "context_length_exceeded"
    assert wrong.value.request_id


def test_too_long_is_cut_and_told(openai_client, client):
    texts = ["a", "word " * 300]
    raw = openai_client.embeddings.with_raw_response.create(model="minilm", input=texts)
    expected = client.embed(texts, model="minilm")
    assert np.abs(vectors(raw.parse()) - expected.vectors).max() <= TOLERANCE
    assert raw.headers["encserve-dropped-count"] == str(expected.dropped_counts.sum()) != "0"
    assert raw.headers["encserve-certificate"] == expected.certificate
    assert raw.parse().encserve["dropped_counts"] == expected.dropped_counts.tolist()


def test_prompts(openai_client, client):
    texts = ["a question"]
    for said, prompt in (("search_query", "query"), ("passage", "document"), ("clustering", "")):
        response = openai_client.embeddings.create(model="prompted", input=texts, extra_body={"input_type": said})
        expected = client.embed(texts, model="prompted", prompt_name=prompt).vectors
        assert np.abs(vectors(response) - expected).max() <= TOLERANCE


async def test_a_call_that_is_given_up_frees_its_place(gateway):
    texts = [f"text {number} " + "word " * 200 for number in range(400)]
    async with openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key="unused", max_retries=0) as connected:
        with pytest.raises(openai.APITimeoutError):
            await connected.embeddings.create(model="minilm", input=texts, timeout=0.2)
        for _ in range(100):
            page = (await connected._client.get(f"{gateway}/metrics")).text
            if "\nencserve_gateway_in_flight_requests 0.0\n" in page:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the request is still in flight")
        assert "\nencserve_gateway_left_requests_total 1.0\n" in page
