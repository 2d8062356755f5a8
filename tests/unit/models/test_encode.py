import json
import threading
from collections import Counter as Counts
from functools import partial

import numpy as np
import pytest

from encserve_server.models.encode_lane import EncodeLane
from encserve_server.models.lanes import LANES
from encserve_server.models.recent_rows import RecentRows
from encserve_server.models.request_bounds import Bounds

ARGS = {"model_name": "minilm_encode", "model_version": "1"}


class _Session:
    """Answers each text with its first token id, and token 9 with NaN, 8 with infinity."""

    def __init__(self):
        self.alone = []

    def groups(self, lengths, *, workers=None):
        return np.array_split(np.arange(len(lengths)), workers) if len(lengths) else []

    def run_pack(self, columns, outputs, *, alone=False):
        self.alone.append(alone)
        values = {9: np.nan, 8: np.inf}
        rows = np.array([[values.get(ids[0], ids[0]), 0.0] for ids in columns["input_ids"]], np.float32)
        return {output: rows + place for place, output in enumerate(outputs)}

    def rows_of(self, columns, output):
        return np.ones(len(columns["input_ids"]), np.int64)


@pytest.fixture
def step(triton):
    from encserve_server.models.batch_times import BatchTimes
    from encserve_server.models.counters import Counter, Periodically
    from encserve_server.models.encode import TritonPythonModel

    model = TritonPythonModel()
    model._session = _Session()
    model._threads = 1
    model._recent = RecentRows(max_bytes=1 << 20)
    model._nonfinite, model._texts, model._repeated, model._batches = (Counter(ARGS, name, "") for name in "abcd")
    model._counts = Counts()
    model._counting = threading.Lock()
    model._times = BatchTimes(ARGS)
    model._each_second = Periodically()
    model._inputs = ["input_ids", "lengths"]
    model._bounds = Bounds(max_length=4, max_tokens=8, vocabularies={"input_ids": 10})
    model._outputs = ["sentence_embedding", "logits"]
    model._lanes = {
        lane: EncodeLane(lane, partial(model.cut, lane), lambda load: None, threads=1, token_budget=512)
        for lane in LANES
    }
    yield model
    close(model)


def close(step):
    for lane in step._lanes.values():
        lane.close()


def answers(step, requests):
    """What each request is sent, once all are computed."""
    assert step.execute(requests) == [None] * len(requests)
    close(step)
    assert all(len(request.answers) == 1 for request in requests)
    return [request.answers[0] for request in requests]


def test_each_request_gets_its_own_rows(triton, step):
    requests = [
        triton.Request(input_ids=[[1, 1, 2]], lengths=[[2, 1]]),
        triton.Request(input_ids=[[3, 3, 3]], lengths=[[3]]),
    ]
    first, second = answers(step, requests)
    assert first.tensors["sentence_embedding"].tolist() == [[[1.0, 0.0], [2.0, 0.0]]]
    assert second.tensors["sentence_embedding"].tolist() == [[[3.0, 0.0]]]


def test_a_vector_that_is_not_finite_is_an_error_and_a_count_never_an_answer(triton, step):
    requests = [
        triton.Request(input_ids=[[1, 9, 8]], lengths=[[1, 1, 1]]),
        triton.Request(input_ids=[[4]], lengths=[[1]]),
    ]
    poisoned, healthy = answers(step, requests)
    assert poisoned.error.message == "what the network gave for texts [1, 2] of this request holds NaN or infinity"
    assert (poisoned.error.code, poisoned.tensors) == ("internal", {})
    assert healthy.tensors["sentence_embedding"].tolist() == [[[4.0, 0.0]]]
    assert step._nonfinite._metric.value == 2


def test_each_request_gets_the_head_that_it_asks_for(triton, step):
    requests = [
        triton.Request(outputs=["sentence_embedding"], input_ids=[[1, 2]], lengths=[[1, 1]]),
        triton.Request(outputs=["logits"], input_ids=[[3]], lengths=[[1]]),
    ]
    vectors, logits = answers(step, requests)
    assert {name: rows.tolist() for name, rows in vectors.tensors.items()} == {
        "sentence_embedding": [[[1.0, 0.0], [2.0, 0.0]]]
    }
    assert {name: rows.tolist() for name, rows in logits.tensors.items()} == {"logits": [[[4.0, 1.0]]]}


def test_both_lanes_answer(triton, step):
    requests = [
        triton.Request(json.dumps({"lane": lane}), input_ids=[[number]], lengths=[[1]])
        for number, lane in enumerate(["bulk", "interactive", "bulk"], start=1)
    ]
    given = [answer.tensors["sentence_embedding"].tolist() for answer in answers(step, requests)]
    assert given == [[[[1.0, 0.0]]], [[[2.0, 0.0]]], [[[3.0, 0.0]]]]


def test_what_nobody_waits_for_is_not_computed(triton, step):
    requests = [
        triton.Request(cancelled=True, input_ids=[[1]], lengths=[[1]]),
        triton.Request(timeout_us=1, input_ids=[[9]], lengths=[[1]]),
        triton.Request(timeout_us=60_000_000, input_ids=[[3]], lengths=[[1]]),
    ]
    cancelled, late, wanted = answers(step, requests)
    assert cancelled.error.code == late.error.code == "later"
    assert wanted.tensors["sentence_embedding"].tolist() == [[[3.0, 0.0]]]
    assert step._nonfinite._metric.value == 0  # text 9 would have given NaN


