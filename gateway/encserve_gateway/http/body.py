"""Reads a body of JSON, within limits: of size, of time, of form."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from encserve_gateway.faults import Fault, Kind
from encserve_gateway.http.connection import Gone
from encserve_gateway.http.request import Receive, Request
from encserve_gateway.http.response import JSON
from encserve_gateway.http.time_limit import TimeLimit


async def read_body(request: Request, receive: Receive, *, max_bytes: int, limit: TimeLimit) -> bytes:
    """The whole body of a request that says it is JSON.

    Raises:
        Fault: `MEDIA_TYPE`, `TOO_LARGE`, `TOO_SLOW`.
        Gone: the caller went away.
    """
    check_media_type(request)
    length = request.content_length
    if length is not None and length > max_bytes:
        raise _too_large(max_bytes)
    try:
        return await limit.wait(_read(receive, max_bytes))
    except asyncio.TimeoutError as error:  # which is another class than TimeoutError in Python 3.10
        raise _too_slow(limit.seconds) from error


def check_media_type(request: Request) -> None:
    """Refuse what is not declared as plain JSON: forms of web pages, and what has to be unpacked. Raises Fault."""
    media_type = request.headers.get(b"content-type", b"")
    if media_type != JSON and media_type.partition(b";")[0].strip().lower() != JSON:
        raise Fault(Kind.MEDIA_TYPE, "the header content-type must be application/json")
    encoding = request.headers.get(b"content-encoding", b"")
    if encoding and encoding.strip().lower() not in (b"identity", b""):
        raise Fault(Kind.MEDIA_TYPE, "the body has a content-encoding; send it as it is")


async def _read(receive: Receive, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises Fault, whose message has nothing of the body."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The words of orjson say what it expected and where, and nothing of what is there.
        raise Fault(Kind.MALFORMED, f"the body is no valid JSON: {error.msg} at byte {error.pos}") from None
    if not isinstance(value, dict):
        raise Fault(Kind.MALFORMED, f"the body is {json_type(value)}, expected an object")
    return value


JSON_TYPES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def json_type(value: object) -> str:
    """What a value is called in JSON."""
    return JSON_TYPES[type(value)]


def _too_large(max_bytes: int) -> Fault:
    return Fault(Kind.TOO_LARGE, f"the body has more than {max_bytes} bytes, the limit")


def _too_slow(timeout_s: float) -> Fault:
    return Fault(Kind.TOO_SLOW, f"the body did not arrive within {timeout_s:g} s, the limit")
