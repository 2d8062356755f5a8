"""A response and how it is sent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from encserve_gateway.http.request import Receive, Send

Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"


@dataclass
class Response:
    """One answer over HTTP."""

    blocks: list[bytes] = field(default_factory=list)
    """The body; what is large comes in several blocks, which no one joins."""
    status: int = 200
    media_type: bytes = JSON
    headers: Headers = field(default_factory=list)
    is_early: bool = False
    """Whether the caller may still be sending its request."""

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.blocks))


def json_response(value: Any, *, status: int = 200) -> Response:
    """A response of JSON. Arrays of numpy are lists of numbers in it."""
    return Response([orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)], status)


JOINED_BYTES = 1 << 16
"""Bytes up to which it takes less to join blocks than to send each by itself."""


LINGER_S = 2.0
"""Seconds for which the rest of a request is read whose answer is sent already. A connection that is closed with bytes
unread is reset, and many clients tell their callers of that and not of the answer."""


async def discard_body(receive: Receive) -> None:
    """Read what is left of a body, for `LINGER_S` at most, and keep nothing."""

    async def rest() -> None:
        message = await receive()
        while message["type"] == "http.request" and message.get("more_body", False):
            message = await receive()

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(rest(), LINGER_S)


async def send_response(send: Send, receive: Receive, response: Response, *, with_body: bool = True) -> None:
    """Send it, with its length; of a HEAD request without its body. An early one is over when its request is."""
    headers = [
        (b"content-type", response.media_type),
        (b"content-length", b"%d" % response.size),
        *response.headers,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    blocks = response.blocks if with_body else []
    if response.size <= JOINED_BYTES:
        blocks = [b"".join(blocks)]
    for block in blocks[:-1]:
        await send({"type": "http.response.body", "body": block, "more_body": True})
    last = blocks[-1] if blocks else b""
    if response.is_early:
        await send({"type": "http.response.body", "body": last, "more_body": True})
        await discard_body(receive)
        last = b""
    await send({"type": "http.response.body", "body": last})
