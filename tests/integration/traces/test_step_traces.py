"""The spans of our own steps, from a real Triton to a collector."""

import itertools
import threading
import urllib.request

import numpy as np
import pytest
import tritonclient.grpc as triton
from edge import Gateway
from told_spans import about, calling, seconds, spans_of, wait_until

from encserve import Client

TEXTS = ["a secret text", "another secret text that is longer"]
STEPS = {"queue", "tokenize", "encode", "encode queue", "micro-batch", "head", "minilm"}
CLOCKS_NS = 1_000_000
"""By how much two processes may differ in when they believe that the clock of both began."""
numbers = itertools.count(0xABC)


@pytest.fixture(scope="module")
def client(traced):
    with Client(traced.grpc_url, timeout_s=60) as connected:
        yield connected


def whole(names):
    return set(names) >= STEPS


def test_one_request_is_one_tree_under_its_callers_span(client, collector):
    number = next(numbers)
    with calling(number):
        client.embed(TEXTS, model="minilm")
    spans = spans_of(collector, number, until=whole)
    by_name = {span.name: span for span in spans}
    assert sorted(span.name for span in spans if span.name != "micro-batch") == sorted(STEPS - {"micro-batch"})
    root, encode = by_name["minilm"], by_name["encode"]
    assert root.parent_span_id.hex() == "00f067aa0ba902b7"
    assert {by_name[name].parent_span_id for name in ("queue", "tokenize", "encode", "head")} == {root.span_id}
    inner = [span for span in spans if span.name in ("encode queue", "micro-batch")]
    assert {span.parent_span_id for span in inner} == {encode.span_id}
    assert len({span.span_id for span in spans}) == len(spans)
    micro_batches = [about(span) for span in spans if span.name == "micro-batch"]
    assert sum(batch["own_texts"] for batch in micro_batches) == 2
    assert about(by_name["tokenize"])["tokens"] == sum(batch["own_tokens"] for batch in micro_batches)
    assert about(root) == {"gen_ai.request.model": "minilm", "version": "1", "lane": "interactive"}


def test_the_durations_add_up(client, collector):
    number = next(numbers)
    with calling(number):
        client.embed([*TEXTS, *("word " * length for length in range(20, 60))], model="minilm")
    spans = spans_of(collector, number, until=whole)
    by_name = {span.name: span for span in spans}
    root = by_name["minilm"]
    steps = [by_name[name] for name in ("queue", "tokenize", "encode", "head")]
    assert abs(root.start_time_unix_nano - steps[0].start_time_unix_nano) < CLOCKS_NS
    for before, after in itertools.pairwise(steps):
        assert before.end_time_unix_nano < after.start_time_unix_nano + CLOCKS_NS
    assert steps[-1].end_time_unix_nano <= root.end_time_unix_nano
    assert steps[1].start_time_unix_nano == steps[0].end_time_unix_nano
    for span in spans:
        if span.name in ("encode queue", "micro-batch"):
            encode = by_name["encode"]
            assert encode.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= encode.end_time_unix_nano
    assert seconds(by_name["micro-batch"]) > 0


def test_requests_that_share_a_micro_batch_name_each_other(client, collector):
    for _ in range(20):
        asked = [next(numbers) for _ in range(8)]
        together = threading.Barrier(len(asked))

        def ask(number, together=together):
            with calling(number):
                together.wait()
                client.embed([f"text {number}"] * 8, model="minilm")

        threads = [threading.Thread(target=ask, args=(number,)) for number in asked]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told = {number: spans_of(collector, number, until=whole) for number in asked}
        batches = [span for spans in told.values() for span in spans if span.name == "micro-batch"]
        if shared := [span for span in batches if span.links]:
            break
    assert shared, "no two of 160 requests shared a run of the network"
    places = {(span.trace_id, span.span_id) for spans in told.values() for span in spans if span.name == "encode"}
    for span in shared:
        same = [each for each in batches if about(each)["micro_batch"] == about(span)["micro_batch"]]
        assert {each.trace_id for each in same} == {span.trace_id, *(link.trace_id for link in span.links)}
        assert about(span)["requests"] == len(same) == len(span.links) + 1
        assert {(link.trace_id, link.span_id) for link in span.links} <= places
        assert sum(about(each)["own_texts"] for each in same) == about(span)["texts"]


