"""A pipeline that keeps what it was asked, for calls that share requests."""

import asyncio
from functools import wraps

from unit.client.conftest import answer
from unit.loadtest.virtual_time import run_virtual

from encserve import AsyncClient, InferenceFailed, InvalidInput
from encserve.testing import AsyncFakeTransport, fake_pipeline


class Server:
    """A pipeline that answers after `delay_s`, or when it is let go; row i is the length of text i, three times."""

    def __init__(self, *, delay_s=0.0, held=False):
        self.requests = []
        self.delay_s = delay_s
        self.let_go = asyncio.Event()
        if not held:
            self.let_go.set()

    @property
    def sizes(self):
        return [len(request.inputs["text"]) for request in self.requests]

    async def __call__(self, request):
        self.requests.append(request)
        await asyncio.sleep(self.delay_s)
        await self.let_go.wait()
        texts = request.inputs["text"]
        for row, text in enumerate(texts):
            if text == b"refused":
                raise InvalidInput(f"text {row} is refused", model="fake", status="INVALID_ARGUMENT")
            if text == b"broken":
                failed = InferenceFailed(f"what the network gave for texts [{row}] holds NaN", status="INTERNAL")
                failed.texts = (row,)
                raise failed
        return answer([len(text) for text in texts], int(request.parameters.get("dimensions", 3)))


def connect(server, *, pipeline=None, **settings):
    return AsyncClient(transport=AsyncFakeTransport(server, pipelines=[pipeline or fake_pipeline()]), **settings)


async def warm(client, server):
    """Let the client learn what the pipeline is, so that the calls of a test begin together."""
    await client.embed(["a"], model="fake")
    server.requests.clear()


async def lengths(client, texts, **options):
    result = await client.embed(texts, model="fake", **options)
    assert len(result) == len(texts)
    return result.vectors[:, 0].astype(int).tolist()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def in_virtual_time(test):
    """Run a test in a loop whose clock moves when all wait: what it says of time is so on every machine."""

    @wraps(test)
    def run(**fixtures):
        run_virtual(test(**fixtures))

    return run
