"""The gateway as an ASGI application: what happens to every request, whatever it asks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

from encserve import AsyncClient
from encserve_gateway.bodies.fields import Fields
from encserve_gateway.config import GatewayConfig
from encserve_gateway.dialects.table import DIALECTS
from encserve_gateway.exchange import Exchange, Services
from encserve_gateway.faults import Fault, Kind, place_of
from encserve_gateway.http.body import parse_object, read_body
from encserve_gateway.http.connection import Gone, unless_gone
from encserve_gateway.http.cors import cors_headers, preflight
from encserve_gateway.http.request import Receive, Request, Scope, Send
from encserve_gateway.http.response import Response, send_response
from encserve_gateway.http.stream import Stream, begin_stream, end_stream, send_event
from encserve_gateway.http.time_limit import TimeLimit
from encserve_gateway.keys import Keys
from encserve_gateway.observation.metrics import Metrics
from encserve_gateway.observation.tracing import Traces
from encserve_gateway.pipelines.health import Health
from encserve_gateway.pipelines.upstream import Upstream
from encserve_gateway.routes import Choice, Route, Router
from encserve_gateway.samples.samples import Samples
from encserve_gateway.shadow.counts import Counts
from encserve_gateway.shadow.shadow import Shadow

LOG = logging.getLogger("encserve.gateway")


class Gateway:
    """An ASGI 3 application. Any server of such can run it; `encserve gateway` does it with uvicorn.

    Args:
        connect: makes the client of the pipelines, in the event loop in which the application runs.
        config: limits and names.
        connect_once: makes the client of candidates, which asks each question once.
    """

    def __init__(
        self,
        connect: Callable[[], AsyncClient],
        config: GatewayConfig | None = None,
        *,
        connect_once: Callable[[], AsyncClient] | None = None,
    ) -> None:
        self.config = config or GatewayConfig()
        self.router = Router(DIALECTS)
        self.metrics = Metrics()
        upstream = Upstream(connect, self.config)
        self.services = Services(
            config=self.config,
            upstream=upstream,
            metrics=self.metrics,
            traces=Traces(self.config.otlp, request_ids=self.config.trace_request_ids),
            keys=Keys(self.config.keys, may_log=self.config.samples is not None),
            health=Health(upstream),
            shadow=Shadow(connect_once or connect, Counts(self.metrics.registry)),
            samples=Samples(self.config.samples, connect_once or connect, self.metrics.registry),
            started_unix_s=int(time.time()),
        )
        self._body_limit = TimeLimit(self.config.body_timeout_s)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of ASGI."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003, "reason": "this is HTTP only"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.services.samples.begin()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.services.shadow.close()
        await self.services.samples.close()
        await self.services.upstream.close()
        await asyncio.to_thread(self.services.traces.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(request=Request(scope), services=self.services, dialect=self.router.strangers)
        admitted = 0
        try:
            try:
                response = preflight(exchange.request, self.config.origins)
                if response is None:
                    choice = self._choose(exchange)
                    admitted = self._admit(choice.routes[0][1])
                    response = await self._respond(exchange, choice, receive)
            except Exception as error:
                response = self._refusal(exchange, error)
            response.headers += exchange.headers()
            if self.config.origins:
                response.headers += cors_headers(exchange.request, self.config.origins)
            if isinstance(response, Stream):
                await self._send_stream(exchange, response, receive, send)
                return
            self._count(exchange, response)
            self.services.traces.end(exchange, code=response.status)
            await send_response(send, receive, response, with_body=exchange.request.method != "HEAD")
        except Gone:
            self.metrics.left()
            self.services.traces.end(exchange, code=0, reason="gone")
        finally:  # not before the answer is sent: one that is read slowly takes memory
            self._in_flight -= admitted
            self.metrics.in_flight.dec(admitted)

    def _choose(self, exchange: Exchange) -> Choice:
        """The routes of a request, if it has a key for them. Raises Fault."""
        choice = self.router.choose(exchange.request.method, exchange.request.path)
        exchange.dialect, route = choice.routes[0]
        exchange.path, exchange.parameters, exchange.is_light = route.path, choice.parameters, route.is_light
        if route.wants_key(self.config):
            exchange.key = self.services.keys.admit(exchange.request)
        if not route.is_light:
            self.services.traces.begin(exchange)
        return choice

    def _admit(self, route: Route) -> int:
        """Take a place for a request that needs one; how many that are. Raises Fault."""
        if route.is_light:
            return 0
        if self._in_flight >= self.config.max_requests:
            raise Fault(Kind.OVERLOADED, f"{self._in_flight} requests are in flight, the limit")
        self._in_flight += 1
        self.metrics.in_flight.inc()
        return 1

    async def _respond(self, exchange: Exchange, choice: Choice, receive: Receive) -> Response:
        _, route = choice.routes[0]
        if route.method != "POST":
            return await route.endpoint(exchange)
        body = await self._body(exchange, receive)
        exchange.fields = Fields(parse_object(body))
        exchange.dialect, route = choice.of_body(exchange.fields)
        return await unless_gone(route.endpoint(exchange), exchange.request.scope, receive)

    async def _send_stream(self, exchange: Exchange, response: Stream, receive: Receive, send: Send) -> None:
        """Send an answer event by event; what makes it is given up when the caller goes away. Raises Gone."""

        async def send_all() -> None:
            await begin_stream(send, response)
            async for event in self._events(exchange, response):
                await send_event(send, response, event)

        try:
            await unless_gone(send_all(), exchange.request.scope, receive)
        finally:
            await response.events.aclose()
        self._count(exchange, response)
        self.services.traces.end(exchange, code=response.status)
        await end_stream(send)

    async def _events(self, exchange: Exchange, response: Stream) -> AsyncIterator[bytes]:
        """The events of an answer. What goes wrong after its beginning is the last one: its status is sent already, and
        counted is that of the fault."""
        try:
            async for event in response.events:
                yield event
        except Exception as error:
            fault = error if isinstance(error, Fault) else _fault_of_ours(error, exchange)
            self.metrics.refused(fault.kind.word)
            _log(fault, exchange)
            response.status = fault.kind.status
            yield response.failed(fault)

    def _refusal(self, exchange: Exchange, error: Exception) -> Response:
        """What a caller is told of an error. Raises Gone where there is no caller any more."""
        if isinstance(error, Gone):
            raise error
        fault = error if isinstance(error, Fault) else _fault_of_ours(error, exchange)
        self.metrics.refused(fault.kind.word)
        response = exchange.dialect.error(fault)
        response.headers += fault.headers
        if exchange.request.method not in ("GET", "HEAD") and not exchange.is_read:
            response.headers.append((b"connection", b"close"))  # the rest of the body is not wanted
            response.is_early = fault.kind is not Kind.TOO_SLOW
        _log(fault, exchange)
        return response

    def _count(self, exchange: Exchange, response: Response) -> None:
        seconds = time.perf_counter() - exchange.begun_s
        self.metrics.answered(exchange, code=response.status, seconds=seconds, sent_bytes=response.size)
        self.services.samples.offer(exchange, code=response.status)

    async def _body(self, exchange: Exchange, receive: Receive) -> bytes:
        try:
            body = await read_body(
                exchange.request,
                receive,
                max_bytes=self.config.max_body_bytes,
                limit=self._body_limit,
            )
        finally:
            exchange.read_s = time.perf_counter() - exchange.begun_s
        exchange.is_read = True
        return body


def _fault_of_ours(error: Exception, exchange: Exchange) -> Fault:
    # Neither its words nor its values: they may have a text of a caller.
    LOG.error(
        "request %s: %s at %s", exchange.request.id.decode(), type(error).__name__, place_of(error), exc_info=False
    )
    return Fault(Kind.BROKEN, "the gateway failed on this request; the fault is its own")


def _log(fault: Fault, exchange: Exchange) -> None:
    """Tell operators of what is not the caller's mistake. A fault has no text of a caller in it, nor has its cause."""
    if fault.kind.status < 500:
        return
    cause = f": {fault.__cause__}" if fault.__cause__ is not None else ""
    LOG.warning("request %s: %s%s", exchange.request.id.decode(), fault.message, cause)
