"""Which requests are traced, and the ids by which the spans of one request are told.

The steps of a pipeline are processes of their own that share nothing of a request but its id and its parameters. Each
decides by these alone, and so all decide alike: a request whose caller records it is traced, and of those without a
caller's trace a share, by a hash of their id. The same hash gives the trace its id, and the span of the whole request,
under which each step puts its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from ..request.traceparent import parent_in

_CHOICES = 2**64


@dataclass(frozen=True)
class Context:
    """A request that is traced."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """That of the whole request in the pipeline, 16 hexadecimal digits."""
    parent_id: str
    """The span of the caller; empty where the trace begins here."""


class Sampler:
    """Decides which requests are traced.

    Args:
        share: Of the requests without a trace of their caller's, from 0 to 1.
        salt: What the steps of one server share, and nobody else knows: who sees spans learns nothing of the ids of
            requests, and ids that callers give twice name other traces after the next start.
    """

    def __init__(self, share: float, salt: bytes) -> None:
        self._below = round(share * _CHOICES)
        self._salt = salt

    def context(self, traceparent: object, request_id: str) -> Context | None:
        """Return the context of a request with a parameter `traceparent`, or None, and an id, or ""; None where it is
        not to be traced. A request with neither is not: nothing tells its steps that it is the same."""
        parent = parent_in(traceparent)
        if parent is not None:
            if not parent.sampled:
                return None
            digest = self._digest(f"{traceparent} {request_id}")
            return Context(parent.trace_id, digest[48:], parent.span_id)
        if not (self._below and request_id):
            return None
        digest = self._digest(request_id)
        return Context(digest[16:48], digest[48:], "") if int(digest[:16], 16) < self._below else None

    def _digest(self, text: str) -> str:
        """Return 64 hexadecimal digits."""
        return blake2b(text.encode("utf-8", "replace"), digest_size=32, key=self._salt).hexdigest()


def server_salt() -> bytes:
    """Return 32 bytes that are the same in every process whose parent is this one's, the server, and in no other: by
    the kernel's random id of this boot, and when that parent began."""
    parent = os.getppid()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    began = Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[19]  # clock ticks since the boot
    return blake2b(f"{boot} {parent} {began}".encode(), digest_size=32).digest()
