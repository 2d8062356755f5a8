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
    return GIVEN.read(documents, options)


@pytest.fixture
def vectors():
    """Of three documents, each of length 1."""
    own = [np.random.default_rng(0).normal(size=(count, 12)).astype(np.float32) for count in (4, 1, 3)]
    return [each / np.linalg.norm(each, axis=1, keepdims=True) for each in own]


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
    rows, counts = read([as_text(own[:, :5].copy()) for own in vectors], dimensions=5)
    assert (rows.shape, counts.tolist()) == ((8, 5), [4, 1, 3])


ROW = as_text(np.ones((1, 12), np.float32))


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
        ([as_text(np.ones((9, 12), np.float32)), ROW], {}, "have 10 vectors; max_tokens_per_request is 9"),
        ([ROW, as_text(np.full((2, 12), np.inf, np.float32))], {}, "document 1 holds NaN or infinity"),
        ([as_text(np.full((1, 12), np.nan, "<f2"))], {"document_vectors": "float16"}, "document 0 holds NaN"),
        ([ROW], {"document_vectors": "binary", "normalize": False}, "is 'binary' and normalize is false"),
    ],
)
def test_what_is_refused_is_named(documents, options, message):
    with pytest.raises(InvalidArgument, match=message):
        read(documents, **options)
