import pytest

from encserve_export.errors import InvalidConfig
from encserve_export.texts.calibration_file import distinct, hold_out, read_texts
from encserve_export.texts.overlap import runs_of


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


def test_texts_that_differ_in_case_punctuation_and_spaces_alone_are_one():
    assert distinct(["One two", "three", "one,  TWO! ", "Three", "four"]) == ["One two", "three", "four"]


def test_a_third_is_held_out_whatever_the_order_of_the_file():
    texts = [f"text {number}" for number in range(100)]
    kept, held_out, apart = hold_out(texts)
    assert (len(kept), len(held_out), apart) == (67, 33, "5 words in a row")
    assert {*kept} | {*held_out} == {*texts}
    assert hold_out(texts[::-1]) == (kept, held_out, apart)
    assert [*held_out] != texts[:33]


def test_nothing_that_is_held_out_shares_five_words_with_what_is_kept():
    """Each text has two near copies: with another beginning, and with another end."""
    words = [f"word{number}" for number in range(600)]
    texts = []
    for begin in range(0, 600, 10):
        some = words[begin : begin + 10]
        texts += [" ".join(some), " ".join(["but", *some[2:]]), " ".join([*some[:8], "perhaps"]).upper()]
    kept, held_out, apart = hold_out(texts)
    assert apart == "5 words in a row"
    assert (len(kept), len(held_out)) == (120, 60)
    runs = {run for text in kept for run in runs_of(text)}
    assert not [text for text in held_out if runs & runs_of(text)]


def test_letters_count_where_words_have_no_spaces():
    one, other = "今日はとても天気がよかったので", "昨日はとても天気がよかったので、海へ行った"
    assert runs_of(one) & runs_of(other)
    assert not runs_of(one) & runs_of("この道をまっすぐ行くと、右に小さな郵便局が見えます")


def test_texts_of_one_template_are_apart_by_being_distinct():
    texts = [f"parcel {number} waits behind the blue door of the depot" for number in range(90)]
    kept, held_out, apart = hold_out(texts)
    assert (len(kept), len(held_out)) == (60, 30)
    assert apart == "a text that is equal but for case, punctuation and white space"
