"""The shell of the head step: each request is answered or refused by itself."""

import numpy as np
import pytest

from encserve_server.steps.head.fit import Fit


class Sum:
    fit = Fit({"first": ("rows",), "second": ("rows",)})

    def answer(self, inputs, options):
        if 13 in inputs["first"]:
            raise IndexError("a fault of ours that quotes a text")
        return {"sum": inputs["first"] + inputs["second"]}


@pytest.fixture
def step(triton):
    from encserve_server.steps.head.loading import CheckedHead
    from encserve_server.steps.head.step import TritonPythonModel
    from encserve_server.steps.instance.failures import Failures
    from encserve_server.steps.instance.metrics import Metrics
    from encserve_server.steps.request.options import OptionRules

    model = TritonPythonModel()
    model._rules = OptionRules({})
    model._head = CheckedHead(Sum())
    model._inputs = ["first", "second"]
    model._times = None
    model._failures = Failures(
        "minilm_head", Metrics({"model_name": "minilm_head", "model_version": "1"}), sees_texts=True
    )
    return model


def test_tensors_that_do_not_fit_fail_their_request_alone(triton, step):
    requests = [
        triton.Request(first=[[1, 2]], second=[[1, 1, 1]]),
        triton.Request(first=np.zeros((0, 2)), second=[[1, 1]]),
        triton.Request(first=[[1, 2]], second=[[3, 4]]),
    ]
    unequal, missing, good = step.execute(requests)
    assert unequal.error.code == missing.error.code == "invalid"
    assert unequal.error.message == "input second has shape [1, 3]; [1, 2] is expected"
    assert missing.error.message.startswith("input first has shape [0, 2]; [1, n] is expected")
    assert good.tensors["sum"].tolist() == [[4, 6]]
    assert triton.logged == []


def test_a_fault_of_ours_is_no_fault_of_the_caller_and_is_logged_without_a_text(triton, step):
    requests = [
        triton.Request(first=[[13]], second=[[1]], request_id="call-7"),
        triton.Request(first=[[1]], second=[[3]]),
    ]
    failed, good = step.execute(requests)
    assert failed.error.code == "internal"
    assert failed.error.message == "minilm_head failed (IndexError); the server's log says where"
    assert good.tensors["sum"].tolist() == [[4]]
    (line,) = triton.logged
    assert line.startswith("minilm_head: internal error in execute of request 'call-7': IndexError at test_head.py:")
    assert "quotes" not in line
    assert step._failures._errors._counts[("where", "execute"),] == 1
