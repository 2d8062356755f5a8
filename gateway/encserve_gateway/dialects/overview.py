"""`GET /`: a page for people, to see how the pipelines are and to try each. Its status is that of health.

The files of the page are in `page/`: they tell nothing about the pipelines, so that they want no key. What they show
they ask at the routes of programs, with the key that a person gives them.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from encserve_gateway.dialects.openai import error_response
from encserve_gateway.dialects.operation import never
from encserve_gateway.exchange import Exchange
from encserve_gateway.http.response import Response
from encserve_gateway.routes import Dialect, Route

FOLDER = Path(__file__).parents[1] / "page"

TYPES = {".html": b"text/html", ".css": b"text/css", ".js": b"text/javascript"}

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What browsers let the page do: run and fetch what this gateway has, and nothing else."""


@cache
def contents(name: str) -> bytes:
    """A file of the page."""
    return (FOLDER / name).read_bytes()


async def file(name: str, exchange: Exchange) -> Response:
    """A file of the page, with what keeps it to itself."""
    headers = [
        (b"content-security-policy", POLICY),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    ]
    media_type = TYPES[Path(name).suffix] + b"; charset=utf-8"
    return Response([contents(name)], media_type=media_type, headers=headers)


async def overview(exchange: Exchange) -> Response:
    """The page: 200 where a pipeline lives, 503 where none does."""
    response = await file("index.html", exchange)
    report = await exchange.services.health.report()
    response.status = 200 if report.lives else 503
    return response


OVERVIEW = Dialect(
    name="overview",
    error=error_response,
    routes=(
        Route(method="GET", path="/", endpoint=overview, is_light=True, wants_key=never),
        *(
            Route(method="GET", path=f"/page/{name}", endpoint=partial(file, name), is_light=True, wants_key=never)
            for name in sorted(each.name for each in FOLDER.iterdir() if each.suffix in (".css", ".js"))
        ),
    ),
)
