"""How tokens become entities; tests/integration compares the same rules with transformers' own code."""

import numpy as np
import pytest

from encserve_server.steps.head.answers.entities.tagged import Head, find_entities

LABELS = ["O", "B-PER", "I-PER", "LOC"]
TEXT = "Ada Lovelace, Paris 💰"
OFFSETS = [(-1, -1), (0, 3), (4, 8), (8, 12), (12, 13), (14, 19), (20, 21), (-1, -1)]
CONTINUES = [0, 0, 0, 1, 0, 0, 0, 0]
TAGS = [3, 1, 2, 0, 0, 3, 3, 3]  # special tokens are tagged too, and must not count


def probabilities(tags=TAGS, sure=0.9):
    rows = np.full((len(tags), len(LABELS)), (1 - sure) / 3, np.float32)
    rows[np.arange(len(tags)), tags] = sure
    return rows


def find(aggregation, rows=None):
    rows = probabilities() if rows is None else rows
    found = find_entities(rows, np.array(OFFSETS, np.int32), np.array(CONTINUES, np.int32), LABELS, aggregation)
    return [(entity.label, TEXT[entity.start : entity.end]) for entity in found]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("none", [("B-PER", "Ada"), ("I-PER", "Love"), ("LOC", "Paris"), ("LOC", "💰")]),
        ("simple", [("PER", "Ada Love"), ("LOC", "Paris 💰")]),
        ("first", [("PER", "Ada Lovelace"), ("LOC", "Paris 💰")]),
        ("max", [("PER", "Ada Lovelace"), ("LOC", "Paris 💰")]),
    ],
)
def test_aggregation(aggregation, expected):
    assert find(aggregation) == expected


def test_average_and_max_differ_from_first():
    rows = probabilities()
    rows[3] = [0.97, 0.01, 0.01, 0.01]  # "lace" is surer to be outside than "Love" is to be inside
    assert find("first", rows)[0] == ("PER", "Ada Lovelace")
    assert find("average", rows)[0] == ("PER", "Ada")
    assert find("max", rows)[0] == ("PER", "Ada")


def test_b_opens_a_new_entity_beside_one_of_its_kind():
    assert find("simple", probabilities([0, 1, 1, 2, 0, 0, 0, 0])) == [("PER", "Ada"), ("PER", "Lovelace")]


def test_the_answer_of_several_texts():
    logits = np.log(np.concatenate([probabilities(), probabilities([0] * 2), probabilities()]))
    answer = Head({"labels": LABELS}).answer(
        {
            "logits": logits,
            "row_count": np.array([8, 2, 8], np.int32),
            "offsets": np.array([*OFFSETS, (-1, -1), (-1, -1), *OFFSETS], np.int32),
            "continues": np.array([*CONTINUES, 0, 0, *CONTINUES], np.int32),
            "text": np.array([TEXT.encode(), b"", TEXT.encode()], object),
        },
        {"aggregation": "simple"},
    )
    assert answer["entity_count"].tolist() == [2, 0, 2]
    assert [entity.decode() for entity in answer["entity"]] == ["Ada Love", "Paris 💰"] * 2
    assert answer["start"].tolist() == [0, 14] * 2
    assert answer["score"] == pytest.approx([0.9] * 4, abs=1e-6)


def test_no_token_at_all():
    empty = np.empty((0, 2), np.int32)
    for aggregation in ("none", "simple", "first"):
        assert find_entities(np.empty((0, 4), np.float32), empty, empty[:, 0], LABELS, aggregation) == []
