import numpy as np

from encserve_export.certificate.figures.neighbours import NEAREST, overlap, related_texts


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_texts_are_distinct_and_the_same_every_time():
    texts = related_texts(50)
    assert len(set(texts)) == 50
    assert texts == related_texts(50)
    assert texts != related_texts(50, seed=3)


def test_equal_vectors_have_the_same_neighbours():
    vectors = unit(np.random.default_rng(0).normal(size=(40, 8)))
    assert overlap(vectors, vectors).tolist() == [1.0] * 40


def test_unrelated_vectors_share_as_many_neighbours_as_chance_gives():
    rng = np.random.default_rng(1)
    share = overlap(unit(rng.normal(size=(200, 16))), unit(rng.normal(size=(200, 16)))).mean()
    assert abs(share - NEAREST / 199) < 0.03


def test_one_neighbour_of_ten_lost_is_a_tenth():
    angles = np.array([0, *range(1, 12)]) / 20
    reference = np.stack([np.cos(angles), np.sin(angles)], 1)
    swapped = reference.copy()
    swapped[[10, 11]] = reference[[11, 10]]
    assert overlap(swapped, reference)[0] == 0.9


def test_ties_count_for_both():
    vectors = np.tile(unit(np.ones((1, 4))), (30, 1))
    assert overlap(vectors, vectors).tolist() == [1.0] * 30
