"""Files of texts, and what is wrong with some."""

import json

import pytest

from encserve import InvalidInput
from encserve_lifecycle.comparison.reading import read_texts


def written(folder, name, *lines):
    path = folder / name
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_lines_are_texts_and_a_repeated_one_counts_once(tmp_path):
    found = read_texts(written(tmp_path, "texts.txt", "one", "", "two", "one"))
    assert (found.texts, found.ids, found.repeated) == (["one", "two"], ["1", "3"], 1)


def test_json_lines_have_ids_labels_and_relevant_texts(tmp_path):
    lines = [
        {"text": "a", "id": 7, "label": "x", "relevant": [7, "8"]},
        {"text": "b", "label": 1, "relevant": {"9": 2}},
    ]
    found = read_texts(written(tmp_path, "texts.jsonl", *lines))
    assert (found.ids, found.labels) == (["7", "2"], ["x", "1"])
    assert found.relevant == [{"7": 1.0, "8": 1.0}, {"9": 2.0}]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "has no text"),
        (["{"], "line 1 is no JSON"),
        ([{"words": "a"}], "line 1 has no field 'text'"),
        ([{"text": "a", "label": "x"}, {"text": "b"}], "some lines have 'label' and others do not"),
        ([{"text": "a", "relevant": []}], "'relevant' must be"),
        ([{"text": "a", "relevant": {"1": 0}}], "'relevant' must be"),
        ([{"text": "a", "relevant": {"1": "x"}}], "'relevant' must be"),
        ([{"text": "a", "relevant": {"1": float("inf")}}], "'relevant' must be"),
        ([{"text": "a", "id": 1}, {"text": "b", "id": "1"}], "an id stands at two texts"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, lines, says):
    path = written(tmp_path, "texts.jsonl", *lines)
    with pytest.raises(InvalidInput, match=says) as refused:
        read_texts(path)
    assert str(path) in str(refused.value)


def test_the_mark_that_begins_some_files_is_no_part_of_the_first_text(tmp_path):
    (tmp_path / "texts.txt").write_bytes("one\ntwo".encode("utf-8-sig"))
    assert read_texts(tmp_path / "texts.txt").texts == ["one", "two"]


def test_a_file_that_is_not_there_or_not_utf8_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="cannot read"):
        read_texts(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InvalidInput, match="cannot read"):
        read_texts(tmp_path / "latin.txt")
