"""Failures, refusals and faults, each counted once, raise the alerts that they should."""

import pytest
from raised_alerts import FAILURE, SUCCESS, check_alerts, series

GIVEN_UP = [
    series("encserve_cancelled_requests", 100, model="minilm_tokenize", lane="bulk"),
    series("encserve_cancel_messages", 100, model="minilm_tokenize"),
    series(FAILURE, 400, model="minilm", reason="OTHER"),
]


TURNED_AWAY = [
    series("encserve_refused_requests", 50, model="minilm_tokenize", lane="bulk", limit="timeout"),
    series("encserve_refused_requests", 50, model="minilm_tokenize", lane="interactive", limit="max_queued_texts"),
    series("encserve_late_requests", 100, model="minilm_tokenize", lane="bulk"),
    series(FAILURE, 400, model="minilm", reason="OTHER"),
]


@pytest.mark.parametrize(
    ("counters", "alerts"),
    [
        ([series(FAILURE, 2 * 15, model="minilm", reason="OTHER")], {"Failures": ["minilm"]}),
        ([series(FAILURE, 2 * 8, model="minilm", reason="OTHER")], {}),  # 0.8 %, that Triton counts twice
        (
            [
                series(FAILURE, 2 * 15, model="minilm", reason="OTHER"),
                series(FAILURE, 15, model="minilm_encode", reason="BACKEND"),
                series("encserve_refused_requests", 0, model="minilm_tokenize", lane="bulk", limit="timeout"),
                series("encserve_cancel_messages", 0, model="minilm_tokenize"),
            ],
            {"Failures": ["minilm"]},  # once, and not for the step too
        ),
        ([series(FAILURE, 100, model="minilm", reason="CANCELED")], {}),
        (GIVEN_UP, {}),
        (TURNED_AWAY, {"Refusing": ["minilm"]}),
        ([*GIVEN_UP[:2], series(FAILURE, 400 + 2 * 15, model="minilm", reason="OTHER")], {"Failures": ["minilm"]}),
    ],
    ids=["failures", "few", "of a step", "cancelled", "given up", "turned away", "failures among given up"],
)
def test_each_failure_is_counted_once_and_refusals_and_cancellations_apart(tmp_path, counters, alerts):
    check_alerts(tmp_path, counters, alerts)


ANSWERED_BY_IT = [  # Triton counts answers of an ensemble as those of a version 1, whatever it serves
    series(SUCCESS, 50, model="minilm_candidate", version="1"),
    series(SUCCESS, 50, model="minilm_head", version="2"),
]


def failing(per_minute, *, model="minilm_candidate"):
    """Failures of version 2, of which Triton counts each as one of version 1, too."""
    return [series(FAILURE, per_minute, model=model, version=version, reason="OTHER") for version in "12"]


ITS_DOOR = {"model": "minilm_tokenize", "version": "2", "lane": "bulk"}


@pytest.mark.parametrize(
    ("counters", "alerts"),
    [
        (failing(5), {"Failures": ["minilm"]}),
        (failing(5, model="minilm"), {"Failures": ["minilm"]}),
        ([series(FAILURE, 2 * 15, model="minilm", reason="OTHER")], {"Failures": ["minilm"]}),
        (
            [
                series("encserve_refused_requests", 10, **ITS_DOOR, limit="max_queued_texts"),
                series("encserve_late_requests", 10, **ITS_DOOR),
                *failing(20),
            ],
            {"Refusing": ["minilm"]},
        ),
        (
            [
                series("encserve_cancelled_requests", 20, **ITS_DOOR),
                *failing(20),
            ],
            {},
        ),
    ],
    ids=["of the candidate", "once it is active", "of the active version", "turned away", "given up"],
)
def test_failures_of_a_candidate_are_those_of_a_version_of_the_pipeline(tmp_path, counters, alerts):
    """What the door says it says of the pipeline, and Triton of the model under which a candidate is asked."""
    version = "2" if 'version="2"' in str(counters) else "1"
    check_alerts(tmp_path, [*ANSWERED_BY_IT, *counters], alerts, version=version)


def test_a_fault_of_a_step_is_seen(tmp_path):
    fault = series("encserve_internal_errors", 1, model="minilm_encode", where="network")
    check_alerts(tmp_path, [fault], {"InternalErrors": ["minilm_encode"]})


def test_a_cascade_that_was_fitted_to_something_else_is_seen(tmp_path):
    refused = series("encserve_cascade_unfit_requests", 1, model="minilm_cascade")
    check_alerts(tmp_path, [refused], {"CascadeUnfit": ["minilm"]})


@pytest.mark.parametrize(
    ("failures", "refused", "alerts"),
    [(40, 0, {"Failures": ["minilm"]}), (5, 0, {}), (200, 200, {"Refusing": ["minilm"]})],
    ids=["failures", "few", "turned away"],
)
def test_failures_of_a_cascade_are_those_of_its_pipeline(tmp_path, failures, refused, alerts):
    counters = [
        series(SUCCESS, 1_000, model="minilm_cascade"),
        series(FAILURE, 2 * failures, model="minilm", reason="OTHER"),  # which Triton counts twice
        series(FAILURE, failures, model="minilm_cascade", reason="OTHER"),
        series("encserve_refused_requests", refused, model="minilm_cascade", lane="bulk", limit="large"),
    ]
    check_alerts(tmp_path, counters, alerts)


def of_streams(count, outcome):
    """Streams of a pipeline that generates, which Triton counts as successes however they end."""
    return series("encserve_generate_requests", count, model="t5_generate", outcome=outcome, streamed="true")


@pytest.mark.parametrize(
    ("counters", "alerts"),
    [
        ([of_streams(15, "failed")], {"Failures": ["t5"]}),
        ([of_streams(5, "failed")], {}),
        ([series(FAILURE, 2 * 15, model="t5", reason="OTHER")], {"Failures": ["t5"]}),
        ([of_streams(200, "cancelled")], {}),
        ([of_streams(100, "cancelled"), of_streams(15, "invalid")], {"Failures": ["t5"]}),
        (
            [
                of_streams(50, "late"),
                of_streams(50, "refused"),
                series("encserve_refused_requests", 50, model="t5_generate", lane="bulk", limit="timeout"),
            ],
            {"Refusing": ["t5"]},
        ),
        ([series("nv_inference_queue_duration_us", 10**6, model="t5_generate")], {}),
    ],
    ids=["failures", "few", "whole texts", "given up", "failures among given up", "turned away", "bursts"],
)
def test_streams_that_fail_are_failures_of_their_pipeline(tmp_path, counters, alerts):
    whole = series("encserve_generate_requests", 500, model="t5_generate", outcome="answered", streamed="false")
    read = series("nv_inference_compute_infer_duration_us", 1_000, model="t5_generate")
    check_alerts(tmp_path, [whole, of_streams(500, "answered"), read, *counters], alerts, failing="t5")
