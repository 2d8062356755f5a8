"""The trace of the caller goes on in the server's."""

import asyncio
import sys
import types

import pytest

from encserve import AsyncClient, Client, _trace
from encserve.testing import AsyncFakeTransport, FakeTransport


@pytest.fixture
def traced(monkeypatch):
    """OpenTelemetry's interface, with one span that is current."""
    propagate = types.ModuleType("opentelemetry.propagate")
    propagate.inject = lambda carrier: carrier.update(Traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    package = types.ModuleType("opentelemetry")
    package.propagate = propagate
    monkeypatch.setitem(sys.modules, "opentelemetry", package)
    monkeypatch.setitem(sys.modules, "opentelemetry.propagate", propagate)
    monkeypatch.setattr(_trace, "_is_there", lambda: True)
    return propagate


class Metadata(FakeTransport):
    def __init__(self, model):
        super().__init__(model)
        self.seen = []

    def infer(self, request, *, timeout_s):
        self.seen.append(request.metadata)
        return super().infer(request, timeout_s=timeout_s)


@pytest.mark.usefixtures("traced")
def test_each_request_of_a_call_continues_the_trace(model):
    transport = Metadata(model)
    with Client(transport=transport, texts_per_request=1) as client:
        client.embed(["a", "b"], model="fake")
    assert transport.seen == [(("traceparent", "00-" + "1" * 32 + "-" + "2" * 16 + "-01"),)] * 2


def test_without_opentelemetry_nothing_is_sent(model, monkeypatch):
    monkeypatch.setattr(_trace, "_is_there", lambda: False)
    transport = Metadata(model)
    with Client(transport=transport) as client:
        client.embed(["a"], model="fake")
    assert transport.seen == [()]


def test_calls_share_requests_within_a_trace_and_not_across(traced, model):
    transport = AsyncFakeTransport(model)

    async def run():
        async with AsyncClient(transport=transport) as client:
            await client.embed(["what the pipeline is"], model="fake")
            same = [client.embed([text], model="fake") for text in "ab"]
            calls = [asyncio.create_task(call) for call in same]
            await asyncio.sleep(0)
            traced.inject = lambda carrier: carrier.update(traceparent="another")
            calls.append(asyncio.create_task(client.embed(["c"], model="fake")))
            await asyncio.gather(*calls)

    asyncio.run(run())
    assert sorted(request.inputs["text"] for request in model.requests[1:]) == [[b"a", b"b"], [b"c"]]
