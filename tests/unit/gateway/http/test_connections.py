"""What only shows on a connection: bodies that stay away, callers who hang up, connections that are used again."""

import asyncio
import http.client
import json
import socket
import threading
import time

import pytest
from unit.gateway.listening import listening
from unit.gateway.pipelines import Fake

PATH = "/v1/embeddings"
BODY = json.dumps({"input": "a", "model": "embed"}).encode()


@pytest.fixture
def start():
    """Starts gateways; a function that gives the port of each."""
    opened = []

    def started(fake):
        opened.append(listening(fake.gateway))
        return opened[-1].__enter__()

    yield started
    for each in opened:
        each.__exit__(None, None, None)


def head(length, *lines):
    first = [f"POST {PATH} HTTP/1.1", "Host: gateway", "Content-Type: application/json", *lines]
    if length is not None:
        first.append(f"Content-Length: {length}")
    return "\r\n".join([*first, "", ""]).encode()


def answered(sent, port):
    """Everything that comes back for some bytes, until the gateway closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_a_connection_is_used_again(start):
    connection = http.client.HTTPConnection("127.0.0.1", start(Fake()), timeout=20)
    for number in range(20):
        connection.request("POST", PATH, BODY, {"Content-Type": "application/json", "x-request-id": str(number)})
        response = connection.getresponse()
        assert (response.status, response.headers["x-request-id"]) == (200, str(number))
        response.read()
        if number == 0:
            first = connection.sock
    assert connection.sock is first
    connection.close()


@pytest.mark.usefixtures("impatient")
def test_a_body_that_is_too_large_is_not_waited_for(start):
    port = start(Fake(max_body_bytes=1000))
    for sent in (head(10**9), head(None, "Transfer-Encoding: chunked") + b"800\r\n" + b" " * 2048 + b"\r\n"):
        response = answered(sent, port)
        assert response.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in response


def test_who_sends_all_of_a_body_that_is_too_large_is_told(start):
    connection = http.client.HTTPConnection("127.0.0.1", start(Fake(max_body_bytes=1000)), timeout=20)
    connection.request("POST", PATH, b" " * (8 << 20), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 413
    connection.close()


def test_half_a_body(start):
    fake = Fake(body_timeout_s=0.1)
    response = answered(head(1000) + b'{"input":', start(fake))
    assert response.startswith(b"HTTP/1.1 408 ")
    assert fake.number("in_flight_requests") == 0


def test_what_is_no_http(start):
    port = start(Fake())
    assert answered(b"\x16\x03\x01\x02\x00\x01\x00", port).startswith(b"HTTP/1.1 400 ")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/live")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_header_with_a_line_end_is_no_header_of_ours(start):
    response = answered(head(len(BODY), "X-Request-Id: a\x0bb", "Connection: close") + BODY, start(Fake()))
    assert b"a\x0bb" not in response


class Slow:
    """A pipeline that answers nobody, and notes when it is asked and when nobody wants the answer any more."""

    def __init__(self):
        self.begun, self.ended = threading.Event(), threading.Event()

    async def __call__(self, request):
        self.begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.ended.set()
            raise


LARGE = json.dumps({"input": "a" * 200_000, "model": "embed"}).encode()


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["a small question", "a large one"])
def test_a_caller_who_hangs_up_takes_the_question_along(start, body):
    slow = Slow()
    fake = Fake(slow, timeout_s=60)
    with socket.create_connection(("127.0.0.1", start(fake))) as connection:
        connection.sendall(head(len(body)))
        time.sleep(0.2)  # so that the body comes while it is waited for
        connection.sendall(body)
        assert slow.begun.wait(20)
    assert slow.ended.wait(20)
    until_s = time.monotonic() + 20
    while fake.number("left_requests_total") != 1 and time.monotonic() < until_s:
        time.sleep(0.01)
    assert fake.number("left_requests_total") == 1
    assert fake.number("in_flight_requests") == 0


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "once the first is begun"])
def test_whoever_sends_the_next_request_early_and_hangs_up_takes_the_first_along(start, begun):
    """uvicorn by itself would tell the request that came last, which waits for the first, and would read no further."""
    slow = Slow()
    with socket.create_connection(("127.0.0.1", start(Fake(slow, timeout_s=60)))) as connection:
        connection.sendall(head(len(BODY)) + BODY)
        if begun:
            assert slow.begun.wait(20)
        connection.sendall(head(len(BODY)) + BODY)
        assert slow.begun.wait(20)
    assert slow.ended.wait(20)
