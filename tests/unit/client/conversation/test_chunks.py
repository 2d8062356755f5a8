import random

import pytest

from encserve._conversation import chunks as module
from encserve._conversation.chunks import ChunkLimits, chunks_of
from encserve._errors import InvalidInput


def limits_of(**changes):
    return ChunkLimits(
        **{"max_texts": 64, "max_tokens": 16_384, "max_length": 256, "max_bytes_per_text": 65_536, **changes}
    )


def sizes(texts, **limits):
    chunks = list(chunks_of(texts, limits_of(**limits)))
    assert [text for chunk in chunks for text in chunk.texts] == [text.encode() for text in texts]
    starts = [chunk.start for chunk in chunks]
    assert starts == [sum(len(chunk.texts) for chunk in chunks[:i]) for i in range(len(chunks))]
    return [len(chunk.texts) for chunk in chunks]


def test_by_number_of_texts():
    assert sizes(["a"] * 10, max_texts=4) == [4, 4, 2]
    assert sizes([]) == []


def test_by_bound_on_tokens():
    assert sizes(["a" * 6] * 5, max_tokens=20) == [2, 2, 1]  # 6 bytes + 4 each
    assert sizes(["ä" * 3] * 5, max_tokens=20) == [2, 2, 1]
    assert sizes(["a" * 600] * 5, max_length=8, max_tokens=16) == [2, 2, 1]


def test_prompted_texts_count_as_long_as_the_model_allows():
    assert sizes(["a"] * 4, prompt_tokens=1, max_length=8, max_tokens=16) == [2, 2]


def test_texts_in_windows_count_with_all_their_bytes():
    limits = {"max_length": 8, "max_tokens": 450}
    assert sizes(["a" * 96] * 5, **limits) == [5]
    assert sizes(["a" * 96] * 5, in_windows=True, **limits) == [2, 2, 1]
    assert sizes(["a" * 96] * 5, in_windows=True, prompt_tokens=13, **limits) == [1] * 5


def test_a_text_counts_with_its_copies():
    limits = {"max_length": 8, "max_tokens": 100, "copied": True}
    # 5 + 4 copies; one of the text of no bytes and the 8 that max_length allows; one more
    assert sizes(["a" * 5, "a" * 4, "", "a" * 99, "a"], max_texts=9, **limits) == [2, 2, 1]
    assert sizes(["a" * 5, "a" * 4], **limits) == [2]  # 5 * 8 + 4 * 8 tokens
    assert sizes(["a" * 5, "a" * 4, "a" * 5], **limits) == [2, 1]


def test_a_text_above_the_bound_gets_its_own_request():
    assert sizes(["a", "a" * 100, "a"], max_tokens=20) == [1, 1, 1]


def test_by_bytes(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES_PER_REQUEST", 20)
    assert sizes(["a" * 8, "b" * 8, "c" * 8, "d" * 30, "e"]) == [2, 1, 1, 1]


def test_reads_no_further_than_the_chunk_at_hand():
    read = []
    texts = (read.append(i) or "a" for i in range(1000))
    next(chunks_of(texts, limits_of(max_texts=4)))
    assert len(read) == 5


def one_by_one(texts, limits, *, pairs=None):
    """The chunks of texts of which nobody knows how many there will be."""
    return list(chunks_of(iter(texts), limits, pairs=pairs))


LIMITS = {
    "plain": {},
    "few": {"max_texts": 3},
    "few tokens": {"max_tokens": 40},
    "short": {"max_length": 8},
    "prompted": {"prompt_tokens": 1, "max_length": 8},
    "several rows": {"rows_per_text": 3, "added_tokens": 2},
    "with a text": {"shared_bytes": 9, "max_length": 16},
    "copied": {"copied": True, "max_length": 8},
    "in windows": {"in_windows": True},
}


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_a_list_has_the_chunks_of_its_texts_one_by_one(limits, paired):
    """A list that one request holds is counted at once."""
    rng = random.Random(7)
    for number in range(12):
        texts, pairs = ([rng.choice("aäあ😀") * rng.randrange(12) for _ in range(number)] for _ in range(2))
        pairs = pairs if paired else None
        assert list(chunks_of(texts, limits_of(**limits), pairs=pairs)) == one_by_one(
            texts, limits_of(**limits), pairs=pairs
        )


@pytest.mark.parametrize("wrong", [7, None, b"bytes", "a\ud800", "a" * 100], ids=type)
def test_a_list_is_refused_in_the_words_for_its_texts_one_by_one(wrong):
    texts, limits = ["a", "b", wrong, "c"], limits_of(max_bytes_per_text=50)
    with pytest.raises(InvalidInput) as expected:
        one_by_one(texts, limits)
    with pytest.raises(InvalidInput) as found:
        list(chunks_of(texts, limits))
    assert str(found.value) == str(expected.value)
    assert "text 2" in str(found.value)
