"""What the protocol adds to uvicorn's, before a transport that only notes what is done with it."""

import asyncio
import json

import pytest
from unit.gateway.pipelines import Fake
from uvicorn.protocols.http import httptools_impl
from uvicorn.server import ServerState

from encserve_gateway.config import GatewayConfig
from encserve_gateway.http.protocol import TellingProtocol, lacking
from encserve_gateway.serving import ServingConfig, uvicorn_config


class Noting(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.reads, self.is_closed = True, False

    def pause_reading(self):
        self.reads = False

    def resume_reading(self):
        self.reads = True

    def write(self, data):
        pass

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed


class Slow:
    """A pipeline that answers nobody."""

    def __init__(self):
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, request):
        self.begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.ended.set()
            raise


def connected(application):
    config = uvicorn_config(ServingConfig(port=0), GatewayConfig())
    config.app, config.factory = application, False
    config.load()
    assert config.http_protocol_class is TellingProtocol
    protocol, transport = TellingProtocol(config, ServerState(), {}), Noting()
    protocol.connection_made(transport)
    return protocol, transport


def request(texts):
    body = json.dumps({"input": texts, "model": "embed"}).encode()
    head = "POST /v1/embeddings HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body


@pytest.mark.parametrize("length", [10, 200_000])
async def test_the_end_is_heard_of_after_a_body_that_came_while_it_was_waited_for(length):
    """uvicorn reads no further within a large body until it is asked for more, and nobody asks."""
    slow = Slow()
    protocol, transport = connected(Fake(slow, timeout_s=60).gateway)
    head, body = request(["a" * length])
    protocol.data_received(head)
    for _ in range(5):
        await asyncio.sleep(0)  # until it waits for the body
    protocol.data_received(body)
    await slow.begun.wait()
    assert transport.reads
    protocol.connection_lost(None)
    await slow.ended.wait()


async def test_all_requests_of_a_connection_end_with_it():
    slow = Slow()
    protocol, _ = connected(Fake(slow, timeout_s=60).gateway)
    protocol.data_received(b"".join(request(["a"]) * 2))
    await slow.begun.wait()
    cycles = [protocol.cycle, *protocol._cycles]
    protocol.connection_lost(None)
    await slow.ended.wait()
    assert len(set(map(id, cycles))) == 2
    assert all(cycle.disconnected for cycle in cycles)


@pytest.mark.parametrize("parts", [1, 2], ids=["its head", "the whole of it"])
async def test_the_end_is_heard_of_by_who_sends_the_next_request_while_the_first_is_answered(parts):
    """uvicorn stops reading with the head of a request that has to wait."""
    slow = Slow()
    protocol, transport = connected(Fake(slow, timeout_s=60).gateway)
    protocol.data_received(b"".join(request(["a"])))
    await slow.begun.wait()
    protocol.data_received(b"".join(request(["a"])[:parts]))
    assert transport.reads
    protocol.connection_lost(None)
    await slow.ended.wait()


async def test_who_sends_request_after_request_and_reads_nothing_is_not_read_from():
    """What waits for the answer of another is bounded: one waits, and the next is read once that one is begun."""
    slow = Slow()
    protocol, transport = connected(Fake(slow, timeout_s=60).gateway)
    protocol.data_received(b"".join(request(["a"])))
    await slow.begun.wait()
    protocol.data_received(b"".join(request(["a"])))
    protocol.data_received(b"".join(request(["a"])))
    assert not transport.reads
    protocol.connection_lost(None)
    await slow.ended.wait()


async def test_nothing_more_is_read_while_requests_wait_that_were_sent_before():
    """uvicorn reads on with each answer, and as much as a read brings would be kept for each."""
    protocol, transport = connected(Fake().gateway)
    resumed = []
    transport.resume_reading = lambda: resumed.append(len(protocol.pipeline))
    protocol.data_received(b"GET / HTTP/1.1\r\n\r\n" * 30)
    while protocol.pipeline or not protocol.cycle.response_complete:
        await asyncio.sleep(0)
    assert set(resumed) == {1}


async def test_a_connection_that_closes_with_an_answer_is_not_read_from():
    async def application(scope, receive, send):
        headers = [(b"connection", b"close"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    protocol, transport = connected(application)
    protocol.data_received(b"GET / HTTP/1.1\r\n\r\n")
    protocol.flow.pause_reading()  # as within a large body
    while not transport.is_closed:
        await asyncio.sleep(0)
    assert not transport.reads


async def test_many_requests_in_one_read_cost_as_much_as_their_number(monkeypatch):
    """Anybody can send them, and all other callers would wait meanwhile."""
    looks = 0

    class Counting(httptools_impl.RequestResponseCycle):
        @property
        def response_complete(self):
            nonlocal looks
            looks += 1
            return self._response_complete

        @response_complete.setter
        def response_complete(self, value):
            self._response_complete = value

    monkeypatch.setattr(httptools_impl, "RequestResponseCycle", Counting)
    protocol, _ = connected(Fake().gateway)
    protocol.data_received(b"GET / HTTP/1.1\r\n\r\n" * 3_000)
    assert len(protocol.pipeline) == 2_999
    assert looks < 5 * 3_000


def test_the_uvicorn_that_is_installed_has_what_the_protocol_stands_on():
    assert lacking() == []


@pytest.mark.parametrize(
    ("where", "name", "lacks"),
    [
        ("__init__", "pipeline", "HttpToolsProtocol.pipeline in __init__"),
        ("on_message_begin", "scope", "HttpToolsProtocol.scope in on_message_begin"),
        ("connection_made", "flow", "HttpToolsProtocol.flow in connection_made"),
    ],
)
def test_another_uvicorn_serves_with_its_own_protocol_and_that_is_told(monkeypatch, caplog, where, name, lacks):
    method = getattr(httptools_impl.HttpToolsProtocol, where)
    names = tuple("renamed" if each == name else each for each in method.__code__.co_names)
    changed = type(method)(method.__code__.replace(co_names=names), method.__globals__)
    monkeypatch.setattr(httptools_impl.HttpToolsProtocol, where, changed)
    assert lacking() == [lacks]
    assert uvicorn_config(ServingConfig(port=0), GatewayConfig()).http == "httptools"
    assert lacks in caplog.text
