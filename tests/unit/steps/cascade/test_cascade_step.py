"""The cascade step, with two pipelines that say what a test wants, and a stand-in for Triton."""

import hashlib
import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from collector import attributes, collecting

ARGS = {"model_name": "both_cascade", "model_version": "3", "model_instance_name": "both_cascade_0_0"}
TOKEN = "secret"
SETTINGS = {
    "inputs": ["text"],
    "outputs": ["label", "score", "token_count"],
    "options": {
        "lane": {"kind": "choice", "allowed": ["interactive", "bulk"], "default": "interactive"},
        "cancel": {"kind": "id", "default": None},
        "top_k": {"kind": "whole", "default": None, "least": 1, "most": 2},
    },
    "limits": {"max_length": 8, "max_texts_per_request": 5, "max_tokens_per_request": 32, "max_bytes_per_text": 99},
    "queue": {"max_queued_texts": 8, "max_queued_bytes": 99},
    "labels": ["yes", "no"],
    "threshold": 0.75,
    "review_threshold": 0.5,
}


class Pipelines:
    """What the two pipelines say: of a text "0.3 0.9" the small one says that score, and then the large one that."""

    def __init__(self):
        self.asked = []
        self.errors = {}
        """Model -> the message of its error."""
        self.ready = {("small", "1"), ("large", "1")}
        self.goes_on = threading.Event()
        self.goes_on.set()

    def ask(self, request):
        self.asked.append(request)
        if "cancel" in request.parameters:
            return SimpleNamespace(has_error=lambda: True, error=lambda: SimpleNamespace(message=lambda: "given up"))
        assert self.goes_on.wait(60)
        message = self.errors.get(request.model_name)
        if request.model_version != -1 and (request.model_name, str(request.model_version)) not in self.ready:
            message = "is not ready"
        if message:
            return SimpleNamespace(has_error=lambda: True, error=lambda: SimpleNamespace(message=lambda: message))
        texts = [text.decode().split() for text in request.inputs["text"][0]]
        scores = np.array([[float(text[request.model_name == "large"]), 0] for text in texts], np.float32)
        tensors = {
            "label": np.full(scores.shape, request.model_name.encode(), np.object_),
            "score": scores,
            "token_count": np.full(len(texts), len(request.model_name), np.int32),
        }
        outputs = [SimpleNamespace(name=lambda n=n: n, as_numpy=lambda v=v: v[None]) for n, v in tensors.items()]
        return SimpleNamespace(has_error=lambda: False, output_tensors=lambda: outputs)


@pytest.fixture
def pipelines(triton):
    pipelines = Pipelines()

    def request(*, inputs, **about):
        made = SimpleNamespace(inputs={tensor.name(): tensor.as_numpy() for tensor in inputs}, **about)
        made.exec = lambda: pipelines.ask(made)
        return made

    triton.InferenceRequest = request
    triton.is_model_ready = lambda model, version: (model, version) in pipelines.ready
    return pipelines


@pytest.fixture
def make(triton, pipelines, tmp_path, monkeypatch):
    """Makes the step in a repository; `changes` are of its settings."""
    monkeypatch.setenv("ENCSERVE_HEALTH_TOKEN", TOKEN)
    made = []

    def make(**changes):
        from encserve_server.steps.cascade_model import TritonPythonModel

        settings = SETTINGS | changes
        for role in ("small", "large"):
            manifest = tmp_path / role / "1" / "manifest.json"
            manifest.parent.mkdir(parents=True)
            manifest.write_text(role)
            certificate = hashlib.sha256(role.encode()).hexdigest()
            settings.setdefault(role, {"model": role, "version": 1, "certificate": certificate})
        folder = tmp_path / "both_cascade" / "3"
        folder.mkdir(parents=True)
        (folder / "settings.json").write_text(json.dumps(settings))
        step = TritonPythonModel()
        step.initialize({**ARGS, "model_repository": str(folder.parent)})
        made.append(step)
        return step

    yield make
    pipelines.goes_on.set()
    for step in made:
        step.finalize()


def asked(triton, step, *texts, parameters=None, **about):
    """Put a request in; `answer_of` waits for what becomes of it."""
    raw = np.array([[text.encode() for text in texts]], np.object_)
    request = triton.Request(json.dumps(parameters or {}), text=raw, **about)
    (response,) = step.execute([request])
    if response is not None:
        request.answers.append(response)
    return request