def test_a_failing_network_fails_the_batch_and_not_the_lane(triton, step, monkeypatch):
    def fail(columns, outputs, *, alone=False):
        raise RuntimeError("no memory")

    with monkeypatch.context() as broken:
        broken.setattr(step._session, "run_pack", fail, raising=False)
        first = triton.Request(input_ids=[[1]], lengths=[[1]])
        step.execute([first])
        while not first.answers:
            pass
    assert first.answers[0].error.message == "the network failed: no memory"
    (second,) = answers(step, [triton.Request(input_ids=[[2]], lengths=[[1]])])
    assert second.tensors["sentence_embedding"].tolist() == [[[2.0, 0.0]]]


def test_texts_that_cannot_be_cut_fail_their_requests_and_not_the_lane(triton, step, monkeypatch):
    def fail(lengths, *, workers=None):
        raise MemoryError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(step._session, "groups", fail, raising=False)
        first = triton.Request(input_ids=[[1]], lengths=[[1]])
        step.execute([first])
        while not first.answers:
            pass
    assert first.answers[0].error.message == "the network failed: no room"
    (again,) = answers(step, [triton.Request(input_ids=[[1]], lengths=[[1]])])  # it waits for no text that failed
    assert again.tensors["sentence_embedding"].tolist() == [[[1.0, 0.0]]]


def test_an_answer_that_cannot_be_made_fails_its_request_and_not_the_lane(triton, step, monkeypatch):
    def fail(by):
        raise MemoryError("no shared memory")

    monkeypatch.setattr(step._nonfinite, "increment", fail)
    requests = [triton.Request(input_ids=[[text]], lengths=[[1]]) for text in (9, 2)]
    first, second = answers(step, requests)
    assert first.error.message == "the answer could not be made: no shared memory"
    assert second.tensors["sentence_embedding"].tolist() == [[[2.0, 0.0]]]


def test_what_no_other_step_sends_is_refused_and_fails_nobody_else(triton, step):
    wrong = [
        triton.Request(input_ids=[[10]], lengths=[[1]]),
        triton.Request('{"lane": "fast"}', input_ids=[[1]], lengths=[[1]]),
        triton.Request(input_ids=[[1], [1]], lengths=[[1]]),
    ]
    good = triton.Request(input_ids=[[3]], lengths=[[1]])
    *refused, answered = step.execute([*wrong, good])
    assert [each.error.code for each in refused] == ["invalid"] * 3
    assert answered is None
    close(step)
    assert good.answers[0].tensors["sentence_embedding"].tolist() == [[[3.0, 0.0]]]
    assert not any(request.answers for request in wrong)


def test_a_request_that_cannot_be_read_fails_alone(triton, step, monkeypatch):
    def fail():
        raise RuntimeError("gone")

    first, second = (triton.Request(input_ids=[[text]], lengths=[[1]]) for text in (1, 2))
    monkeypatch.setattr(first, "timeout", fail)
    gone, good = answers(step, [first, second])
    assert gone.error.message == "the request could not be read: gone"
    assert good.tensors["sentence_embedding"].tolist() == [[[2.0, 0.0]]]


def test_an_interactive_text_that_is_alone_may_have_all_cores(triton, step):
    answers(step, [triton.Request(input_ids=[[1]], lengths=[[1]])])
    assert step._session.alone == [True]


def test_a_text_in_bulk_may_not(triton, step):
    answers(step, [triton.Request('{"lane": "bulk"}', input_ids=[[1]], lengths=[[1]])])
    assert step._session.alone == [False]


def test_a_text_that_comes_again_is_computed_once_and_counted(triton, step):
    step._each_second = type("Always", (), {"due": lambda self: True})()
    requests = [
        triton.Request(input_ids=[[1, 1, 2, 1, 1]], lengths=[[2, 1, 2]]),
        triton.Request(input_ids=[[2]], lengths=[[1]]),
    ]
    first, second = answers(step, requests)
    assert first.tensors["sentence_embedding"].tolist() == [[[1.0, 0.0], [2.0, 0.0], [1.0, 0.0]]]
    assert second.tensors["sentence_embedding"].tolist() == [[[2.0, 0.0]]]
    assert (step._texts._metric.value, step._repeated._metric.value) == (4, 2)


def test_a_request_may_want_no_rows_that_were_kept(triton, step):
    """What is asked again with `fresh` is what the network gives now; without it, what it gave before."""

    def ask(parameters=""):
        request = triton.Request(parameters, input_ids=[[5]], lengths=[[1]])
        step.execute([request])
        while not request.answers:
            pass
        return request.answers[0].tensors["sentence_embedding"].tolist()

    assert ask() == [[[5.0, 0.0]]]
    genuine = step._session.run_pack
    step._session.run_pack = lambda *given, **options: {
        name: rows + 1 for name, rows in genuine(*given, **options).items()
    }
    assert ask() == [[[5.0, 0.0]]]
    assert ask('{"fresh": true}') == [[[6.0, 1.0]]]
