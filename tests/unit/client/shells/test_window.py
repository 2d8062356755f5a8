import asyncio
import itertools
import random
import threading
import time
from contextlib import aclosing, closing

import pytest

from encserve._shells import blocking_window
from encserve._shells.awaiting_window import in_order as in_order_async
from encserve._shells.beside import Held, Threads
from encserve._shells.stop import Stop


def in_order(ask, items, *, concurrency, stop):
    """Work through items on threads; `ask` does what a conversation of one question asks for."""

    def talk(item):
        return (yield item)

    threads = Threads(concurrency)
    try:
        yield from blocking_window.in_order(
            ask,
            lambda item: Held(talk(item), ask, threads=threads, stop=Stop("it is over")),
            items,
            concurrency=concurrency,
            stop=stop,
        )
    finally:
        pools = list(threads._pools.values())
        threads.close()
        for pool in pools:
            for thread in pool._threads:
                thread.join(60)
                assert not thread.is_alive()


def never():
    pytest.fail("everything had ended")


class Gauge:
    """Squares numbers after a random delay, and knows how many calls ran at once at most."""

    def __init__(self, *, fails_at=None):
        self.most = self.running = 0
        self.begun = set()
        self._fails_at = fails_at
        self._lock = threading.Lock()

    def _enter(self, item):
        with self._lock:
            self.begun.add(item)
            self.running += 1
            self.most = max(self.most, self.running)

    def _leave(self, item):
        with self._lock:
            self.running -= 1
        if item == self._fails_at:
            raise RuntimeError(f"item {item}")
        return item * item

    def __call__(self, item):
        self._enter(item)
        time.sleep(random.uniform(0, 0.004))
        return self._leave(item)

    async def coroutine(self, item):
        self._enter(item)
        try:
            await asyncio.sleep(random.uniform(0, 0.004))
        finally:
            result = self._leave(item)
        return result


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_order_and_bound(count):
    gauge = Gauge()
    assert list(in_order(gauge, iter(range(count)), concurrency=4, stop=never)) == [i * i for i in range(count)]
    assert gauge.most <= 4
    assert count < 100 or gauge.most == 4


async def test_order_and_bound_async():
    gauge = Gauge()
    assert [x async for x in in_order_async(gauge.coroutine, iter(range(100)), concurrency=4)] == [
        i * i for i in range(100)
    ]
    assert gauge.most == 4
    assert [x async for x in in_order_async(gauge.coroutine, iter([]), concurrency=4)] == []


def test_failure_comes_in_its_turn():
    gauge = Gauge(fails_at=10)
    results = []
    with pytest.raises(RuntimeError, match="item 10"):
        results.extend(x for x in in_order(gauge, itertools.count(), concurrency=4, stop=lambda: None))
    assert gauge.begun <= set(range(16))


async def test_failure_comes_in_its_turn_async():
    gauge = Gauge(fails_at=10)
    results = []

    async def collect():
        async for x in in_order_async(gauge.coroutine, itertools.count(), concurrency=4):
            results.append(x)

    with pytest.raises(RuntimeError, match="item 10"):
        await collect()
    assert results == [i * i for i in range(len(results))]
    assert gauge.running == 0
    assert len(asyncio.all_tasks()) == 1


class Blocked:
    """Calls after the first wait until they are stopped."""

    def __init__(self):
        self.stopped = threading.Event()
        self.began = threading.Event()

    def __call__(self, item):
        if item:
            self.began.set()
            assert self.stopped.wait(60)
        return item


def test_abandoned():
    blocked = Blocked()
    with closing(in_order(blocked, itertools.count(), concurrency=4, stop=blocked.stopped.set)) as results:
        assert next(results) == 0
        assert blocked.began.wait(60)


def test_interrupted():
    blocked = Blocked()
    results = in_order(blocked, itertools.count(), concurrency=4, stop=blocked.stopped.set)
    next(results)
    assert blocked.began.wait(60)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt())


async def test_abandoned_async():
    gauge = Gauge()
    async with aclosing(in_order_async(gauge.coroutine, itertools.count(), concurrency=4)) as results:
        assert await anext(results) == 0
    assert gauge.running == 0
    assert len(asyncio.all_tasks()) == 1


async def test_cancelled():
    started = asyncio.Event()

    async def wait(item):
        started.set()
        await asyncio.sleep(60)

    async def collect():
        return [x async for x in in_order_async(wait, itertools.count(), concurrency=4)]

    task = asyncio.create_task(collect())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


def test_the_source_fails():
    def source():
        yield from range(10)
        raise RuntimeError("source")

    results = in_order(Gauge(), source(), concurrency=4, stop=lambda: None)
    with pytest.raises(RuntimeError, match="source"):
        list(results)
