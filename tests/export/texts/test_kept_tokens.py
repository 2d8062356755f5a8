"""What truncation keeps of a long text, against the tokens of the whole text."""

import random

import pytest
from passages import PASSAGES
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from trained_tokenizers import byte_level_tokenizer, unigram_tokenizer, wordpiece_tokenizer

from encserve_export.checkpoint.reference_tokenizers import DIFFICULT_TEXTS
from encserve_server.steps.request.options import InvalidArgument
from encserve_server.steps.tokenize.kept_tokens import COUNTED_CHARACTERS, Tokens, Wanted, keep_tokens
from encserve_server.steps.tokenize.limits import MAX_WHOLE_BYTES
from encserve_server.steps.tokenize.safe_cuts import safe_cuts_of
from encserve_server.steps.tokenize.tokenization import Tokenization

MASK = AddedToken("<mask>", lstrip=True, special=True)
COLLAPSE = normalizers.Replace(Regex(" {2,}"), " ")


def changed(make, *, normalizer=None, splits=None):
    """A trained tokenizer with a mask and another normalizer or pre-tokenizer."""
    tokenizer = make()
    tokenizer.add_special_tokens([MASK])
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if splits is not None:
        tokenizer.pre_tokenizer = splits
    return tokenizer


TOKENIZERS = {
    "WordPiece": lambda: changed(wordpiece_tokenizer),
    "WordPiece cased": lambda: changed(wordpiece_tokenizer, normalizer=normalizers.BertNormalizer(lowercase=False)),
    "byte-level BPE": lambda: changed(byte_level_tokenizer),
    "byte-level BPE with a space ahead": lambda: changed(
        byte_level_tokenizer, splits=pre_tokenizers.ByteLevel(add_prefix_space=True)
    ),
    "byte-level BPE of NFC": lambda: changed(
        byte_level_tokenizer,
        normalizer=normalizers.NFC(),
        splits=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel()]),
    ),
    "Unigram": lambda: changed(unigram_tokenizer),
    "Unigram of NFKC": lambda: changed(
        unigram_tokenizer,
        normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(left=False), COLLAPSE]),
    ),
    "Unigram of words": lambda: changed(
        unigram_tokenizer,
        normalizer=normalizers.Sequence([COLLAPSE, normalizers.NFKD(), normalizers.StripAccents()]),
        splits=pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
    ),
}
PIECES = [
    *PASSAGES,
    *DIFFICULT_TEXTS.values(),
    *(" ", "  ", "\n", "\t", "\u00a0", "\u3000", "\u200b", "\x00", "\u0301", "\ufe70", "\u0d4e", "▁", "Ġ", "##"),
    *(
        "a",
        "b 1",
        "1 2",
        "é",
        "ß",
        "Σ",
        "σ ς",
        "中",
        "文",
        "👍🏽",
        "ﬁ",
        "½",
        "²",
        "ﷺ",
        "İ",
        "<mask>",
        "<s>",
        "'s",
        "'ll",
    ),
]


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request) -> Tokenizer:
    return TOKENIZERS[request.param]()


def jumbled(rng, least):
    """A text of at least `least` characters, with spaces or none between its pieces."""
    parts, size = [], 0
    while size < least:
        parts.append(rng.choice(PIECES) + rng.choice(["", " ", " "]))
        size += len(parts[-1])
    return "".join(parts)


def test_both_sides_of_every_safe_place_have_the_tokens_of_the_whole(tokenizer):
    rng = random.Random(0)
    cuts = safe_cuts_of(tokenizer)
    found = 0
    for _ in range(400):
        text = jumbled(rng, 40)
        whole = tokenizer.encode(text, add_special_tokens=False)
        places = [place for place in range(1, len(text) - 1) if cuts.first(text, place, place + 1) is not None]
        assert cuts.first(text, 0, len(text)) == (places[0] if places else None)
        assert cuts.last(text, 0, len(text)) == (places[-1] if places else None)
        for place in rng.sample(places, min(len(places), 8)):
            left, right = tokenizer.encode_batch([text[:place], text[place:]], add_special_tokens=False)
            assert left.ids + right.ids == whole.ids, (text, place)
            assert left.offsets == whole.offsets[: len(left)]
            moved = [(begin + place, end + place) for begin, end in right.offsets]
            assert moved[1:] == whole.offsets[len(left) + 1 :]
        found += len(places)
    assert found > 1000


