import numpy as np
import pytest

from encserve_server.steps.head.answers.vectors.sparse_vectors import Head

WEIGHTS = np.array([[0, 0.5, 0, 2.0], [0, 0, 0, 0], [1.0, 1.0, 3.0, 0]], np.float32)


@pytest.mark.parametrize(
    ("top_k", "counts", "ids", "weights"),
    [(None, [2, 0, 3], [3, 1, 2, 0, 1], [2, 0.5, 3, 1, 1]), (1, [1, 0, 1], [3, 2], [2, 3])],
)
def test_terms_of_each_text_heaviest_first(top_k, counts, ids, weights):
    answer = Head({}).answer({"vocabulary_weights": WEIGHTS}, {"top_k": top_k})
    assert answer["term_count"].tolist() == counts
    assert answer["token_id"].tolist() == ids
    assert answer["weight"].tolist() == weights
    assert (answer["token_id"].dtype, answer["weight"].dtype) == (np.int32, np.float32)
