"""What `Client` does about the network. `AsyncConnection` is the same with `await`."""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from functools import partial
from typing import TypeVar

from encserve._call import Call
from encserve._grpc import GrpcTransport
from encserve._messages import InferRequest
from encserve._pipeline import PipelineInfo, is_pipeline
from encserve._results import Part
from encserve._retry import Retry, attempt
from encserve._settings import DEFAULT_URL, Settings
from encserve._split import Chunk
from encserve._tls import Tls
from encserve._transport import Transport
from encserve._window import in_order

T = TypeVar("T")


class Connection:
    """The requests of a client: pipelined, retried, and each version of a pipeline asked once what it is."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = 30.0,
        retry: Retry = Retry(),  # noqa: B008 - it is frozen
        concurrency: int = 4,
        texts_per_request: int = 64,
        tls: Tls | None = None,
        api_key: str | None = None,
        admin_secret: str | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._settings = Settings(
            timeout_s=timeout_s, retry=retry, concurrency=concurrency, texts_per_request=texts_per_request
        )
        if transport is None:
            transport = GrpcTransport(url, tls=tls, api_key=api_key, admin_secret=admin_secret)
        self._transport = transport
        self._pipelines: dict[tuple[str, str], PipelineInfo] = {}
        self._under_way: set[InferRequest] = set()

    def models(self, *, timeout_s: float | None = None) -> list[PipelineInfo]:
        """The pipelines of encserve that the server is ready to serve; other models are left out.

        Raises:
            AccessDenied: the server lists its models for operators only, and `admin_secret` is missing or wrong.
            Unavailable: the server was down or overloaded, and stayed so through all retries.
            DeadlineExceeded: a request was not answered in time.
            ContractError: a pipeline speaks another version of the contract, or its configuration is malformed.
        """
        timeout_s = self._settings.timeout_or_default(timeout_s)
        pipelines = []
        for model in self._retried(lambda left_s: self._transport.pipelines(timeout_s=left_s), timeout_s):
            parameters = self._parameters(model.name, model.version, timeout_s)
            if is_pipeline(parameters):
                pipelines.append(PipelineInfo.from_parameters(model.name, parameters, version=model.version))
        return pipelines

    def close(self) -> None:
        """Close the connection. Calls that are under way end with `TransportError`."""
        self._give_up(list(self._under_way))
        self._transport.close()

    def _give_up(self, requests: Iterable[InferRequest]) -> None:
        for request in requests:
            self._transport.give_up(request)

    def _whole(self, call: Call[Part]) -> Part:
        gathered = call.gather()
        with closing(self._parts(call)) as parts:
            for part in parts:
                gathered.put(part)
        return gathered.whole or call.nothing(self._pipeline(call.model, "", call.timeout_s))

    def _parts(self, call: Call[Part]) -> Generator[Part, None, None]:
        pipeline = self._pipeline(call.model, "", call.timeout_s)
        chunks = call.chunks(pipeline, texts_per_request=self._settings.texts_per_request)
        parts = in_order(
            partial(self._part, call),
            chunks,
            concurrency=self._settings.concurrency,
            stop=lambda: self._give_up([request for request in list(self._under_way) if call.has(request)]),
        )
        with call.tally() as tally, closing(parts):
            for part in parts:
                tally.add(part)
                yield part

    def _part(self, call: Call[Part], chunk: Chunk) -> Part:
        request = call.request(chunk)
        self._under_way.add(request)
        try:
            response = self._retried(lambda left_s: self._transport.infer(request, timeout_s=left_s), call.timeout_s)
        except KeyboardInterrupt:
            self._transport.give_up(request)
            raise
        finally:
            self._under_way.discard(request)
        return call.part(response, chunk, self._pipeline(call.model, response.version, call.timeout_s))

    def _pipeline(self, model: str, version: str, timeout_s: float) -> PipelineInfo:
        """What the pipeline says of itself, asked once per version. An empty version is the one last heard of."""
        pipeline = self._pipelines.get((model, version))
        if pipeline is None:
            parameters = self._parameters(model, version, timeout_s)
            pipeline = PipelineInfo.from_parameters(model, parameters, version=version)
            self._pipelines[model, version] = self._pipelines[model, ""] = pipeline
        return pipeline

    def _parameters(self, model: str, version: str, timeout_s: float) -> Mapping[str, str]:
        return self._retried(
            lambda left_s: self._transport.pipeline_config(model, version=version, timeout_s=left_s), timeout_s
        )

    def _retried(self, call: Callable[[float], T], timeout_s: float) -> T:
        return attempt(call, self._settings.schedule(timeout_s))