@pytest.mark.parametrize("from_end", [False, True])
def test_a_long_text_keeps_the_tokens_of_the_whole(tokenizer, from_end):
    rng = random.Random(1)
    texts = [jumbled(rng, rng.randint(10, 40_000)) for _ in range(30)]
    room = 254
    given = []

    def encode(windows):
        given.extend(windows)
        return tokenizer.encode_batch(windows, add_special_tokens=False)

    kept = keep_tokens([Wanted(text, room, from_end) for text in texts], encode, safe_cuts_of(tokenizer))
    for text, tokens in zip(texts, kept, strict=True):
        whole = tokenizer.encode(text, add_special_tokens=False)
        own = slice(-room, None) if from_end else slice(room)
        assert tokens.ids[own] == whole.ids[own]
        assert tokens.offsets[own] == whole.offsets[own]
        assert tokens.whole or room < len(tokens) < len(whole)
        assert len(text) > COUNTED_CHARACTERS or (tokens.whole and len(tokens) == len(whole))
    assert not all(tokens.whole for tokens in kept)
    assert sum(map(len, given)) < sum(map(len, texts))


@pytest.mark.parametrize("from_end", [False, True])
def test_ten_megabytes_cost_no_more_than_ten_kilobytes(tokenizer, from_end):
    given = []

    def encode(windows):
        given.extend(windows)
        return tokenizer.encode_batch(windows, add_special_tokens=False)

    text = PASSAGES[0] + " "
    large = text * (10_000_000 // len(text))
    (tokens,) = keep_tokens([Wanted(large, 254, from_end)], encode, safe_cuts_of(tokenizer))
    assert isinstance(tokens, Tokens)
    assert len(tokens) > 254
    assert sum(len(window.encode()) for window in given) < 10_000


def test_a_word_without_end_is_refused_and_a_smaller_one_is_read(tokenizer):
    def encode(windows):
        assert all(len(window) <= MAX_WHOLE_BYTES for window in windows)
        return tokenizer.encode_batch(windows, add_special_tokens=False)

    small, large = "x" * 20_000, "x" * (MAX_WHOLE_BYTES + 1)
    read, refused = keep_tokens([Wanted(small, 8), Wanted(large, 8, name="text 3")], encode, safe_cuts_of(tokenizer))
    assert read.whole
    assert isinstance(refused, InvalidArgument)
    assert str(refused).startswith("text 3 has 262145 characters, and the first 262144 of them hold no place to cut it")


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": normalizers.Prepend("▁")},
        {"normalizer": normalizers.Strip()},
        {"normalizer": normalizers.Replace(Regex("a b"), "c")},
        {"normalizer": normalizers.Replace("a b", "c")},
        {"splits": pre_tokenizers.Metaspace(split=False)},
        {"splits": pre_tokenizers.Digits()},
        {"splits": pre_tokenizers.UnicodeScripts()},
    ],
)
def test_a_tokenizer_that_is_not_understood_reads_texts_whole(change):
    tokenizer = changed(unigram_tokenizer, **change)
    assert safe_cuts_of(tokenizer) is None
    (tokens,) = keep_tokens(
        [Wanted("a b " * 20_000, 8)], lambda texts: tokenizer.encode_batch(texts, add_special_tokens=False), None
    )
    assert tokens.whole


@pytest.mark.parametrize(
    "token",
    [AddedToken("New York"), AddedToken("foo", rstrip=True), AddedToken(" foo", single_word=True)],
)
def test_an_added_token_that_reaches_across_a_space(token):
    tokenizer = byte_level_tokenizer()
    assert safe_cuts_of(tokenizer) is not None
    tokenizer.add_tokens([token])
    assert safe_cuts_of(tokenizer) is None


@pytest.mark.parametrize("side", ["start", "end"])
@pytest.mark.parametrize("max_length", [64, 65])
def test_long_pairs_are_cut_as_if_both_were_tokenized_whole(side, max_length):
    """Either parity of the room, as an odd token goes to the longer one."""
    rng = random.Random(2)
    tokenizer = wordpiece_tokenizer()
    settings = {
        "layout": "text_pairs",
        "limits": {
            "max_length": max_length,
            "max_texts_per_request": 64,
            "max_tokens_per_request": 65_536,
            "max_bytes_per_text": 1 << 24,
        },
        "tensors": [],
    }
    pairs = [(jumbled(rng, rng.choice([5, 2_000, 20_000])), jumbled(rng, rng.choice([5, 18_000]))) for _ in range(12)]
    options = {"truncate": side}
    bounded, whole = Tokenization(tokenizer, settings), Tokenization(tokenizer, settings)
    whole._cuts = None
    for first, second in pairs:
        raw = {"text": [first.encode()], "text_pair": [second.encode()]}
        ours, theirs = (each.tokenize([(each.read(raw, options), options)])[0] for each in (bounded, whole))
        assert ours["input_ids"].tolist() == theirs["input_ids"].tolist()
        assert ours["dropped_count"] <= theirs["dropped_count"]
