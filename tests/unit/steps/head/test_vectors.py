import numpy as np
import pytest

from encserve_server.steps.head.answers.vectors.text_vectors import Head, finish_vectors

VECTORS = np.array([[[3.0, 4.0, 12.0], [0.0, 0.0, 0.0]]], np.float32)  # (1, 2, 3)


def finish(dimensions=None, normalize=True):
    return finish_vectors(VECTORS, {"dimensions": dimensions, "normalize": normalize})


def test_vectors_are_scaled_to_length_one_after_shortening():
    assert finish(dimensions=2)[0, 0] == pytest.approx([0.6, 0.8])
    assert finish()[0, 0] == pytest.approx([3 / 13, 4 / 13, 12 / 13])


def test_raw_vectors_on_request():
    assert finish(normalize=False)[0, 0].tolist() == [3.0, 4.0, 12.0]


def test_a_zero_vector_stays_zero():
    assert finish()[0, 1].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("normalize", [True, False])
def test_answers_are_contiguous_float32(normalize):
    answer = finish(dimensions=2, normalize=normalize)
    assert answer.dtype == np.float32
    assert answer.flags.c_contiguous


def shorten(output_dtype, vectors, **options):
    options = {"dimensions": None, "normalize": False, "output_dtype": output_dtype} | options
    ones = np.ones(len(vectors), np.int32)
    inputs = {"sentence_embedding": np.array(vectors, np.float32), "lengths": ones, "window_count": ones}
    return Head({}).answer(inputs, options)


def test_only_the_form_that_was_asked_for_has_columns():
    answer = shorten("float32", [[1, 2], [3, 4]])
    assert {name: tensor.shape for name, tensor in answer.items()} == {
        "embedding": (2, 2),
        "embedding_int8": (2, 0),
        "embedding_binary": (2, 0),
    }
    assert shorten("int8", [[1, 2]])["embedding"].shape == (1, 0)


def test_int8_keeps_cosines():
    vectors = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    short = shorten("int8", vectors)["embedding_int8"]
    assert short.dtype == np.int8
    assert (np.abs(short.astype(int)).max(1) == 127).all()
    cosine = (short * vectors).sum(1) / np.linalg.norm(short.astype(float), axis=1) / np.linalg.norm(vectors, axis=1)
    assert cosine.min() > 0.9999
    assert shorten("int8", [[0, 0]])["embedding_int8"].tolist() == [[0, 0]]


def test_bits_are_the_signs():
    assert shorten("binary", [[1, -1, 0, 2, -3, 4, 5, -6, 7, -8]])["embedding_binary"].tolist() == [
        [0b10010110, 0b10000000]
    ]
    assert shorten("binary", [[1] * 16], dimensions=8)["embedding_binary"].tolist() == [[255]]
