"""The file of texts that a cascade is fitted on."""

import json

import pytest

from encserve_export.cascade.texts import read_fitting_texts
from encserve_export.errors import InvalidConfig

LABELS = ["good", "bad"]


def read(tmp_path, content, name="texts.jsonl", **options):
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    return read_fitting_texts(file, LABELS, **{"pairs": False, "labelled": False} | options)


def test_a_text_counts_as_often_as_it_stands_and_the_order_is_not_that_of_the_lines(tmp_path):
    lines = [f"text {number}" for number in range(50)] + ["often"] * 50
    one = read(tmp_path, "\n".join(["", *lines]), "texts.txt").texts
    other = read(tmp_path, "\n".join(reversed(lines)), "texts.txt").texts
    assert one == other
    words = [each.text for each in one]
    assert sorted(words) == sorted(lines)
    assert 10 < words[:50].count("often") < 40, "either half has a share of what stands often"


def test_objects_have_labels_and_pairs(tmp_path):
    line = json.dumps({"text": "a", "text_pair": "b", "label": "bad", "id": 7})
    (found,) = read(tmp_path, line, pairs=True, labelled=True).texts
    assert (found.text, found.pair, found.label) == ("a", "b", "bad")


@pytest.mark.parametrize(
    ("content", "name", "options", "message"),
    [
        ("a", "texts.txt", {"labelled": True}, "labels need JSON lines"),
        ("a", "texts.txt", {"pairs": True}, "pairs of texts need JSON lines"),
        ("{", "texts.jsonl", {}, "line 1: it is no JSON"),
        ("[" * 100_000, "texts.jsonl", {}, "line 1: it is no JSON"),
        ('{"text": 1}', "texts.jsonl", {}, "line 1: an object with text is expected"),
        ('{"text": "a"}', "texts.jsonl", {"labelled": True}, "an object with text, label is expected"),
        ('{"text": "a", "label": "x"}', "texts.jsonl", {"labelled": True}, "its label is none of .*: good, bad"),
        (r'{"text": "a"}' + "\n" + r'{"text": "secret \ud800"}', "texts.jsonl", {}, "line 2: its text holds half of"),
        (r'{"text": "a", "text_pair": "\ud800"}', "texts.jsonl", {"pairs": True}, "line 1: its text holds half of"),
        (
            '{"text": "secret", "label": "good"}\n{"text": "secret", "label": "bad"}',
            "texts.jsonl",
            {"labelled": True},
            "line 2: its text has another label before",
        ),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(tmp_path, content, name, options, message):
    with pytest.raises(InvalidConfig, match=message) as refused:
        read(tmp_path, content, name, **options)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidConfig, match="cannot be read as UTF-8 text"):
        read_fitting_texts(tmp_path / "none.txt", LABELS, pairs=False, labelled=False)
