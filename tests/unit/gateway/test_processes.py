"""`encserve gateway` as people start it: one process or several, until it is told to stop."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

COMMAND = [sys.executable, "-m", "encserve", "gateway", "--url", "127.0.0.1:1", "--model", "minilm", "--port", "0"]


@contextlib.contextmanager
def started(*options):
    """A gateway before no server, and its address."""
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            first = process.stdout.readline()
            yield process, first.split()[-1] if first else ""
        finally:
            process.kill()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_until_it_is_told_to_stop(workers, number):
    with started("--workers", workers) as (process, url):
        assert [httpx2.get(f"{url}/live", timeout=60).status_code for _ in range(8)] == [200] * 8
        page = httpx2.get(f"{url}/metrics", timeout=60).text
        counted = re.findall(r'requests_total\{code="200",dialect="operation",model="",route="/live"\} (\S+)', page)
        assert counted == ["8.0"]  # those of all processes, whichever of them tells
        process.send_signal(number)
        assert process.wait(60) == 0


def workers_of(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def under_way(url):
    """Requests under way by the metrics; -1 while no worker is there."""
    try:
        page = httpx2.get(f"{url}/metrics", timeout=60).text
    except httpx2.TransportError:
        return -1
    return sum(map(float, re.findall(r"^encserve_gateway_in_flight_requests (\S+)", page, re.MULTILINE)))


def until(what):
    deadline_s = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def ask(url):
    with contextlib.suppress(httpx2.TransportError):  # whoever should answer is killed
        httpx2.post(f"{url}/v1/embeddings", json={"model": "minilm", "input": "a"}, timeout=60)


def test_what_a_worker_had_under_way_is_over_when_it_is_killed():
    with started("--workers", "2") as (process, url), ThreadPoolExecutor() as pool:
        until(lambda: under_way(url) == 0)
        pool.submit(ask, url)
        until(lambda: under_way(url) == 1)
        for pid in workers_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        until(lambda: under_way(url) == 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--allow-anonymous"),
        (["--keys", "/nowhere/keys.json"], "the keys in /nowhere/keys.json cannot be read"),
        (["--token-vocabulary", "/nowhere/x"], "the vocabulary in /nowhere/x cannot be read"),
        (["--alias", "a"], "has not the form"),
        (["--tls-ca", "/nowhere/ca.pem"], "ca_file /nowhere/ca.pem"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_mistake_is_told_before_it_listens(workers, options, said):
    with started("--workers", workers, *options) as (process, url):
        assert process.wait(60) == 2
        assert url == ""
        assert said in process.stderr.read()
