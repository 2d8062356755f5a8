"""What a collector is told with `--otlp`: a span for each request and for what it asked, in one trace, and no text."""

import asyncio
import json

import pytest
from collector import attributes, collecting

from encserve import Overloaded

from .asgi import JSON, ask, get, post, scope

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
SECRET = "the secret of a caller"
GOOD = {"input": SECRET, "model": "embed"}
SERVER, CLIENT, ERROR = 2, 3, 2


@pytest.fixture
def collector():
    with collecting() as running:
        yield running


async def told(fake):
    """Wait until all is told."""
    await asyncio.to_thread(fake.gateway.services.traces.close)


async def test_a_request_and_its_question_are_one_trace(fake, collector):
    gateway = fake(otlp=collector.url)
    assert (await post(gateway.gateway, "/v1/embeddings", GOOD, x_request_id="mine")).status == 200
    await told(gateway)
    assert (collector.paths, collector.services) == ({"/v1/traces"}, {"encserve-gateway"})
    (request,), (question,) = collector.named("POST /v1/embeddings"), collector.named("feature-extraction embed")
    assert (request.kind, question.kind) == (SERVER, CLIENT)
    assert question.trace_id == request.trace_id
    assert question.parent_span_id == request.span_id
    assert request.parent_span_id == b""
    begins = request.start_time_unix_nano, question.start_time_unix_nano
    assert begins == tuple(sorted(begins))
    assert question.end_time_unix_nano <= request.end_time_unix_nano
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/embeddings",
        "http.response.status_code": 200,
        "encserve.dialect": "openai",
    }
    assert b"mine" not in collector.bodies
    told_of_question = attributes(question)
    assert told_of_question.pop("encserve.version")
    assert told_of_question == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "encserve",
        "gen_ai.request.model": "embed",
        "gen_ai.response.model": "embed",
        "gen_ai.usage.input_tokens": 7,
        "encserve.task": "feature-extraction",
        "encserve.texts": 1,
        "encserve.dropped_tokens": 0,
    }
    assert SECRET.encode() not in collector.bodies


async def test_a_path_to_the_collector_is_kept(fake, collector):
    for path in ("/v1/traces", "/below/v1/traces/", "/below"):
        gateway = fake(otlp=collector.url + path)
        await post(gateway.gateway, "/v1/embeddings", GOOD)
        await told(gateway)
    assert collector.paths == {"/v1/traces", "/below/v1/traces"}


async def test_a_caller_s_trace_goes_on_through_the_gateway_to_the_pipeline(
    fake, collector, tracing_keys, traceparents
):
    gateway = fake(otlp=collector.url, keys=tracing_keys)
    await post(gateway.gateway, "/v1/embeddings", GOOD, x_api_key="may", traceparent=SAMPLED)
    await told(gateway)
    (request,), (question,) = collector.named("POST /v1/embeddings"), collector.named("feature-extraction embed")
    assert request.trace_id.hex() == question.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == SPAN
    assert traceparents == [f"00-{TRACE}-{question.span_id.hex()}-01"]
    assert attributes(request).keys().isdisjoint({"encserve.key", "encserve.request_id"})


async def test_who_asked_is_told_where_that_is_wanted(fake, collector, tracing_keys):
    gateway = fake(otlp=collector.url, keys=tracing_keys, trace_request_ids=True)
    await post(gateway.gateway, "/v1/embeddings", GOOD, x_api_key="may", x_request_id="mine")
    await told(gateway)
    (request,) = collector.named("POST /v1/embeddings")
    asked = attributes(request)
    assert (asked["encserve.request_id"], asked["encserve.key"]) == ("mine", "may")


