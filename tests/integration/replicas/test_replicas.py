"""Three real servers behind each client, under load: no call fails when one dies and one comes, and shares are even."""

import asyncio
import os
import signal
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil
from serving import serve_config

from encserve import AsyncClient, Client
from encserve_server.launcher import flags
from encserve_server.launcher.server import TritonServer

PATIENCE_S = 300


def answered(server):
    """Requests that the network of a server has computed."""
    with urllib.request.urlopen(server.metrics_url) as page:
        lines = page.read().decode().splitlines()
    name = 'nv_inference_request_success{model="minilm_encode"'
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith(name))


def wait_until(condition):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


class Load:
    """Calls about one text, from threads and from tasks, until the block ends. It raises what a call raised."""

    def __init__(self, addresses):
        self._addresses = addresses
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(5)
        self.done = 0

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
                self._count(client.embed([f"text {self.done}"], model="minilm"))

    async def _tasks(self):
        async with AsyncClient(self._addresses, timeout_s=120, coalesce=False) as client:

            async def user():
                while not self._over.is_set():
                    self._count(await client.embed([f"text {self.done}"], model="minilm"))

            await asyncio.gather(*(user() for _ in range(4)))

    def _count(self, answer):
        assert answer.vectors.shape == (1, 384)
        self.done += 1


def shares_under(load, servers, *, calls):
    """How many of at least so many calls of the load each server answers."""
    before = [answered(server) for server in servers]
    wait_until(lambda: load.check() or sum(map(answered, servers)) >= sum(before) + calls)
    return [answered(server) - count for server, count in zip(servers, before, strict=True)]


def test_no_call_fails_while_one_of_three_servers_dies_and_one_comes(repository):
    """And the shares of those that are there are even, before and after: all are alike, and none was flooded before."""
    dying, server, third, coming = (
        TritonServer(serve_config(repository, models=("minilm",), exit_timeout_s=5)) for _ in range(4)
    )
    with ExitStack() as stack:
        for each in (dying, server, third):
            stack.enter_context(each)
        with Load([each.grpc_url for each in (dying, server, third, coming)]) as load:
            wait_until(lambda: load.check() or (answered(dying) >= 20 and answered(third) >= 20))
            before = shares_under(load, (dying, server, third), calls=1_200)
            os.kill(dying.pid, signal.SIGKILL)
            stack.enter_context(coming)
            wait_until(lambda: load.check() or answered(coming) >= 50)
            after = shares_under(load, (server, third, coming), calls=1_200)
    # A request goes where the fewest are in flight: a server that is faster for a moment gets more. 1.3 times was seen.
    for shares in (before, after):
        assert max(shares) <= 1.6 * min(shares), (before, after)


def connections_to(port):
    """The local ports from which this process is connected to a port of this host."""
    found = psutil.Process().net_connections("tcp")
    return {each.laddr.port for each in found if each.raddr and each.raddr.port == port}


def test_connections_grow_old_and_no_call_notices(repository, monkeypatch):
    """Or a client that looked a name up once would never find the replicas that came later."""
    monkeypatch.setattr(flags, "CONNECTION_AGE_S", 1)
    config = serve_config(repository, models=("minilm",), exit_timeout_s=5)
    seen = set()
    with TritonServer(config) as server, Load(server.grpc_url) as load:
        wait_until(lambda: load.check() or seen.update(connections_to(config.grpc_port)) or len(seen) >= 20)
        assert server.pid
