"""An answer that is sent event by event while it is made: server-sent events, as the HTML standard has them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from encserve_gateway.faults import Fault
from encserve_gateway.http.request import Send
from encserve_gateway.http.response import Response

EVENT_STREAM = b"text/event-stream; charset=utf-8"


@dataclass(kw_only=True)
class Stream(Response):
    """One answer over HTTP whose end is not there when it begins."""

    events: AsyncGenerator[bytes, None]
    """The events. They are closed where the caller goes away."""
    failed: Callable[[Fault], bytes]
    """The event that tells what went wrong after the beginning."""
    media_type: bytes = EVENT_STREAM
    sent_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes of the events that were sent."""
        return self.sent_bytes


def event(value: Any) -> bytes:
    """An event of JSON."""
    return b"data: " + orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n\n"


async def begin_stream(send: Send, response: Stream) -> None:
    """Send the head. Proxies and browsers are told to keep nothing back."""
    headers = [
        (b"content-type", response.media_type),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        *response.headers,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


async def send_event(send: Send, response: Stream, content: bytes) -> None:
    """Send an event; it waits for a caller who reads slowly."""
    response.sent_bytes += len(content)
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def end_stream(send: Send) -> None:
    """Send that nothing more comes."""
    await send({"type": "http.response.body", "body": b""})
