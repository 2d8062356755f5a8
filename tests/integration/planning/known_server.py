"""A gRPC server of known speed: c places, and a service time that is constant to the clock's tick."""

import asyncio
import heapq
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from encserve.testing import fake_pipeline

SERVED = ("fake", "flaky")


class KnownServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """First come, first served, in `servers` places for `service_s` seconds each: M/D/c under Poisson arrivals.

    A request is due when its place has been free for a service time, and waits for that moment. So what a loaded host
    adds to one answer never adds up. The model "flaky" refuses every third request.
    """

    def __init__(self, *, service_s: float, servers: int = 1) -> None:
        self._service_s = service_s
        self._free_at_s = [0.0] * servers
        self._asked = 0

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        models = [{"name": name, "version": "1", "state": "READY"} for name in SERVED]
        return service_pb2.RepositoryIndexResponse(models=models)

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        if request.name not in SERVED:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")
        response = service_pb2.ModelConfigResponse()
        for key, value in fake_pipeline().to_parameters().items():
            response.config.parameters[key].string_value = value
        return response

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        self._asked += request.model_name == "flaky"
        if request.model_name == "flaky" and self._asked % 3 == 0:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the queue is full")
        now_s = asyncio.get_running_loop().time()
        due_s = max(now_s, heapq.heappop(self._free_at_s)) + self._service_s
        heapq.heappush(self._free_at_s, due_s)
        await asyncio.sleep(due_s - now_s)
        return _answer(request)


@contextmanager
def serving_known(server: KnownServer) -> Iterator[str]:
    """The address of `server`, which runs in a thread for as long as the block lasts."""
    ready, address, loop = threading.Event(), [], asyncio.new_event_loop()

    async def serve() -> None:
        transport = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(server, transport)
        address.append(f"127.0.0.1:{transport.add_insecure_port('127.0.0.1:0')}")
        await transport.start()
        ready.set()
        await stop.wait()
        await transport.stop(None)

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _answer(request: Any) -> Any:
    texts = request.inputs[0].shape[1]
    words = np.array([text.count(b" ") + 1 for text in _elements(request.raw_input_contents[0])], np.int32)
    response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
    for name, datatype, array in [
        ("embedding", "FP32", np.ones((1, texts, 3), np.float32)),
        ("token_count", "INT32", words[None] + 2),
        ("dropped_count", "INT32", np.zeros((1, texts), np.int32)),
    ]:
        response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        response.raw_output_contents.append(array.tobytes())
    return response


def _elements(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        yield raw[at + 4 : at + 4 + size]
        at += 4 + size
