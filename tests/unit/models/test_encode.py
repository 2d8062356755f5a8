import numpy as np
import pytest


class _Session:
    """Answers each text with its first token id, and token 9 with NaN, 8 with infinity."""

    def run(self, columns, outputs):
        values = {9: np.nan, 8: np.inf}
        rows = np.array([[values.get(ids[0], ids[0]), 0.0] for ids in columns["input_ids"]], np.float32)
        return {output: rows + place for place, output in enumerate(outputs)}

    def rows_of(self, columns, output):
        return np.ones(len(columns["input_ids"]), np.int64)


@pytest.fixture
def step(triton):
    from encserve_server.models.encode import TritonPythonModel

    model = TritonPythonModel()
    model._session = _Session()
    model._inputs = ["input_ids", "lengths"]
    model._outputs = ["sentence_embedding", "logits"]
    model._nonfinite = triton.MetricFamily().Metric(labels={})
    return model


def test_each_request_gets_its_own_rows(triton, step):
    requests = [
        triton.Request(input_ids=[[1, 1, 2]], lengths=[[2, 1]]),
        triton.Request(input_ids=[[3, 3, 3]], lengths=[[3]]),
    ]
    first, second = step.execute(requests)
    assert first.tensors["sentence_embedding"].tolist() == [[[1.0, 0.0], [2.0, 0.0]]]
    assert second.tensors["sentence_embedding"].tolist() == [[[3.0, 0.0]]]


def test_a_vector_that_is_not_finite_is_an_error_and_a_count_never_an_answer(triton, step):
    requests = [
        triton.Request(input_ids=[[1, 9, 8]], lengths=[[1, 1, 1]]),
        triton.Request(input_ids=[[4]], lengths=[[1]]),
    ]
    poisoned, healthy = step.execute(requests)
    assert poisoned.error.message == "what the network gave for texts [1, 2] of this request holds NaN or infinity"
    assert (poisoned.error.code, poisoned.tensors) == ("internal", {})
    assert healthy.tensors["sentence_embedding"].tolist() == [[[4.0, 0.0]]]
    assert step._nonfinite.value == 2


def test_each_request_gets_the_head_that_it_asks_for(triton, step):
    requests = [
        triton.Request(outputs=["sentence_embedding"], input_ids=[[1, 2]], lengths=[[1, 1]]),
        triton.Request(outputs=["logits"], input_ids=[[3]], lengths=[[1]]),
    ]
    vectors, logits = step.execute(requests)
    assert {name: rows.tolist() for name, rows in vectors.tensors.items()} == {
        "sentence_embedding": [[[1.0, 0.0], [2.0, 0.0]]]
    }
    assert {name: rows.tolist() for name, rows in logits.tensors.items()} == {"logits": [[[4.0, 1.0]]]}
