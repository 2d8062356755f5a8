"""Ids of tokens: decoded by OpenAI's vocabulary, or refused, and never read as those of another model."""

import base64

import numpy as np
import pytest

from encserve import InvalidInput
from encserve_gateway.bodies.vocabulary import read_vocabulary

from .asgi import post
from .pipelines import vector_of

EMOJI = "😀".encode()
TOKENS = {
    **{number: bytes([byte]) for number, byte in enumerate(range(33, 127))},
    94: b" ",
    200: b" b",
    300: EMOJI[:2],
    301: EMOJI[2:],
    101: b"x",
    102: b"y",
}
A = 64  # "a"


@pytest.fixture
def vocabulary(tmp_path):
    file = tmp_path / "cl100k_base.tiktoken"
    lines = [f"{base64.b64encode(token).decode()} {number}" for number, token in TOKENS.items()]
    file.write_text("\n".join(lines) + "\n")
    return file


async def texts_of(fake, vocabulary, ids):
    gateway = fake(vocabulary=vocabulary)
    answered = await post(gateway.gateway, "/v1/embeddings", {"input": ids, "model": "embed"})
    assert answered.status == 200, answered.body
    np.testing.assert_array_equal(
        np.float32([item["embedding"] for item in answered.json["data"]]), [vector_of(text) for text in gateway.texts]
    )
    return gateway.texts


async def test_one_text_and_several(fake, vocabulary):
    assert await texts_of(fake, vocabulary, [A, 200]) == ["a b"]
    assert await texts_of(fake, vocabulary, [[A, 200], [A], [300, 301]]) == ["a b", "a", "😀"]


def test_a_character_that_was_cut_in_two_is_dropped_at_the_ends(vocabulary):
    read = read_vocabulary(vocabulary)
    assert read.text_of([A, 300]) == "a"
    assert read.text_of([301, A]) == "a"
    assert read.text_of([301, A, 300]) == "a"
    assert read.text_of([300]) == ""
    with pytest.raises(ValueError, match="no text"):
        read.text_of([A, 301, A])


REFUSED = {
    "an id that there is not": [[A], [10**9]],
    "a negative one": [[A], [-1]],
    "BERT's frame": [[A], [101, A, 102]],
    "RoBERTa's frame": [[A], [0, A, 2]],
    "no text": [[A], [A, 301, A]],
    "a text among ids": [[A], "a"],
    "no ids": [[A], []],
    "true": [[A], [True]],
    "a float": [[A], [1.0]],
    "a text in a list of ids": [[A], [A, "a"]],
}


@pytest.mark.parametrize("ids", REFUSED.values(), ids=REFUSED)
async def test_what_is_refused_is_named_by_its_place(fake, vocabulary, ids):
    gateway = fake(vocabulary=vocabulary)
    answered = await post(gateway.gateway, "/v1/embeddings", {"input": ids, "model": "embed"})
    assert (answered.status, answered.json["error"]["param"]) == (400, "input")
    assert " at 1" in answered.json["error"]["message"]
    assert gateway.requests == []


async def test_no_more_than_allowed(fake, vocabulary):
    answered = await post(fake(vocabulary=vocabulary).gateway, "/v1/embeddings", {"input": [[A]] * 2049})
    assert answered.json["error"]["message"] == "input has 2049 items, at most 2048 are allowed"


@pytest.mark.parametrize("content", [b"", b"\n", b"YQ==\n", b"?? 1\n", b"YQ== one\n", b"\xff 1\n"])
def test_malformed_files(tmp_path, content):
    file = tmp_path / "other.tiktoken"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"other\.tiktoken"):
        read_vocabulary(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_vocabulary(tmp_path / "none.tiktoken")
