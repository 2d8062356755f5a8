"""What holds for every route: bodies, limits, ids, paths, callers who go away."""

import asyncio
import json

import pytest
from unit.gateway.asgi import JSON, ask, get, post, scope
from unit.gateway.pipelines import answer

from encserve import Unavailable
from encserve_gateway.app import Gateway

PATH = "/v1/embeddings"
GOOD = {"input": "a", "model": "embed"}
SECRET = "the secret of a caller"


async def send(fake, body, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(fake.gateway, "POST", PATH, body=body, headers=JSON | named)


MALFORMED = {
    "empty": b"",
    "cut": b'{"input":"the secret of a caller',
    "a list": b'["the secret of a caller"]',
    "a text": b'"the secret of a caller"',
    "a lone surrogate": rb'{"input":"the secret of a caller \ud800"}',
    "no UTF-8": b'{"input":"the secret of a caller \xff"}',
    "a byte order mark": b'\xef\xbb\xbf{"input":"the secret of a caller"}',
    "NaN": b'{"input":"the secret of a caller","dimensions":NaN}',
    "too deep": b'{"input":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "two values": b'{"input":"the secret of a caller"}{}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_body_that_is_no_object(fake, body):
    gateway = fake()
    answered = await send(gateway, body)
    assert (answered.status, answered.json["error"]["type"]) == (400, "invalid_request_error")
    assert SECRET.encode() not in answered.body
    assert "connection" not in answered.headers
    assert (await post(gateway.gateway, PATH, GOOD)).status == 200


@pytest.mark.parametrize("declared", [None, "text/plain", "application/x-www-form-urlencoded", "application/json5"])
async def test_what_is_not_declared_as_json(fake, declared):
    headers = {} if declared is None else {"content-type": declared}
    answered = await ask(fake().gateway, "POST", PATH, body=b"{}", headers=headers)
    assert (answered.status, answered.headers["connection"]) == (415, "close")


async def test_json_with_a_charset(fake):
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    answered = await ask(fake().gateway, "POST", PATH, body=json.dumps(GOOD).encode(), headers=headers)
    assert answered.status == 200


async def test_a_packed_body(fake):
    assert (await send(fake(), b"{}", content_encoding="gzip")).status == 415
    assert (await send(fake(), json.dumps(GOOD).encode(), content_encoding="identity")).status == 200


async def test_a_body_that_says_that_it_is_too_large_is_answered_before_it_is_read(fake):
    gateway = fake(max_body_bytes=100).gateway

    sent = []

    async def rest():
        assert sent[0]["status"] == 413
        return {"type": "http.disconnect"}

    async def keep(message):
        sent.append(message)

    await gateway(scope("POST", PATH, JSON | {"content-length": "101"}), rest, keep)
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_body_that_grows_too_large(fake):
    gateway = fake(max_body_bytes=100).gateway
    answered = await ask(gateway, "POST", PATH, pieces=[b" " * 60, b" " * 60, b" " * 60], headers=JSON)
    assert answered.status == 413
    assert answered.json["error"]["message"] == "the body has more than 100 bytes, the limit"
    pieces = [json.dumps(GOOD).encode().ljust(50), b" " * 50]
    assert (await ask(gateway, "POST", PATH, pieces=pieces, headers=JSON)).status == 200


async def test_half_a_body_and_then_silence(fake):
    gateway = fake(body_timeout_s=0.01)
    answered = await ask(gateway.gateway, "POST", PATH, body=b'{"input":', headers=JSON, silent_after=True)
    assert (answered.status, answered.headers["connection"]) == (408, "close")
    assert gateway.number("in_flight_requests") == 0


async def test_ids_of_requests(fake):
    gateway = fake()
    for good in ("abc", "A.b_c-9", "x" * 128):
        assert (await post(gateway.gateway, PATH, GOOD, x_request_id=good)).headers["x-request-id"] == good
    for bad in ("", "x" * 129, "a b", "a\nb", "ä"):
        made = (await post(gateway.gateway, PATH, GOOD, x_request_id=bad)).headers["x-request-id"]
        assert (len(made), made == bad) == (32, False)
    assert not {request.request_id for request in gateway.requests} & {"abc", "A.b_c-9", "x" * 128}


async def test_paths_and_methods(fake):
    gateway = fake().gateway
    wrong = await get(gateway, PATH)
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert (await ask(gateway, "OPTIONS", PATH)).status == 405
    assert (await ask(gateway, "DELETE", "/v1/models")).headers["allow"] == "GET, HEAD"
    unknown = await post(gateway, "/v1/nothing", {})
    assert (unknown.status, unknown.json["error"]["message"]) == (404, "there is no such route")
    head = await ask(gateway, "HEAD", "/v1/models")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 0


async def test_a_caller_who_goes_away_takes_the_question_along(fake):
    begun, ended = asyncio.Event(), []

    async def slow(request):
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(request)
            raise

    gateway = fake(slow)
    messages = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": json.dumps(GOOD).encode()})

    async def never(message):
        raise AssertionError("somebody answered")

    call = asyncio.create_task(gateway.gateway(scope("POST", PATH, JSON), messages.get, never))
    await begun.wait()
    assert gateway.number("in_flight_requests") == 1
    messages.put_nowait({"type": "http.disconnect"})
    await call
    await asyncio.sleep(0)
    assert len(ended) == 1
    assert (gateway.number("in_flight_requests"), gateway.number("left_requests_total")) == (0, 1)


async def test_a_caller_who_goes_away_before_the_body_is_there(fake):
    gateway = fake()
    sent = []

    async def gone():
        return {"type": "http.disconnect"}

    await gateway.gateway(scope("POST", PATH, JSON), gone, sent.append)
    assert sent == []
    assert gateway.number("in_flight_requests") == 0


async def test_no_more_requests_than_allowed(fake):
    held = asyncio.Event()

    async def wait(request):
        await held.wait()
        return answer(request)

    gateway = fake(wait, max_requests=2)
    first = [asyncio.create_task(post(gateway.gateway, PATH, GOOD | {"input": text})) for text in "ab"]
    while gateway.number("in_flight_requests") < 2:
        await asyncio.sleep(0)
    refused = await post(gateway.gateway, PATH, GOOD)
    assert (refused.status, refused.headers["retry-after"], refused.headers["retry-after-ms"]) == (503, "1", "1000")
    assert (await get(gateway.gateway, "/metrics")).status == 200
    held.set()
    assert [each.status for each in await asyncio.gather(*first)] == [200, 200]
    assert (await post(gateway.gateway, PATH, GOOD)).status == 200


async def test_200_calls_at_once_have_each_its_own_answer(fake):
    gateway = fake()
    texts = [f"text {number}" for number in range(200)]
    bodies = [GOOD | {"input": text} for text in texts]
    answered = await asyncio.gather(*(post(gateway.gateway, PATH, body) for body in bodies))
    alone = await post(fake().gateway, PATH, GOOD | {"input": texts})
    for number, each in enumerate(answered):
        assert each.json["data"][0]["embedding"] == alone.json["data"][number]["embedding"]
    assert len(gateway.requests) < 100  # calls at the same time share requests


async def test_a_fault_of_ours_is_told_without_its_words(fake, caplog):
    def broken(request):
        raise ValueError(SECRET)

    gateway = fake(broken)
    answered = await post(gateway.gateway, PATH, GOOD)
    assert (answered.status, answered.headers["x-should-retry"]) == (500, "false")
    assert SECRET.encode() not in answered.body
    assert SECRET not in caplog.text
    assert "ValueError" in caplog.text
    assert (await get(gateway.gateway, "/metrics")).status == 200


async def test_no_text_of_a_caller_is_told_to_anybody(fake, caplog):
    def down(request):
        raise Unavailable("127.0.0.1:8001 is down")

    for gateway in (fake(), fake(down)):
        for body in ({"input": SECRET}, {"input": [SECRET, 1]}, {"input": {SECRET: 1}}, {"input": [[SECRET]]}):
            answered = await post(gateway.gateway, PATH, body | {"model": "embed"})
            assert SECRET.encode() not in answered.body
        page = (await get(gateway.gateway, "/metrics")).body
        assert SECRET.encode() not in page
        assert b"127.0.0.1" not in answered.body
    assert SECRET not in caplog.text


async def test_websockets_are_turned_away():
    sent = []

    async def keep(message):
        sent.append(message)

    await Gateway(lambda: None)({"type": "websocket"}, None, keep)
    assert sent[0]["type"] == "websocket.close"


async def test_a_caller_who_goes_away_as_the_answer_comes_is_sent_it(fake):
    """The end of the connection and the end of the work in one turn of the event loop."""
    seen = set()
    for turns in range(40):
        gateway = fake()
        messages, sent = asyncio.Queue(), []
        messages.put_nowait({"type": "http.request", "body": json.dumps(GOOD).encode()})

        async def keep(message, sent=sent):
            await asyncio.sleep(0)
            sent.append(message)

        call = asyncio.create_task(gateway.gateway(scope("POST", PATH, JSON), messages.get, keep))
        for _ in range(turns):
            await asyncio.sleep(0)
        messages.put_nowait({"type": "http.disconnect"})
        await call
        is_whole = bool(sent) and not sent[-1].get("more_body")
        assert (is_whole, gateway.number("left_requests_total")) in ((True, 0), (False, 1)), turns
        seen.add(is_whole)
        assert gateway.number("in_flight_requests") == 0
    assert seen == {True, False}
