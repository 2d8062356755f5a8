"""Tokens to pieces of a text."""

import pytest
from passages import PASSAGES
from trained_tokenizers import byte_level_tokenizer, unigram_tokenizer

from encserve_server.steps.generate.texts.pieces import Pieces


def pieces_of(tokenizer, tokens, stops=()):
    pieces = Pieces(tokenizer, stops)
    told = []
    for token in tokens:
        told.append(pieces.add(token))
        if pieces.stopped:
            break
    return [*told, pieces.end()], pieces.stopped


@pytest.mark.parametrize("make", [byte_level_tokenizer, unigram_tokenizer])
def test_all_pieces_together_are_the_text(make):
    tokenizer = make()
    for passage in [*PASSAGES[:40], "日本語 and 😂 emoji", ""]:
        tokens = tokenizer.encode(passage, add_special_tokens=False).ids
        told, stopped = pieces_of(tokenizer, tokens)
        assert "".join(told) == tokenizer.decode(tokens, skip_special_tokens=True)
        assert not stopped


def test_a_character_waits_for_all_its_bytes():
    tokenizer = byte_level_tokenizer()
    tokens = tokenizer.encode("🦙", add_special_tokens=False).ids
    assert len(tokens) > 1
    told, _ = pieces_of(tokenizer, tokens)
    assert [piece for piece in told if piece] == ["🦙"]
    cut, _ = pieces_of(tokenizer, tokens[:-1])
    assert [piece for piece in cut if piece] == [tokenizer.decode(tokens[:-1])]  # what it will never become


@pytest.mark.parametrize(
    ("stops", "text"), [(["cde"], "ab"), (["zz"], "abcdefg"), (["f", "cd"], "ab"), (["ab"], ""), (["g"], "abcdef")]
)
def test_a_text_stops_before_a_string_and_nothing_of_that_is_told(stops, text):
    tokenizer = byte_level_tokenizer()
    tokens = [token for letter in "abcdefg" for token in tokenizer.encode(letter, add_special_tokens=False).ids]
    told, stopped = pieces_of(tokenizer, tokens, stops)
    assert "".join(told) == text
    assert stopped == (stops != ["zz"])
