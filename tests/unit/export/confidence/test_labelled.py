"""The file of texts whose labels are known."""

import json

import pytest

from encserve_export.confidence.labelled import read_labelled
from encserve_export.errors import InvalidConfig

LABELS = ["good", "bad"]


def written(tmp_path, lines):
    file = tmp_path / "labels.jsonl"
    file.write_text("\n".join(json.dumps(line) if not isinstance(line, str) else line for line in lines))
    return file


def lines(count):
    return [{"text": f"text {number}", "label": LABELS[number % 2]} for number in range(count)]


def test_a_third_is_held_out_the_same_in_whatever_order(tmp_path):
    one = read_labelled(written(tmp_path, lines(151)), LABELS, pairs=False)
    other = read_labelled(written(tmp_path, lines(151)[::-1]), LABELS, pairs=False)
    assert (len(one.fitted), len(one.held_out)) == (101, 50)
    assert one.held_out == other.held_out
    assert one.sha256 != other.sha256
    assert not {each.text for each in one.fitted} & {each.text for each in one.held_out}


def test_a_text_counts_once(tmp_path):
    with pytest.raises(InvalidConfig, match="149 distinct texts; 150 are the least"):
        read_labelled(written(tmp_path, lines(149) + lines(149)), LABELS, pairs=False)


def test_a_text_with_two_labels_is_refused_by_its_lines_and_not_shown(tmp_path):
    given = [*lines(150), "", {"text": "text 3", "label": LABELS[0]}]
    with pytest.raises(InvalidConfig, match=r"labels.jsonl: lines 4 and 152 give one text two labels$"):
        read_labelled(written(tmp_path, given), LABELS, pairs=False)


def test_pairs_have_two_texts(tmp_path):
    given = [{**line, "text_pair": "x"} for line in lines(150)]
    assert read_labelled(written(tmp_path, given), LABELS, pairs=True).fitted[0].pair == "x"
    with pytest.raises(InvalidConfig, match=r"line 1: an object with text, label, text_pair is expected"):
        read_labelled(written(tmp_path, lines(150)), LABELS, pairs=True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 151: it is no JSON"),
        ("[" * 100_000, "line 151: it is no JSON"),
        ("[]", "line 151: an object with text, label is expected"),
        ({"text": "a", "label": 1}, "line 151: an object with text, label is expected"),
        ({"text": "secret", "label": "other"}, "line 151: its label is none of the checkpoint's: good, bad"),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(tmp_path, line, message):
    with pytest.raises(InvalidConfig, match=message) as caught:
        read_labelled(written(tmp_path, [*lines(150), line]), LABELS, pairs=False)
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(InvalidConfig, match="cannot be read as UTF-8"):
        read_labelled(tmp_path / "none.jsonl", LABELS, pairs=False)
