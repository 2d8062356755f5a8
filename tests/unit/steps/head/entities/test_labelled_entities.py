"""Which spans and runs of words become entities, beside a search that looks at every pair of them."""

import tracemalloc
from itertools import product

import numpy as np
import pytest

from encserve_server.steps.head.answers.entities import chosen_runs, labelled_entities
from encserve_server.steps.head.answers.entities.chosen_runs import PARTS, find_runs
from encserve_server.steps.head.answers.entities.chosen_spans import find_spans
from encserve_server.steps.head.answers.entities.labelled_entities import Head
from encserve_server.steps.request.options import InvalidArgument

WIDTHS, PLACES = 3, 4
OPTIONS = {"labels": ["x", "y"], "threshold": 0.5, "nested": False, "multi_label": False}


def spans_of(scores, threshold):
    words, widths, labels = scores.shape
    return [
        (first, first + length, label, float(scores[first, length, label]))
        for first in range(words)
        for length in range(min(widths, words - first))
        for label in range(labels)
        if scores[first, length, label] > np.float32(threshold)
    ]


def runs_of(scores, threshold):
    words, _, labels = scores.shape
    runs = []
    for first, label, last in product(range(words), range(labels), range(words)):
        start, end = scores[first, 0, label], scores[last, 1, label]
        insides = [float(inside) for inside in scores[first : last + 1, 2, label]]
        if first <= last and min(start, end) > np.float32(threshold) and min(insides) >= threshold:
            runs.append((first, last, label, min(*insides, float(start), float(end))))
    return runs


def searched(spans, nested, multi_label):
    """The surest first, each held against all that were taken."""
    taken = []
    for span in sorted(spans, key=lambda each: -each[3]):
        if all(beside(span, other, nested, multi_label) for other in taken):
            taken.append(span)
    return sorted(taken, key=lambda each: each[0])


def beside(span, other, nested, multi_label):
    if span[:2] == other[:2]:
        return multi_label
    apart = span[0] > other[1] or other[0] > span[1]
    within = (span[0] <= other[0] and span[1] >= other[1]) or (other[0] <= span[0] and other[1] >= span[1])
    return apart or (nested and within)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("threshold", [0.1, 0.6])
def test_the_greedy_choice(nested, multi_label, threshold):
    rng = np.random.default_rng(0)
    for _ in range(200):
        words, widths, labels = rng.integers(1, 9), rng.integers(1, 6), rng.integers(1, 4)
        scores = (rng.integers(0, 12, (words, widths, labels)) / 11).astype(np.float32)  # many of them equal
        found = find_spans(scores, threshold=threshold, nested=nested, multi_label=multi_label)
        assert [tuple(each) for each in found] == searched(spans_of(scores, threshold), nested, multi_label)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("threshold", [0.1, 0.4, 0.7])
def test_the_greedy_choice_among_runs(nested, multi_label, threshold, monkeypatch):
    monkeypatch.setattr(chosen_runs, "_TOGETHER", 5)
    rng = np.random.default_rng(0)
    for _ in range(200):
        words, labels = rng.integers(0, 9), rng.integers(1, 4)
        scores = (rng.integers(3, 11, (words, 3, labels)) / 10).astype(np.float32)  # many of them equal
        found = find_runs(scores, threshold=threshold, nested=nested, multi_label=multi_label)
        assert [tuple(each) for each in found] == searched(runs_of(scores, threshold), nested, multi_label)


@pytest.mark.parametrize("nested", [False, True])
def test_the_work_of_choosing_runs_grows_with_the_square_of_the_words(nested, monkeypatch):
    """However low the threshold is: each run is looked at once in its turn, and for each entity those that were taken
    up together with it."""
    monkeypatch.setattr(chosen_runs, "_TOGETHER", 4)
    looked_at, kept = [], []

    class Counted(chosen_runs.Beside):
        def admits(self, firsts, lasts):
            looked_at.append(len(firsts))
            return super().admits(firsts, lasts)

        def add(self, first, last):
            kept.append(sum(np.size(each) for each in vars(self).values()))
            super().add(first, last)

    monkeypatch.setattr(chosen_runs, "Beside", Counted)
    words = 60
    scores = np.random.default_rng(0).uniform(0.5, 1, (words, 3, 2)).astype(np.float32)
    find_runs(scores, threshold=0.1, nested=nested, multi_label=False)
    assert len(kept) <= (2 if nested else 1) * words
    assert sum(looked_at) <= words * (words + 1) / 2 + 4 * len(kept)
    assert max(kept) <= 2 * words + 1, "what says which runs may still be has numbers for words, not for runs"


