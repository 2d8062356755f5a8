"""What a gateway is told when it starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from encserve import InvalidInput
from encserve_gateway.aliases import Alias
from encserve_gateway.sample_config import SampleConfig

MIB = 1 << 20

ORIGIN = re.compile(r"https?://[^/\s*]+")
"""As browsers write it: a scheme, a host and perhaps a port."""

COLLECTOR = re.compile(r"https?://[^/\s?#]+(/[^\s?#]*)?")
"""An address, perhaps with a path."""


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """The settings of a gateway, checked when they are made."""

    models: tuple[str, ...] = ()
    """The pipelines that are offered; empty: all that are asked for by name, and those that the server lists."""
    aliases: tuple[Alias, ...] = ()
    """Further names."""
    keys: Path | None = None
    """The file of API keys, as `read_keys` has it; without it everybody may ask."""
    vocabulary: Path | None = None
    """The vocabulary of the ids of tokens that OpenAI's clients may send, as `read_vocabulary` has it; without it they
    are refused."""
    origins: tuple[str, ...] = ()
    """The origins of pages that browsers let ask, such as "https://app.example.org"."""
    public_models: bool = False
    """Whether the list of models is told without a key."""
    otlp: str = ""
    """The collector that is told of requests by OTLP over HTTP, such as "http://localhost:4318"; empty for none."""
    trace_request_ids: bool = False
    """Whether it is told the ids of requests, which are free text of callers, and the names of their keys."""
    samples: SampleConfig | None = None
    """Where texts of keys that ask for it are kept; without it no text is."""
    max_body_bytes: int = 32 * MIB
    """Bytes of a request's body at most."""
    body_timeout_s: float = 30.0
    """Seconds in which a body must arrive."""
    max_requests: int = 1_024
    """Requests that a process has in flight at most; further ones are told that it is overloaded."""
    max_texts: int = 2_048
    """Texts of a request at most, as OpenAI has it. The SDK cuts them into requests to the pipeline."""

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "body_timeout_s", "max_requests", "max_texts"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} is {getattr(self, name)}, it must be positive")
        for origin in self.origins:
            if not ORIGIN.fullmatch(origin):
                raise InvalidInput(f"the origin {origin!r} has not the form https://HOST or https://HOST:PORT")
        if self.otlp and not COLLECTOR.fullmatch(self.otlp):
            raise InvalidInput(f"the collector {self.otlp!r} has not the form http://HOST:PORT")
        names = [alias.name for alias in self.aliases]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InvalidInput(f"the alias {twice[0]!r} is given more than once")
        if self.models:
            for alias in self.aliases:
                if alias.pipeline not in self.models:
                    raise InvalidInput(
                        f"the alias {alias.name!r} is of {alias.pipeline!r}, which is not among the models offered: "
                        f"{', '.join(self.models)}"
                    )
