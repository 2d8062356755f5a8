"""A request as a route sees it: its method, path and headers."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
"""What a caller may choose as the id of its request; anything else is replaced."""

SLASHES = re.compile("/{2,}")


class Request:
    """The head of one HTTP request, out of the scope of ASGI."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path = path_of(scope["path"])
        """The path with single slashes and none at its end."""
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        """By name in lower case; of one that comes twice, the last."""
        asked = self.headers.get(b"x-request-id", b"")
        self.id = asked if asked and REQUEST_ID.fullmatch(asked) else b"%032x" % random.getrandbits(128)
        """The caller's, or one of ours, which is no secret. It is never the id of a request to Triton: who knows that
        can cancel it."""
        length = self.headers.get(b"content-length", b"")
        self.content_length = int(length) if length.isdigit() else None
        """What the body is said to have in bytes; None where that is not said."""


def path_of(path: str) -> str:
    """A path as the table of routes has it: clients put one slash too many between a base URL and a route."""
    if "//" in path:
        path = SLASHES.sub("/", path)
    return path[:-1] if len(path) > 1 and path.endswith("/") else path
