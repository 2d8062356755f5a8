"""What is read of a server's page: the names and labels that its steps and Triton write."""

import pytest

from encserve_lifecycle.watch.evidence import Count
from encserve_lifecycle.watch.judgement import observe
from encserve_lifecycle.watch.series import Growth, parse_series
from encserve_lifecycle.watch.signals import Served

PAGE = """
nv_inference_request_success{model="topics_candidate",version="1"} 431
nv_inference_request_success{model="topics_head",version="2"} 431
nv_inference_request_success{model="topics",version="1"} 3145
nv_inference_request_success{model="topics_head",version="1"} 3145
nv_inference_request_failure{model="topics_candidate",reason="OTHER",version="1"} 13
nv_inference_request_failure{model="topics_candidate",reason="OTHER",version="2"} 13
nv_inference_request_failure{model="topics",reason="OTHER",version="1"} 20
nv_inference_request_failure{model="topics",reason="CANCELED",version="1"} 8
encserve_refused_requests{lane="bulk",limit="tokens",model="topics_tokenize",version="1"} 3
encserve_late_requests{lane="interactive",model="topics_tokenize",version="1"} 1
encserve_cancelled_requests{lane="interactive",model="topics_tokenize",version="1"} 1
encserve_cancel_messages{model="topics_tokenize",version="1"} 1
encserve_encoded_texts{model="topics_encode",version="2"} 888
encserve_nonfinite_texts{model="topics_encode",version="2"} 26
encserve_request_duration_seconds_bucket{lane="interactive",le="0.01",model="topics_head",version="2"} 100
encserve_request_duration_seconds_bucket{lane="interactive",le="2.0",model="topics_head",version="2"} 400
encserve_request_duration_seconds_bucket{lane="interactive",le="+Inf",model="topics_head",version="2"} 401
encserve_request_duration_seconds_bucket{lane="bulk",le="0.01",model="topics_head",version="2"} 0
encserve_request_duration_seconds_bucket{lane="bulk",le="+Inf",model="topics_head",version="2"} 30
encserve_first_labels{label="a",model="topics_head",version="2"} 111
encserve_first_labels{label="b",model="topics_head",version="2"} 333
encserve_first_score_bucket{le="0.9",model="topics_head",version="2"} 44
encserve_first_score_bucket{le="+Inf",model="topics_head",version="2"} 440
encserve_positive_projections{direction="0",model="topics_head",version="2"} 50
encserve_projected_vectors{model="topics_head",version="2"} 200
"""
MODELS = ["topics", "topics_candidate", "topics_tokenize", "topics_encode", "topics_head"]


def observed(version):
    growth = Growth({})
    growth.take(parse_series(PAGE, MODELS))
    return observe(
        growth, Served(pipeline="topics", version=version, candidate="topics_candidate", encode="topics_encode")
    )


def test_failures_are_told_from_what_was_turned_away_and_given_up():
    assert observed(1)["failures"] == {"requests that fail": Count(10 - 6, 3145 + 10 - 6)}
    assert observed(2)["failures"] == {"requests that fail": Count(13, 431 + 13)}


def test_texts_that_are_not_finite_count_as_if_each_request_had_one_text():
    assert observed(2)["not finite"] == {"texts with NaN or infinity": Count(13, 444)}


def test_answers_of_the_interactive_lane_by_how_long_they_took():
    assert observed(2)["latency"] == {"answers after 10 ms": Count(301, 401), "answers after 2 s": Count(1, 401)}


def test_labels_scores_and_vectors():
    found = observed(2)
    assert found["labels"] == {"texts labelled a": Count(111, 444), "texts labelled b": Count(333, 444)}
    assert found["scores"] == {"first scores above 0.9": Count(396, 440)}
    assert found["vectors"] == {"vectors positive along 0": Count(50, 200)}


@pytest.mark.parametrize("signal", ["not finite", "latency", "labels", "scores", "vectors"])
def test_what_a_pipeline_does_not_count_is_empty(signal):
    assert observed(7)[signal] == {}
