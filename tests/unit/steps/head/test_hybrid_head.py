"""The head of several outputs, by what an encode step gives that does not look at its numbers."""

import numpy as np
import pytest

from encserve_server.steps.head.answers.vectors.hybrid import Head
from encserve_server.steps.head.loading import CheckedHead

OPTIONS = {"dense": True, "sparse": True, "tokens": True, "normalize": True, "output_dtype": "float32", "top_k": None}
OUTPUTS = {"sentence_embedding": "dense", "token_weight": "sparse", "token_vector": "tokens"}


def inputs():
    return {
        "input_ids": np.array([0, 5, 6], np.int64),
        "lengths": np.array([3], np.int64),
        "vector_at": np.array([1, 2], np.int32),
        "vector_count": np.array([2], np.int32),
        "sentence_embedding": np.ones((1, 4), np.float32),
        "token_weight": np.ones((3, 1), np.float32),
        "token_vector": np.ones((3, 2), np.float32),
    }


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("output", OUTPUTS)
def test_what_is_wanted_and_not_finite_is_no_answer(output, value):
    head, given = CheckedHead(Head({"no_terms": [0]})), inputs()
    assert head.answer(given, OPTIONS)["token_id"].tolist() == [5, 6]
    given[output][0, 0] = value
    with pytest.raises(FloatingPointError, match=f"the network gave as {output} holds NaN or infinity"):
        head.answer(given, OPTIONS)
    head.answer(given, OPTIONS | {OUTPUTS[output]: False})
