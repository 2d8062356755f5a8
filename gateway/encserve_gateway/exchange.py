"""One request and what becomes of it: what endpoints are given, and what headers tell of it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from encserve import Answer, AsyncClient, AsyncGeneratedStream, EncserveError, Generations
from encserve_gateway.bodies.fields import Fields
from encserve_gateway.config import GatewayConfig
from encserve_gateway.faults import Fault, Kind, fault_of
from encserve_gateway.http.response import Headers
from encserve_gateway.keys import Keys
from encserve_gateway.observation.tracing import tell
from encserve_gateway.pipelines.upstream import Served, Upstream
from encserve_gateway.record import Record

if TYPE_CHECKING:
    from encserve_gateway.observation.metrics import Metrics
    from encserve_gateway.observation.tracing import Traces
    from encserve_gateway.pipelines.health import Health
    from encserve_gateway.samples.samples import Samples
    from encserve_gateway.shadow.shadow import Shadow

CALLER = b"encserve-caller"
"""The header in which a key that stands for many callers says for whom it asks."""

Part = TypeVar("Part", bound=Answer)

NO_FIELDS = Fields({})
"""Of a request without a body, or before it is there."""

ENDED_EARLY = frozenset({"cancelled", "deadline"})
"""Why a text ended that is not whole."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What all requests of a gateway share."""

    config: GatewayConfig
    upstream: Upstream
    metrics: Metrics
    traces: Traces
    keys: Keys
    health: Health
    shadow: Shadow
    samples: Samples
    started_unix_s: int
    """When the gateway started."""


