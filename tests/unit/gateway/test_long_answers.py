"""Answers that take long to write: other requests have their turn meanwhile."""

import asyncio
import itertools

import pytest

from encserve_gateway.bodies import vectors

from .asgi import post

TEXTS = ["a text"] * 200
BODIES = {
    "/embed_all": {"inputs": TEXTS},
    "/pooling": {"input": TEXTS, "model": "tokens"},
    "/v1/token-embedding": {"texts": TEXTS},
}


async def turns_during(call):
    """Turns of the event loop until a call is answered."""
    task = asyncio.ensure_future(call)
    for turns in itertools.count():
        if task.done():
            assert task.result().status == 200
            return turns
        await asyncio.sleep(0)


@pytest.mark.parametrize("path", BODIES)
async def test_others_have_their_turn_after_so_many_numbers(fake, monkeypatch, path):
    monkeypatch.setattr(vectors, "NUMBERS", 1)
    assert await turns_during(post(fake().gateway, path, BODIES[path])) > len(TEXTS)
    monkeypatch.setattr(vectors, "NUMBERS", 1 << 30)
    assert await turns_during(post(fake().gateway, path, BODIES[path])) < len(TEXTS)
