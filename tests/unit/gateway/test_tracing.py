"""`traceparent`: continued to the pipelines where it is sampled and the key may, and nowhere else."""

import asyncio

import pytest

from .asgi import post

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
GOOD = {"input": "a", "model": "embed"}


async def test_a_sampled_trace_is_continued(fake, tracing_keys, traceparents):
    gateway = fake(keys=tracing_keys).gateway
    assert (await post(gateway, "/v1/embeddings", GOOD, x_api_key="may", traceparent=SAMPLED)).status == 200
    assert traceparents == [SAMPLED]
    await post(gateway, "/v1/embeddings", GOOD, x_api_key="may")
    assert traceparents[1:] == [""]  # the trace ended with its request


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
async def test_others_are_not(fake, tracing_keys, traceparents, parent):
    answered = await post(fake(keys=tracing_keys).gateway, "/v1/embeddings", GOOD, x_api_key="may", traceparent=parent)
    assert (answered.status, traceparents) == (200, [""])


async def test_nor_for_whoever_comes(fake, tracing_keys, traceparents):
    await post(fake(keys=tracing_keys).gateway, "/v1/embeddings", GOOD, x_api_key="may-not", traceparent=SAMPLED)
    await post(fake().gateway, "/v1/embeddings", GOOD, traceparent=SAMPLED)
    assert traceparents == ["", ""]


async def test_requests_at_the_same_time_keep_to_their_own_traces(fake, tracing_keys, traceparents):
    gateway = fake(keys=tracing_keys).gateway
    parents = [f"00-{number:032x}-{SPAN}-01" for number in range(1, 21)]
    calls = [post(gateway, "/v1/embeddings", GOOD, x_api_key="may", traceparent=parent) for parent in parents]
    await asyncio.gather(*calls)
    assert sorted(traceparents) == parents
