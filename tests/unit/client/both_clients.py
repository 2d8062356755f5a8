"""Both clients behind one blocking interface, so that each test runs on both."""

import asyncio
import threading

import numpy as np

from encserve import (
    AsyncClient,
    Client,
    Retry,
)
from encserve.testing import AsyncFakeTransport, FakeTransport, fake_pipeline

SERVED = (fake_pipeline(),)
QUICK = Retry(initial_s=0.001, maximum_s=0.001)


class Sync:
    """Calls of a `Client`."""

    def __init__(self, function, *, pipelines=SERVED, **settings):
        self.client = Client(transport=FakeTransport(function, pipelines=pipelines), **settings)

    def embed(self, texts, **options):
        return self.client.embed(texts, **{"model": "fake"} | options)

    def embed_iter(self, texts, into, **options):
        for part in self.client.embed_iter(texts, **{"model": "fake"} | options):
            into.append(part)

    def models(self):
        return self.client.models()

    def pipeline(self, model):
        return self.client.pipeline(model)

    def close(self):
        self.client.close()


class Async:
    """The same calls of an `AsyncClient`, each in an event loop of its own."""

    def __init__(self, function, *, pipelines=SERVED, **settings):
        self.client = AsyncClient(transport=AsyncFakeTransport(function, pipelines=pipelines), **settings)

    def embed(self, texts, **options):
        return asyncio.run(self.client.embed(texts, **{"model": "fake"} | options))

    def embed_iter(self, texts, into, **options):
        async def collect():
            async for part in self.client.embed_iter(texts, **{"model": "fake"} | options):
                into.append(part)

        asyncio.run(collect())

    def models(self):
        return asyncio.run(self.client.models())

    def pipeline(self, model):
        return asyncio.run(self.client.pipeline(model))

    def close(self):
        asyncio.run(self.client.close())


def threads_of_clients():
    return {thread for thread in threading.enumerate() if thread.name.startswith("encserve")}


def assert_ended(threads):
    """Threads end soon after their client was closed."""
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def lengths(embeddings):
    assert embeddings.vectors.dtype == np.float32
    assert embeddings.token_counts.dtype == embeddings.dropped_counts.dtype == np.int32
    return embeddings.vectors[:, 0].tolist()