def wait_until(happened):
    until_s = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until_s
        time.sleep(0.001)


def answer_of(request):
    wait_until(lambda: request.answers)
    (answer,) = request.answers
    return answer


def counts(counter):
    return {tuple(series): count for series, count in counter._counts.items() if count}


def test_the_large_pipeline_is_asked_about_what_the_small_one_is_unsure_of(triton, make, pipelines):
    step = make()
    answer = answer_of(asked(triton, step, "0.9 0.1", "0.3 0.8", "0.75 0.1", "0.3 0.4", request_id="me"))
    assert answer.tensors["decision"].tolist() == [[b"small", b"large", b"small", b"review"]]
    assert answer.tensors["label"][0, :, 0].tolist() == [b"small", b"large", b"small", b"large"]
    np.testing.assert_allclose(answer.tensors["score"][0, :, 0], [0.9, 0.8, 0.75, 0.4])
    assert answer.tensors["token_count"].tolist() == [[5, 5, 5, 5]]
    first, second = pipelines.asked
    assert (first.model_name, first.model_version, first.request_id) == ("small", 1, "me")
    assert second.inputs["text"].tolist() == [[b"0.3 0.8", b"0.3 0.4"]]


def test_the_large_pipeline_is_not_asked_where_the_small_one_is_sure(triton, make, pipelines):
    assert answer_of(asked(triton, make(), "0.9 0.1")).tensors["decision"].tolist() == [[b"small"]]
    assert [each.model_name for each in pipelines.asked] == ["small"]


def test_nothing_is_marked_without_a_threshold_of_review(triton, make):
    answer = answer_of(asked(triton, make(review_threshold=None), "0.3 0.1"))
    assert answer.tensors["decision"].tolist() == [[b"large"]]


def test_decisions_answers_and_labels_are_counted(triton, make):
    step = make()
    answer_of(asked(triton, step, "0.9 0.1", "0.3 0.8", "0.3 0.1", parameters={"lane": "bulk"}))
    wait_until(lambda: counts(step._counts._labels._labels))  # which are counted last, after the answer was sent
    decided = {dict(series)["decision"]: count for series, count in counts(step._counts._texts).items()}
    assert decided == {"small": 1, "large": 1, "review": 1}


def test_options_go_to_both_and_a_wrong_one_to_none(triton, make, pipelines):
    step = make()
    answer_of(asked(triton, step, "0.3 0.8", parameters={"top_k": 2, "lane": "bulk"}))
    assert [each.parameters for each in pipelines.asked] == [{"top_k": 2, "lane": "bulk"}] * 2
    answer = answer_of(asked(triton, step, "0.3 0.8", parameters={"top_k": 3}))
    assert answer.error.code == "invalid"
    assert len(pipelines.asked) == 2


@pytest.mark.parametrize(("texts", "words"), [((), "no texts"), (["x"] * 6, "6 texts"), (["x" * 100], "100 bytes")])
def test_limits_are_those_of_both(triton, make, pipelines, texts, words):
    answer = answer_of(asked(triton, make(), *texts))
    assert answer.error.code == "invalid"
    assert words in answer.error.message
    assert not pipelines.asked


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("about 3 s of bulk work wait before this request: try again later", "later"),
        ("text 0 has 9 tokens; max_length is 8 and truncate is 'error'", "invalid"),
        ("large_encode failed (RuntimeError); the server's log says where", "internal"),
    ],
)
def test_an_error_of_a_pipeline_is_passed_on_with_its_name(triton, make, pipelines, message, code):
    pipelines.errors["large"] = f"in ensemble 'large', {message}"
    step = make()
    answer = answer_of(asked(triton, step, "0.9 0.1", "0.3 0.8"))
    assert (answer.error.code, answer.error.message) == (code, f"large pipeline large: {message}")
    refused = {(("lane", "interactive"), ("limit", "large")): 1} if code == "later" else {}
    assert counts(step._counts.door.refused) == refused, "so that an alert tells refusals from failures"


def test_the_time_that_is_left_is_passed_on(triton, make, pipelines):
    answer_of(asked(triton, make(), "0.3 0.8", timeout_us=50_000_000))
    first, second = (each.timeout for each in pipelines.asked)
    assert 0 < second < first < 50_000_000


