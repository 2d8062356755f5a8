"""How a client sends: checked once, when the client is made."""

from __future__ import annotations

from dataclasses import dataclass

from encserve._conversation.deadline import check_timeout
from encserve._conversation.retry import Retry
from encserve._errors import InvalidInput

TIMEOUT_S = 30.0
RETRY = Retry()
CONCURRENCY = 16
"""Requests that a client has in flight at most in each lane of a pipeline, where it does not say. More bring little,
and others wait for them; docs/performance.md has what was measured."""
TEXTS_PER_REQUEST = 64
"""Texts of a request at most, where a client does not say."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments of both clients; see `Client`."""

    timeout_s: float
    retry: Retry
    concurrency: int
    texts_per_request: int
    caller: str | None = None

    def __post_init__(self) -> None:
        check_timeout(self.timeout_s)
        for name in ("concurrency", "texts_per_request"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}, it must be 1 or more")
        check_caller(self.caller)


def check_caller(caller: object) -> None:
    """Refuse what is no name of a caller. Raises InvalidInput."""
    if caller is None or (isinstance(caller, str) and caller and caller.isprintable()):
        return
    raise InvalidInput(f"caller is {caller!r}, expected a name in printable characters")
