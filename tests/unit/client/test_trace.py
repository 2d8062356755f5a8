"""The trace of the caller goes on in the server's."""

import asyncio

import pytest
from opentelemetry import trace

from encserve import AsyncClient, Client, _trace
from encserve.testing import AsyncFakeTransport, FakeTransport


def span(number):
    """A span of a trace of its own, which is current in the block."""
    context = trace.SpanContext(trace_id=number, span_id=7, is_remote=False, trace_flags=trace.TraceFlags(1))
    return trace.use_span(trace.NonRecordingSpan(context))


def traceparent(number):
    return ("traceparent", f"00-{number:032x}-{7:016x}-01")


class Metadata(FakeTransport):
    def __init__(self, model):
        super().__init__(model)
        self.seen = []

    def infer(self, request, *, timeout_s):
        self.seen.append(request.metadata)
        return super().infer(request, timeout_s=timeout_s)


def test_each_request_of_a_call_continues_the_trace(model):
    transport = Metadata(model)
    with Client(transport=transport, texts_per_request=1) as client, span(1):
        client.embed(["a", "b"], model="fake")
    assert transport.seen == [(traceparent(1),)] * 2


@pytest.mark.parametrize("there", [True, False])
def test_without_a_span_or_without_opentelemetry_nothing_is_sent(model, monkeypatch, there):
    monkeypatch.setattr(_trace, "_is_there", lambda: there)
    transport = Metadata(model)
    with Client(transport=transport) as client:
        if there:
            client.embed(["a"], model="fake")
        else:
            with span(1):
                client.embed(["a"], model="fake")
    assert transport.seen == [()]


def test_calls_share_requests_within_a_trace_and_not_across(model):
    async def run():
        async with AsyncClient(transport=AsyncFakeTransport(model)) as client:

            async def ask(number, text):
                with span(number):
                    await client.embed([text], model="fake")

            await client.embed(["what the pipeline is"], model="fake")
            await asyncio.gather(ask(1, "a"), ask(1, "b"), ask(2, "c"))

    asyncio.run(run())
    assert sorted(request.inputs["text"] for request in model.requests[1:]) == [[b"a", b"b"], [b"c"]]