@pytest.mark.parametrize(("key", "parent"), [("may-not", SAMPLED), ("may", SAMPLED[:-1] + "0"), ("may", "")])
async def test_other_traces_begin_at_the_gateway_and_end_there(
    fake, collector, tracing_keys, traceparents, key, parent
):
    gateway = fake(otlp=collector.url, keys=tracing_keys)
    await post(gateway.gateway, "/v1/embeddings", GOOD, x_api_key=key, traceparent=parent)
    await told(gateway)
    (request,) = collector.named("POST /v1/embeddings")
    assert (request.trace_id.hex() == TRACE, request.parent_span_id) == (False, b"")
    assert traceparents == [""]


async def test_requests_still_share_one_to_the_pipeline(fake, collector):
    gateway = fake(otlp=collector.url)
    calls = [post(gateway.gateway, "/v1/embeddings", GOOD | {"input": f"text {number}"}) for number in range(50)]
    assert {each.status for each in await asyncio.gather(*calls)} == {200}
    await told(gateway)
    assert len(gateway.requests) < 25
    requests = {span.span_id: span.trace_id for span in collector.named("POST /v1/embeddings")}
    questions = collector.named("feature-extraction embed")
    assert len(requests) == len(questions) == len({span.trace_id for span in questions}) == 50
    assert all(requests[span.parent_span_id] == span.trace_id for span in questions)


async def test_what_goes_wrong(fake, collector, tracing_keys):
    def full(request):
        raise Overloaded("a reason with an address")

    gateway = fake(full, otlp=collector.url, keys=tracing_keys, timeout_s=0.05)
    app = gateway.gateway
    assert (await post(app, "/v1/embeddings", GOOD)).status == 401
    assert (await post(app, "/v1/embeddings", {"input": [SECRET, 1]}, x_api_key="may")).status == 400
    assert (await post(app, "/v1/embeddings", GOOD, x_api_key="may")).status == 503
    assert (await post(app, f"/{SECRET}", GOOD)).status == 404
    assert (await ask(app, "POST", "/v1/embeddings", body=SECRET.encode())).status == 401
    await told(gateway)
    requests = collector.named("POST /v1/embeddings")
    codes = [attributes(span)["http.response.status_code"] for span in requests]
    assert codes == [401, 400, 503, 401]
    assert [span.status.code == ERROR for span in requests] == [False, False, True, False]
    (question,) = collector.named("feature-extraction embed")
    assert (question.status.code, attributes(question)["error.type"]) == (ERROR, "overloaded")
    assert [attributes(span)["http.route"] for span in collector.named("POST unknown")] == ["unknown"]
    assert b"secret" not in collector.bodies
    assert b"a reason" not in collector.bodies
    assert all(not span.events for span in collector.spans)


async def test_checks_of_health_are_not_told(fake, collector):
    gateway = fake(otlp=collector.url)
    for path in ("/health", "/live", "/metrics", "/v1/models"):
        await get(gateway.gateway, path)
    await told(gateway)
    assert {span.name for span in collector.spans} == {"GET /v1/models"}


async def test_a_caller_who_goes_away(fake, collector):
    begun = asyncio.Event()

    async def slow(request):
        begun.set()
        await asyncio.sleep(60)

    gateway = fake(slow, otlp=collector.url, timeout_s=60)
    call = asyncio.create_task(ask_and_leave(gateway.gateway, begun))
    await call
    await told(gateway)
    (request,) = collector.named("POST /v1/embeddings")
    assert attributes(request)["error.type"] == "gone"
    assert "http.response.status_code" not in attributes(request)


async def ask_and_leave(app, begun):
    messages = [{"type": "http.request", "body": json.dumps(GOOD).encode()}]

    async def receive():
        if messages:
            return messages.pop()
        await begun.wait()
        return {"type": "http.disconnect"}

    await app(scope("POST", "/v1/embeddings", JSON), receive, None)


async def test_a_collector_that_is_not_there_costs_no_answer(fake, caplog, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    gateway = fake(otlp="http://127.0.0.1:1")
    assert (await post(gateway.gateway, "/v1/embeddings", GOOD)).status == 200
    await asyncio.wait_for(told(gateway), 60)
    assert SECRET not in caplog.text
