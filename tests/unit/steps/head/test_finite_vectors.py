"""Numbers of the network that are not finite are no answer, whatever form of it is asked for: a C++ engine does not
look at them, and NaN in one text would be in the spans of all texts behind it."""

import numpy as np
import pytest

from encserve_server.steps.head.loading import load_head

OPTIONS = {"dimensions": None, "normalize": True, "rank": False, "top_k": None, "spans": None, "span_by": None}
ONES = np.ones(4, np.int32)
TWO_SPANS = {"span_at": np.array([[0, 2], [2, 4]], np.int32), "span_count": np.array([1, 1], np.int32)}
NONE_GIVEN = {"document_vector": np.empty((0, 8), np.float32), "document_count": np.empty(0, np.int32)}
LATE = {"mean": False, "query": {"max_length": 8, "filled_to": 0}}
SETTINGS = {"late_interaction": LATE, "limits": {"max_tokens_per_request": 100}}
CASES = {
    "vectors.text_vectors": ("sentence_embedding", {"lengths": ONES, "window_count": ONES}, {}),
    "vectors.token_vectors": ("token_embedding", {}, {}),
    "vectors.token_or_span_vectors": ("token_embedding", TWO_SPANS, {"span_by": "tokens"}),
    "vectors.late_interaction": (
        "token_embedding",
        {"vector_at": np.arange(4), "vector_count": ONES, **NONE_GIVEN},
        {},
    ),
}


@pytest.mark.parametrize("output_dtype", ["float32", "int8", "binary"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("head", CASES)
def test_numbers_that_are_not_finite_are_no_answer(head, value, output_dtype):
    name, others, options = CASES[head]
    checked, rows = load_head({**SETTINGS, "head": head}), np.ones((4, 8), np.float32)
    asked = {**OPTIONS, **options, "output_dtype": output_dtype}
    checked.answer({name: rows, **others}, asked)
    rows[0, 3] = value
    with pytest.raises(FloatingPointError, match=f"the network gave as {name} holds NaN or infinity"):
        checked.answer({name: rows, **others}, asked)
