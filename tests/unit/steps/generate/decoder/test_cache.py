"""Rows of keys and values, without a gap."""

import numpy as np

from encserve_server.steps.generate.decoder.cache import BLOCK, Cache

LAYERS, HEADS, SIZE = 2, 3, 4


def source(length, value):
    return np.full((2 * LAYERS, HEADS, length, SIZE), value, np.float32)


def keep(cache, *values):
    """One more token of each row, whose numbers are all its value."""
    kept = np.tile(np.array(values, np.float32)[None, :, None, None, None], (LAYERS, 1, 1, HEADS, SIZE))
    cache.keep(kept, -kept)


def rows_of(cache):
    """Of each row the values of its new tokens, and of its source."""
    past_keys, past_values, source_keys, _ = list(cache.tensors())[-4:]
    assert np.array_equal(past_keys, -past_values)
    return [
        (past_keys[row, 0, 0, :kept, 0].tolist(), source_keys[row, 0, :length, 0].tolist())
        for row, (kept, length) in enumerate(zip(cache.kept, cache.source_lengths, strict=True))
    ]


def test_rows_come_and_go_and_the_last_takes_the_place_of_one_that_goes():
    cache = Cache(LAYERS, HEADS, SIZE)
    assert [cache.add(source(length, value)) for length, value in ((2, 1), (BLOCK + 1, 2))] == [0, 1]
    keep(cache, 10, 20)
    assert cache.add(source(1, 3)) == 2
    keep(cache, 11, 21, 31)
    assert rows_of(cache) == [([10, 11], [1] * 2), ([20, 21], [2] * (BLOCK + 1)), ([31], [3])]
    assert cache.remove(0) == 2
    keep(cache, 32, 22)
    assert rows_of(cache) == [([31, 32], [3]), ([20, 21, 22], [2] * (BLOCK + 1))]
    assert cache.remove(1) == 1
    keep(cache, 33)
    assert rows_of(cache) == [([31, 32, 33], [3])]


def test_places_grow_in_blocks_and_are_given_back_at_the_end():
    cache = Cache(LAYERS, HEADS, SIZE)
    cache.add(source(1, 1))
    for number in range(BLOCK + 1):
        keep(cache, number)
    past, _, encoded, _ = list(cache.tensors())[:4]
    assert (past.shape, encoded.shape) == ((1, 1, HEADS, 2 * BLOCK, SIZE), (1, HEADS, BLOCK, SIZE))
    assert rows_of(cache) == [([float(number) for number in range(BLOCK + 1)], [1])]
    cache.remove(0)
    cache.add(source(1, 1))
    assert next(cache.tensors()).shape == (1, 1, HEADS, BLOCK, SIZE)


def test_a_step_reads_the_arrays_as_they_are():
    cache = Cache(LAYERS, HEADS, SIZE)
    for value in range(3):
        cache.add(source(2, value))
    cache.remove(0)
    assert all(tensor.flags.c_contiguous and tensor.base is not None for tensor in cache.tensors())


def test_nothing_of_a_text_that_has_left_is_there_for_the_next_one():
    cache = Cache(LAYERS, HEADS, SIZE)
    cache.add(source(2, 1))
    cache.add(source(9, np.nan))
    keep(cache, 10, np.nan)
    cache.remove(1)
    cache.add(source(2, 3))  # to read NaN with a weight of 0 would make NaN of it
    assert all(np.isfinite(tensor).all() for tensor in cache.tensors())


def test_places_are_given_back_when_the_longest_text_has_left_and_others_go_on():
    cache = Cache(LAYERS, HEADS, SIZE)
    cache.add(source(3 * BLOCK, 1))
    for _ in range(BLOCK + 1):
        keep(cache, 10)
    cache.add(source(2, 2))
    keep(cache, 11, 20)
    cache.remove(0)
    past, _, encoded, _ = list(cache.tensors())[:4]
    assert (past.shape, encoded.shape) == ((1, 1, HEADS, BLOCK, SIZE), (1, HEADS, BLOCK, SIZE))
    assert rows_of(cache) == [([20], [2, 2])]
    rows = [cache.add(source(2, 2)) for _ in range(40)]
    for row in reversed(rows):
        cache.remove(row)
    keep(cache, 21)
    assert next(cache.tensors()).base.shape[0] < 8
    assert rows_of(cache) == [([20, 21], [2, 2])]


def test_hypotheses_go_on_from_others():
    cache = Cache(LAYERS, HEADS, SIZE, beams=3)
    for value in (1, 2):
        cache.add(source(2, value))
    for values in ([[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]):
        kept = np.tile(np.array(values, np.float32)[None, :, :, None, None], (LAYERS, 1, 1, HEADS, SIZE))
        cache.keep(kept, -kept)
    cache.follow(0, np.array([2, 0, 0]))
    for keys, values, *_ in [list(cache.tensors())[:4], list(cache.tensors())[4:]]:
        assert np.array_equal(keys, -values)
        assert keys[:, :, 0, :2, 0].tolist() == [[[3, 9], [1, 7], [1, 7]], [[4, 10], [5, 11], [6, 12]]]
    assert cache.remove(0) == 1
    assert next(cache.tensors())[:, :, 0, :2, 0].tolist() == [[[4, 10], [5, 11], [6, 12]]]
