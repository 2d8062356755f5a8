"""Asks an ASGI application in process: one request, its whole answer."""

import asyncio
import json
from dataclasses import dataclass

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def scope(method, path, headers):
    return {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [
            (name.lower().encode(), value if isinstance(value, bytes) else value.encode())
            for name, value in headers.items()
        ],
    }


async def ask(app, method, path, *, body=b"", headers=None, pieces=None, silent_after=False):
    """The answer to a request whose body comes in `pieces`; with `silent_after` its last piece never comes."""
    received = asyncio.Queue()
    pieces = [body] if pieces is None else pieces
    for number, piece in enumerate(pieces):
        more = silent_after or number < len(pieces) - 1
        received.put_nowait({"type": "http.request", "body": piece, "more_body": more})
    sent = []

    async def send(message):
        sent.append(message)

    await app(scope(method, path, headers or {}), received.get, send)
    start, *rest = sent
    return Answered(
        status=start["status"],
        headers={name.decode(): value.decode() for name, value in start["headers"]},
        body=b"".join(message.get("body", b"") for message in rest),
    )


async def post(app, path, value, **headers):
    """POST a value as JSON; keywords are headers, with dashes for underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return await ask(app, "POST", path, body=json.dumps(value).encode(), headers=JSON | named)


async def get(app, path, **headers):
    return await ask(app, "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
