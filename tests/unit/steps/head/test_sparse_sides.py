import numpy as np
import pytest

from encserve_server.steps.head.loading import load_head
from encserve_server.steps.request.options import InvalidArgument

NONE = {
    "vocabulary_weights": np.empty((0, 4), np.float32),
    "query_term_count": np.array([2, 0, 3], np.int32),
    "query_term_id": np.array([1, 7, 2, 3, 4], np.int32),
    "query_term_weight": np.array([0.5, 2.0, -1.0, 3.0, 3.0], np.float32),
}


def answer(options=(), **changes):
    head = load_head({"head": "vectors.sparse_sides"})
    return head.answer({**NONE, **changes}, {"top_k": None, "input_type": "query", **dict(options)})


@pytest.mark.parametrize(
    ("top_k", "counts", "ids", "weights"),
    [(None, [2, 0, 3], [7, 1, 3, 4, 2], [2, 0.5, 3, 3, -1]), (1, [1, 0, 1], [7, 3], [2, 3])],
)
def test_terms_of_each_query_heaviest_first(top_k, counts, ids, weights):
    told = answer({"top_k": top_k})
    assert told["term_count"].tolist() == counts
    assert told["token_id"].tolist() == ids
    assert told["weight"].tolist() == weights
    assert {name: tensor.dtype for name, tensor in told.items()} == {
        "term_count": np.int32,
        "token_id": np.int32,
        "weight": np.float32,
    }


def test_documents_are_what_the_network_gave():
    nothing = {name: tensor[:0] for name, tensor in NONE.items() if name.startswith("query")}
    rows = np.array([[0, 0.5, 0, 2.0]], np.float32)
    told = answer({"input_type": "document"}, vocabulary_weights=rows, **nothing)
    assert (told["token_id"].tolist(), told["weight"].tolist()) == ([3, 1], [2, 0.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_term_count": np.array([2, 4], np.int32)}, "query_term_count does not add up to the 5 terms"),
        ({"query_term_count": np.array([6, -1], np.int32)}, "query_term_count does not add up to the 5 terms"),
        (
            {"query_term_id": np.array([1], np.int32)},
            r"query_term_weight has shape \[1, 5\]; \[1, 1\] is expected",
        ),
        ({name: tensor[:0] for name, tensor in NONE.items()}, "the request has no texts"),
    ],
)
def test_tensors_that_no_other_step_gives_are_refused(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        answer(**changes)
