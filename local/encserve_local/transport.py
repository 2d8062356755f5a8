"""The seam of the SDK with a pipeline of this process behind it, in place of a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from encserve import InferenceFailed, InferRequest, InferResponse, ModelNotFound, ServedModel, TransportError
from encserve._pipeline import SERVED_VERSION_KEY

from .certified import CertifiedVersion
from .pipeline import LocalPipeline
from .waiting import Waiting

if TYPE_CHECKING:
    from encserve._transport.seam import ResponseStream


class LocalTransport:
    """A `Transport` that computes.

    Args:
        version: What it computes.
        cores: The most cores that the network gets; None for all that the process may use.

    Raises:
        EncserveError: the pipeline cannot be loaded.
    """

    def __init__(self, version: CertifiedVersion, *, cores: int | None = None) -> None:
        self._version = version
        self.pipeline = LocalPipeline(version, cores=cores)
        self._changing = threading.Lock()
        self._waiting: dict[InferRequest, Waiting] = {}
        self._closed = False

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Compute the answer to one request on the calling thread and those of the network."""
        self._check(request.model, request.model_version)
        with self._asked(request, timeout_s) as waiting:
            return self.pipeline.answer(request, waiting)

    def stream(self, request: InferRequest, *, timeout_s: float) -> ResponseStream:
        """Refuse: no pipeline that is computed here answers piece by piece."""
        raise InferenceFailed("a pipeline in process answers no stream", model=request.model)

    def give_up(self, request: InferRequest) -> None:
        """Have the thread that waits for an answer go on without it; what is not being computed yet never is."""
        with self._changing:
            waiting = self._waiting.get(request)
        if waiting:
            waiting.end(TransportError("the call was given up", model=request.model, request_id=request.request_id))

    def pipeline_config(self, model: str, *, version: str = "", timeout_s: float) -> Mapping[str, str]:
        """The parameters of the pipeline's configuration."""
        self._check(model, version)
        return {SERVED_VERSION_KEY: self._version.info.version, **self._version.parameters}

    def pipelines(self, *, timeout_s: float) -> list[ServedModel]:
        """The one pipeline."""
        info = self._version.info
        return [ServedModel(name=info.name, version=info.version, state="READY")]

    def close(self) -> None:
        """End all requests with `TransportError`, and the threads."""
        with self._changing:
            if self._closed:
                return
            self._closed = True
            waiting = list(self._waiting.values())
        for each in waiting:
            each.end(self._is_closed())
        self.pipeline.close()

    def _check(self, model: str, version: str) -> None:
        info = self._version.info
        if model != info.name or version not in ("", info.version):
            raise ModelNotFound(f"only {info.name!r} version {info.version} is here", model=model, version=version)

    @contextmanager
    def _asked(self, request: InferRequest, timeout_s: float) -> Iterator[Waiting]:
        waiting = Waiting(timeout_s=timeout_s, model=request.model, request_id=request.request_id)
        with self._changing:
            if self._closed:
                raise self._is_closed()
            self._waiting[request] = waiting
        try:
            yield waiting
        finally:
            with self._changing:
                self._waiting.pop(request, None)

    def _is_closed(self) -> TransportError:
        return TransportError("the encoder is closed", model=self._version.info.name)
