import hashlib
import json
import time
from dataclasses import asdict, replace
from importlib import import_module

import numpy as np
import pytest

from encserve_server.steps.encode import encoder
from encserve_server.steps.encode.host.requirements import HostRequirements

ARGS = {"model_name": "minilm_encode", "model_version": "1", "model_instance_name": "minilm_encode_0_0"}


def args_of(folder):
    """What Triton gives to `initialize` of the step in a version folder."""
    return ARGS | {"model_repository": str(folder.parent), "model_version": folder.name}


class _Session:
    """Answers each text with its first token id, and token 9 with NaN, 8 with infinity."""

    def __init__(self):
        self.all_cores = []

    def groups(self, lengths, *, workers=None):
        return np.array_split(np.arange(len(lengths)), workers) if len(lengths) else []

    def run_pack(self, columns, outputs, *, all_cores=False):
        self.all_cores.append(all_cores)
        values = {9: np.nan, 8: np.inf}
        rows = np.array([[values.get(ids[0], ids[0]), 0.0] for ids in columns["input_ids"]], np.float32)
        return {output: rows + place for place, output in enumerate(outputs)}

    def rows_of(self, columns, output):
        return np.ones(len(columns["input_ids"]), np.int64)


def load_network(*_, arena=False, **__):
    assert not arena, "what is computed would be held several times over"


@pytest.fixture
def step(triton, monkeypatch, tmp_path):
    """The step on a version folder without a graph: the network is a stand-in."""
    encode = import_module("encserve_server.steps.encode.step")  # anew, with this stand-in for Triton
    settings = {
        "bounds": {"max_length": 4, "max_tokens": 8, "vocabularies": {"input_ids": 10}},
        "follows": {"sentence_embedding": "lengths", "logits": "lengths"},
        "graph_sha256": {"model.onnx.data": hashlib.sha256(b"a table").hexdigest()},
        "hints": {},
        "requirements": asdict(HostRequirements(backend="python", fast_with=("no_such_flag",))),
        "micro_batch_cost": {"overhead": 10, "pair": 0},
        "runtime": "none",
        "tensors": ["input_ids", "lengths"],
        "token_budget": 512,
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "model.onnx.data").write_bytes(b"a table")
    session = _Session()
    monkeypatch.setattr(encoder, "load_network", load_network)
    monkeypatch.setattr(encoder, "PackedSession", lambda *_, **__: session)
    monkeypatch.setattr(encoder, "usable_cores", lambda: 1)
    monkeypatch.setenv("ENCSERVE_RECENT_ROWS_MIB", "1")
    monkeypatch.setenv("ENCSERVE_RUNTIME_FOLDER", str(tmp_path))
    model = encode.TritonPythonModel()
    model.loaded_when_settled = []
    monkeypatch.setattr(encode, "settle_heap", lambda: model.loaded_when_settled.append(hasattr(model, "_encoder")))
    model.initialize(args_of(tmp_path))
    model.stand_in = session
    yield model
    model.finalize()


def session_of(step):
    return step.stand_in


def counted(counter, **labels):
    return counter._counts[tuple(labels.items())]


def answers(step, requests):
    """What each request is sent, once all are computed."""
    assert step.execute(requests) == [None] * len(requests)
    step.finalize()
    assert all(len(request.answers) == 1 for request in requests)
    return [request.answers[0] for request in requests]


def test_what_loading_leaves_is_given_back_once_the_graph_is_loaded(step):
    assert step.loaded_when_settled == [True]


def test_each_request_gets_its_own_rows(triton, step):
    requests = [
        triton.Request(input_ids=[[1, 1, 2]], lengths=[[2, 1]]),
        triton.Request(input_ids=[[3, 3, 3]], lengths=[[3]]),
    ]
    first, second = answers(step, requests)
    assert first.tensors["sentence_embedding"].tolist() == [[[1.0, 0.0], [2.0, 0.0]]]
    assert second.tensors["sentence_embedding"].tolist() == [[[3.0, 0.0]]]


def test_a_request_without_texts_waits_for_nobody(triton, step):
    """As of queries that a table answers. Where no pipeline has such it is refused."""
    nothing = np.empty((1, 0), np.int64)
    step._encoder._bounds = replace(step._encoder._bounds, columns_of_none={"logits": 10})
    requests = [
        triton.Request(outputs=["logits"], input_ids=nothing, lengths=nothing),
        triton.Request(outputs=["logits"], input_ids=[[3]], lengths=[[1]]),
        triton.Request(cancelled=True, outputs=["logits"], input_ids=nothing, lengths=nothing),
    ]
    none, one, cancelled = answers(step, requests)
    assert none.tensors["logits"].shape == (1, 0, 10)
    assert one.tensors["logits"].tolist() == [[[3.0, 0.0]]]
    assert cancelled.error.code == "later"


def test_a_vector_that_is_not_finite_is_an_error_and_a_count_never_an_answer(triton, step):
    requests = [
        triton.Request(input_ids=[[1, 9, 8]], lengths=[[1, 1, 1]]),
        triton.Request(input_ids=[[4]], lengths=[[1]]),
    ]
    poisoned, healthy = answers(step, requests)
    assert poisoned.error.message == "what the network gave for texts [1, 2] of this request holds NaN or infinity"
    assert (poisoned.error.code, poisoned.tensors) == ("internal", {})
    assert healthy.tensors["sentence_embedding"].tolist() == [[[4.0, 0.0]]]
    assert counted(step._nonfinite) == 2


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
    assert counted(step._nonfinite) == 0  # text 9 would have given NaN