def test_a_request_without_a_trace_has_one_of_its_own_and_an_unsampled_one_has_none(client, collector):
    before, number = {span.trace_id for span in collector.spans}, next(numbers)
    with calling(number, sampled=False):
        client.embed(TEXTS, model="minilm")
    client.embed(TEXTS, model="minilm")
    last = next(numbers)
    with calling(last):
        client.embed(TEXTS, model="minilm")
    assert spans_of(collector, last, until=whole)
    spans = [span for span in collector.spans if span.trace_id not in before and span.trace_id.hex() != f"{last:032x}"]
    assert len({span.trace_id for span in spans}) == 1
    assert spans_of(collector, number, until=lambda _: True) == []
    (root,) = [span for span in spans if not span.parent_span_id]
    assert root.name == "minilm"
    assert {span.name for span in spans} >= STEPS


def test_a_refused_request_says_why_and_no_span_has_a_text_or_an_id_of_a_caller(traced, collector):
    number = next(numbers)
    with triton.InferenceServerClient(traced.grpc_url) as raw:
        tensor = triton.InferInput("text", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[b"a secret text"]], np.object_))
        headers = {"traceparent": f"00-{number:032x}-00f067aa0ba902b7-01"}
        with pytest.raises(triton.InferenceServerException, match="unknown option"):
            raw.infer("minilm", [tensor], request_id="Jane Doe", headers=headers, parameters={"secret": "x"})
    spans = spans_of(collector, number, until=lambda names: "minilm" in names)
    assert {span.name for span in spans} == {"queue", "minilm"}
    assert {about(span)["error.type"] for span in spans} == {"INVALID_ARGUMENT"}
    assert {span.status.code for span in spans} == {2}
    for hidden in (b"secret", b"Jane Doe", b"request_id"):
        assert hidden not in collector.bodies
    assert collector.services == {"encserve"}
    assert collector.paths == {"/v1/traces"}


@pytest.mark.parametrize("name", ["x-traceparent", "elastic-apm-traceparent", "traceparent2"])
def test_headers_whose_names_have_the_word_are_not_handed_on(traced, name):
    """Agents of other systems send their own beside it, and a step would refuse it as an unknown option."""
    tensor = triton.InferInput("text", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[b"a text"]], np.object_))
    with triton.InferenceServerClient(traced.grpc_url) as raw:
        assert raw.infer("minilm", [tensor], headers={name: "a"}).get_response().model_name == "minilm"


def test_the_edge_takes_the_trace_of_callers_outside(traced, collector, authority, tmp_path):
    edge, number = Gateway(tmp_path, traced, authority), next(numbers)
    key = edge.new_key("alice")
    with edge, edge.client(api_key=key) as outside, calling(number):
        before = len(collector.spans)
        outside.embed(TEXTS, model="minilm")
        wait_until(lambda: "minilm" in [span.name for span in collector.spans[before:]])
    assert spans_of(collector, number, until=lambda _: True) == []


def test_a_collector_that_dies_costs_no_request_and_is_said_once(client, traced, collector, said):
    collector.close()
    for _ in range(3):
        assert len(client.embed(TEXTS, model="minilm")) == 2
        threading.Event().wait(1.2)
    with urllib.request.urlopen(traced.metrics_url) as page:
        metrics = page.read().decode()
    values = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line[0] != "#"}
    for step in ("tokenize", "encode", "head"):
        own = {name: value for name, value in values.items() if f'model="minilm_{step}"' in name}
        for counted in ("encserve_sent_spans{", "encserve_dropped_spans{"):
            assert sum(value for name, value in own.items() if name.startswith(counted)) > 0
        lines = [line for line in said if f"minilm_{step}: the collector" in line]
        assert len(lines) == 1
        assert "does not take spans (Connection" in lines[0]
