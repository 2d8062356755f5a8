"""Calls to several replicas without a pause, and how many each of them answers."""

import asyncio
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from encserve import AsyncClient, Client

PATIENCE_S = 300


def answered(server, model="minilm"):
    """Requests that the network of a server has computed for a pipeline."""
    with urllib.request.urlopen(server.metrics_url) as page:
        lines = page.read().decode().splitlines()
    name = f'nv_inference_request_success{{model="{model}_encode"'
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith(name))


def wait_until(condition):
    """Until it holds. Raises AssertionError after five minutes."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


class Load:
    """Calls about one text, from threads and from tasks, until the block ends. It raises what a call raised."""

    def __init__(self, addresses, model="minilm"):
        self._addresses = addresses
        self._model = model
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(5)
        self.done = 0
        self.slowest_s = 0.0
        """How long the slowest call took, since somebody set this to 0."""

    def __enter__(self):
        self._users = [self._pool.submit(self._threads) for _ in range(4)]
        self._users.append(self._pool.submit(lambda: asyncio.run(self._tasks())))
        return self

    def __exit__(self, *_):
        self._over.set()
        for each in self._users:
            each.result()
        self._pool.shutdown()

    def check(self):
        """Raise what has ended a user by now."""
        for each in self._users:
            if each.done():
                each.result()

    def _threads(self):
        with Client(self._addresses, timeout_s=120) as client:
            while not self._over.is_set():
                since_s = time.monotonic()
                self._count(client.embed([f"text {self.done}"], model=self._model), since_s)

    async def _tasks(self):
        async with AsyncClient(self._addresses, timeout_s=120, coalesce=False) as client:

            async def user():
                while not self._over.is_set():
                    since_s = time.monotonic()
                    self._count(await client.embed([f"text {self.done}"], model=self._model), since_s)

            await asyncio.gather(*(user() for _ in range(4)))

    def _count(self, answer, since_s):
        assert len(answer.vectors) == 1
        self.done += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - since_s)


def shares_under(load, servers, *, calls, model="minilm"):
    """How many of at least so many calls of the load each server answers."""

    def counts():
        return [answered(server, model) for server in servers]

    before = counts()
    wait_until(lambda: load.check() or sum(counts()) >= sum(before) + calls)
    return [now - count for now, count in zip(counts(), before, strict=True)]
