"""Pieces that are looked up in a list: where a text may be cut before it is read, and what long runs cost."""

import random

import pytest

from encserve_server.steps.tokenize.kept_tokens import COUNTED_CHARACTERS, Wanted, keep_tokens
from encserve_server.steps.tokenize.listed.pieces import ListedPieces
from encserve_server.steps.tokenize.safe_cuts import safe_cuts_of_pieces

SPACE = "\u2581"
LETTERS = [SPACE, *(SPACE + letter for letter in "abc"), *"abc"]
PAIRS = ["ab", "bc", "ca", "abc", SPACE + "ab", SPACE + "bc"]
ROOM = 50


def pieces_of(cut="bpe", scores=None, **changes):
    scores = scores or {piece: -number / 8 for number, piece in enumerate([*PAIRS, *LETTERS])}
    described = {
        "cut": cut,
        "scores": scores,
        "replacements": {},
        "adds_space": True,
        "drops_spaces": True,
        "apart": ["</s>"],
        "codes": False,
        "ids": {piece: number for number, piece in enumerate(scores, 1)},
        "unknown": 0,
    }
    return ListedPieces(described | changes)


def close_scores(chance):
    """Of which many ways to cut a word are about as likely."""
    return {piece: -len(piece.encode()) - chance.random() / 1_000 for piece in [*PAIRS, *LETTERS]}


def long_text(chance):
    words = ("".join(chance.choices("abc", k=chance.randint(1, 9))) for _ in range(4_000))
    return " ".join(words)


@pytest.mark.parametrize("from_end", [False, True])
@pytest.mark.parametrize("cut", ["unigram", "bpe"])
def test_what_is_kept_of_a_long_text_has_the_tokens_of_the_whole(cut, from_end):
    chance, read = random.Random(0), []
    for _ in range(2):
        pieces, text = pieces_of(cut, close_scores(chance)), long_text(chance)
        assert len(text) > COUNTED_CHARACTERS

        def encode(windows, pieces=pieces):
            read.extend(windows)
            return pieces.encode(windows)

        (kept,) = keep_tokens([Wanted(text, ROOM, from_end)], encode, safe_cuts_of_pieces(pieces))
        (whole,) = pieces.encode([text])
        own = slice(-ROOM, None) if from_end else slice(ROOM)
        assert kept.ids[own] == whole.ids[own]
    windowed = max(map(len, read)) < COUNTED_CHARACTERS
    assert windowed is not (cut == "unigram" and from_end)


@pytest.mark.parametrize(
    ("changes", "text", "place"),
    [
        ({"codes": True}, ">>ab c<< a", 4),
        ({"apart": ["b c"]}, "ab ca", 2),
        ({"drops_spaces": False}, "ab ca", 2),
        ({"adds_space": False}, "ab ca", 2),
        ({"scores": {f"b{SPACE}": -1.0, f"b{SPACE}c": -0.5, "a": -2.0, "b": -2.0, "c": -2.0}}, "ab ca", 2),
    ],
    ids=["a code", "a token with a space", "spaces that stay", "no space before a text", "a piece with a space"],
)
def test_where_a_part_would_be_read_otherwise_than_in_the_whole_no_place_is_safe(changes, text, place):
    pieces = pieces_of(**changes)
    whole, left, right = pieces.encode([text, text[:place], text[place:]])
    assert whole.tokens != left.tokens + right.tokens
    assert safe_cuts_of_pieces(pieces) is None
    assert safe_cuts_of_pieces(pieces_of()) is not None


class Copied(str):
    """Counts the characters that are copied where it is put before another."""

    characters = 0

    def __add__(self, other):
        Copied.characters += len(self) + len(other)
        return Copied(str(self) + str(other))


def copied(pieces, monkeypatch, size):
    monkeypatch.setattr(pieces, "_cut", lambda text: [Copied(each) for each in text])
    monkeypatch.setattr(Copied, "characters", 0)
    (read,) = pieces.encode(["🔑" * size])
    assert read.tokens == [SPACE, "🔑" * size]
    assert read.ids[1] == 0
    return Copied.characters


def test_a_run_of_unknown_characters_costs_no_more_than_its_length(monkeypatch):
    pieces = pieces_of()
    assert copied(pieces, monkeypatch, 2_000) <= 2 * copied(pieces, monkeypatch, 1_000)
