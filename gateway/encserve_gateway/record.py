"""What metrics and traces tell of a request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from encserve import Answer
from encserve_gateway.faults import Fault
from encserve_gateway.http.request import Request
from encserve_gateway.http.response import Response
from encserve_gateway.keys import EVERYBODY, Key
from encserve_gateway.pipelines.upstream import Served


@dataclass(frozen=True, kw_only=True)
class Words:
    """How the clients of one interface are spoken to."""

    name: str
    """As metrics have it."""
    error: Callable[[Fault], Response]
    """How it tells what went wrong."""


@dataclass(kw_only=True)
class Record:
    """What is known of one request, from when it came."""

    request: Request
    key: Key = EVERYBODY
    """Who asks."""
    dialect: Words
    """In whose words it is answered: a guess, until the body is known."""
    path: str = "unknown"
    """The path of its route, names in braces and all: what metrics may tell."""
    is_light: bool = False
    """Whether its route is, which no trace tells of."""
    span: Any = None
    """Its span, where spans are told of."""
    trace: Any = None
    """The trace that pipelines are asked in, where there is one: a context of OpenTelemetry."""
    begun_s: float = field(default_factory=time.perf_counter)
    served: Served | None = None
    """What is asked, once that is known."""
    asked: list[str] = field(default_factory=list)
    """The texts that a pipeline answered about. Nothing keeps them but what a key asks to be sampled."""
    last: Answer | None = None
    """What a pipeline answered last."""
    texts: int = 0
    """How many texts were answered."""
    tokens: int = 0
    """Tokens that networks saw."""
    dropped_tokens: int = 0
    """Tokens that were cut."""
    cut_texts: int = 0
    """Texts of which something was cut."""
