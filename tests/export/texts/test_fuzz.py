"""Random Unicode through the tokenize step, against the tokenizer that transformers loads from the checkpoint."""

import random

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer

from encserve import InvalidInput
from encserve._texts import encode_text
from encserve_server.steps.tokenize.limits import MAX_WHOLE_BYTES
from encserve_server.steps.tokenize.tokenization import Tokenization
from export.families.checkpoints import write_checkpoint
from export.small_checkpoints import BYTE_LEVEL, MAX_POSITIONS, make_checkpoint

TEXT_COUNT = 20_000
TEXTS_PER_REQUEST = 250
MAX_LENGTH = MAX_POSITIONS - 2
SPANS = [
    (0x20, 0x7E),
    (0x00, 0x1F),  # control characters, NUL among them
    (0x80, 0x24F),
    (0x300, 0x36F),  # combining marks
    (0x370, 0xD7FF),
    (0xE000, 0xFFFF),
    (0x10000, 0x3FFFF),
    (0x40000, 0x10FFFF),
]
"""First and last code point: every plane, surrogates left out."""


def random_text(rng):
    """Of one or several spans, with spaces or without; now and then a very long word."""
    if rng.random() < 0.005:
        return rng.choice("xé中\u0301") * rng.randint(200, 3_000)
    spans = rng.choices(SPANS, weights=[6, 1, 3, 1, 3, 1, 2, 1], k=rng.randint(1, 3))
    spaced = rng.choice([0.0, 0.2, 0.5])
    return "".join(
        " " if rng.random() < spaced else chr(rng.randint(*rng.choice(spans))) for _ in range(rng.randint(0, 40))
    )


def wordpiece(folder):
    return make_checkpoint(folder, "bert")


def byte_level(folder):
    assert "roberta" in BYTE_LEVEL
    return make_checkpoint(folder, "roberta")


def unigram(folder):
    return write_checkpoint(folder, "xlm-roberta", max_length=MAX_LENGTH)


@pytest.mark.parametrize("make", [wordpiece, byte_level, unigram])
def test_random_texts_have_the_tokens_of_transformers(tmp_path, make):
    folder = make(tmp_path / "checkpoint")
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Tokenization(
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        {
            "layout": "single_texts",
            "limits": {
                "max_length": MAX_LENGTH,
                "max_texts_per_request": TEXTS_PER_REQUEST,
                "max_tokens_per_request": TEXTS_PER_REQUEST * MAX_LENGTH,
                "max_bytes_per_text": MAX_WHOLE_BYTES,
            },
            "tensors": [],
        },
    )
    rng = random.Random(0)
    texts = [random_text(rng) for _ in range(TEXT_COUNT)]
    assert max(map(ord, "".join(texts))) > 0x100000
    assert any("\0" in text for text in texts)
    options = {"truncate": "end"}
    for begin in range(0, TEXT_COUNT, TEXTS_PER_REQUEST):
        part = texts[begin : begin + TEXTS_PER_REQUEST]
        raw = {"text": [encode_text(text, max_bytes=MAX_WHOLE_BYTES) for text in part]}
        (packed,) = ours.tokenize([(ours.read(raw, options), options)])
        expected = reference(part, truncation=True, max_length=MAX_LENGTH)["input_ids"]
        rows = np.split(packed["input_ids"], np.cumsum(packed["lengths"])[:-1])
        assert [row.tolist() for row in rows] == expected


def test_a_lone_surrogate_anywhere_is_refused():
    rng = random.Random(1)
    for _ in range(500):
        text, surrogate = random_text(rng), chr(rng.randint(0xD800, 0xDFFF))
        place = rng.randint(0, len(text))
        with pytest.raises(InvalidInput, match=f"lone surrogate .* at position {place}$"):
            encode_text(text[:place] + surrogate + text[place:], max_bytes=MAX_WHOLE_BYTES)
