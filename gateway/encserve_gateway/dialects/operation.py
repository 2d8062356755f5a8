"""What operators and their programs ask: health and metrics."""

from __future__ import annotations

from encserve_gateway.config import GatewayConfig
from encserve_gateway.dialects.openai import error_response
from encserve_gateway.exchange import Exchange
from encserve_gateway.http.response import Response, json_response
from encserve_gateway.routes import Dialect, Route

PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


async def health(exchange: Exchange) -> Response:
    """200 where a pipeline lives, however little room it has; 503 where none does."""
    report = await exchange.services.health.report()
    return json_response(report.as_json(), status=200 if report.lives else 503)


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
