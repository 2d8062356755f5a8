"""The spans of the cascade step, and the trace that it hands on."""

from collector import attributes, collecting
from two_pipelines import answer_of, asked, wait_until

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
