"""The cascade step, with two pipelines that say what a test wants, and a stand-in for Triton."""

import numpy as np
import pytest
from two_pipelines import TOKEN, answer_of, asked, counts, wait_until


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


@pytest.mark.parametrize("code", ["later", "invalid", "internal"])
def test_what_kind_of_error_it_is_says_the_backend_where_it_can(triton, make, pipelines, code):
    pipelines.errors["large"], pipelines.codes["large"] = "in words that nobody knows", code
    assert answer_of(asked(triton, make(), "0.3 0.8")).error.code == code


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
