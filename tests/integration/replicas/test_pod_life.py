"""The life of the chart's pods, rehearsed with processes: the command, the probes and the end that the manifest has.

No cluster is here: the callers know four addresses and forget none, which is harder than a Service, and the kubelet is
a thread of `pods.Pod`.
"""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from gateways import running_gateway
from helm_chart import render, the
from pods import Pod
from steady_load import Load, answered, shares_under, wait_until

pytestmark = (
    pytest.mark.slow
)  # four servers start, a pod sleeps before its end, and a frozen one is noticed after a minute

CALLS = 900
"""Calls whose shares are looked at."""
UNEVEN = 2.0
"""The most that one pod may answer of them for each that another does: a request goes where the fewest are in flight,
and beside other work on the host one pod is faster for a moment."""


@pytest.fixture
def pods(repository):
    """Four pods of the chart; none has begun."""
    spec = the(render({"server": {"exitTimeoutS": 20}}), "Deployment", "encserve-server")["spec"]["template"]["spec"]
    created = [Pod(spec, repository) for _ in range(4)]
    yield created
    with ThreadPoolExecutor() as pool:
        list(pool.map(Pod.close, created))


@contextmanager
def http_callers(address):
    """Two who ask the gateway at an address again and again; what it did not answer with 200 is an error at the end.
    Yields the statuses of its answers."""
    over, statuses = threading.Event(), []

    def ask():
        with httpx.Client(base_url=address, timeout=180) as client:
            while not over.is_set():
                body = {"model": "minilm", "input": f"text {len(statuses)}"}
                statuses.append(client.post("/v1/embeddings", json=body).status_code)

    with ThreadPoolExecutor(2) as pool:
        users = [pool.submit(ask) for _ in range(2)]
        try:
            yield statuses
        finally:
            over.set()
        for each in users:
            each.result()
    assert set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}


def test_no_request_fails_in_the_life_of_a_pod(pods, capsys):
    first, second, third, to_come = pods
    for pod in (first, second, third):
        pod.begin()
    wait_until(lambda: first.ready and second.ready and third.ready)
    addresses = [pod.grpc_url for pod in pods]  # the fourth has nobody there yet
    with (
        running_gateway(",".join(addresses), "--model=minilm", "--timeout-s=120") as gateway,
        http_callers(gateway) as over_http,
        Load(addresses) as load,
    ):
        report = Report(load, over_http, capsys)
        wait_until(lambda: load.check() or min(map(answered, (first, second, third))) >= 20)
        report.begin()
        shares = shares_under(load, (first, second, third), calls=CALLS)
        report.end(f"three pods; shares {shares}")
        assert max(shares) <= UNEVEN * min(shares)

        code, left_s = first.delete()
        report.end(f"one ends: exit code {code}, {left_s:.0f} s of its time left")
        assert (code, first.restarts) == (0, 0)
        assert left_s > 0

        to_come.begin()
        wait_until(lambda: load.check() or to_come.ready)
        shares = shares_under(load, (second, third, to_come), calls=CALLS)
        report.end(f"a fourth comes; shares {shares}")
        assert max(shares) <= UNEVEN * min(shares)

        second.kill()
        wait_until(lambda: load.check() or (second.restarts == 1 and second.ready))
        report.end("one is killed, and started again")

        os.kill(third.server_pid, signal.SIGSTOP)
        wait_until(lambda: load.check() or not answers(third))
        wait_until(lambda: load.check() or answers(third))
        report.end("a server hangs, and its launcher starts another")
        assert third.restarts == 0

        to_come.freeze()
        wait_until(lambda: load.check() or (to_come.restarts == 1 and to_come.ready))
        report.end("a pod freezes, and its probe ends it")

        shares = shares_under(load, (second, third, to_come), calls=CALLS)
        report.end(f"three pods again; shares {shares}")
        assert max(shares) <= UNEVEN * min(shares)


def answers(pod):
    """Whether a pod shows its metrics."""
    try:
        return httpx.get(pod.metrics_url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


class Report:
    """Prints what happened to the calls of each part: how many were answered, and how long the slowest took."""

    def __init__(self, load, over_http, capsys):
        self._load, self._over_http, self._capsys = load, over_http, capsys

    def begin(self):
        """Begin the next part."""
        self._load.slowest_s = 0.0
        self._since_s, self._calls, self._posts = time.monotonic(), self._load.done, len(self._over_http)

    def end(self, what):
        """End a part, and begin the next."""
        self._load.check()
        calls, posts = self._load.done - self._calls, len(self._over_http) - self._posts
        with self._capsys.disabled():
            print(
                f"\n{what}: in {time.monotonic() - self._since_s:.0f} s {calls} calls of the SDK, the slowest "
                f"{self._load.slowest_s:.1f} s, and {posts} over HTTP"
            )
        self.begin()
