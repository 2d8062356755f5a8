"""How long callers waited for their answers: which requests the histogram counts."""

import json

import numpy as np
import pytest

from encserve_server.steps.head.fit import Fit
from encserve_server.steps.request.health import TOKEN_VARIABLE

LANE = {"kind": "choice", "allowed": ["interactive", "bulk"], "default": "interactive"}


class Echo:
    fit = Fit({"rows": ("rows",)})

    def answer(self, inputs, options):
        if 13 in inputs["rows"]:
            raise IndexError("a fault of ours")
        return {"rows": inputs["rows"]}


@pytest.fixture
def step(triton, clock):
    from encserve_server.steps.head.answer_times import AnswerTimes
    from encserve_server.steps.head.loading import CheckedHead
    from encserve_server.steps.head.step import TritonPythonModel
    from encserve_server.steps.instance.failures import Failures
    from encserve_server.steps.instance.metrics import Metrics
    from encserve_server.steps.request.options import OptionRules

    model = TritonPythonModel()
    model._rules = OptionRules({"lane": LANE})
    model._head = CheckedHead(Echo())
    model._inputs = ["rows"]
    model._metrics = Metrics({"model_name": "minilm_head", "model_version": "1"})
    model._failures = Failures("minilm_head", model._metrics, sees_texts=True)
    environment = {TOKEN_VARIABLE: "secret", "ENCSERVE_LATENCY_BUCKETS_S": "0.1,1"}
    model._times = AnswerTimes(model._metrics, "minilm", environment=environment, clock=clock)
    model._counts = None
    clock.now_s += 100.0
    return model


def request(triton, clock, *, waited_s, value=1, **parameters):
    arrived = np.array([[round((clock.now_s - waited_s) * 1e9)]], np.int64)
    return triton.Request(json.dumps(parameters), rows=[[value]], arrived_ns=arrived)


def counted(step, lane):
    """Answers up to each bound, of a lane; and the sum of their seconds."""
    step._metrics.tell(pytest.fail)
    histogram = step._times._histogram
    of_lane = {("pipeline", "minilm"), ("lane", lane)}
    buckets = {dict(key)["le"]: each.value() for key, each in histogram._buckets._metrics.items() if of_lane <= {*key}}
    return buckets, histogram._sum._metrics[("pipeline", "minilm"), ("lane", lane)].value()


def test_answers_are_counted_by_lane(triton, step, clock):
    requests = [
        request(triton, clock, waited_s=0.05),
        request(triton, clock, waited_s=0.5),
        request(triton, clock, waited_s=50.0, lane="bulk"),
    ]
    assert not any(each.has_error() for each in step.execute(requests))
    assert counted(step, "interactive") == ({"0.1": 1, "1.0": 2, "+Inf": 2}, pytest.approx(0.55))
    assert counted(step, "bulk") == ({"0.1": 0, "1.0": 0, "+Inf": 1}, pytest.approx(50.0))


def test_series_are_there_before_the_first_answer(step):
    for lane in ("interactive", "bulk"):
        assert counted(step, lane) == ({"0.1": 0, "1.0": 0, "+Inf": 0}, 0)


def test_an_answer_has_the_time_in_which_those_of_its_batch_were_made(triton, step, clock):
    class Slow(Echo):
        def answer(self, inputs, options):
            clock.now_s += 0.3
            return super().answer(inputs, options)

    step._head = Slow()
    step.execute([request(triton, clock, waited_s=0.0), request(triton, clock, waited_s=0.0)])
    assert counted(step, "interactive")[1] == pytest.approx(1.2)


def test_a_failure_is_no_answer(triton, step, clock):
    requests = [request(triton, clock, waited_s=0.05, value=13), request(triton, clock, waited_s=0.05, lane="fast")]
    assert [each.error.code for each in step.execute(requests)] == ["internal", "invalid"]
    assert counted(step, "interactive") == ({"0.1": 0, "1.0": 0, "+Inf": 0}, 0)


@pytest.mark.parametrize("waited_s", [-1.0, 101.0], ids=["in the future", "before the pipeline was there"])
def test_a_time_that_cannot_be_is_answered_and_not_counted(triton, step, clock, waited_s):
    (answer,) = step.execute([request(triton, clock, waited_s=waited_s)])
    assert not answer.has_error()
    assert counted(step, "interactive") == ({"0.1": 0, "1.0": 0, "+Inf": 0}, 0)


def test_questions_of_supervision_are_not_counted_and_what_claims_to_be_one_is(triton, step, clock):
    step.execute([request(triton, clock, waited_s=0.5, health=token) for token in ("secret", "guessed")])
    assert counted(step, "interactive") == ({"0.1": 0, "1.0": 1, "+Inf": 1}, pytest.approx(0.5))


def test_a_tensor_of_another_shape_fails_its_request_alone(triton, step, clock):
    wrong = triton.Request(rows=[[1]], arrived_ns=np.zeros((1, 2), np.int64))
    refused, good = step.execute([wrong, request(triton, clock, waited_s=0.5)])
    assert refused.error.message == "input arrived_ns has shape [1, 2]; [1, 1] is expected"
    assert not good.has_error()
    assert counted(step, "interactive")[0]["+Inf"] == 1


def test_a_count_that_fails_takes_nobody_the_answer(triton, step, clock, monkeypatch):
    def no_memory(*given, **labels):
        raise MemoryError

    monkeypatch.setattr(step._times._histogram, "observe", no_memory)
    (answer,) = step.execute([request(triton, clock, waited_s=0.5)])
    assert not answer.has_error()
    assert step._failures._errors._counts[("where", "execute"),] == 1


def test_a_pipeline_of_an_earlier_export_has_no_such_tensor_and_answers(triton, step):
    step._times = None
    (answer,) = step.execute([triton.Request(rows=[[1]])])
    assert answer.tensors["rows"].tolist() == [[1]]
