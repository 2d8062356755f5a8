"""What the tests of the verbs share: a server that answers from the texts of a request, asked through both clients."""

import asyncio

import numpy as np
import pytest

from encserve import AsyncClient, Client
from encserve.testing import AsyncFakeTransport, FakeTransport


class Server:
    """Answers each request from its texts, and keeps the requests."""

    def __init__(self, answer):
        self.requests = []
        self._answer = answer

    def __call__(self, request):
        self.requests.append(request)
        rows = len(request.inputs.get("text_pair", request.inputs["text"]))
        counts = {
            "token_count": np.arange(2, 2 + rows, dtype=np.int32)[None],
            "dropped_count": np.zeros((1, rows), np.int32),
        }
        return {**counts, **self._answer(request)}


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def ask(request):
    """ask(pipeline, answer, verb, ...): the verb's result and the requests that were sent."""

    def call(pipeline, answer, verb, *args, settings=(), **options):
        server = Server(answer)
        settings = {"texts_per_request": 2, "concurrency": 1, **dict(settings)}

        async def wait():
            async with AsyncClient(transport=AsyncFakeTransport(server, pipelines=[pipeline]), **settings) as client:
                return await getattr(client, verb)(*args, model="fake", **options)

        if request.param:
            return asyncio.run(wait()), server.requests
        with Client(transport=FakeTransport(server, pipelines=[pipeline]), **settings) as client:
            return getattr(client, verb)(*args, model="fake", **options), server.requests

    return call


def texts_of(request, name="text"):
    return [text.decode() for text in request.inputs[name]]
