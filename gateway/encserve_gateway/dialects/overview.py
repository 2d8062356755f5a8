"""`GET /`: the pipelines and how they are, as a page that needs nothing else; its status is that of health."""

from __future__ import annotations

from html import escape

from encserve import __version__
from encserve_gateway.dialects.openai import error_response, unless_public
from encserve_gateway.exchange import Exchange
from encserve_gateway.http.response import Response
from encserve_gateway.pipelines.health import Report, State
from encserve_gateway.pipelines.upstream import Served
from encserve_gateway.routes import Dialect, Route

HTML = b"text/html; charset=utf-8"

STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "main{overflow-x:auto}table{border-collapse:collapse}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem 1rem .3rem 0;border-bottom:1px solid #8886}"
)

COLUMNS = ("name", "task", "state", "pipeline", "version", "precision", "engine", "tokens of a text", "certificate")


async def overview(exchange: Exchange) -> Response:
    """The page: 200 where a pipeline lives, 503 where none does."""
    report = await exchange.services.health.report()  # first: a pipeline tells its version with an answer
    served = await exchange.all() if report.lives else []
    body = page(served, report).encode()
    return Response([body], status=200 if report.lives else 503, media_type=HTML)


def page(served: list[Served], report: Report) -> str:
    """The page about these names."""
    head = "".join(f"<th scope=col>{column}</th>" for column in COLUMNS)
    rows = "".join(f"<tr>{_row(each, report)}</tr>" for each in served)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    shown = table if served else "<p>No pipeline answers.</p>"
    links = "".join(f'<li><a href="{path}">{about}</a></li>' for path, about in LINKS.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>encserve gateway</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><main>'
        f"<h1>encserve gateway {escape(__version__)}: {report.state.value}</h1>{shown}<ul>{links}</ul>"
        f"</main></body></html>"
    )


LINKS = {
    "docs": "the routes of encserve, with all options",
    "openapi.json": "their OpenAPI document",
    "health": "how the pipelines are, for programs",
    "metrics": "numbers, for Prometheus",
}


def _row(served: Served, report: Report) -> str:
    pipeline = served.pipeline
    state = report.pipelines.get(pipeline.name, State.SILENT)
    cells = (
        pipeline.task,
        state.value,
        pipeline.name,
        pipeline.version or "not asked yet",
        pipeline.precision,
        pipeline.engine,
        str(pipeline.max_length),
    )
    certificate = f'<td><code title="{escape(pipeline.certificate)}">{escape(pipeline.certificate[:12])}</code></td>'
    named = f"<th scope=row>{escape(served.name)}</th>"
    return named + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + certificate


OVERVIEW = Dialect(
    name="overview",
    error=error_response,
    routes=(Route(method="GET", path="/", endpoint=overview, is_light=True, wants_key=unless_public),),
)
