import pytest

from encserve import InvalidInput
from encserve._texts import as_sequence, check_collection, check_texts


@pytest.mark.parametrize("texts", ["one text", b"one text"])
def test_a_single_text_is_not_a_list(texts):
    with pytest.raises(InvalidInput, match=rf"single {type(texts).__name__}.*pass \[text\]"):
        check_collection(texts)


def test_not_iterable():
    with pytest.raises(InvalidInput, match="texts is int, expected a list"):
        as_sequence(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"bytes", "text 1 is bytes, expected str"),
        (None, "text 1 is NoneType, expected str"),
        (float("nan"), "text 1 is float, expected str"),
        ("ab\ud800c", r"text 1 is no valid Unicode: a lone surrogate '\\ud800' at position 2"),
        ("ä" * 6, "text 1 has 12 bytes in UTF-8, the limit is 10"),
    ],
)
def test_bad_texts(text, message):
    with pytest.raises(InvalidInput, match=message):
        check_texts(["fine", text], max_bytes=10)


def test_legal_texts():
    check_texts(["", "\0", "ä" * 5, "\U0001f600"], max_bytes=10)