def test_choosing_runs_takes_as_many_steps_as_the_longest_run_has_words():
    """And not one for each word: in most texts few words have scores, and steps are what a short one costs."""
    scores = np.zeros((700, PARTS, 3), np.float32)
    scores[[5, 40, 650]] = 0.9
    scores[41:43, 2] = 0.8  # what begins at word 40 may go on for two words more
    assert len([*chosen_runs._runs(scores, threshold=0.5)]) == 4
    assert [tuple(each)[:2] for each in find_runs(scores, threshold=0.5, nested=False, multi_label=False)] == [
        (5, 5),
        (40, 40),
        (650, 650),
    ]


def asked(**changes):
    """Two texts, of two words and of none, in five tokens."""
    logits = np.zeros((5, WIDTHS, PLACES), np.float32)
    logits[1] = -3
    logits[2] = -3
    logits[1, 1, 1] = 2
    logits[1, 0, 3] = 9  # of a label that the request does not have
    logits[2, 1, 0] = 9  # of a span that ends behind the text
    return {
        "logits": logits.reshape(5, -1),
        "entity_roles": np.array([2, 1, 1, 2, 0]),
        "lengths": np.array([3, 2]),
        "text": np.array(["né Ada".encode(), b""], object),
        "word_count": np.array([2, 0], np.int32),
        "word_offsets": np.array([[0, 2], [3, 6]], np.int32),
    } | changes


@pytest.fixture
def head():
    return Head({"entities": {"scores": "spans", "max_width": WIDTHS, "most_labels": PLACES}})


def test_an_entity_has_its_characters(head):
    head.fit.check(asked())
    given = head.answer(asked(), OPTIONS)
    assert given["entity_count"].tolist() == [1, 0]
    assert (given["label"].tolist(), given["entity"].tolist()) == ([b"y"], ["né Ada".encode()])
    assert (given["start"].tolist(), given["end"].tolist()) == ([0], [6])
    assert given["score"].tolist() == pytest.approx([1 / (1 + np.exp(-2))])


@pytest.mark.parametrize(
    "wrong",
    [
        {"entity_roles": np.array([2, 1, 0, 2, 0])},
        {"word_count": np.array([1, 0], np.int32)},
        {"word_count": np.array([3, -1], np.int32)},
    ],
)
def test_words_that_do_not_fit_together_are_a_mistake_of_the_caller(head, wrong):
    with pytest.raises(InvalidArgument, match="as many of each are expected"):
        head.answer(asked(**wrong), OPTIONS)


def of_many(texts, words, labels):
    """As many texts of so many words, all of which may be an entity of any label with nearly no score."""
    count = texts * words
    logits = np.random.default_rng(0).uniform(-8, -7, (count, PARTS, labels)).astype(np.float32)
    places = np.arange(words, dtype=np.int32)[:, None] * 2 + np.array([0, 1], np.int32)
    return {
        "logits": logits.reshape(count, -1),
        "entity_roles": np.ones(count, np.int64),
        "lengths": np.full(texts, words),
        "text": np.array([b"a " * words] * texts, object),
        "word_count": np.full(texts, words, np.int32),
        "word_offsets": np.tile(places, (texts, 1)),
    }


@pytest.mark.parametrize("most", ["MOST_ENTITIES", "MOST_CHARACTERS"])
def test_a_threshold_near_0_is_refused_where_an_answer_would_be_too_large(most, monkeypatch):
    head = Head({"entities": {"scores": "words", "most_labels": 2}})
    options = {"labels": ["x", "y"], "threshold": 1e-30, "nested": True, "multi_label": True}
    asked = of_many(texts=2, words=20, labels=2)
    given = head.answer(asked, options)
    size = {"MOST_ENTITIES": len(given["entity"]), "MOST_CHARACTERS": sum(map(len, given["entity"]))}[most]
    monkeypatch.setattr(labelled_entities, most, size)
    assert head.answer(asked, options)["entity_count"].sum() == len(given["entity"])
    monkeypatch.setattr(labelled_entities, most, size - 1)
    with pytest.raises(InvalidArgument, match=r"with threshold 1e-30 the texts have more than .* entities.* a higher"):
        head.answer(asked, options)


def test_the_memory_of_a_hostile_request_does_not_grow_with_its_texts():
    """Of the most labels, everything nested: a text of 300 words has some 37,000 entities, and thirty of them would
    have a million."""
    head = Head({"entities": {"scores": "words", "most_labels": 64}})
    options = {"labels": [f"{n}" for n in range(64)], "threshold": 1e-30, "nested": True, "multi_label": True}
    asked = of_many(texts=30, words=300, labels=64)
    tracemalloc.start()
    with pytest.raises(InvalidArgument, match="more than 65,536 entities"):
        head.answer(asked, options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20
