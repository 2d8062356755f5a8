"""A gateway before two real servers, one of which is killed under load: no request of its callers fails."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import numpy as np
from gateways import running_gateway
from serving import serve_config

from encserve_server.launcher.server import TritonServer

PATIENCE_S = 120
USERS = 6


class Load:
    """Callers who ask one text after the other, until the block ends. It raises what a caller met."""

    def __init__(self, url):
        self._url = url
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(USERS)
        self.vectors = []

    def __enter__(self):
        self._users = [self._pool.submit(self._ask) for _ in range(USERS)]
        return self

    def __exit__(self, *_):
        self._over.set()
        for each in self._users:
            each.result()
        self._pool.shutdown()

    def _ask(self):
        with httpx2.Client(timeout=60) as caller:
            while not self._over.is_set():
                answered = caller.post(f"{self._url}/v1/embeddings", json={"model": "minilm", "input": "a text"})
                assert answered.status_code == 200, answered.text
                self.vectors.append(answered.json()["data"][0]["embedding"])

    def wait_for(self, count):
        """Until so many more were answered."""
        until, deadline_s = len(self.vectors) + count, time.monotonic() + PATIENCE_S
        while len(self.vectors) < until:
            assert time.monotonic() < deadline_s
            for each in self._users:
                if each.done():
                    each.result()
            time.sleep(0.02)


def test_no_request_fails_when_one_of_two_servers_is_killed(repository, server):
    """One lives on as that which other tests ask."""
    dying = TritonServer(serve_config(repository, models=("minilm",), exit_timeout_s=5))
    with dying, running_gateway(dying.grpc_url, "--url", server.grpc_url, "--model", "minilm") as url:
        with Load(url) as load:
            load.wait_for(100)
            os.kill(dying.pid, signal.SIGKILL)
            load.wait_for(200)
        assert httpx2.get(f"{url}/health", timeout=60).status_code == 200
    assert np.ptp(np.array(load.vectors), axis=0).max() <= 1e-5  # of other batches
