"""The packages that people use, against a gateway that listens: what they send is understood, and they understand the
answers and errors. tests/integration asks the same of real pipelines."""

import base64
import re

import cohere
import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient, close_session
from huggingface_hub.errors import HfHubHTTPError
from unit.gateway.listening import listening
from unit.gateway.pipelines import PIPELINES, Fake, answer, vector_of

from encserve import InferenceFailed, Overloaded, RateLimited
from encserve_gateway.aliases import Alias

TEXTS = ["a", "b c", "", "👩‍👩‍👧‍👦"]
VECTORS = np.array([vector_of(text) for text in TEXTS])
FAILING = {"full": Overloaded, "broken": InferenceFailed}


def failing(request):
    if request.inputs["text"][0].decode() in FAILING:
        raise FAILING[request.inputs["text"][0].decode()]("a reason")
    if request.inputs["text"][0] == b"often":
        error = RateLimited("a reason")
        error.retry_after_s = 0.0
        raise error
    return answer(request)


@pytest.fixture(autouse=True)
def closed_session():
    """The connections of `huggingface_hub`, which all of its clients share."""
    yield
    close_session()


@pytest.fixture(scope="module")
def fake():
    return Fake(failing, timeout_s=0.5, aliases=(Alias(name="strict", pipeline="embed", truncate="error"),))


@pytest.fixture(scope="module")
def url(fake):
    with listening(fake.gateway) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def openai_client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}])
def test_openai(openai_client, options):
    response = openai_client.embeddings.create(model="embed", input=TEXTS, **options)
    np.testing.assert_array_equal(np.float32([item.embedding for item in response.data]), VECTORS)
    assert response.usage.total_tokens == 3 + 4 + 2 + 3


def test_openai_base64_is_what_dotnet_reads(openai_client):
    response = openai_client.embeddings.create(model="embed", input=TEXTS, encoding_format="base64")
    rows = [np.frombuffer(base64.b64decode(item.embedding, validate=True), "<f4") for item in response.data]
    np.testing.assert_array_equal(rows, VECTORS)


async def test_openai_awaited(url):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused") as client:
        response = await client.embeddings.create(model="embed", input=TEXTS)
    np.testing.assert_array_equal(np.float32([item.embedding for item in response.data]), VECTORS)


def test_openai_models(openai_client):
    assert {model.id for model in openai_client.models.list()} == {"strict", *(each.name for each in PIPELINES)}
    assert openai_client.models.retrieve("embed").id == "embed"


@pytest.mark.parametrize(
    ("body", "error", "code"),
    [
        ({"model": "nobody", "input": "a"}, openai.NotFoundError, "model_not_found"),
        ({"model": "embed", "input": [1, 2]}, openai.BadRequestError, None),
        ({"model": "embed", "input": "a", "dimensions": -1}, openai.BadRequestError, None),
        ({"model": "strict", "input": "word " * 9}, openai.BadRequestError, "context_length_exceeded"),
        ({"model": "embed", "input": "often"}, openai.RateLimitError, "rate_limit_exceeded"),
        ({"model": "embed", "input": "full"}, openai.InternalServerError, None),
        ({"model": "embed", "input": "broken"}, openai.InternalServerError, None),
    ],
)
def test_openai_errors(openai_client, body, error, code):
    with pytest.raises(error) as raised:
        openai_client.embeddings.create(**body)
    assert raised.value.code == code
    assert re.fullmatch("[0-9a-f]{32}", raised.value.request_id)


def test_openai_repeats_what_may_go_better(fake, url):
    for text, asked in (("broken", 3), ("word " * 9, 1)):
        before = fake.number("refused_requests_total", reason="failed") + fake.number(
            "refused_requests_total", reason="too_long"
        )
        with openai.OpenAI(base_url=f"{url}/v1", api_key="unused") as client, pytest.raises(openai.APIStatusError):
            client.embeddings.create(model="strict", input=text)
        after = fake.number("refused_requests_total", reason="failed") + fake.number(
            "refused_requests_total", reason="too_long"
        )
        assert after - before == asked


