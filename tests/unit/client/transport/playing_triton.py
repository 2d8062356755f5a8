"""A gRPC server in this process that plays Triton, and the two ways to ask it."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from unit.client.conftest import answer

from encserve import (
    AsyncClient,
    Client,
)
from encserve._transport.wire import request_from_proto, response_to_proto
from encserve.testing import fake_pipeline

PROMPT = "prompt"
"""The text that is answered at once."""


class Triton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves one pipeline and one other model. `refusals` are the statuses of the next answers."""

    def __init__(self):
        self.refusals = []
        self.words = "the server's own words"
        self.requests = []
        self.metadata = []  # of each request, what came beside its message
        self.given_up = []
        self.answers_what_is_given_up = True
        self.delay_s = 0.0  # of all requests with another text than PROMPT
        self.admin_secret = ""
        self.api_key = ""
        self.retry_after = ""
        self.release = threading.Event()
        self.cancelled = []  # whether each delayed call ended so
        self.described = []  # the names of models, as they were asked for
        self.describes = threading.Event()  # until it is set, whoever asks what a model is waits
        self.describes.set()

    def _check_key(self, context):
        if self.api_key and ("authorization", f"Bearer {self.api_key}") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no key")

    def ModelInfer(self, proto, context):
        self._check_key(context)
        request = request_from_proto(proto)
        if "cancel" in request.parameters:
            self.given_up.append(request)
            if self.answers_what_is_given_up:
                self.release.set()
            context.abort(grpc.StatusCode.CANCELLED, "given up")
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.delay_s and set(request.inputs["text"]) != {PROMPT.encode()}:
            until_s = time.monotonic() + self.delay_s
            while context.is_active() and time.monotonic() < until_s and not self.release.wait(0.001):
                pass
            self.cancelled.append(not context.is_active())
        if self.refusals:
            if self.retry_after:
                context.set_trailing_metadata((("retry-after", self.retry_after),))
            context.abort(self.refusals.pop(0), self.words)
        tensors = answer([len(text) for text in request.inputs["text"]])
        return response_to_proto(tensors, model=proto.model_name, version="1", request_id=proto.id)

    def ModelConfig(self, proto, context):
        self._check_key(context)
        self.described.append(proto.name)
        self.describes.wait()
        if proto.name not in ("fake", "fake_head"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {proto.name}")
        response = service_pb2.ModelConfigResponse()
        if proto.name == "fake":
            response.config.version_policy.specific.versions.append(1)
            for name, value in fake_pipeline().to_parameters().items():
                response.config.parameters[name].string_value = value
        return response

    def RepositoryIndex(self, proto, context):
        assert proto.ready
        if self.admin_secret and ("triton-grpc-protocol-encserve-admin", self.admin_secret) not in (
            context.invocation_metadata()
        ):
            words = "This protocol is restricted, expecting header 'triton-grpc-protocol-encserve-admin'"
            context.abort(grpc.StatusCode.UNAVAILABLE, words)
        models = [
            service_pb2.RepositoryIndexResponse.ModelIndex(name=name, version="1", state="READY")
            for name in ("fake", "fake_head")
        ]
        return service_pb2.RepositoryIndexResponse(models=models)


@contextmanager
def playing(triton):
    """The address of one."""
    server = grpc.server(ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    triton.release.set()
    triton.describes.set()
    server.stop(None).wait()


def assert_all_given_up(triton):
    """Each request under its own id, with the inputs that its pipeline wants and none of their texts."""
    given_up = {request.parameters["cancel"]: request for request in triton.given_up}
    assert given_up.keys() == {request.request_id for request in triton.requests}
    assert all(request.inputs == {"text": [b""]} for request in given_up.values())
    assert all(request.model == "fake" for request in given_up.values())


def embed(url, texts=("a", "bb"), **settings):
    with Client(url, **settings) as client:
        return client.embed(texts, model="fake")


def embed_async(url, texts=("a", "bb"), **settings):
    async def call():
        async with AsyncClient(url, **settings) as client:
            return await client.embed(texts, model="fake")

    return asyncio.run(call())


both = pytest.mark.parametrize("embed", [embed, embed_async])
