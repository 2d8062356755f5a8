"""Vectors of documents that come as base64, in each of their types."""

from base64 import b64encode

import numpy as np
import pytest

from encserve_server.steps.head.answers.vectors.text_vectors import to_bits, to_int8
from encserve_server.steps.request.options import InvalidArgument
from encserve_server.steps.tokenize.given_vectors import GivenVectors

GIVEN = GivenVectors(width=12, most=9)
OPTIONS = {"document_vectors": "float32", "dimensions": None, "normalize": True}


def as_text(array):
    return b64encode(array.tobytes()).decode()


def read(documents, **options):
    options = OPTIONS | options
    GIVEN.check(documents, options)
    rows, counts = GIVEN.read(documents, options)
    assert GIVEN.count(documents, options) == len(rows), "which the door counts before"
    return rows, counts


def unit(own):
    return own / np.linalg.norm(own, axis=1, keepdims=True)


@pytest.fixture
def vectors():
    """Of three documents, each of length 1."""
    own = [np.random.default_rng(0).normal(size=(count, 12)).astype(np.float32) for count in (4, 1, 3)]
    return [unit(each) for each in own]


@pytest.mark.parametrize(
    ("kind", "shorten", "atol"),
    [
        ("float32", lambda own: own.astype("<f4"), 0),
        ("float16", lambda own: own.astype("<f2"), 1e-3),
        ("int8", to_int8, 1e-2),
    ],
)
def test_numbers_come_back(vectors, kind, shorten, atol):
    rows, counts = read([as_text(shorten(own)) for own in vectors], document_vectors=kind)
    assert (rows.dtype, counts.tolist()) == (np.float32, [4, 1, 3])
    np.testing.assert_allclose(rows, np.concatenate(vectors), atol=atol, rtol=0)


def test_bits_are_signs_of_a_vector_of_length_1(vectors):
    rows, counts = read([as_text(to_bits(own)) for own in vectors], document_vectors="binary")
    assert (rows.dtype, counts.tolist()) == (np.float32, [4, 1, 3])
    np.testing.assert_allclose(rows, np.sign(np.concatenate(vectors)) / np.sqrt(12), rtol=1e-6)


def test_integers_of_a_vector_of_zeros_stay_zeros():
    rows, _ = read([as_text(np.zeros((1, 12), np.int8))], document_vectors="int8")
    assert not rows.any()


def test_shortened_vectors(vectors):
    rows, counts = read([as_text(unit(own[:, :5])) for own in vectors], dimensions=5)
    assert (rows.shape, counts.tolist()) == ((8, 5), [4, 1, 3])


@pytest.mark.parametrize("kind", ["<f4", "<f2"])
def test_means_of_vectors_are_shorter_behind_the_first(vectors, kind):
    """As `TokenEmbeddings.pooled` makes them."""
    pooled = [np.concatenate([own[:1], own.mean(axis=0, keepdims=True)]).astype(kind) for own in vectors]
    rows, counts = read([as_text(own) for own in pooled], document_vectors={"<f4": "float32", "<f2": "float16"}[kind])
    assert counts.tolist() == [2, 2, 2]
    np.testing.assert_array_equal(rows, np.concatenate(pooled).astype(np.float32))


def test_lengths_are_the_checkpoints_where_nothing_is_normalized(vectors):
    own = [5 * each for each in vectors]
    rows, _ = read([as_text(each) for each in own], normalize=False)
    np.testing.assert_array_equal(rows, np.concatenate(own))


@pytest.mark.parametrize(
    ("given", "options", "found"),
    [
        (
            lambda own: own,
            {"dimensions": 6},
            r"6 numbers in float32, and its vector 0 has length 0\.\d+; 1 is expected",
        ),
        (lambda own: own, {"dimensions": 8}, r"8 numbers in float32, and its vector 0 has length 0\.\d+"),
        (lambda own: own, {"dimensions": 24}, r"24 numbers in float32, and its vector 0 has length 1\.41"),
        (lambda own: own.astype("<f2"), {"dimensions": 6}, "6 numbers in float32, and its vector 0 has"),
        (np.abs, {"document_vectors": "float16"}, "12 numbers in float16, and its vector 0 has"),
        (lambda own: own * np.float32([[1], [1], [1.03], [1]]), {}, r"its vector 2 has length 1\.03"),
        (lambda own: own * np.float32(0.97), {}, r"its vector 0 has length 0\.97"),
        (lambda own: np.full_like(own, 3e38), {}, "its vector 0 has length inf"),
        (lambda own: own * 0, {}, "its vector 0 has length 0;"),
    ],
)
def test_vectors_of_another_width_or_type_show_by_their_lengths(vectors, given, options, found):
    """Their bytes are as many as some other documents of vectors have."""
    width, kind = options.get("dimensions", 12), options.get("document_vectors", "float32")
    good = np.eye(1, width, dtype={"float32": "<f4", "float16": "<f2"}[kind])
    with pytest.raises(InvalidArgument, match="document 1 is given as vectors of .*" + found):
        read([as_text(good), as_text(np.ascontiguousarray(given(vectors[0])))], **options)


ROW = as_text(np.eye(1, 12, dtype=np.float32))


@pytest.mark.parametrize(
    ("documents", "options", "message"),
    [
        ([ROW, ""], {}, "document 1 has 0 bytes; vectors of 12 numbers in float32 have 48 each, and one at least"),
        ([ROW, ROW[:-4]], {}, "document 1 has 45 bytes"),
        ([ROW], {"document_vectors": "float16", "dimensions": 7}, "48 bytes; vectors of 7 numbers in float16 have 14"),
        ([as_text(np.ones(3, np.uint8))], {"document_vectors": "binary"}, "12 numbers in binary have 2 each"),
        ([ROW, ROW[:-1]], {}, "document 1 is no base64: it has 63 characters"),
        ([ROW, "é" + ROW[1:]], {}, "document 1 is no base64"),
        ([ROW, "*" + ROW[1:]], {}, "document 1 is no base64"),
        ([ROW, ROW[:3] + "=" + ROW[4:]], {}, "document 1 is no base64"),
        (["===="], {"document_vectors": "int8", "dimensions": 1}, "document 0 is no base64"),
        ([as_text(np.eye(9, 12, dtype=np.float32)), ROW], {}, "have 10 vectors; max_tokens_per_request is 9"),
        ([ROW, as_text(np.full((2, 12), np.inf, np.float32))], {}, "document 1 holds NaN or infinity"),
        ([as_text(np.full((1, 12), np.nan, "<f2"))], {"document_vectors": "float16"}, "document 0 holds NaN"),
        ([ROW], {"document_vectors": "binary", "normalize": False}, "is 'binary' and normalize is false"),
    ],
)
def test_what_is_refused_is_named(documents, options, message):
    with pytest.raises(InvalidArgument, match=message):
        read(documents, **options)