def test_a_failing_network_fails_the_batch_and_not_the_lane(triton, step, monkeypatch):
    def fail(columns, outputs, *, all_cores=False):
        raise RuntimeError("no memory")

    with monkeypatch.context() as broken:
        broken.setattr(session_of(step), "run_pack", fail, raising=False)
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
        broken.setattr(session_of(step), "groups", fail, raising=False)
        first = triton.Request(input_ids=[[1]], lengths=[[1]])
        step.execute([first])
        while not first.answers:
            pass
    assert first.answers[0].error.message == "the network failed: no room"
    (again,) = answers(step, [triton.Request(input_ids=[[1]], lengths=[[1]])])  # it waits for no text that failed
    assert again.tensors["sentence_embedding"].tolist() == [[[1.0, 0.0]]]


def test_an_answer_that_cannot_be_made_fails_its_request_and_not_the_lane(triton, step, monkeypatch):
    def fail(count):
        raise MemoryError("no memory")

    monkeypatch.setattr(step._nonfinite, "add", fail)
    requests = [triton.Request(input_ids=[[text]], lengths=[[1]]) for text in (9, 2)]
    first, second = answers(step, requests)
    assert first.error.message == "minilm_encode failed (MemoryError); the server's log says where"
    assert counted(step._failures._errors, where="answer") == 1
    assert second.tensors["sentence_embedding"].tolist() == [[[2.0, 0.0]]]


def test_a_graph_that_is_written_over_while_it_is_served_is_a_fault(triton, step, tmp_path):
    assert counted(step._failures._errors, where="graph") == 0
    (tmp_path / "model.onnx.data").write_bytes(b"another table")
    end_s = time.monotonic() + 20
    while not counted(step._failures._errors, where="graph"):
        assert time.monotonic() < end_s
        time.sleep(0.05)
    assert any("model.onnx.data was changed while it is served" in line for line in triton.logged)
    step.finalize()


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
    step.finalize()
    assert good.answers[0].tensors["sentence_embedding"].tolist() == [[[3.0, 0.0]]]
    assert not any(request.answers for request in wrong)


def test_a_request_that_cannot_be_read_fails_alone(triton, step, monkeypatch):
    def fail():
        raise RuntimeError("gone")

    first, second = (triton.Request(request_id="7", input_ids=[[text]], lengths=[[1]]) for text in (1, 2))
    monkeypatch.setattr(first, "timeout", fail)
    gone, good = answers(step, [first, second])
    assert gone.error.message == "minilm_encode failed (RuntimeError); the server's log says where"
    assert "minilm_encode: internal error in begin of request '7': RuntimeError at" in triton.logged[-1]
    assert good.tensors["sentence_embedding"].tolist() == [[[2.0, 0.0]]]


def test_an_interactive_text_that_is_alone_may_have_all_cores(triton, step):
    answers(step, [triton.Request(input_ids=[[1]], lengths=[[1]])])
    assert session_of(step).all_cores == [True]


def test_a_text_in_bulk_may_not(triton, step):
    answers(step, [triton.Request('{"lane": "bulk"}', input_ids=[[1]], lengths=[[1]])])
    assert session_of(step).all_cores == [False]


def test_a_text_that_comes_again_is_computed_once_and_counted(triton, step):
    requests = [
        triton.Request(input_ids=[[1, 1, 2, 1, 1]], lengths=[[2, 1, 2]]),
        triton.Request(input_ids=[[2]], lengths=[[1]]),
    ]
    first, second = answers(step, requests)
    assert first.tensors["sentence_embedding"].tolist() == [[[1.0, 0.0], [2.0, 0.0], [1.0, 0.0]]]
    assert second.tensors["sentence_embedding"].tolist() == [[[2.0, 0.0]]]
    assert (counted(step._texts), counted(step._repeated), counted(step._batches)) == (4, 2, 1)
    assert (counted(step._micro_batches), counted(step._tokens)) == (1, 3)


def test_a_request_may_want_no_rows_that_were_kept(triton, step):
    """What is asked again with `fresh` is what the network gives now; without it, what it gave before."""

    def ask(parameters=""):
        request = triton.Request(parameters, input_ids=[[5]], lengths=[[1]])
        step.execute([request])
        while not request.answers:
            pass
        return request.answers[0].tensors["sentence_embedding"].tolist()

    assert ask() == [[[5.0, 0.0]]]
    genuine = session_of(step).run_pack
    session_of(step).run_pack = lambda *given, **options: {
        name: rows + 1 for name, rows in genuine(*given, **options).items()
    }
    assert ask() == [[[5.0, 0.0]]]
    assert ask('{"fresh": true}') == [[[6.0, 1.0]]]


def test_a_step_that_is_slow_here_says_so(triton, step):
    assert triton.logged == ["minilm_encode is slow here: this processor has no no_such_flag"]


def test_a_step_that_would_compute_other_numbers_here_does_not_load(triton, tmp_path, monkeypatch):
    encode = import_module("encserve_server.steps.encode.step")
    requirements = asdict(HostRequirements(backend="python", cpu_any_of=("no_such_flag",)))
    (tmp_path / "settings.json").write_text(json.dumps({"requirements": requirements}))
    with pytest.raises(RuntimeError, match="this processor has no no_such_flag, and would compute other numbers"):
        encode.TritonPythonModel().initialize(args_of(tmp_path))
