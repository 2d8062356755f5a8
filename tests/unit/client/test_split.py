import pytest

from encserve import InvalidInput, _split
from encserve._split import as_sequence, check_collection, check_texts, split
from encserve.testing import fake_pipeline


def sizes(texts, *, max_texts=64, prompted=False, in_windows=False, **limits):
    pipeline = fake_pipeline(**limits)
    chunks = list(split(texts, pipeline, max_texts=max_texts, prompted=prompted, in_windows=in_windows))
    assert [text for chunk in chunks for text in chunk.texts] == [text.encode() for text in texts]
    starts = [chunk.start for chunk in chunks]
    assert starts == [sum(len(chunk.texts) for chunk in chunks[:i]) for i in range(len(chunks))]
    return [len(chunk.texts) for chunk in chunks]


def test_by_number_of_texts():
    assert sizes(["a"] * 10, max_texts=4) == [4, 4, 2]
    assert sizes(["a"] * 10, max_texts=4, max_texts_per_request=3) == [3, 3, 3, 1]
    assert sizes([]) == []


def test_by_bound_on_tokens():
    assert sizes(["a" * 6] * 5, max_tokens_per_request=20) == [2, 2, 1]  # 6 bytes + 4 each
    assert sizes(["ä" * 3] * 5, max_tokens_per_request=20) == [2, 2, 1]
    assert sizes(["a" * 600] * 5, max_length=8, max_tokens_per_request=16) == [2, 2, 1]


def test_prompted_texts_count_as_long_as_the_model_allows():
    assert sizes(["a"] * 4, prompted=True, max_length=8, max_tokens_per_request=16) == [2, 2]


def test_texts_in_windows_count_with_all_their_bytes():
    limits = {"max_length": 8, "max_tokens_per_request": 450}
    assert sizes(["a" * 96] * 5, **limits) == [5]
    assert sizes(["a" * 96] * 5, in_windows=True, **limits) == [2, 2, 1]


def test_a_text_counts_with_its_copies():
    pipeline = fake_pipeline(max_length=8, max_tokens_per_request=100)
    chunks = split(["a" * 5, "a" * 4, "", "a" * 99, "a"], pipeline, max_texts=9, copied=True)
    # 5 + 4 copies; one of the text of no bytes and the 8 that max_length allows; one more
    assert [len(chunk.texts) for chunk in chunks] == [2, 2, 1]
    chunks = split(["a" * 5, "a" * 4], pipeline, max_texts=64, copied=True)
    assert [len(chunk.texts) for chunk in chunks] == [2]  # 5 * 8 + 4 * 8 tokens
    chunks = split(["a" * 5, "a" * 4, "a" * 5], pipeline, max_texts=64, copied=True)
    assert [len(chunk.texts) for chunk in chunks] == [2, 1]


def test_a_text_above_the_bound_gets_its_own_request():
    assert sizes(["a", "a" * 100, "a"], max_tokens_per_request=20) == [1, 1, 1]


def test_by_bytes(monkeypatch):
    monkeypatch.setattr(_split, "MAX_BYTES_PER_REQUEST", 20)
    assert sizes(["a" * 8, "b" * 8, "c" * 8, "d" * 30, "e"]) == [2, 1, 1, 1]


def test_reads_no_further_than_the_chunk_at_hand():
    read = []
    texts = (read.append(i) or "a" for i in range(1000))
    next(split(texts, fake_pipeline(), max_texts=4, prompted=False))
    assert len(read) == 5


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
