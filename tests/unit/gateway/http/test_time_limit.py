"""Waits that may all take equally long."""

import asyncio

import pytest

from encserve_gateway.http.time_limit import TimeLimit

LONG_S = 3600.0
SHORT_S = 0.02


async def after(turns, result=None):
    for _ in range(turns):
        await asyncio.sleep(0)
    return result


async def test_what_is_there_in_time():
    assert await TimeLimit(LONG_S).wait(after(3, "there")) == "there"


async def test_what_is_late_is_cancelled():
    ended = []

    async def never():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    limit = TimeLimit(SHORT_S)
    with pytest.raises(asyncio.TimeoutError):
        await limit.wait(never())
    assert ended == ["cancelled"]
    await asyncio.sleep(0)  # the task itself was not cancelled
    assert await limit.wait(after(3, "there")) == "there"


async def test_each_has_its_own_end():
    """The timer is that of the oldest, and goes on to the next."""
    limit, loop = TimeLimit(0.1), asyncio.get_running_loop()
    late_s = []

    async def wait(delay_s):
        await asyncio.sleep(delay_s)
        begun_s = loop.time()
        with pytest.raises(asyncio.TimeoutError):
            await limit.wait(loop.create_future())
        late_s.append(loop.time() - begun_s)

    await asyncio.gather(*(wait(delay_s) for delay_s in (0.0, 0.03, 0.06, 0.3)))
    assert len(late_s) == 4
    assert min(late_s) > 0.09  # none is ended with the oldest


async def test_many_waits_need_one_timer(monkeypatch):
    limit, loop = TimeLimit(LONG_S), asyncio.get_running_loop()
    timers, call_later = [], loop.call_later

    def counted(delay_s, *about):
        timers.append(delay_s)
        return call_later(delay_s, *about)

    monkeypatch.setattr(loop, "call_later", counted)
    await asyncio.gather(*(limit.wait(after(turns)) for turns in range(50)))
    assert timers == [LONG_S]


async def test_an_error_passes_and_leaves_nothing():
    async def fail():
        await asyncio.sleep(0)
        raise ValueError("its own")

    limit = TimeLimit(SHORT_S)
    with pytest.raises(ValueError, match="its own"):
        await limit.wait(fail())
    await asyncio.sleep(2 * SHORT_S)  # and nobody is cancelled afterwards


async def test_somebody_else_may_cancel():
    task = asyncio.create_task(TimeLimit(LONG_S).wait(asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_cancelled_and_late_is_cancelled():
    limit, task = TimeLimit(SHORT_S), None

    async def stubborn():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            task.cancel()
            raise

    task = asyncio.create_task(limit.wait(stubborn()))
    with pytest.raises(asyncio.CancelledError):
        await task


def test_one_event_loop_after_the_other():
    limit = TimeLimit(SHORT_S)
    for _ in range(2):
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(limit.wait(asyncio.sleep(60)))
