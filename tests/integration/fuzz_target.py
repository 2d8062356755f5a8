"""The server and the gateway that the fuzzer asks, and what must be true of them whatever they are asked."""

import gc
import os
import re
import ssl
import time
from collections import Counter
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

import numpy as np

from encserve import Client, Retry

GROWTH_MIB = 96
"""Of about a gigabyte: allocators keep some of what they once had."""


class Target:
    """A server and a gateway of these tests alone, what they should answer, and how many cases they have seen."""

    def __init__(self, server, gateway):
        self.server = server
        self.gateway = gateway
        self.key = gateway.new_key("fuzzer")
        self.pids = (server.pid, *server.stub_pids())
        self.client = Client(server.grpc_url, retry=Retry(attempts=1))
        self.expected = self.client.embed(["a good text"], model="minilm").vectors
        self.seen = Counter()
        self.answers = Counter()

    def count(self, kind, answer):
        """Note a case, and look after the server after each hundred."""
        self.answers[kind, answer] += 1
        self.seen[kind] += 1
        if self.seen[kind] % 100 == 0:
            self.check()

    def check(self):
        """A good request is answered correctly, by the processes that were started."""
        vectors = self.client.embed(["a good text"], model="minilm").vectors
        assert np.abs(vectors - self.expected).max() <= 1e-5
        assert (self.server.pid, *self.server.stub_pids()) == self.pids

    def memory_mib(self):
        """Resident memory of all processes of the server."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids)
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Http:
    """One kept connection to the gateway."""

    def __init__(self, target):
        self.target = target
        self.context = ssl.create_default_context(cafile=target.gateway.authority.cert)
        self.connection = None

    def ask(self, method, path, body, headers):
        """(status, answer); a connection that was closed while it was idle is opened again."""
        for _ in range(2):
            if self.connection is None:
                self.connection = HTTPSConnection(
                    "localhost", self.target.gateway.port, context=self.context, timeout=60
                )
            try:
                sent = {"Authorization": f"Bearer {self.target.key}", **headers}
                self.connection.request(method, path, body=body, headers=sent)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (HTTPException, OSError):
                self.close()
        return None, b""

    def close(self):
        """Give the connection back."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None


OF_UNREADABLE_JSON = re.compile(rb"failed to (parse|get)|Unable to parse|attempt to ")
"""How Triton 2.51 words it that JSON is broken, or has something else than it looks for."""


def is_refusal(status, answer):
    """Whether a request was refused as the caller's fault; Triton 2.51 says 500 to JSON that it cannot read."""
    return 400 <= status < 500 or (status == 500 and OF_UNREADABLE_JSON.search(answer) is not None)


def settled(target, before_mib):
    """Whether the memory is back where it was, once the allocators had time."""
    gc.collect()
    for _ in range(200):
        growth_mib = target.memory_mib() - before_mib
        if growth_mib <= GROWTH_MIB:
            break
        target.check()
        time.sleep(0.5)
    print(f"\nmemory grew by {growth_mib:.0f} MiB; answers: {dict(target.answers)}")
    assert growth_mib <= GROWTH_MIB
