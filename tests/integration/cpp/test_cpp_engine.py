"""A pipeline whose encode step is a C++ backend's: nothing of ours is in it, and no request may be lost for that.

The backend is not at hand. A step in Python stands in for it that Triton schedules alike (`cpp_stand_in`).
"""

import asyncio
import re
import threading
import time

import pytest
from serving import serve_config
from told_metrics import metric, wait_for_metric

from encserve import AsyncClient, Client, EncserveError, InferenceFailed, Retry, Unavailable
from encserve_server.launcher.server import TritonServer

ONCE = Retry(attempts=1)
TOKENS = 11
"""Of one of the texts, about."""


@pytest.fixture
def start(cpp_repository, tmp_path, monkeypatch):
    """Makes a server whose network does so many tokens a second."""

    def start(tokens_per_s, **options):
        monkeypatch.setenv("STAND_IN_TOKENS_PER_S", str(tokens_per_s))
        monkeypatch.setenv("STAND_IN_FAILS", str(tmp_path / "fails"))
        monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))
        return TritonServer(serve_config(cpp_repository, **options))

    return start


def texts_of(number, size):
    """The texts of a request; none comes twice."""
    return [f"request {number}, text {index}" for index in range(size)]


@pytest.mark.parametrize("moment_s", [0.1, 0.9, 1.5])
async def test_closing_answers_what_is_in_any_step(start, moment_s):
    """Forty requests that take three seconds are on their way when the server is stopped: all that were let in."""
    with start(107 * TOKENS, exit_timeout_s=60) as server:
        async with AsyncClient(server.grpc_url, timeout_s=60, retry=ONCE, concurrency=40) as client:
            await client.embed(["warm"], model="tiny")
            calls = [asyncio.create_task(client.embed(texts_of(n, 8), model="tiny")) for n in range(40)]
            await asyncio.sleep(moment_s)
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.to_thread(stopping.join)
    turned_away = [each for each in outcomes if "lets no new request in" in str(each)]
    answers = [each for each in outcomes if not isinstance(each, BaseException)]
    assert len(answers) + len(turned_away) == 40, outcomes
    assert not turned_away or moment_s < 0.9
    assert all(each.vectors.shape == (8, 32) for each in answers)


async def flood(server, *, count, size, timeout_s):
    """`count` requests at once: seconds until each answer, seconds until each refusal, and other errors."""
    answered, refused, others = [], [], []

    async def ask(client, number):
        began_s = time.monotonic()
        try:
            await client.embed(texts_of(number, size), model="tiny")
            answered.append(time.monotonic() - began_s)
        except Unavailable as error:
            by_us = re.search("work wait before this request|max_queued_texts is", str(error))
            (refused.append(time.monotonic() - began_s) if by_us else others.append(error))
        except EncserveError as error:
            others.append(error)

    async with AsyncClient(server.grpc_url, timeout_s=timeout_s, retry=ONCE, concurrency=count) as client:
        await asyncio.gather(*(ask(client, number) for number in range(count)))
    return answered, refused, others


async def test_what_cannot_be_done_in_time_is_refused_early_and_by_us(start, tmp_path):
    """Four times the work that the network does within the deadline: when its rate is not known yet, and then again."""
    count, size, timeout_s = 300, 32, 25.0
    with start(100 * TOKENS) as server:
        for state in ("cold", "warm"):
            before, done = metric(server, "encserve_refused_requests"), len((tmp_path / "log").read_text().splitlines())
            flood_began_s = time.monotonic()
            answered, refused, others = await flood(server, count=count, size=size, timeout_s=timeout_s)
            assert not others, state
            assert len(answered) + len(refused) == count
            # Shares of the deadline and of the network's own time, since that is what is promised. A stand-in that
            # sleeps until its rate is due leaves the processor to whatever else a busy machine has to do.
            assert max(refused) < timeout_s / 2, state
            batches = [tuple(map(float, line.split())) for line in (tmp_path / "log").read_text().splitlines()][done:]
            busy_s = sum(end_s - began_s for began_s, end_s, _ in batches)
            assert busy_s > 0.9 * (batches[-1][1] - batches[0][0]), f"{state}: the network waited for requests"
            waited_s = batches[0][0] - flood_began_s  # while a busy machine lets the callers send
            assert waited_s + busy_s > 0.4 * timeout_s, f"{state}: a request may wait half of its time"
            wait_for_metric(server, "encserve_refused_requests", before + len(refused))
            assert not metric(server, "encserve_late_requests"), state


def test_the_time_of_an_answer_is_told_beside_a_network_that_knows_nothing_of_it(start):
    """The questions of the launcher, which has asked whether the pipeline answers, are not among them."""
    name, labels = "encserve_request_duration_seconds", {"pipeline": "tiny", "lane": "bulk"}
    with start(100 * TOKENS) as server, Client(server.grpc_url, timeout_s=60) as client:
        began_s = time.monotonic()
        for number in range(3):
            client.embed(texts_of(number, 20), model="tiny", priority="bulk")
        took_s = time.monotonic() - began_s
        wait_for_metric(server, f"{name}_count", 3, **labels)
        assert metric(server, f"{name}_bucket", le="+Inf", **labels) == 3
        assert metric(server, f"{name}_bucket", le="0.01", **labels) == 0  # the stand-in takes its time
        assert 0 < metric(server, f"{name}_sum", **labels) < took_s
        assert metric(server, f"{name}_count", pipeline="tiny") == 3


async def test_a_network_that_fails_stops_nobody_at_the_door(start, tmp_path):
    """What failed is on its way no more: callers learn of the failure, and when it is over they have their answers."""
    with start(400 * TOKENS) as server:
        await flood(server, count=40, size=8, timeout_s=60)
        (tmp_path / "fails").touch()
        answered, refused, others = await flood(server, count=200, size=8, timeout_s=60)
        assert (answered, refused) == ([], [])
        assert all(isinstance(each, InferenceFailed) and "the device is lost" in str(each) for each in others)
        (tmp_path / "fails").unlink()
        answered, refused, others = await flood(server, count=40, size=8, timeout_s=60)
        assert (len(answered), refused, others) == (40, [], [])
