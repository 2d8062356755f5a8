import pytest

from encserve_export.calibration_file import read_texts
from encserve_export.errors import InvalidConfig


def test_lines_are_texts_and_blank_ones_are_not(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text('first\n\n  \n{"text": "as it is"}\nwith \u2028 separator\n', encoding="utf-8")
    assert read_texts(file, "text") == ["first", '{"text": "as it is"}', "with \u2028 separator"]


def test_json_lines_have_a_field_or_are_strings(tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text('{"body": "one", "id": 3}\n"two"\n\n', encoding="utf-8")
    assert read_texts(file, "body") == ["one", "two"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"body": "x"}', "line 2: no text under 'text', its fields are body; --calibration-field names the field"),
        ('{"text": 3}', "line 2: no text under 'text'"),
        ("[1]", r"line 2: no text under 'text', it is \[1\]"),
        ("{", "line 2: not JSON"),
    ],
)
def test_a_line_that_is_no_text_is_named(tmp_path, line, message):
    file = tmp_path / "texts.jsonl"
    file.write_text(f'{{"text": "fine"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(InvalidConfig, match=message):
        read_texts(file, "text")


def test_a_file_that_is_missing_or_not_text_is_refused(tmp_path):
    with pytest.raises(InvalidConfig, match=r"missing.txt: cannot be read as UTF-8 text: .*No such file"):
        read_texts(tmp_path / "missing.txt", "text")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidConfig, match="cannot be read as UTF-8 text"):
        read_texts(tmp_path / "binary", "text")
