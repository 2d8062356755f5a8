"""Answers that take long to write: other requests have their turn meanwhile."""

import asyncio
import base64
import itertools
import json

import numpy as np
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


@pytest.mark.parametrize("dimensions", [6, 8], ids=["cut between letters", "cut within letters"])
@pytest.mark.parametrize("number", [1, vectors.ROWS, vectors.ROWS + 1, 3 * vectors.ROWS])
async def test_blocks_make_one_list(dimensions, number):
    rows = np.arange(number * dimensions, dtype="<f4").reshape(number, dimensions)
    frame = vectors.Frame(lambda index: b'{"index":%d,"row":' % index, b"}")
    written = {}
    for name, write in (("base64", vectors.AS_BASE64), ("numbers", vectors.AS_NUMBERS)):
        blocks = await vectors.blocks_of_rows(rows, write, frame, head=b'{"data":[', tail=b"]}")
        assert len(blocks) == -(-number // vectors.ROWS)
        items = json.loads(b"".join(blocks))["data"]
        assert [item["index"] for item in items] == list(range(number))
        written[name] = [item["row"] for item in items]
        assert json.loads(b"[" + b"".join(await vectors.blocks_of_rows(rows, write)) + b"]") == written[name]
    assert written["numbers"] == rows.tolist()
    assert [base64.b64decode(row) for row in written["base64"]] == [row.tobytes() for row in rows]


async def test_no_rows_are_an_empty_list():
    assert await vectors.blocks_of_rows(np.empty((0, 8), "<f4"), vectors.AS_BASE64, head=b"[", tail=b"]") == [b"[]"]
