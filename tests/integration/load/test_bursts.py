"""A thousand calls at once, on threads and as tasks, on a real server: what fits into its deadline is answered, and of
what does not fit that which comes too late is told so early, by name.

The rate of the server and the client together is measured first, so that a burst is as large on any machine.
"""

import asyncio
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from encserve import AsyncClient, Client, DeadlineExceeded, Overloaded

CALLS = 1_000
STEADY = 400
"""Calls from which the rate is taken."""
CALLERS = 256
"""Who make these, each with the next call when the last was answered."""
LEAST = 0.6
"""Of the calls that the server could answer until the deadline, those that it does at least."""
NAMED = (
    "requests of this client wait before this one, and at the rate of the last answers it would be done in",
    "the request waited all its time for one of the 16 places of this client",
    "work wait before this request; of its timeout of",  # the server's words
    "gave no answer in time",
)


LONG = "and some twenty words more, which keep a server of any kind busy for a moment, though not for long at all"
"""What tasks ask about besides, as they share requests."""


def text(number, words=""):
    """One that nobody else asks about."""
    return f"{number} of a burst, {time.time_ns()} {words}"


class Threads:
    """A client, and callers on threads."""

    def rate(self, url):
        """Calls a second."""
        with Client(url, timeout_s=600) as client, ThreadPoolExecutor(CALLERS) as threads:
            client.embed(["warm"], model="minilm")
            begin_s = time.monotonic()
            list(threads.map(lambda number: client.embed([text(number)], model="minilm"), range(STEADY)))
            return STEADY / (time.monotonic() - begin_s)

    def burst(self, url, timeout_s):
        """The outcomes of a thousand calls, each with the seconds that it took; and a call after them."""
        outcomes = []

        def call(number):
            begin_s = time.monotonic()
            try:
                outcome = client.embed([text(number)], model="minilm")
            except Exception as error:
                outcome = error
            outcomes.append((outcome, time.monotonic() - begin_s))

        with Client(url, timeout_s=timeout_s) as client:
            threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            call(CALLS)
        return outcomes[:-1], outcomes[-1]


class Tasks:
    """A client, and callers in an event loop; it puts what they ask into common requests."""

    def rate(self, url):
        """Calls a second."""
        return asyncio.run(self._rate(url))

    async def _rate(self, url):
        async with AsyncClient(url, timeout_s=600) as client:
            await client.embed(["warm"], model="minilm")
            numbers = iter(range(STEADY))

            async def caller():
                for number in numbers:
                    await client.embed([text(number, LONG)], model="minilm")

            begin_s = time.monotonic()
            await asyncio.gather(*(caller() for _ in range(CALLERS)))
            return STEADY / (time.monotonic() - begin_s)

    def burst(self, url, timeout_s):
        """The outcomes of a thousand calls, each with the seconds that it took; and a call after them."""
        return asyncio.run(self._burst(url, timeout_s))

    async def _burst(self, url, timeout_s):
        async def call(number):
            begin_s = time.monotonic()
            try:
                outcome = await client.embed([text(number, LONG)], model="minilm")
            except Exception as error:
                outcome = error
            return outcome, time.monotonic() - begin_s

        async with AsyncClient(url, timeout_s=timeout_s) as client:
            outcomes = await asyncio.gather(*(call(number) for number in range(CALLS)))
            return outcomes, await call(CALLS)


@pytest.fixture(scope="module")
def rates():
    """How many calls a second each kind of callers has answered, once it was measured."""
    return {}


@pytest.fixture(params=[Threads, Tasks])
def callers(request, server, rates):
    """On threads, and as tasks; their rate is measured once, and anew where a test has its second try."""
    callers = request.param()
    if request.param not in rates or getattr(request.node, "execution_count", 1) > 1:
        rates[request.param] = callers.rate(server.grpc_url)
    callers.calls_per_s = rates[request.param]
    return callers


def test_what_fits_into_its_deadline_is_answered(server, callers):
    timeout_s = CALLS / callers.calls_per_s / 0.6
    outcomes, _ = callers.burst(server.grpc_url, timeout_s)
    refused = [str(outcome) for outcome, _ in outcomes if isinstance(outcome, Exception)]
    assert not refused, f"{len(refused)} of {CALLS}: {refused[0]}"
    assert all(outcome.vectors.shape == (1, 384) for outcome, _ in outcomes)


def test_what_does_not_fit_is_refused_early_by_name_and_the_rest_is_answered(server, callers):
    rate, answered_per_s = 0.0, callers.calls_per_s
    while answered_per_s > 1.2 * rate:  # a burst is answered faster than callers who ask one after the other, at times
        rate = answered_per_s
        timeout_s = CALLS / rate / 1.5
        outcomes, (after, _) = callers.burst(server.grpc_url, timeout_s)
        refused = [(str(outcome), took_s) for outcome, took_s in outcomes if isinstance(outcome, Exception)]
        answered_per_s = (CALLS - len(refused)) / timeout_s
    assert all(
        isinstance(outcome, Overloaded | DeadlineExceeded) for outcome, _ in outcomes if isinstance(outcome, Exception)
    )
    assert all(any(words in said for words in NAMED) for said, _ in refused), refused
    assert CALLS - len(refused) >= LEAST * rate * timeout_s
    # The client refuses at the first answer after a third of the timeout, or after half of it where few answers have
    # come by then, and the door lets a request wait for half of it: 0.31 to 0.51 were seen, as the client has more or
    # less of the cores. The rest is for that first answer to come.
    assert statistics.median(took_s for _, took_s in refused) < 0.6 * timeout_s
    assert after.vectors.shape == (1, 384)