@dataclass(kw_only=True)
class Exchange(Record):
    """One request on its way."""

    services: Services
    is_read: bool = False
    """Whether its body is there."""
    read_s: float = 0.0
    """Seconds until the body was there, since the beginning."""
    fields: Fields = NO_FIELDS
    """The body."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What stands in the path where the route has a name in braces."""
    is_kept: bool = False
    """Whether it has vectors of one version, about which no other is asked, and which nobody reads as texts."""
    pipeline_s: float = 0.0
    """Seconds that pipelines took."""

    @property
    def caller(self) -> str | None:
        """Who asks, for pipelines with a candidate: whom the header `encserve-caller` names where the key may, else the
        key; None where neither has a name. Raises Fault."""
        named = self.request.headers.get(CALLER, b"") if self.key.callers else b""
        caller = (named and _decoded(named).strip()) or self.key.name
        if not caller.isprintable():
            raise Fault(Kind.INVALID, f"the header {CALLER.decode()} has characters that cannot be printed")
        return caller or None

    async def model(self, task: str) -> Served:
        """What the field `model` means to a route that needs a task. Raises Fault."""
        return await self.named(self.fields.text("model"), task)

    async def named(self, name: str | None, task: str) -> Served:
        """What a name means to a route that needs a task; for no name the first that the key may ask. Raises Fault."""
        self.served = await self.services.upstream.named(name, task, allowed=self.key.may_ask)
        return self.served

    async def any(self, name: str | None) -> Served:
        """What a name means, whatever its task; for no name the first that the key may ask. Raises Fault."""
        upstream = self.services.upstream
        if name:
            self.served = await upstream.any(name, allowed=self.key.may_ask)
        else:
            self.served = await upstream.first(allowed=self.key.may_ask)
        return self.served

    async def all(self) -> list[Served]:
        """All names that the key may ask. Raises Fault."""
        return [served for served in await self.services.upstream.all() if self.key.may_ask(served.name)]

    def about(self, *texts: str | Sequence[str] | None) -> None:
        """Note what a pipeline is asked about, where the key asks for a share of that to be kept."""
        if self.key.log_share and not self.is_kept:
            for each in texts:
                self.asked += [each] if isinstance(each, str) else each or ()

    async def answer(self, ask: Callable[[AsyncClient, dict[str, Any]], Awaitable[Part]]) -> Part:
        """The answer to a question, which `ask` asks of a client, with keywords that say how. Raises Fault."""
        begun_s = time.perf_counter()
        how = self._how()
        with self.services.traces.asking(self) as span:
            try:
                answer = await ask(self.services.upstream.client, how)
            except EncserveError as error:
                raise self._fault_of(error) from error
            finally:
                self.pipeline_s += time.perf_counter() - begun_s
            self._count(answer)
            tell(span, answer)
            if not is_finite(answer):
                raise Fault(Kind.BROKEN, "the answer of the pipeline has a number that is not finite")
        if self.served and not self.is_kept:
            self.services.shadow.offer(self.served.pipeline, ask, answer, time.perf_counter() - begun_s)
        return answer

    async def parts(
        self, ask: Callable[[AsyncClient, dict[str, Any]], AsyncGeneratedStream]
    ) -> AsyncGenerator[Generations, None]:
        """The parts of the answer to a question about one text, as they come. Who closes this before the last wants no
        more, and the pipeline makes no more. Raises Fault."""
        how = self._how()
        with self.services.traces.asking(self) as span:
            try:
                stream = ask(self.services.upstream.client, how)
            except EncserveError as error:
                raise self._fault_of(error) from error
            try:
                while (part := await self._next(stream)) is not None:
                    if self.last is None:
                        self._count(part)  # of the text; what is made of it is told by each part anew
                    self.last = part
                    yield part
                if stream.finish in ENDED_EARLY:
                    raise Fault(Kind.LATE, "the text ended by its time, and is not whole")
            finally:
                await stream.close()
            if stream.last is not None:
                tell(span, stream.last)

    async def _next(self, stream: AsyncGeneratedStream) -> Generations | None:
        """The next part of a stream; None after the last. Raises Fault."""
        begun_s = time.perf_counter()
        try:
            await anext(stream)
        except StopAsyncIteration:
            return None
        except EncserveError as error:
            raise self._fault_of(error) from error
        finally:
            self.pipeline_s += time.perf_counter() - begun_s
        return stream.last

    def _how(self) -> dict[str, Any]:
        """For whom and how a pipeline is asked. Raises Fault."""
        how: dict[str, Any] = {"caller": self.caller}
        if self.key.lane:
            how["priority"] = self.key.lane
        return how

    def _fault_of(self, error: EncserveError) -> Fault:
        return fault_of(error, model=self.served.name if self.served else "")

    def _count(self, answer: Answer) -> None:
        self.last = answer
        self.texts += len(answer)
        self.tokens += sum(answer.token_counts.tolist())  # of a few dozen numbers, for which numpy takes thrice as long
        if cut := np.count_nonzero(answer.dropped_counts):
            self.cut_texts += cut
            self.dropped_tokens += int(answer.dropped_counts.sum())

    def headers(self) -> Headers:
        """What every response tells: the id of the request, who answered, what was cut, how long it took."""
        headers: Headers = [(b"x-request-id", self.request.id)]
        if self.last is not None:
            headers += _answered_by(self.last.model, self.last.version, self.last.certificate)
            headers += [
                (b"encserve-token-count", b"%d" % self.tokens),
                (b"encserve-dropped-count", b"%d" % self.dropped_tokens),
                (b"encserve-cut-texts", b"%d" % self.cut_texts),
            ]
        total_s = time.perf_counter() - self.begun_s
        headers.append((b"server-timing", TIMING % (self.read_s * 1e3, self.pipeline_s * 1e3, total_s * 1e3)))
        return headers


TIMING = b"read;dur=%.2f, pipeline;dur=%.2f, total;dur=%.2f"
"""The header `server-timing`: milliseconds until the body was there, of pipelines, and in all."""


@lru_cache(maxsize=1_024)
def _answered_by(model: str, version: str, certificate: str) -> Headers:
    """What headers tell of who answered."""
    return [
        (b"encserve-model", model.encode()),
        (b"encserve-version", version.encode()),
        (b"encserve-certificate", certificate.encode()),
    ]


def _decoded(header: bytes) -> str:
    """The text of a header, in either of the alphabets in which clients write what is not ASCII."""
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")


ARRAYS = (np.ndarray, list)
"""The types of what may have numbers in an answer."""


def is_finite(answer: Answer) -> bool:
    """Whether all numbers of an answer are."""
    return all(_is_finite(value) for value in vars(answer).values() if isinstance(value, ARRAYS))


def _is_finite(value: NDArray[Any] | list[Any]) -> bool:
    if isinstance(value, list):
        return all(_is_finite(each) for each in value if isinstance(each, np.ndarray))
    return value.dtype.kind != "f" or bool(np.logical_and.reduce(np.isfinite(value), axis=None))
