import numpy as np
import pytest

from encserve_server.models.vectors import finish_vectors

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
