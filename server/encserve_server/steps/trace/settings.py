"""What an operator says of traces, in environment variables of the server. `encserve serve --otlp` sets the first
three; the others are OpenTelemetry's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

COLLECTOR_VARIABLE = "ENCSERVE_OTLP"
"""The collector, such as "http://localhost:4318"; nothing is traced where it is empty."""
SHARE_VARIABLE = "ENCSERVE_TRACE_SHARE"
"""The share of the requests without a trace of their caller's that get one, from 0 to 1; `USUAL_SHARE` if empty."""
IDS_VARIABLE = "ENCSERVE_TRACE_REQUEST_IDS"
"""Whether spans have the ids that callers gave their requests, "1" or "0"."""
USUAL_SHARE = 0.01
SERVICE = "encserve"
"""The name of the service, where OTEL_SERVICE_NAME has no other."""
COLLECTOR = re.compile(r"https?://[^/?#@\s]+/?")
"""The form of a collector: scheme, host and port."""
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=[\x20-\x7e\xa0-\xff]*")
"""A header as HTTP can send it, `=` between its name and its value."""


@dataclass(frozen=True, kw_only=True)
class TraceSettings:
    """Where spans go, and of which requests they tell."""

    collector: str
    share: float = USUAL_SHARE
    """The share of the requests without a trace of their caller's that get one."""
    request_ids: bool = False
    """Whether spans have the ids of requests, which are free text of callers."""
    headers: Mapping[str, str]
    """What the collector is sent beside spans, such as a key."""
    resource: Mapping[str, str]
    """Attributes of all spans: what sends them."""


def trace_settings(environment: Mapping[str, str]) -> TraceSettings | None:
    """Return the settings in an environment; None where nothing is traced.

    Raises:
        ValueError: a variable has a value that it cannot have.
    """
    collector = environment.get(COLLECTOR_VARIABLE, "")
    if not collector:
        return None
    if not COLLECTOR.fullmatch(collector):
        raise ValueError(f"{COLLECTOR_VARIABLE} is {collector!r}, expected the form http://HOST:PORT")
    ids = environment.get(IDS_VARIABLE) or "0"
    if ids not in ("0", "1"):
        raise ValueError(f"{IDS_VARIABLE} is {ids!r}, expected 0 or 1")
    service = environment.get("OTEL_SERVICE_NAME") or SERVICE
    return TraceSettings(
        collector=collector.rstrip("/"),
        share=_share(environment.get(SHARE_VARIABLE) or str(USUAL_SHARE)),
        request_ids=ids == "1",
        headers=_headers(environment, "OTEL_EXPORTER_OTLP_HEADERS"),
        resource={"service.name": service, **_pairs(environment, "OTEL_RESOURCE_ATTRIBUTES")},
    )


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{SHARE_VARIABLE} is {text!r}, expected a number from 0 to 1")
    return share


def _headers(environment: Mapping[str, str], variable: str) -> dict[str, str]:
    headers = _pairs(environment, variable, hidden=True)
    for number, (name, value) in enumerate(headers.items()):
        if not _HEADER.fullmatch(f"{name}={value}"):
            raise ValueError(f"header {number} of {variable} has a character that no header of HTTP can have")
    return headers


def _pairs(environment: Mapping[str, str], variable: str, *, hidden: bool = False) -> dict[str, str]:
    """Return what a variable of OpenTelemetry's lists, such as "a=1,b=2". An error shows no value that is `hidden`, as
    keys are."""
    pairs: dict[str, str] = {}
    for pair in filter(None, map(str.strip, environment.get(variable, "").split(","))):
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals):
            shown = "" if hidden else f": {pair!r} has not"
            raise ValueError(f"{variable} is no list of NAME=VALUE with commas between{shown}")
        pairs[name.strip()] = unquote(value.strip())
    return pairs
