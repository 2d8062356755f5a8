"""What the benchmark of slots that become free measures, with a server of few slots that makes pieces at once."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from benchmarks.generation import cancelled
from benchmarks.generation.cancelled import CALL, STREAM, freed
from benchmarks.generation.checkpoint import Request

ASKED = [Request("a", [1], 5)] * 6


class Server:
    """Has so many slots, each of which is free again some time after its caller has gone."""

    def __init__(self, slots, *, pieces=10_000):
        self._free, self._pieces = asyncio.Semaphore(slots), pieces

    @asynccontextmanager
    async def _slot(self):
        async with self._free:
            try:
                yield
            finally:
                await asyncio.sleep(0.02)

    async def generate(self, texts, **options):
        async with self._slot():
            await asyncio.sleep(60)

    @asynccontextmanager
    async def generate_stream(self, text, **options):
        async def pieces():
            async with self._slot():
                for _ in range(self._pieces):
                    yield "a"
                    await asyncio.sleep(0.001)

        made = pieces()
        try:
            yield made
        finally:
            await made.aclose()


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(cancelled, "PAUSE_S", 0.01)
    monkeypatch.setattr(cancelled, "FILLED_S", 0.01)


@pytest.mark.parametrize("kind", [STREAM, CALL])
def test_it_is_measured_how_long_a_slot_stays_with_a_caller_who_has_gone(kind):
    freed_s, gaps_s = [], []

    async def measure():
        await freed(Server(3), ASKED, 3, kind, freed_s, gaps_s)

    asyncio.run(measure())
    assert len(freed_s) == 3
    assert min(freed_s) >= 0.02
    assert gaps_s


def test_a_slot_that_was_free_before_is_no_figure():
    async def measure():
        await freed(Server(4), ASKED, 3, STREAM, [], [])

    with pytest.raises(RuntimeError, match="before one was free"):
        asyncio.run(measure())


def test_a_text_that_ended_by_itself_is_no_figure():
    async def measure():
        await freed(Server(3, pieces=3), ASKED, 3, STREAM, [], [])

    with pytest.raises(RuntimeError):
        asyncio.run(measure())
