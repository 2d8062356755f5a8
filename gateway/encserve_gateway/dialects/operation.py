"""What operators and their programs ask: health and metrics."""

from __future__ import annotations

from collections.abc import Container

from encserve_gateway.config import GatewayConfig
from encserve_gateway.dialects.openai import error_response
from encserve_gateway.exchange import Exchange
from encserve_gateway.faults import Fault
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.pipelines.health import Report
from encserve_gateway.routes import Dialect, Route

PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


async def health(exchange: Exchange) -> Response:
    """200 where a pipeline lives, however little room it has; 503 where none does. How each is stands in it for those
    who may know its name."""
    report = await exchange.services.health.report()
    named = await _named(exchange, report)
    return json_response(report.as_json(named), status=200 if report.lives else 503)


async def _named(exchange: Exchange, report: Report) -> Container[str] | None:
    """The pipelines whose names a caller may know: those behind the names that its key may ask, and all of them where
    there are no keys or the list of models is public; None where it shows no key that is valid."""
    services = exchange.services
    key = services.keys.shown(exchange.request)
    if services.config.public_models or (key is not None and key.models is None):
        return report.pipelines
    if key is None:
        return None
    try:
        return {served.pipeline.name for served in await services.upstream.all() if key.may_ask(served.name)}
    except Fault:  # then nobody knows what the names mean, and the report has no pipelines either
        return ()


async def live(exchange: Exchange) -> Response:
    """200: this process answers, whatever the pipelines do."""
    return json_response({"status": "live"})


async def metrics(exchange: Exchange) -> Response:
    """The numbers of `Metrics`."""
    return Response([exchange.services.metrics.page()], media_type=PROMETHEUS)


def never(config: GatewayConfig) -> bool:
    """What checks of health ask wants no key: balancers have none."""
    return False


OPERATION = Dialect(
    name="operation",
    error=error_response,
    routes=(
        Route(method="GET", path="/health", endpoint=health, is_light=True, wants_key=never),
        Route(method="GET", path="/ping", endpoint=health, is_light=True, wants_key=never),
        Route(method="GET", path="/live", endpoint=live, is_light=True, wants_key=never),
        Route(method="GET", path="/metrics", endpoint=metrics, is_light=True),
    ),
)
