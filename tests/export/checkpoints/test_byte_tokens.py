"""ByT5's tokenizer, built out of parts, beside that of transformers: the same tokens and the same texts."""

import random
import warnings

import pytest
import transformers

from encserve_export.checkpoint.byte_tokens import fast_byte_tokenizer
from encserve_export.checkpoint.reference_tokenizers import DIFFICULT_TEXTS
from encserve_export.checkpoint.sentence.transformer_settings import TransformerSettings
from encserve_export.checkpoint.tokenizer import load_tokenizer
from encserve_export.texts.parts import Part, corpus_of
from encserve_server.steps.generate.texts.pieces import Pieces

RANGES = ((32, 127), (0x80, 0x800), (0x800, 0xD800), (0xE000, 0x110000))
"""Of characters of one to four bytes."""
SPELLED = (
    "a </s> b",
    "x<extra_id_3>y <extra_id_124>",
    "  <pad> z",
    "<unk>",
    " </s>  a",
    "\ufffd between \ufffd",
    "\U0010ffff\U0010fffe",
)


@pytest.fixture(scope="module")
def slow():
    return transformers.ByT5Tokenizer()


@pytest.fixture(scope="module")
def fast(slow):
    return fast_byte_tokenizer(slow)


def text_of(chance):
    return "".join(chr(chance.randrange(*chance.choice(RANGES))) for _ in range(chance.randrange(12)))


def test_tokens_are_those_of_transformers(slow, fast):
    chance = random.Random(0)
    drawn = [
        "".join(chr(chance.randrange(*chance.choice(RANGES))) for _ in range(chance.randrange(12)))
        for _ in range(2_000)
    ]
    texts = [*DIFFICULT_TEXTS.values(), *SPELLED, *(each.text for each in corpus_of(Part.CHOICE).texts), *drawn]
    assert fast(texts)["input_ids"] == slow(texts)["input_ids"]
    assert (
        fast(texts, truncation=True, max_length=9)["input_ids"] == slow(texts, truncation=True, max_length=9).input_ids
    )
    assert len(fast) == len(slow) == 384
    assert sorted(fast.get_vocab().values()) == sorted(slow.get_vocab().values()) == [*range(384)]
    assert {fast.pad_token_id, fast.eos_token_id, fast.unk_token_id} == {0, 1, 2}


def tokens_of(chance):
    """Any tokens, or those of a text of which a byte is missing."""
    if chance.random() < 0.5:
        return [chance.randrange(384) for _ in range(chance.randrange(14))]
    text = bytearray("".join(chance.choice("aé中\U0001f600\ufffd ") for _ in range(chance.randrange(1, 14))).encode())
    del text[chance.randrange(len(text))]
    return [byte + 3 for byte in text]


def test_texts_are_those_of_transformers_and_so_are_their_pieces_together(slow, fast):
    chance = random.Random(1)
    for _ in range(3_000):
        tokens = tokens_of(chance)
        text = slow.decode(tokens, skip_special_tokens=True)
        assert fast.backend_tokenizer.decode(tokens, skip_special_tokens=True) == text
        pieces = Pieces(fast.backend_tokenizer)
        assert "".join([*map(pieces.add, tokens), pieces.end()]) == text


def test_a_character_comes_as_one_piece(fast):
    pieces = Pieces(fast.backend_tokenizer)
    assert [pieces.add(byte + 3) for byte in "é中".encode()] == ["", "é", "", "", "中"]


def test_an_end_that_a_text_spells_out_is_followed_by_another(slow, fast):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (slow("a</s>").input_ids, fast("a</s>").input_ids) == ([100, 1], [100, 1, 1])


def test_a_checkpoint_with_it_is_read(slow, tmp_path):
    slow.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path, TransformerSettings(), None)
    assert tokenizer.is_fast
    assert tokenizer("é")["input_ids"] == [byte + 3 for byte in "é".encode()] + [1]
