"""Which pages of other sites may ask, by what browsers send and want to read (the Fetch standard, CORS). None, unless
their origins are named."""

from __future__ import annotations

from collections.abc import Sequence

from encserve_gateway.http.request import Request
from encserve_gateway.http.response import Headers, Response

EXPOSED = (
    "encserve-certificate, encserve-cut-texts, encserve-dropped-count, encserve-model, encserve-token-count, "
    "encserve-version, retry-after, retry-after-ms, server-timing, x-request-id"
)
"""Headers of an answer that a page may read."""

ACCEPTED = "api-key, authorization, content-type, encserve-caller, traceparent, x-api-key, x-request-id"
"""Headers that a page may send."""

PREFLIGHT_S = 600
"""How long a browser may remember what it was told of a route, in seconds."""


def cors_headers(request: Request, origins: Sequence[str]) -> Headers:
    """What lets a page of the request's origin read the answer; empty where it is none of `origins`."""
    origin = request.headers.get(b"origin", b"")
    if not origins or not origin:
        return []
    vary = (b"vary", b"origin")
    if origin.decode("latin-1") not in origins:
        return [vary]
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED.encode()),
        vary,
    ]


def preflight(request: Request, origins: Sequence[str]) -> Response | None:
    """The answer to a browser that asks whether a page may ask; None where it does not, or the page may not."""
    if request.method != "OPTIONS" or b"access-control-request-method" not in request.headers:
        return None
    if request.headers.get(b"origin", b"").decode("latin-1") not in origins:
        return None
    return Response(
        headers=[
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", ACCEPTED.encode()),
            (b"access-control-max-age", b"%d" % PREFLIGHT_S),
        ]
    )
