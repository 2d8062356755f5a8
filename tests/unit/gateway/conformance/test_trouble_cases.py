"""Cases 68 to 77 but one: what is not of one dialect, where something goes wrong or many things happen at once."""

import asyncio
import http.client
import json
import time

import numpy as np
import openai
import pytest
from unit.gateway.asgi import ask, get, post, scope
from unit.gateway.listening import listening
from unit.gateway.pipelines import DIMENSIONS, answer, vector_of

from encserve import DeadlineExceeded, Overloaded, Unavailable

from .case import JSON, KEY, contains, tei

PATH = "/v1/embeddings"
GOOD = {"input": "a", "model": "embed"}


async def test_case_68_a_caller_that_asks_too_often(fake, keys):
    app = fake(keys=keys(requests_per_second=0.5)).gateway
    first, second = [await post(app, PATH, GOOD, x_api_key=KEY) for _ in range(2)]
    assert (first.status, second.status, second.json["error"]["code"]) == (200, 429, "rate_limit_exceeded")
    assert 1 <= int(second.headers["retry-after"]) <= 2


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (PATH, GOOD, 503),
        ("/v2/rerank", {"query": "q", "documents": ["a"], "model": "rerank"}, 503),
        ("/embed", {"inputs": "a"}, 429),
    ],
)
async def test_case_68_no_room(fake, path, body, status):
    def full(request):
        raise Overloaded("full")

    refused = await post(fake(full, timeout_s=0.05).gateway, path, body)
    assert (refused.status, refused.headers["retry-after"]) == (status, "1")


async def test_case_68_no_more_in_flight(fake):
    held = asyncio.Event()

    async def wait(request):
        await held.wait()
        return answer(request)

    app = fake(wait, max_requests=1)
    first = asyncio.create_task(post(app.gateway, PATH, GOOD))
    while app.number("in_flight_requests") < 1:
        await asyncio.sleep(0)
    for path, body, status in ((PATH, GOOD, 503), ("/embed", {"inputs": "a"}, 429)):
        refused = await post(app.gateway, path, body)
        assert (refused.status, refused.headers["retry-after"]) == (status, "1")
    held.set()
    assert (await first).status == 200


def asked_by_openai(fake, error):
    """The error that OpenAI's client raises, and how many requests it made."""
    with (
        listening(fake.gateway) as port,
        openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="x") as client,
        pytest.raises(error),
    ):
        client.embeddings.create(model="embed", input="a")
    return sum(fake.number("refused_requests_total", reason=reason) for reason in ("overloaded", "unreachable", "late"))


def test_case_68_openai_s_client_asks_twice_more(fake, monkeypatch):
    monkeypatch.setattr("encserve_gateway.faults.RETRY_AFTER_S", {})  # not to wait: it would for a second

    def down(request):
        raise Unavailable("down")

    assert asked_by_openai(fake(down, timeout_s=0.05), openai.InternalServerError) == 3


def late(request):
    raise DeadlineExceeded("late")


def test_case_69_a_deadline_that_passed_is_not_asked_again(fake):
    assert asked_by_openai(fake(late), openai.InternalServerError) == 1


async def test_case_69_it_is_504(fake):
    refused = await post(fake(late).gateway, PATH, GOOD)
    assert (refused.status, refused.headers["x-should-retry"]) == (504, "false")


@pytest.mark.slow  # for 20 s nothing happens
def test_case_70_100_connections_are_idle_for_20_s_and_used_again(fake):
    with listening(fake().gateway) as port:
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(100)]
        sockets = []
        for seconds in (20, 0):
            for connection in connections:
                connection.request("POST", PATH, json.dumps(GOOD), JSON)
                assert connection.getresponse().read()
            sockets.append([connection.sock for connection in connections])
            time.sleep(seconds)
        assert sockets[0] == sockets[1]
        for connection in connections:
            connection.close()


async def test_case_71_a_caller_who_goes_away(fake):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(request):
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    app, messages = fake(slow), asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": json.dumps(GOOD).encode()})
    call = asyncio.create_task(app.gateway(scope("POST", PATH, JSON), messages.get, None))
    await begun.wait()
    messages.put_nowait({"type": "http.disconnect"})
    await call
    await asyncio.wait_for(ended.wait(), 20)
    assert app.number("in_flight_requests") == 0


async def test_case_71_half_a_body_and_silence(fake):
    app = fake(body_timeout_s=0.01)
    silent = await ask(app.gateway, "POST", PATH, body=b'{"input":', headers=JSON, silent_after=True)
    assert (silent.status, app.number("in_flight_requests")) == (408, 0)


MARK = "the-secret-of-a-caller"


async def test_case_72_no_text_is_told(fake, caplog):
    def broken(request):
        raise ValueError(MARK)

    for function in (answer, broken):
        app = fake(function).gateway
        for path, field in ((PATH, "input"), ("/embed", "inputs"), ("/v2/embed", "texts"), ("/rerank", "query")):
            for value in (MARK, [MARK], [MARK, 1], {MARK: 1}, [[MARK]]):
                answered = await post(app, path, {field: value, "model": "embed"})
                assert MARK.encode() not in answered.body or answered.json.get("texts") == [MARK]  # as Cohere has it
        assert MARK.encode() not in (await get(app, "/metrics")).body
    assert MARK not in caplog.text


@pytest.mark.parametrize(("asked", "kept"), [("an.id-1", True), ("x" * 300, False), ("a\nb", False)])
async def test_case_73_ids(fake, asked, kept):
    app = fake()
    told = (await post(app.gateway, PATH, GOOD, x_request_id=asked)).headers["x-request-id"]
    assert (told == asked) is kept
    assert {request.request_id for request in app.requests}.isdisjoint({asked, told})


async def test_case_75_a_vector_that_is_not_finite(fake):
    def broken(request):
        vector = np.full((1, 1, DIMENSIONS), np.nan, np.float32)
        return {"embedding": vector, "token_count": np.int32([[3]]), "dropped_count": np.int32([[0]])}

    app = fake(broken).gateway
    for path, body, status in ((PATH, GOOD, 500), ("/embed", {"inputs": "a"}, 424)):
        refused = await post(app, path, body)
        assert (refused.status, refused.headers["x-should-retry"]) == (status, "false")
    contains(refused.json, tei("Backend", "not finite"))


async def test_case_77_200_calls_at_once(fake):
    app = fake()
    calls = [post(app.gateway, PATH, GOOD | {"input": f"text {number}"}) for number in range(200)]
    for number, answered in enumerate(await asyncio.gather(*calls)):
        found = np.float32(answered.json["data"][0]["embedding"])
        np.testing.assert_array_equal(found, vector_of(f"text {number}"))
    assert len(app.requests) < 100
