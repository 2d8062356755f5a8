"""Packages of other people against the gateway, each in an environment that it fits: they get what the SDK gets.

`make test` asks two that fit our environment, `make clients` makes environments for the others, which needs a package
index, and asks them all.
"""

import json
import os
import subprocess
import time
from dataclasses import dataclass

import httpx2
import numpy as np
import pytest
from clients.environments import Program, made
from gateways import running_gateway
from references import TEXTS
from scipy.stats import spearmanr

TOLERANCE = {"rtol": 0, "atol": 1e-6}
FULL = [text for text in TEXTS if text and "\n" not in text]  # some put blanks for ends of lines
QUERY = "storm in the harbour"
MANY = [f"line {number} of two thousand" for number in range(2_000)]
LONG = [f"text {number} " + "word " * 200 for number in range(2_000)]


@dataclass(frozen=True)
class Client:
    """What is asked of a program: functions that embed, functions that rank, the class of its error where there is no
    such model, and whether it can be told to wait for a short time only."""

    program: Program
    embeds: tuple[str, ...] = ()
    ranks: tuple[str, ...] = ()
    error: str = "NotFoundError"
    leaves: bool = False


OURS = (
    Client(Program("langchain_openai"), ("embed",), leaves=True),
    Client(Program("haystack_huggingface"), ("embed",), ("rank",), error="HfHubHTTPError"),
)
OTHERS = (
    Client(Program("haystack_openai"), ("embed",), leaves=True),
    Client(Program("haystack_cohere"), ("embed",), ("rank",)),
    Client(Program("langchain_huggingface", "langchain"), ("embed",), error="HfHubHTTPError", leaves=True),
    Client(Program("langchain_cohere", "cohere5"), ("embed",), ("rank",)),
    Client(Program("cohere_5", "cohere5"), ("embed", "embed_version_2"), ("rank",), leaves=True),
    Client(Program("llama_index_openai_like", "llama_index"), ("embed",), leaves=True),
    # It never looks at a status, and takes the body of an error for vectors.
    Client(Program("llama_index_tei", "llama_index"), ("embed",), ("rank",), error="ValidationError", leaves=True),
    Client(Program("llama_index_cohere", "llama_index"), (), ("rank",)),
    Client(
        Program("litellm", "litellm"),
        ("embed", "embed_hosted_vllm", "embed_infinity", "embed_cohere"),
        ("rank", "rank_cohere", "rank_jina", "rank_infinity", "rank_huggingface", "rank_nvidia_nim", "rank_voyage"),
        leaves=True,
    ),
    Client(Program("mteb", "mteb"), ("embed",), ("rank",), error="RuntimeError"),
    Client(Program("openai", "node"), ("embed", "embed_as_numbers"), leaves=True),
    Client(Program("cohere", "node"), ("embed",), ("rank",)),
)
ALL = [pytest.param(each, id=each.program.name) for each in OURS] + [
    pytest.param(each, id=f"{each.program.environment or 'ours'}-{each.program.name}", marks=pytest.mark.slow)
    for each in OTHERS
]


@pytest.mark.parametrize("asked", ALL)
def test_a_client_gets_what_the_sdk_gets(asked, gateway, client):
    left_before = left(gateway)
    embed, rank = {"url": gateway, "model": "embed-bert"}, {"url": gateway, "model": "rank-bert"}
    calls = [(function, {**embed, "texts": texts}) for function in asked.embeds for texts in (FULL, MANY)]
    calls += [(function, {**rank, "query": QUERY, "documents": TEXTS}) for function in asked.ranks]
    calls += [(function, {**embed, "model": "nobody", "texts": ["a"]}) for function in asked.embeds]
    calls += [("leave", {**embed, "texts": LONG})] * asked.leaves
    told = iter(asked.program.ask(calls))
    for function in asked.embeds:
        for texts in (FULL, MANY):
            expected = client.embed(texts, model="embed-bert", normalize=True).vectors
            np.testing.assert_allclose(returned(next(told)), expected, err_msg=function, **TOLERANCE)
    expected = client.rerank(QUERY, TEXTS, model="rank-bert")
    for function in asked.ranks:
        indices, scores = zip(*returned(next(told)), strict=True)
        assert list(indices) == expected.indices.tolist(), function
        np.testing.assert_allclose(scores, expected.scores, err_msg=function, **TOLERANCE)
    for function in asked.embeds:
        assert next(told).get("raised") == asked.error, function
    assert all("raised" in each for each in told)
    assert left(gateway) - left_before >= asked.leaves, "a call that is given up frees its place"


def returned(answer):
    """What a function returned."""
    assert "returned" in answer, answer
    return answer["returned"]


@pytest.fixture(scope="module")
def vocabularies():
    """The folder with the vocabularies that LiteLLM has inside: tiktoken looks there before it asks the internet."""
    (folder,) = made("litellm").glob("lib/*/site-packages/litellm/litellm_core_utils/tokenizers")
    return folder


@pytest.mark.slow
def test_ids_of_tokens_that_langchain_sends_by_default(server, client, vocabularies):
    cl100k_base = vocabularies / "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # tiktoken names them by their addresses
    with running_gateway(server.grpc_url, "--token-vocabulary", str(cl100k_base)) as address:
        call = ("embed_by_ids_of_tokens", {"url": address, "model": "embed-bert", "texts": FULL})
        (told,) = Program("langchain_openai").ask([call], TIKTOKEN_CACHE_DIR=str(vocabularies))
    expected = client.embed(FULL, model="embed-bert", normalize=True).vectors
    np.testing.assert_allclose(returned(told), expected, **TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("embeddings", "embed-bert"),
        ("hf_tei_rankings", "rank-bert"),
        ("cohere_rankings", "rank-bert"),
        ("nim_rankings", "rank-bert"),
    ],
)
def test_aiperf_measures(kind, model, gateway, vocabularies, tmp_path):
    options = {
        "model-names": model,
        "endpoint-type": kind,
        "url": gateway,
        "tokenizer": "builtin",
        "request-count": "10",
        "artifact-dir": str(tmp_path),
        "ui": "none",
    }
    command = [str(made("aiperf") / "bin" / "aiperf"), "profile"]
    command += [word for name, value in options.items() for word in (f"--{name}", value)]
    environment = os.environ | {"TIKTOKEN_CACHE_DIR": str(vocabularies)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4_000:]
    measured = json.loads((tmp_path / "profile_export_aiperf.json").read_text())
    assert measured["request_count"]["avg"] == 10
    assert not measured.get("error_summary"), measured["error_summary"]


@pytest.mark.slow
def test_mteb_evaluates_a_task(gateway, client):
    pairs = [[text, FULL[(3 * number + 1) % len(FULL)], number % 6] for number, text in enumerate(FULL)]
    call = ("evaluate", {"url": gateway, "model": "embed-bert", "pairs": pairs})
    (told,) = Program("mteb", "mteb").ask([call])
    first, second, scores = zip(*pairs, strict=True)
    vectors = [client.embed(texts, model="embed-bert", normalize=True).vectors for texts in (first, second)]
    similar = (vectors[0] * vectors[1]).sum(axis=1)
    assert returned(told) == pytest.approx(spearmanr(similar, scores).statistic, abs=1e-3)


def left(gateway):
    """Requests whose callers went away, once none is under way."""
    for _ in range(200):
        page = httpx2.get(f"{gateway}/metrics").text
        numbers = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        if numbers["encserve_gateway_in_flight_requests"] == "0.0":
            return float(numbers["encserve_gateway_left_requests_total"])
        time.sleep(0.05)
    pytest.fail("a request is still in flight")
