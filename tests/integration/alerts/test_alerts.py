"""The shipped alerts, in a real Prometheus that watches a real server: overload, slow answers and death raise theirs,
and the runbook of the last one ends it.

One server and one Prometheus for all, in this order; the rules are the shipped ones with the durations of a game day.
"""

import asyncio
import os
import shutil
import signal
import time
from contextlib import asynccontextmanager

import pytest
from gameday import runbooks
from gameday.faster_days import shorter_rules
from live_prometheus import prometheus
from serving import copy_version
from supervised import Supervised

from encserve import AsyncClient, Client, Retry, Unavailable
from encserve._cli import main

ONCE = Retry(attempts=1)
PLACES = 1_000
"""Texts that may wait in a lane."""
TEXTS = [f"{number} " + "word " * 300 for number in range(20)]
"""Of a request: as long as the network takes them, so that those of `PLACES` take it seconds."""
PATIENCE_S = 7_200
"""A timeout of which half is longer than all of `PLACES` take on a core that others share: none is refused for it."""
QUIET_S = 8.0
"""Longer than most rules have to hold."""


@pytest.fixture(scope="module")
def models(whole_minilm, tmp_path_factory):
    """The whole of MiniLM, twice: what waits is to take the network seconds."""
    folder = tmp_path_factory.mktemp("watched") / "models"
    shutil.copytree(whole_minilm, folder, ignore=shutil.ignore_patterns(".*", "prompted*"))
    copy_version(folder, "minilm", 1, 2)
    return folder


@pytest.fixture(scope="module")
def server(models):
    """On one core: it has too much to do for as long as an alert waits, and other tests run beside these."""
    cores = os.sched_getaffinity(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENCSERVE_MAX_QUEUED_TEXTS", str(PLACES))
        os.sched_setaffinity(0, {min(cores)})
        try:
            command = Supervised(models)
        finally:
            os.sched_setaffinity(0, cores)
    yield command
    command.stop()


@pytest.fixture(scope="module")
def watching(server, tmp_path_factory):
    executable = shutil.which("prometheus")
    if executable is None:
        pytest.skip("no prometheus on PATH (Debian: apt-get install prometheus)")
    folder, rules = tmp_path_factory.mktemp("prometheus"), shorter_rules("alerts.yml")
    with prometheus(executable, folder, scrapes=[server.metrics_address], rules=rules) as running:
        yield running


@asynccontextmanager
async def callers(url, count):
    """So many who ask again and again, as long as the block lasts; who is refused asks again a little later."""

    async def ask(client):
        while True:
            try:
                await client.embed(TEXTS, model="minilm")
            except Unavailable:
                await asyncio.sleep(0.5)

    async with AsyncClient(url, timeout_s=PATIENCE_S, retry=ONCE, concurrency=count, coalesce=False) as client:
        asking = [asyncio.create_task(ask(client)) for _ in range(count)]
        try:
            yield
        finally:
            for task in asking:
                task.cancel()
            ends = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(end) for end in ends} == {asyncio.CancelledError}, ends


def test_a_server_that_does_its_work_raises_none(server, watching):
    end_s = time.monotonic() + QUIET_S
    with Client(server.url, timeout_s=300) as client:
        while time.monotonic() < end_s:
            client.embed(["a text"], model="minilm")
            time.sleep(0.1)
    assert watching.value("sum(rate(encserve_request_duration_seconds_count[5s]))") > 0
    assert watching.alerts() == set()


async def test_slow_answers_raise_theirs(server, watching):
    """All of them wait, and nobody is refused."""
    before = watching.value("sum(encserve_refused_requests)")
    async with callers(server.url, PLACES * 9 // 10 // len(TEXTS)):
        await asyncio.to_thread(watching.wait_for, "SlowAnswers")
    assert watching.value("sum(encserve_refused_requests)") == before


async def test_overload_raises_its_own(server, watching):
    async with callers(server.url, PLACES * 3 // 2 // len(TEXTS)):
        await asyncio.to_thread(watching.wait_for, "Refusing")


def test_death_raises_its_own(server, watching, models):
    wait_for_restarts(watching, 0)  # without which Prometheus sees no increase
    for starts in (2, 3):
        os.kill(server.step("encode"), signal.SIGKILL)
        server.wait_for_starts(starts)
    watching.wait_for("Restarting")
    wait_for_restarts(watching, 2)  # which nobody tells while the server starts
    promote = ["promote", "minilm", "2", "--url", server.url, "--repository", str(models)]
    assert main(promote) == 0, "which what follows undoes"
    server.stop()
    watching.wait_for("NoServer")


def wait_for_restarts(watching, number):
    deadline_s = time.monotonic() + 120
    while (told := watching.value("max(encserve_restarts)")) != number:
        assert time.monotonic() < deadline_s, f"{told} restarts are told, not {number}"
        time.sleep(0.2)


def test_its_runbook_brings_the_server_back(server, watching, models):
    """As it stands in docs/runbooks.md, word by word; the game day (`make gameday`) does so for each alert."""
    where = ["--url", server.url, "--timeout-s", "5"]
    for command, code in zip(runbooks.commands(runbooks.sections()[runbooks.FIRST])[:2], (1, 1), strict=True):
        assert main([*runbooks.filled(command)[1:], *where]) == code, command
    (rollback,) = runbooks.commands(runbooks.sections()["NoServer"])
    words = runbooks.filled(rollback, NAME="minilm")
    assert main([*words[1:], *where, "--repository", str(models)]) == 0, rollback
    again = Supervised(models, ports=server.ports)
    try:
        with Client(server.url, timeout_s=60) as client:
            assert client.embed(["a text"], model="minilm").version == "1"
        watching.wait_until_over("NoServer")
    finally:
        again.stop()
