"""The shell of the head step: each request is answered or refused by itself."""

import numpy as np
import pytest


@pytest.fixture
def step(triton):
    from encserve_server.models.head import TritonPythonModel
    from encserve_server.models.options import OptionRules

    class Sum:
        def answer(self, inputs, options):
            return {"sum": inputs["first"] + inputs["second"]}

    model = TritonPythonModel()
    model._rules = OptionRules({})
    model._head = Sum()
    model._inputs = ["first", "second"]
    return model


def test_tensors_that_do_not_fit_fail_their_request_alone(triton, step):
    requests = [
        triton.Request(first=[[1, 2]], second=[[1, 1, 1]]),
        triton.Request(first=np.zeros((0, 2)), second=[[1, 1]]),
        triton.Request(first=[[1, 2]], second=[[3, 4]]),
    ]
    unequal, missing, good = step.execute(requests)
    assert unequal.error.code == missing.error.code == "invalid"
    assert "the tensors of the request do not fit together" in unequal.error.message
    assert missing.error.message.startswith("input first has shape [0, 2]; [1, n] is expected")
    assert good.tensors["sum"].tolist() == [[4, 6]]
