"""How many texts have room together."""

from itertools import groupby

import numpy as np
import pytest
from test_pace import text

from encserve_server.steps.generate.decoder.cache import BLOCK, places_for
from encserve_server.steps.generate.decoder.network import Shape
from encserve_server.steps.generate.door.ahead import Ahead
from encserve_server.steps.generate.door.limits import EngineLimits
from encserve_server.steps.generate.door.pace import Pace
from encserve_server.steps.generate.door.room import Room

SHAPE = Shape(layers=1, heads=1, size=2, vocabulary=32)


def room(tokens, **limits):
    limits = {"logits_bytes": 1 << 30, "prefill_tokens": 512, "max_queued_texts": 9} | limits
    return Room(SHAPE, EngineLimits(cache_bytes=tokens * SHAPE.bytes_per_token, **limits))


def have_room(room, decoded, waiting):
    """How many of these have room together."""
    return Ahead(Pace(), room.beside(decoded), decoded).then(waiting).rows


def tokens_of(texts):
    """For how many tokens the caches of such texts have places."""

    def beams(each):
        return each.choice.beams

    caches = [(number, list(cache)) for number, cache in groupby(sorted(texts, key=beams), beams)]
    longest = [
        (number, len(cache), max(len(each.source) for each in cache), max(each.max_new_tokens for each in cache))
        for number, cache in caches
    ]
    return sum(count * (places_for(source) + number * places_for(most)) for number, count, source, most in longest)


@pytest.mark.parametrize("seed", range(3))
def test_texts_have_room_as_long_as_their_caches_have(seed):
    draw = np.random.default_rng(seed).integers
    texts = [text(source=int(draw(1, 90)), most=int(draw(1, 90)), beams=int(draw(1, 4))) for _ in range(20)]
    for count in range(1, 20):
        needed = tokens_of(texts[:count])
        *others, last = texts[:count]
        assert room(needed).beside(others).fits(last)
        assert count == 1 or not room(needed - 1).beside(others).fits(last)
        assert have_room(room(needed), texts[:5], texts[5:]) >= count


def test_who_comes_behind_one_without_room_has_none_either():
    small, large = text(source=1, most=1), text(source=1, most=9 * BLOCK)
    assert have_room(room(8 * BLOCK), [small], [small, large, small]) == 2
    assert have_room(room(8 * BLOCK), [], [small] * 9) == 4
    assert have_room(room(8 * BLOCK, max_rows=3), [small], [small] * 9) == 3
    assert have_room(room(1), [], [large, small]) == 1  # one alone has, as none that could never be decoded comes
