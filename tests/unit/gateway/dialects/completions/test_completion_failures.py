"""Completions that fail or are left, before their first piece and after it; at last as the package `openai` sees it."""

import asyncio
import json
import threading
import time

import httpx
import openai
import pytest
from unit.gateway.asgi import JSON, scope
from unit.gateway.dialects.completions.completing import PATH, Breaks, completed, events_of, refused
from unit.gateway.listening import listening
from unit.gateway.pipelines import Fake, answer, pieces_of

from encserve import InferenceFailed, Overloaded


@pytest.mark.parametrize(("error", "status"), [(Overloaded, 503), (InferenceFailed, 500)])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_fails_before_the_first_piece_has_its_status(fake, error, status, stream):
    def fails(request):
        raise error("a reason")

    said = await refused(fake(fails, timeout_s=0.1), status, stream=stream)
    assert said["type"] == "server_error"


async def test_what_fails_later_is_the_last_event(fake, monkeypatch, caplog):
    async def fails():
        raise InferenceFailed("with a text of a caller")

    gateway = fake(Breaks(monkeypatch, fails))
    answered = await completed(gateway, stream=True)
    (first, last), rest = events_of(answered)
    assert (first["choices"][0]["text"], rest) == ("one", "")
    assert last["error"]["message"] == "the model 'generate' failed on this request"
    labels = {"route": PATH, "dialect": "completions", "model": "generate"}
    assert gateway.number("requests_total", **labels, code="500") == 1
    assert gateway.number("refused_requests_total", reason="failed") == 1


async def test_a_fault_of_ours_in_a_stream_is_told_without_its_words(fake, monkeypatch, caplog):
    async def fails():
        raise KeyError("with a text of a caller")

    answered = await completed(fake(Breaks(monkeypatch, fails)), stream=True)
    (_, last), _ = events_of(answered)
    assert last["error"]["message"] == "the gateway failed on this request; the fault is its own"
    assert "KeyError at" in caplog.text
    assert "text of a caller" not in caplog.text


async def test_a_text_whose_time_is_up_ends_with_an_error(fake):
    def late(request):
        parts = answer(request)
        parts[-1] |= pieces_of([""], ["deadline"], [4])
        return parts

    answered = await completed(fake(late), stream=True)
    (*_, before, last), _ = events_of(answered)
    assert before["choices"][0]["finish_reason"] is None
    assert "ended by its time" in last["error"]["message"]


async def test_who_goes_away_between_two_pieces_frees_the_place(fake, monkeypatch):
    waits = asyncio.Event()

    async def never():
        waits.set()
        await asyncio.Event().wait()

    gateway = fake(Breaks(monkeypatch, never))
    received = asyncio.Queue()
    body = json.dumps({"model": "generate", "prompt": "a", "stream": True}).encode()
    received.put_nowait({"type": "http.request", "body": body, "more_body": False})
    sent = []

    async def send(message):
        sent.append(message)

    asked = asyncio.create_task(gateway.gateway(scope("POST", PATH, JSON), received.get, send))
    await asyncio.wait_for(waits.wait(), 20)
    assert b"one" in sent[1]["body"]  # while the next is waited for
    received.put_nowait({"type": "http.disconnect"})
    await asyncio.wait_for(asked, 20)
    (given_up,) = gateway.transport.given_up
    assert given_up.parameters["stream"] is True
    assert gateway.number("left_requests_total") == 1
    assert gateway.number("in_flight_requests") == 0


@pytest.fixture(scope="module")
def address():
    def function(request):
        if request.inputs["text"][0] == b"full":
            raise Overloaded("a reason")
        return answer(request)

    with listening(Fake(function, timeout_s=0.2).gateway) as port:
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture
def client(address):
    with openai.OpenAI(base_url=address, api_key="unused", max_retries=0) as connected:
        yield connected


def test_the_package_openai(client):
    whole = client.completions.create(model="generate", prompt="a b c", temperature=0, seed=1, stop=["."], max_tokens=5)
    assert (whole.choices[0].text, whole.choices[0].finish_reason, whole.usage.completion_tokens) == (
        "A B C",
        "stop",
        4,
    )
    with client.completions.create(
        model="generate", prompt="a b c", stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == "A B C"
    assert chunks[-1].usage.total_tokens == 9


def test_its_errors(client):
    for wrong, error in ({"n": 2}, openai.BadRequestError), ({"model": "nobody"}, openai.NotFoundError):
        for stream in (False, True):
            with pytest.raises(error):
                client.completions.create(**{"model": "generate", "prompt": "a", "stream": stream} | wrong)
    with pytest.raises(openai.InternalServerError) as full:
        client.completions.create(model="generate", prompt="full", stream=True)
    assert (full.value.status_code, full.value.response.headers["retry-after"]) == (503, "1")


def test_a_stream_that_breaks_is_an_error_of_the_package(monkeypatch):
    async def fails():
        raise InferenceFailed("a reason")

    with listening(Fake(Breaks(monkeypatch, fails)).gateway) as port:
        address = f"http://127.0.0.1:{port}/v1"
        with openai.OpenAI(base_url=address, api_key="unused", max_retries=0) as client:
            stream = client.completions.create(model="generate", prompt="a", stream=True)
            assert next(stream).choices[0].text == "one"
            with pytest.raises(openai.APIError, match="failed on this request"):
                next(stream)


def test_who_hangs_up_frees_the_place(monkeypatch):
    async def never():
        await asyncio.Event().wait()

    fake = Fake(Breaks(monkeypatch, never), timeout_s=60)
    with listening(fake.gateway) as port:
        body = {"model": "generate", "prompt": "a", "stream": True}
        with httpx.stream("POST", f"http://127.0.0.1:{port}{PATH}", json=body) as response:
            assert b"one" in next(response.iter_raw())
        until_s = time.monotonic() + 20
        while not fake.transport.given_up and time.monotonic() < until_s:
            threading.Event().wait(0.01)
        assert fake.transport.given_up
        assert fake.number("in_flight_requests") == 0