def test_a_caller_without_a_timeout_waits_for_ever(triton, make, pipelines):
    answer_of(asked(triton, make(), "0.3 0.8"))
    assert [each.timeout for each in pipelines.asked] == [0, 0]


def test_a_request_whose_time_is_up_is_not_asked_further(triton, make, pipelines):
    pipelines.goes_on.clear()
    step = make()
    request = asked(triton, step, "0.3 0.8", timeout_us=1_000)
    time.sleep(0.01)
    pipelines.goes_on.set()
    answer = answer_of(request)
    assert answer.error.code == "later"
    assert "timeout of 0.001 s was used up" in answer.error.message
    assert "large" not in [each.model_name for each in pipelines.asked]


def test_a_caller_who_has_gone_is_not_asked_for(triton, make, pipelines):
    answer = answer_of(asked(triton, make(), "0.3 0.8", cancelled=True))
    assert answer.error.code == "cancelled"
    assert not pipelines.asked


def test_giving_up_is_passed_on_to_both(triton, make, pipelines):
    step = make()
    answer = answer_of(asked(triton, step, "", parameters={"cancel": "x"}))
    assert answer.error.code == "cancelled"
    assert counts(step._counts.door.messages) == {(): 1}
    wait_until(lambda: len(pipelines.asked) == 2)
    assert [(each.model_name, each.parameters) for each in pipelines.asked] == [
        ("small", {"cancel": "x"}),
        ("large", {"cancel": "x"}),
    ]


def test_the_large_pipeline_is_not_asked_for_one_who_gives_up_while_the_small_one_computes(triton, make, pipelines):
    pipelines.goes_on.clear()
    step = make()
    given_up, same_id, other = (asked(triton, step, "0.3 0.8", request_id=each) for each in ("x", "x", "y"))
    wait_until(lambda: len(pipelines.asked) == 3)
    answer_of(asked(triton, step, "", parameters={"cancel": "x"}))
    pipelines.goes_on.set()
    for request in (given_up, same_id):
        assert answer_of(request).error.code == "cancelled"
    assert not answer_of(other).has_error()
    wait_until(lambda: sum("cancel" in each.parameters for each in pipelines.asked) == 2)
    questions = [each for each in pipelines.asked if "cancel" not in each.parameters]
    assert [each.request_id for each in questions if each.model_name == "large"] == ["y"]
    assert counts(step._counts.door.cancelled) == {(("lane", "interactive"),): 2}


def test_an_id_may_be_used_again_after_it_was_given_up(triton, make, pipelines):
    step = make()
    answer_of(asked(triton, step, "0.3 0.8", request_id="x"))
    answer_of(asked(triton, step, "", parameters={"cancel": "x"}))
    assert not answer_of(asked(triton, step, "0.3 0.8", request_id="x")).has_error()
    wait_until(lambda: not step._under_way._calls)


def test_bulk_keeps_no_interactive_request_waiting_nor_a_question_of_health(triton, make, pipelines):
    from encserve_server.steps.cascade.step import THREADS

    pipelines.goes_on.clear()
    step = make(queue={"max_queued_texts": 1_000, "max_queued_bytes": 10_000})
    bulk = [asked(triton, step, "0.9 0.1", parameters={"lane": "bulk"}) for _ in range(2 * THREADS["bulk"])]
    one = asked(triton, step, "0.8 0.1")
    health = asked(triton, step, "0.7 0.1", parameters={"health": TOKEN})
    wait_until(lambda: len(pipelines.asked) == THREADS["bulk"] + 2)
    assert {each.inputs["text"][0, 0] for each in pipelines.asked} == {b"0.9 0.1", b"0.8 0.1", b"0.7 0.1"}
    pipelines.goes_on.set()
    assert not any(answer_of(each).has_error() for each in (one, health, *bulk))


def test_too_much_is_refused(triton, make, pipelines):
    from encserve_server.steps.cascade.step import THREADS

    pipelines.goes_on.clear()
    step = make()
    first = []
    for number in range(THREADS["interactive"]):
        first.append(asked(triton, step, "0.9 0.1"))
        wait_until(lambda taken=number + 1: len(pipelines.asked) == taken)
    waiting = [asked(triton, step, *["0.9 0.1"] * 4) for _ in range(2)]
    answer = answer_of(asked(triton, step, "0.9 0.1"))
    assert answer.error.code == "later"
    assert "max_queued_texts is 8" in answer.error.message
    pipelines.goes_on.set()
    assert not any(answer_of(each).has_error() for each in (*first, *waiting))


