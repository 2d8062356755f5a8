"""Repeats of a trace, against replicas that are simulated, and counts by hand."""

import numpy as np
import pytest

from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.fleet.repeats import count_repeats
from encserve_loadtest.traffic.trace import read_trace


def counted(texts, sizes=None, *, replicas=2, texts_per_request=1):
    texts = np.array(texts)
    sizes = np.ones(len(texts), int) if sizes is None else np.array(sizes)
    return count_repeats("a", texts, sizes, replicas=replicas, texts_per_request=texts_per_request)


def test_counts_by_hand():
    repeats = counted([0, 1, 0, 0, 2], [10, 1, 10, 10, 1])
    assert (repeats.texts, repeats.distinct, repeats.within_texts) == (5, 3, 2)
    assert repeats.together.texts == pytest.approx(2 / 5)
    assert repeats.alone.texts == pytest.approx((1 / 2 + 3 / 4) / 5)
    assert repeats.together.bytes == pytest.approx(20 / 32)
    assert repeats.alone.bytes == pytest.approx((5 + 7.5) / 32)
    assert repeats.gained.bytes == pytest.approx(7.5 / 32)


def test_one_replica_has_nothing_to_share():
    repeats = counted([0, 1, 0, 1, 1], replicas=1)
    assert repeats.alone == repeats.together
    assert repeats.gained.texts == 0


def test_no_text_twice():
    repeats = counted([0, 1, 2])
    assert (repeats.together.texts, repeats.alone.texts, repeats.within_texts) == (0, 0, 0)


@pytest.mark.parametrize(("replicas", "texts_per_request"), [(2, 1), (5, 1), (3, 4)])
def test_as_replicas_that_remember_each_for_itself(replicas, texts_per_request):
    rng = np.random.default_rng(1)
    texts = rng.zipf(1.5, 600) % 80
    sizes = rng.integers(1, 100, 600)
    hits = []
    for _ in range(400):
        known = [set() for _ in range(replicas)]
        replica = np.repeat(rng.integers(replicas, size=-(-600 // texts_per_request)), texts_per_request)
        spared = 0
        for text, size, own in zip(texts.tolist(), sizes.tolist(), replica.tolist(), strict=True):
            spared += size if text in known[own] else 0
            known[own].add(text)
        hits.append(spared / sizes.sum())
    of_formula = counted(texts, sizes, replicas=replicas, texts_per_request=texts_per_request).alone.bytes
    assert of_formula == pytest.approx(np.mean(hits), abs=5 * np.std(hits) / np.sqrt(len(hits)))


def test_a_trace_keeps_which_texts_are_equal_and_no_text(tmp_path):
    file = tmp_path / "trace.jsonl"
    file.write_text('{"text": "größer"}\n\n"a"\n{"text": "größer", "user": 3}\n', encoding="utf-8")
    trace = read_trace(file)
    assert (trace.source, trace.texts.tolist(), trace.sizes.tolist()) == ("trace.jsonl", [0, 1, 0], [8, 1, 8])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('"a"\n{"words": "a secret"}\n', "line 2 has no text"),
        ('"a"\n{"a secret\n', "line 2 is no JSON"),
    ],
)
def test_what_is_no_trace_is_refused_without_its_text(tmp_path, content, message):
    file = tmp_path / "trace.jsonl"
    file.write_text(content)
    with pytest.raises(InvalidPlan, match=message) as refused:
        read_trace(file)
    assert "secret" not in str(refused.value)


def test_a_trace_that_is_not_there(tmp_path):
    with pytest.raises(InvalidPlan, match="cannot be read"):
        read_trace(tmp_path / "none.jsonl")
