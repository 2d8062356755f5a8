"""More work than the server can do: what it refuses, what it drops, and what it still answers. It has the whole of
MiniLM, so that floods find a network that is slower than who asks it."""

import asyncio
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from process_family import exists
from serving import serve_config
from told_metrics import metric, wait_for_metric

from encserve import AsyncClient, Client, DeadlineExceeded, Retry, Unavailable
from encserve_server.launcher.server import TritonServer
from encserve_server.steps.instance.load_page import LoadReader, tokens_in

ONCE = Retry(attempts=1)
TOLD_S = 2
"""Seconds in which a step has told its counts, also on a busy machine: it does that once a second. Each test waits for
it before it begins."""


@contextmanager
def of_short_queues(repository, exit_timeout_s=5):
    """A server whose queues hold 200 texts in each lane."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENCSERVE_MAX_QUEUED_TEXTS", "200")
        with TritonServer(serve_config(repository, models=("minilm",), exit_timeout_s=exit_timeout_s)) as running:
            yield running


@pytest.fixture
def unasked(whole_minilm):
    """A server that nobody has asked; what it asked itself at its start, a text, is counted."""
    with of_short_queues(whole_minilm) as running:
        wait_until(lambda: computed(running) == handed_on(running) >= 1)
        yield running


@pytest.fixture(scope="module")
def flooded(whole_minilm):
    """The server that all others flood, and that the last of them stops while it computes."""
    with of_short_queues(whole_minilm, exit_timeout_s=30) as running:
        yield running, running.pid


@pytest.fixture
def server(flooded, whole_minilm):
    """The server when it has nothing to do, and all that it has done before is counted; a new one where that has ended,
    as for the second try of the test that stops it."""
    running, pid = flooded
    with ExitStack() as stack:
        if not exists(pid):
            running = stack.enter_context(of_short_queues(whole_minilm, exit_timeout_s=30))
        wait_until(lambda: not tokens_in(running.folder))
        counts = None
        while counts != (counts := (computed(running), refused(running), handed_on(running))):
            time.sleep(TOLD_S)
        yield running


def wait_until(holds):
    """Triton counts when it comes to it, and the steps tell their counts once a second."""
    deadline_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def handed_on(server):
    """Requests that the encode step has taken. Triton calls each a success, also what that drops unread."""
    return metric(server, "nv_inference_request_success", model="minilm_encode")


def computed(server):
    """Texts that the network has computed, or begun to."""
    return metric(server, "encserve_encoded_texts", model="minilm_encode")


def refused(server):
    """Requests that the door has refused."""
    return metric(server, "encserve_refused_requests")


def resident_mib(server):
    pids = [server.pid, *server.stub_pids()]
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * 4096 / 2**20


def texts_of(number, size):
    """The texts of a request of a flood; none comes twice, or the encode step would have it already."""
    return [f"{number} of a flood, {time.time_ns()}, {index}" for index in range(size)]


async def flood(url, count, *, timeout_s=60.0, size=20, lane="interactive"):
    """`count` requests at once, none tried again: answers, refusals, and those that came too late."""
    async with AsyncClient(url, timeout_s=timeout_s, retry=ONCE, concurrency=count) as client:
        calls = (client.embed(texts_of(n, size), model="minilm", priority=lane) for n in range(count))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, Unavailable)]
    late = [each for each in outcomes if isinstance(each, DeadlineExceeded)]
    good = {n: each for n, each in enumerate(outcomes) if not isinstance(each, BaseException)}
    assert len(refused) + len(late) + len(good) == count, outcomes
    return good, refused, late


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
async def test_what_is_beyond_the_queue_is_refused_named_and_counted(server, lane):
    before = metric(server, "encserve_refused_requests", lane=lane)
    good, refused, late = await flood(server.grpc_url, 400, lane=lane)
    assert refused
    assert not late
    assert len(good) >= 10  # what the queue holds, at least
    limit = rf"the {lane} queue holds \d+ rows and this request 20; max_queued_texts is 200|{lane} work wait before"
    assert all(re.search(limit, str(error)) for error in refused)
    wait_for_metric(server, "encserve_refused_requests", before + len(refused), lane=lane)
    assert all(answer.vectors.shape == (20, 384) for answer in good.values())
    again, refused, _ = await flood(server.grpc_url, 5, lane=lane)  # it is over with the flood
    assert (len(again), refused) == (5, [])


async def test_memory_stays_flat_under_a_flood(server):
    for _ in range(3):  # memory that the first floods touch stays
        await flood(server.grpc_url, 200)
    before = resident_mib(server)
    for _ in range(4):
        await flood(server.grpc_url, 200)
    assert resident_mib(server) <= 1.1 * before


BLOCKING = 96
"""Texts with which the network is kept busy."""


@contextmanager
def busy(server):
    """As long as the network computes texts of the longest kind."""
    texts = [f"{number} " + "word " * 400 for number in range(BLOCKING)]
    with Client(server.grpc_url, timeout_s=600, texts_per_request=BLOCKING) as client:
        blocker = threading.Thread(target=client.embed, args=(texts,), kwargs={"model": "minilm"})
        blocker.start()
        while tokens_in(server.folder) < 20_000:
            assert blocker.is_alive()
            time.sleep(0.01)
        yield
        blocker.join()


@contextmanager
def halted(server):
    """As long as the block lasts the network is at those texts and comes to no end, on a machine of any speed."""
    before = handed_on(server)
    with busy(server):
        wait_until(lambda: handed_on(server) > before)  # Triton aborts if a step stands still while it takes requests
        (network,) = (
            pid for pid in server.stub_pids() if b"minilm_encode" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(network, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(network, signal.SIGCONT)


async def test_what_is_past_its_deadline_is_not_computed(unasked):
    """By a door that does not know yet how fast the network is: else it would refuse such calls at once."""
    server = unasked
    before, dropped = computed(server), metric(server, "encserve_late_requests")
    with halted(server):
        good, refused, _ = await flood(server.grpc_url, 100, timeout_s=1, size=1)
    after = [f"after the flood, {number}" for number in range(101)]  # more than the flood could have in their place
    with Client(server.grpc_url, timeout_s=600) as client:
        client.embed(after, model="minilm")
    assert not good
    assert all(
        re.search("passed|used up|work wait before", str(error)) for error in refused
    )  # the server may know first
    wait_for_metric(server, "encserve_encoded_texts", before + BLOCKING + len(after))
    # The others were dropped between two steps, uncounted.
    wait_until(lambda: metric(server, "encserve_late_requests") > dropped)


def waiting_tokens(server):
    """What waits at the door, as the door estimates it."""
    (page,) = server.folder.glob("*minilm_tokenize*.load")
    return LoadReader(page).read("interactive").tokens


async def test_cancelled_calls_free_their_places_and_are_not_computed(server):
    """The queue holds 200 rows: twice it is filled by calls that are cancelled, and then there is room for another."""
    before, turned_away = computed(server), refused(server)
    cancelled = metric(server, "encserve_cancelled_requests", lane="interactive")
    async with AsyncClient(server.grpc_url, timeout_s=600, retry=ONCE) as client:
        with halted(server):
            for _ in range(2):
                calls = [asyncio.create_task(client.embed(texts_of(n, 20), model="minilm")) for n in range(10)]
                while waiting_tokens(server) < 2_000 and not any(call.done() for call in calls):
                    await asyncio.sleep(0.01)
                with pytest.raises(Unavailable, match=r"holds 200 rows and this request 20") as full:
                    await client.embed(texts_of(10, 20), model="minilm")
                assert full.value.status == "UNAVAILABLE"
                for call in calls:
                    call.cancel()
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
                assert all(isinstance(each, asyncio.CancelledError) for each in outcomes), outcomes
                while waiting_tokens(server):
                    await asyncio.sleep(0.01)
            another = asyncio.create_task(client.embed(texts_of(11, 7), model="minilm"))
            while not waiting_tokens(server) and not another.done():
                await asyncio.sleep(0.01)
        await another
    wait_for_metric(server, "encserve_cancelled_requests", cancelled + 20, lane="interactive")
    wait_for_metric(server, "encserve_refused_requests", turned_away + 2)
    wait_for_metric(server, "encserve_encoded_texts", before + BLOCKING + 7)  # a cancelled call has 20


def test_a_hundred_thousand_texts_do_not_take_the_service_from_others(server):
    """While one client sends in bulk, another one's single texts overtake all of it."""
    done = threading.Event()
    greedy = Client(
        server.grpc_url, timeout_s=600, concurrency=8, texts_per_request=16
    )  # 128 texts: the queue holds them
    with greedy, Client(server.grpc_url) as other:
        parts = greedy.embed_iter((f"{number} " * 40 for number in range(100_000)), model="minilm")
        rows = [len(next(parts))]

        def take():
            while not done.is_set():
                rows.append(len(next(parts)))

        pool = ThreadPoolExecutor(1)
        taking = pool.submit(take)
        time.sleep(1)
        begin = len(rows)
        for number in range(30):
            assert other.embed([f"question {number}"], model="minilm").vectors.shape == (1, 384)
        meanwhile = sum(rows[begin:])
        while len(rows) < begin + 3 and not taking.done():  # bulk goes on
            time.sleep(0.05)
        done.set()
        taking.result()
        pool.shutdown()
        parts.close()
    # A count, and no time: in one queue each question would wait for the eight requests of 16 texts before it.
    assert meanwhile < 30 * 8 * 16


async def test_closing_drains(server):
    """What was accepted is answered, what comes later is refused, nothing stays. Comes last, since it stops the server
    of the others."""
    async with AsyncClient(server.grpc_url, timeout_s=60, retry=ONCE) as client:
        await client.embed(["warm"], model="minilm")
        texts = [f"{number} " + "drain " * 50 for number in range(100)]
        requests = [texts[begin : begin + 20] for begin in range(0, 100, 20)]
        calls = [asyncio.create_task(client.embed(request, model="minilm")) for request in requests]
        await asyncio.sleep(1)
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        answers = await asyncio.gather(*calls)
        await stopping
        assert [answer.vectors.shape for answer in answers] == [(20, 384)] * 5
        with pytest.raises(Unavailable):
            await client.embed(["too late"], model="minilm")
