"""A real server that computes a text once: the same bits come back, and its metrics say how often."""

import asyncio
import re
import time
import urllib.request

import numpy as np
import pytest
from passages import mixed_texts
from serving import serve_config

from encserve import AsyncClient, Client, InvalidInput
from encserve_server.launcher.server import TritonServer


@pytest.fixture(scope="module")
def remembering(repository):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENCSERVE_RECENT_ROWS_MIB", "32")
        with TritonServer(serve_config(repository)) as running:
            yield running


def counted(server):
    """(texts that the encode step answered, those that it did not compute)."""
    with urllib.request.urlopen(server.metrics_url) as answer:
        text = answer.read().decode()
    found = dict(re.findall(r'encserve_(\w+)_texts\{[^}]*model="minilm_encode"[^}]*\} ([0-9.e+]+)', text))
    return float(found["encoded"]), float(found["repeated"])


def test_a_text_that_comes_again_gets_the_same_bits_for_every_option(remembering):
    now = time.time_ns()  # a second try of this test meets texts of its own, too
    texts = [
        f"text {number} of sixty, at {now}, about a different thing than text {60 - number}" for number in range(60)
    ]
    with Client(remembering.grpc_url, timeout_s=300) as client:
        first = client.embed(texts, model="minilm").vectors
        time.sleep(1.1)  # counters are told once a second, by the next batch
        client.embed([f"a text that makes the step tell its counters, at {now}"], model="minilm")
        encoded, repeated = counted(remembering)
        again = client.embed(texts[::-1], model="minilm").vectors
        short = client.embed(texts, model="minilm", dimensions=64).vectors
        asked = 0
        while (counts := counted(remembering))[1] - repeated < 120 and asked < 10:
            time.sleep(1.1)
            asked += 1
            client.embed([f"another text that makes it tell them, the {asked}th at {now}"], model="minilm")
    assert again[::-1].tobytes() == first.tobytes()
    expected = first[:, :64] / np.linalg.norm(first[:, :64], axis=1, keepdims=True)
    assert np.abs(short - expected).max() <= 1e-6
    # every text of the two later calls was there, and those that were asked last alone were new, told or not yet
    assert counts[1] - repeated == 120
    assert counts[0] - encoded - 120 in range(asked + 1)


async def test_concurrent_calls_share_requests_and_get_what_they_would_get_alone(server, client):
    texts = mixed_texts(96, longest_bytes=400, seed=12)
    expected = client.embed(texts, model="minilm")
    async with AsyncClient(server.grpc_url, timeout_s=300) as async_client:
        results = await asyncio.gather(
            *(async_client.embed([text], model="minilm") for text in texts),
            async_client.embed(["a " * 600], model="minilm", truncate="error"),
            return_exceptions=True,
        )
    refused = results.pop()
    assert isinstance(refused, InvalidInput)
    vectors = np.concatenate([result.vectors for result in results])
    assert np.abs(vectors - expected.vectors).max() <= 1e-5
    assert [int(result.token_counts[0]) for result in results] == expected.token_counts.tolist()


async def test_a_refused_text_fails_its_own_call_only(server):
    async with AsyncClient(server.grpc_url, timeout_s=300) as async_client:
        calls = [["a short text"], ["a short text", "a " * 600], ["another"]]
        outcomes = await asyncio.gather(
            *(async_client.embed(texts, model="minilm", truncate="error") for texts in calls), return_exceptions=True
        )
    assert [type(outcome).__name__ for outcome in outcomes] == ["Embeddings", "InvalidInput", "Embeddings"]
    assert "text 1 has" in str(outcomes[1])
