"""`traceparent`: continued to the pipelines where it is sampled and the key may, and nowhere else."""

import asyncio
import hashlib
import json

import pytest

from .asgi import post

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
GOOD = {"input": "a", "model": "embed"}


@pytest.fixture
def keys(tmp_path):
    """One key that may, one that may not: each is its name."""
    file = tmp_path / "keys.json"
    listed = [
        {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "traces": name == "may"}
        for name in ("may", "may-not")
    ]
    file.write_text(json.dumps({"keys": listed}))
    return file


@pytest.fixture
def seen(monkeypatch):
    """The metadata of requests: the fake transport's protobufs do not carry it."""
    found = []
    from encserve.testing import AsyncFakeTransport

    infer = AsyncFakeTransport.infer

    async def watched(transport, request, *, timeout_s):
        found.append(dict(request.metadata).get("traceparent", ""))
        return await infer(transport, request, timeout_s=timeout_s)

    monkeypatch.setattr(AsyncFakeTransport, "infer", watched)
    return found


async def test_a_sampled_trace_is_continued(fake, keys, seen):
    gateway = fake(keys=keys).gateway
    assert (await post(gateway, "/v1/embeddings", GOOD, x_api_key="may", traceparent=SAMPLED)).status == 200
    assert seen == [SAMPLED]
    await post(gateway, "/v1/embeddings", GOOD, x_api_key="may")
    assert seen[1:] == [""]  # the trace ended with its request


OTHERS = {
    "not sampled": f"00-{TRACE}-{SPAN}-00",
    "another version": f"01-{TRACE}-{SPAN}-01",
    "no trace": f"00-{'0' * 32}-{SPAN}-01",
    "no span": f"00-{TRACE}-{'0' * 16}-01",
    "too long": SAMPLED + "-x",
    "in capitals": SAMPLED.upper(),
    "empty": "",
    "a text": "my trace",
}


@pytest.mark.parametrize("parent", OTHERS.values(), ids=OTHERS)
async def test_others_are_not(fake, keys, seen, parent):
    answered = await post(fake(keys=keys).gateway, "/v1/embeddings", GOOD, x_api_key="may", traceparent=parent)
    assert (answered.status, seen) == (200, [""])


async def test_nor_for_whoever_comes(fake, keys, seen):
    await post(fake(keys=keys).gateway, "/v1/embeddings", GOOD, x_api_key="may-not", traceparent=SAMPLED)
    await post(fake().gateway, "/v1/embeddings", GOOD, traceparent=SAMPLED)
    assert seen == ["", ""]


async def test_requests_at_the_same_time_keep_to_their_own_traces(fake, keys, seen):
    gateway = fake(keys=keys).gateway
    parents = [f"00-{number:032x}-{SPAN}-01" for number in range(1, 21)]
    calls = [post(gateway, "/v1/embeddings", GOOD, x_api_key="may", traceparent=parent) for parent in parents]
    await asyncio.gather(*calls)
    assert sorted(seen) == parents
