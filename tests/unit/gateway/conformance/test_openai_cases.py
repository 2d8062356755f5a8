"""Cases 1 to 21 and 25: OpenAI's embeddings and models, with what vLLM's and Infinity's tests ask of them."""

import base64

import numpy as np
import openai
import pytest
from unit.gateway.asgi import post
from unit.gateway.listening import listening
from unit.gateway.pipelines import DIMENSIONS, MAX_LENGTH, vector_of

from encserve_gateway.aliases import Alias

from .case import LONG, Case, contains, invalid, vectors

PATH = "/v1/embeddings"
STRICT = {"aliases": (Alias(name="strict", pipeline="embed", truncate="error"),)}


def case(number, what, status=200, has=None, *, told=None, gateway=None, **fields):
    return Case(number, what, PATH, {"model": "embed"} | fields, status, has, told=told or {}, gateway=gateway or {})


def data(*rows):
    return {"object": "list", "data": [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(rows)]}


def one(text, **options):
    return vectors(vector_of(text, **options))


def row(text, **options):
    return lambda found: vectors(vector_of(text, **options))([found])


ANY = [lambda item: len(item["embedding"]) == DIMENSIONS]

CASES = [
    case(1, "one text", input="a", has=data(row("a")) | {"usage": {"prompt_tokens": 3, "total_tokens": 3}}),
    case(2, "three texts in order", input=["a", "b", "c"], has=data(row("a"), row("b"), row("c"))),
    case(5, "an encoding that there is not", 400, input="a", encoding_format="md5", has=invalid(
        "encoding_format", "Invalid value for 'encoding_format' = md5. Supported values: ['float', 'base64'].")),
    case(6, "null everywhere", input="a", encoding_format=None, dimensions=None, user=None, has=data(row("a"))),
    case(7, "unknown fields", input="a", foo={"bar": [1]}, input_type=None, truncate_prompt_tokens=MAX_LENGTH,
         has=data(row("a"))),
    case(8, "a length below the model's", 400, input="a", truncate_prompt_tokens=3, has=invalid(
        "truncate_prompt_tokens", "is 3; this server cuts at the length of the model, 8, or not at all")),
    case(8, "a length above the model's", input="a", truncate_prompt_tokens=10_000, has=data(row("a"))),
    case(8, "the model's own length", input=LONG, truncate_prompt_tokens=-1, has=data(row(LONG, truncate="end"))),
    case(9, "dimensions of one text", input="a", dimensions=4, has=data(row("a", dimensions=4))),
    case(9, "dimensions of two texts", input=["a", "b"], dimensions=4,
         has=data(row("a", dimensions=4), row("b", dimensions=4))),
    case(10, "dimensions 0 are none", input="a", dimensions=0, has=data(row("a"))),
    *(case(10, f"dimensions {wrong!r}", 400, input="a", dimensions=wrong, has=invalid("dimensions"))
      for wrong in (-1, DIMENSIONS + 1, "8")),
    case(11, "122,881 characters are cut", input="word " * 24_577, has={"data": ANY},
         told={"encserve-dropped-count": str(24_577 - (MAX_LENGTH - 2)), "encserve-cut-texts": "1"}),
    case(11, "or refused by the name", 400, model="strict", input="word " * 24_577, gateway=STRICT,
         has=invalid("input", "maximum context length is 8 tokens", code="context_length_exceeded")),
    case(11, "more than a pipeline takes at all", 400, model="plain", input="word " * 24_577,
         has=invalid(None, "text 0 has 122885 bytes in UTF-8, the limit is 65536")),
    case(12, "no text", 400, input=[], has=invalid("input", "cannot be empty")),
    case(13, "the empty text", input="", has=data(row(""))),
    case(13, "the empty text beside another", input=["a", ""], has=data(row("a"), row(""))),
    case(14, "2,048 texts", input=["a"] * 2_048, has={"data": ANY * 2_048}),
    case(14, "2,049 texts", 400, input=["a"] * 2_049, has=invalid("input", "2049", "2048")),
    *(case(15, f"input {wrong}", 400, input=wrong, has=invalid("input"))
      for wrong in (["a", 1], [["a"]], [1, "a"], {}, None)),
    Case(15, "input is missing", PATH, {"model": "embed"}, 400, invalid("input", "is missing")),
    *(case(16, f"input {wrong}", 400, input=wrong, has=invalid("input")) for wrong in ([True], [1.0], [-1], [10**9])),
    case(17, "ids of BERT without a vocabulary", 400, input=[101, 7592, 102],
         has=invalid("input", "check_embedding_ctx_length=False")),
    Case(19, "no model", PATH, {"input": "a"}, 200, {"model": "embed"}),
    case(19, "an empty model", model="", input="a", has={"model": "embed"}),
    case(19, "Infinity's word for none", model="default/not-specified", input="a", has={"model": "embed"}),
    case(19, "an unknown model", 404, model="nobody", input="a",
         has=invalid("model", "nobody", code="model_not_found")),
    case(20, "a reranker", 400, model="rerank", input="a", has=invalid("model", "text-ranking")),
    Case(25, "the list of models", "/v1/models", has={"object": "list", "data": lambda data: all(
        item["object"] == "model" and item["max_model_len"] == MAX_LENGTH for item in data)}),
    Case(25, "the list without /v1", "/models", has={"object": "list"}),
    Case(25, "a model", "/v1/models/embed", has={"id": "embed", "object": "model", "max_model_len": MAX_LENGTH}),
    Case(25, "an unknown model", "/v1/models/nobody", status=404, has=invalid("model", code="model_not_found")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_cases(fake, case):
    await case.check(fake)


VOCABULARY = {97: b"a", 98: b" b", 99: b"c", 101: b"x", 102: b"y"}


@pytest.fixture
def vocabulary(tmp_path):
    file = tmp_path / "cl100k_base.tiktoken"
    file.write_text("".join(f"{base64.b64encode(token).decode()} {number}\n" for number, token in VOCABULARY.items()))
    return {"vocabulary": file}


@pytest.mark.parametrize(
    ("number", "ids", "texts"),
    [
        (3, [97, 98], ["a b"]),
        (3, [[97, 98], [99]], ["a b", "c"]),
        (18, [[97, 98], [99], [99, 98]], ["a b", "c", "c b"]),  # what LangChain sends of three documents
    ],
)
async def test_case_03_and_18_ids_are_decoded(fake, vocabulary, number, ids, texts):
    await case(number, "ids", input=ids, gateway=vocabulary, has=data(*map(row, texts))).check(fake)


async def test_case_17_ids_of_bert_are_refused_whatever_they_would_mean(fake, vocabulary):
    wrong = case(17, "ids", 400, input=[[101, 97, 102]], gateway=vocabulary, has=invalid("input", REMEDY))
    await wrong.check(fake)


REMEDY = "check_embedding_ctx_length=False"


async def test_case_18_without_a_vocabulary_ids_are_refused(fake):
    await case(18, "ids", 400, input=[[97], [98], [99]], has=invalid("input", REMEDY)).check(fake)


async def test_case_02_each_text_is_as_if_alone(fake):
    app = fake().gateway
    together = await post(app, PATH, {"model": "embed", "input": ["a", "b", "c"]})
    for number, text in enumerate("abc"):
        alone = await post(app, PATH, {"model": "embed", "input": text})
        contains(alone.json["data"][0]["embedding"], together.json["data"][number]["embedding"])


def test_case_04_and_21_openai_s_client(fake):
    """It asks for base64 by itself, and reads an error out of exactly four fields."""
    asked = fake()
    with listening(asked.gateway) as port, openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="x") as client:
        packed = client.embeddings.with_raw_response.create(model="embed", input=["a", "b"])
        assert isinstance(packed.http_response.json()["data"][0]["embedding"], str)
        numbers = client.embeddings.create(model="embed", input=["a", "b"], encoding_format="float")
        bits = [[np.float32(item.embedding).tobytes() for item in each.data] for each in (packed.parse(), numbers)]
        assert bits[0] == bits[1] == [vector_of(text).tobytes() for text in "ab"]
        with pytest.raises(openai.BadRequestError, match="expected a text") as wrong:
            client.embeddings.create(model="embed", input=["a", 1])
    assert wrong.value.body.keys() == {"message", "type", "param", "code"}
