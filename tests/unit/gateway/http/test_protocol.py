"""What the protocol adds to uvicorn's, before a transport that only notes what is done with it."""

import asyncio
import json

import pytest
from unit.gateway.pipelines import Fake
from uvicorn.server import ServerState

from encserve_gateway.config import GatewayConfig
from encserve_gateway.http.protocol import TellingProtocol
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


async def test_who_sends_request_after_request_and_reads_nothing_is_not_read_from():
    """What waits for the answer of another is bounded: the next is read once that one is begun."""
    slow = Slow()
    protocol, transport = connected(Fake(slow, timeout_s=60).gateway)
    protocol.data_received(b"".join(request(["a"])))
    await slow.begun.wait()
    protocol.data_received(b"".join(request(["a"])))
    assert not transport.reads
    protocol.connection_lost(None)
    await slow.ended.wait()