def test_too_much_for_a_timeout_is_refused(triton, make, pipelines):
    from encserve_server.steps.cascade.step import THREADS

    step = make(queue={"max_queued_texts": 100, "max_queued_bytes": 1_000})
    pipelines.goes_on.clear()
    step._waiting.served(SimpleNamespace(lane="interactive", tokens=1), 1e6)  # on a machine as slow as that
    taken = [asked(triton, step, "0.9 0.1") for _ in range(THREADS["interactive"])]
    wait_until(lambda: len(pipelines.asked) == THREADS["interactive"])
    waiting = asked(triton, step, "0.9 0.1", timeout_us=60_000_000)
    answer = answer_of(asked(triton, step, "0.9 0.1", timeout_us=60_000_000))
    assert answer.error.code == "later"
    assert "of its timeout of 60 s it may wait 30 s" in answer.error.message
    assert counts(step._counts.door.refused) == {(("lane", "interactive"), ("limit", "timeout")): 1}
    assert step._waiting.load("interactive").tokens == 3
    pipelines.goes_on.set()
    assert not any(answer_of(each).has_error() for each in (*taken, waiting))


def test_how_fast_answers_come_is_learned(triton, make, monkeypatch):
    step = make()
    learned = []
    monkeypatch.setattr(step._waiting, "served", lambda request, seconds: learned.append((request.tokens, seconds)))
    answer_of(asked(triton, step, "0.9 0.1", "0.3 0.8"))
    ((tokens, seconds),) = learned
    assert tokens == 6
    assert seconds > 0


def test_an_operator_says_how_many_texts_may_wait(triton, make, pipelines, monkeypatch):
    from encserve_server.steps.cascade.step import THREADS

    monkeypatch.setenv("ENCSERVE_MAX_QUEUED_TEXTS", "2")
    pipelines.goes_on.clear()
    step = make()
    for number in range(THREADS["bulk"]):
        asked(triton, step, "0.9 0.1", parameters={"lane": "bulk"})
        wait_until(lambda taken=number + 1: len(pipelines.asked) == taken)
    asked(triton, step, "0.9 0.1", parameters={"lane": "bulk"})
    answer = answer_of(asked(triton, step, "0.9 0.1", "0.9 0.1", parameters={"lane": "bulk"}))
    assert "max_queued_texts is 2: try again later" in answer.error.message


def test_what_waits_is_told(triton, make, pipelines, monkeypatch):
    from encserve_server.steps.cascade.step import THREADS

    told = {}

    def metric(family, labels):
        told[family.name, labels.get("lane")] = made = one_metric(family, labels)
        return made

    one_metric = triton.MetricFamily.Metric
    monkeypatch.setattr(triton.MetricFamily, "__init__", lambda self, **about: setattr(self, "name", about["name"]))
    monkeypatch.setattr(triton.MetricFamily, "Metric", metric)
    pipelines.goes_on.clear()
    step = make(queue={"max_queued_texts": 100, "max_queued_bytes": 1_000})
    for _ in range(THREADS["bulk"] + 2):
        asked(triton, step, "0.9 0.1", parameters={"lane": "bulk"})
    wait_until(lambda: told["encserve_waiting_tokens", "bulk"].value() == 2 * 3)  # of two texts; the others are asked
    assert told["encserve_waiting_tokens", "interactive"].value() == 0


@pytest.mark.parametrize("role", ["small", "large"])
def test_another_version_is_refused_and_that_version_again_is_not(triton, make, pipelines, role):
    pipelines.ready -= {(role, "1")}
    step = make()
    answer = answer_of(asked(triton, step, "0.3 0.8"))
    assert answer.error.code == "internal"
    assert f"fitted to version 1 of {role}, which the server does not serve now" in answer.error.message
    assert "encserve cascade" in answer.error.message
    assert not answer_of(asked(triton, step, "0.3 0.8", parameters={"health": TOKEN})).has_error()
    pipelines.ready |= {(role, "1")}
    assert not answer_of(asked(triton, step, "0.3 0.8")).has_error()