@pytest.mark.parametrize("path", ["/models/embed", "/models/embed/embed"])
def test_hub_vectors(url, path):
    texts = TEXTS[:2]
    got = InferenceClient(base_url=f"{url}{path}").feature_extraction(texts, normalize=True, prompt_name="query")
    np.testing.assert_array_equal(got, [vector_of(text, prompt_name="query") for text in texts])
    assert InferenceClient(base_url=f"{url}{path}").feature_extraction("a").shape == (1, 16)


def test_hub_pipelines(url):
    def hub(name):
        return InferenceClient(base_url=f"{url}/models/{name}")

    assert [each.label for each in hub("classify").text_classification("a")] == ["neutral", "negative", "positive"]
    (place,) = hub("tag").token_classification("Paris by night")
    assert (place.entity_group, place.word, place.start, place.end) == ("LOC", "Paris", 0, 5)
    assert [each.label for each in hub("zero-shot").zero_shot_classification("a", ["x", "y"])] == ["x", "y"]
    assert hub("mask").fill_mask("a [MASK] car", top_k=2)[1].sequence == "a green car"
    one = hub("question").question_answering(question="who?", context="😀 Paris")
    assert (one.answer, one.start, one.end) == ("😀", 0, 1)
    several = hub("question").question_answering(question="who?", context="😀 Paris", top_k=2)
    assert [each.answer for each in several] == ["😀", "Paris"]
    similar = InferenceClient(base_url=f"{url}/similarity").sentence_similarity("a", other_sentences=["a", "b"])
    np.testing.assert_allclose(similar, [1, vector_of("a") @ vector_of("b")], atol=1e-6)


def test_hub_errors(url):
    with pytest.raises(HfHubHTTPError) as unknown:
        InferenceClient(base_url=f"{url}/models/nobody").feature_extraction("a")
    assert unknown.value.response.status_code == 404
    with pytest.raises(HfHubHTTPError) as long:
        InferenceClient(base_url=f"{url}/embed").feature_extraction("word " * 9, truncate=False)
    assert long.value.response.json()["error_type"] == "Validation"


def test_cohere_version_2(url):
    with cohere.ClientV2(api_key="unused", base_url=url) as client:
        kinds = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
        got = client.embed(
            model="embed", input_type="classification", texts=TEXTS, embedding_types=kinds, truncate="END"
        )
        expected = np.array([vector_of(text, prompt_name="") for text in TEXTS])
        np.testing.assert_array_equal(np.float32(got.embeddings.float_), expected)
        np.testing.assert_array_equal(np.unpackbits(np.uint8(got.embeddings.ubinary), axis=1), expected > 0)
        assert got.meta.billed_units.input_tokens == 12
        only = client.embed(model="embed", input_type="search_query", texts=["a"], embedding_types=["float"])
        assert only.embeddings.int8 is None
        ranked = client.rerank(model="rerank", query="q", documents=["a", "ccc", "bb"], top_n=2)
        assert [item.index for item in ranked.results] == [1, 2]
        assert ranked.meta.billed_units.search_units == 1


def test_cohere_version_1(url):
    with cohere.Client(api_key="unused", base_url=url) as client:
        texts = [f"text {number}" for number in range(200)]
        got = client.embed(model="embed", input_type="search_document", texts=texts)
        expected = [vector_of(text, prompt_name="document") for text in texts]
        np.testing.assert_array_equal(np.float32(got.embeddings), expected)
        assert len(got.id.split(", ")) == 3
        ranked = client.rerank(model="rerank", query="q", documents=["a", {"text": "bb"}], return_documents=True)
        assert [item.document.text for item in ranked.results] == ["bb", "a"]


def test_cohere_errors(url):
    with cohere.ClientV2(api_key="unused", base_url=url) as client:
        with pytest.raises(cohere.NotFoundError):
            client.rerank(model="nobody", query="q", documents=["a"])
        with pytest.raises(cohere.BadRequestError) as empty:
            client.rerank(model="rerank", query="q", documents=[])
        assert empty.value.body["message"] == "documents cannot be empty"
