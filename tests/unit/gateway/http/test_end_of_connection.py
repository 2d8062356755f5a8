"""Callers who go away, as the server that runs the gateway tells it."""

import asyncio
import json

import pytest
from unit.gateway.asgi import JSON, scope
from unit.gateway.pipelines import answer

from encserve_gateway.http.connection import EXTENSION, Connection

PATH = "/v1/embeddings"
BODY = json.dumps({"input": ["a", "b"], "model": "embed"}).encode()


def request_on(connection):
    """A scope whose server tells of the end of its connection."""
    return scope("POST", PATH, JSON) | {"extensions": {EXTENSION: {"connection": connection}}}


async def body():
    return {"type": "http.request", "body": BODY}


async def ignore(message):
    pass


async def test_the_question_is_given_up(fake):
    begun, ended = asyncio.Event(), []

    async def slow(request):
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(request)
            raise

    gateway, connection, sent = fake(slow), Connection(), []
    call = asyncio.create_task(gateway.gateway(request_on(connection), body, sent.append))
    await begun.wait()
    connection.end()
    await call
    await asyncio.sleep(0)
    assert (len(ended), sent) == (1, [])
    assert (gateway.number("in_flight_requests"), gateway.number("left_requests_total")) == (0, 1)


async def test_at_whatever_moment_the_end_comes_it_is_counted_once(fake):
    seen = set()
    for turns in range(40):
        gateway, connection, sent = fake(), Connection(), []

        async def keep(message, sent=sent):
            await asyncio.sleep(0)
            sent.append(message)

        call = asyncio.create_task(gateway.gateway(request_on(connection), body, keep))
        for _ in range(turns):
            await asyncio.sleep(0)
        connection.end()
        await call
        is_whole = bool(sent) and not sent[-1].get("more_body")
        assert (is_whole, gateway.number("left_requests_total")) in ((True, 0), (False, 1)), turns
        seen.add(is_whole)
        assert gateway.number("in_flight_requests") == 0
    assert seen == {True, False}


async def test_nothing_is_asked_for_whoever_is_gone_already(fake):
    gateway, connection = fake(), Connection()
    connection.end()
    await gateway.gateway(request_on(connection), body, ignore)
    assert (gateway.requests, gateway.number("left_requests_total")) == ([], 1)


async def test_the_end_of_the_next_request_is_not_that_of_the_last(fake):
    """A connection is used again, and who has an answer waits for nothing any more."""
    gateway, connection = fake(), Connection()
    for _ in range(2):
        await gateway.gateway(request_on(connection), body, ignore)
    connection.end()
    await asyncio.sleep(0)
    assert (len(gateway.requests), gateway.number("left_requests_total")) == (2, 0)


async def test_somebody_else_may_cancel_a_request(fake):
    begun = asyncio.Event()

    async def slow(request):
        begun.set()
        await asyncio.sleep(60)
        return answer(request)

    call = asyncio.create_task(fake(slow).gateway(request_on(Connection()), body, ignore))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize(("tells", "expected"), [(True, 0), (False, 1)])
async def test_no_task_waits_beside_a_request_where_the_server_tells(fake, tells, expected):
    """A task for each request takes longer than most of what the gateway itself does."""
    gateway = fake().gateway
    asked = request_on(Connection()) if tells else scope("POST", PATH, JSON)
    messages = asyncio.Queue()
    made, loop = [], asyncio.get_running_loop()

    def factory(loop, coroutine, **keywords):
        made.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **keywords)

    messages.put_nowait(await body())
    await gateway(asked, messages.get, ignore)
    messages.put_nowait(await body())
    loop.set_task_factory(factory)
    try:
        await gateway(asked, messages.get, ignore)
    finally:
        loop.set_task_factory(None)
    ours = [name for name in made if not name.startswith("Coalescer.")]  # the request that several calls may share
    assert len(ours) == expected, made