@pytest.mark.parametrize(
    ("version", "certificate", "words"),
    [(1, "0" * 64, "which is another one now"), (7, "0" * 64, "whose manifest cannot be read")],
)
def test_another_certificate_is_refused_and_health_is_answered(triton, make, pipelines, version, certificate, words):
    step = make(large={"model": "large", "version": version, "certificate": certificate})
    answer = answer_of(asked(triton, step, "0.9 0.8"))
    assert answer.error.code == "internal"
    assert words in answer.error.message
    assert not pipelines.asked
    assert counts(step._counts.unfit) == {(): 1}
    health = answer_of(asked(triton, step, "0.3 0.8", parameters={"health": TOKEN}))
    assert health.tensors["decision"].tolist() == [[b"small"]]
    (question,) = pipelines.asked
    assert (question.model_version, question.parameters) == (-1, {"health": TOKEN})


def test_a_closing_server_lets_nobody_in(triton, make, monkeypatch):
    step = make()
    monkeypatch.setattr("encserve_server.steps.cascade.step.is_closing", lambda: True)
    answer = answer_of(asked(triton, step, "0.9 0.1"))
    assert answer.error.code == "later"


def test_a_fault_of_ours_is_answered_and_the_thread_goes_on(triton, make, pipelines):
    step = make()
    assert answer_of(asked(triton, step, "no number")).error.code == "internal"
    assert not answer_of(asked(triton, step, "0.9 0.1")).has_error()
    assert "no number" not in "".join(triton.logged)


def test_what_waits_is_answered_before_the_end(triton, make, pipelines):
    step = make()
    requests = [asked(triton, step, "0.3 0.8") for _ in range(8)]
    step._waiting.close()
    assert not any(answer_of(each).has_error() for each in requests)


PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"


def test_a_traced_request_hands_its_trace_to_both_pipelines(triton, make, pipelines, monkeypatch):
    with collecting() as collector:
        monkeypatch.setenv("ENCSERVE_OTLP", collector.url)
        step = make()
        answer_of(asked(triton, step, "0.9 0.1", "0.3 0.8", request_id="me", parameters={"traceparent": PARENT}))
        wait_until(lambda: len(collector.spans) == 4)
    spans = {span.name: span for span in collector.spans}
    assert spans.keys() == {"both", "queue", "small", "large"}
    assert {span.trace_id.hex() for span in collector.spans} == {"ab" * 16}
    assert spans["both"].parent_span_id.hex() == "cd" * 8
    assert {spans[name].parent_span_id for name in ("queue", "small", "large")} == {spans["both"].span_id}
    for request in pipelines.asked:
        span = spans[request.model_name]
        assert request.parameters["traceparent"] == f"00-{'ab' * 16}-{span.span_id.hex()}-01"
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= spans["both"].end_time_unix_nano
    assert attributes(spans["large"])["encserve.texts"] == 1
    assert spans["queue"].end_time_unix_nano <= spans["small"].start_time_unix_nano
    assert b"0.3" not in collector.bodies


def test_why_a_traced_request_was_refused_is_told(triton, make, pipelines, monkeypatch):
    pipelines.errors["small"] = "try again later"
    with collecting() as collector:
        monkeypatch.setenv("ENCSERVE_OTLP", collector.url)
        answer_of(asked(triton, make(), "0.9 0.1", parameters={"traceparent": PARENT}))
        wait_until(lambda: len(collector.spans) == 3)
    errors = {span.name: attributes(span).get("error.type") for span in collector.spans}
    assert errors == {"both": "UNAVAILABLE", "queue": None, "small": "UNAVAILABLE"}


def test_the_pipelines_begin_no_trace_for_a_request_that_is_not_traced(triton, make, pipelines, monkeypatch):
    with collecting() as collector:
        monkeypatch.setenv("ENCSERVE_OTLP", collector.url)
        monkeypatch.setenv("ENCSERVE_TRACE_SHARE", "0")
        answer_of(asked(triton, make(), "0.9 0.1", request_id="me"))
    (request,) = pipelines.asked
    assert request.parameters["traceparent"].endswith("-00")


def test_without_a_collector_the_pipelines_are_asked_as_ever(triton, make, pipelines):
    answer_of(asked(triton, make(), "0.9 0.1", parameters={"traceparent": PARENT}))
    assert [request.parameters for request in pipelines.asked] == [{}]
