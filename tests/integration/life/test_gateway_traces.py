"""One trace through everything: a caller's `traceparent`, the gateway's spans, and those of a real Triton."""

import hashlib
import json
import time

import httpx2
import pytest
from collector import collecting
from gateways import running_gateway
from serving import serve_config

from encserve_server.launcher import server as launcher
from encserve_server.launcher.server import TritonServer
from encserve_server.steps.request.traceparent import NOT_TRACED

TRACES = [f"4bf92f3577b34da6a3ce929d0e0e47{number}" for number in range(10, 16)]
SPAN = "00f067aa0ba902b7"
OTHERS = ["1" * 32, "2" * 32, "3" * 32]
KEY, OTHER_KEY = "a-key-that-may-continue-traces", "one-that-may-not"
PATIENCE_S = 10
"""How long spans of one request are waited for."""
SOON_MS = 200
"""How long spans wait for others to be sent with; five seconds where nobody says."""

GATEWAY_S = {"POST /v1/embeddings", "feature-extraction minilm"}
TRITON_S = {"InferRequest", "minilm", "minilm_tokenize", "minilm_encode", "minilm_head"}


@pytest.fixture
def traced(repository, monkeypatch, tmp_path):
    """A collector, and the address of a gateway before a server, both of which tell it."""
    with collecting() as collector:
        settings = ("mode=opentelemetry", "level=TIMESTAMPS", "rate=0", "count=-1")
        triton = [f"--trace-config={each}" for each in settings]
        told = {"url": f"{collector.url}/v1/traces", "bsp_schedule_delay": SOON_MS}
        triton += [f"--trace-config=opentelemetry,{name}={value}" for name, value in told.items()]
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", str(SOON_MS))  # of the gateway
        flags = launcher.triton_flags
        monkeypatch.setattr(launcher, "triton_flags", lambda *given, **named: [*flags(*given, **named), *triton])
        keys = tmp_path / "keys.json"
        listed = [
            {"name": key[:3], "sha256": hashlib.sha256(key.encode()).hexdigest(), "traces": key == KEY}
            for key in (KEY, OTHER_KEY)
        ]
        keys.write_text(json.dumps({"keys": listed}))
        options = ("--model", "minilm", "--otlp", collector.url, "--keys", str(keys))
        with (
            TritonServer(serve_config(repository, models=("minilm",), exit_timeout_s=5)) as server,
            running_gateway(server.grpc_url, *options) as url,
        ):
            yield collector, url


def told_of(collector, trace):
    """The spans of a trace by name, once those of the gateway and of Triton are there; else those of the gateway."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        spans = {span.name: span for span in list(collector.spans) if span.trace_id.hex() == trace}
        if spans.keys() >= GATEWAY_S | TRITON_S or time.monotonic() > deadline_s:
            return spans
        time.sleep(0.1)


def test_sampled_traces_of_callers_reach_triton_and_no_others(traced):
    collector, url = traced

    def ask(trace, flags, key):
        headers = {"traceparent": f"00-{trace}-{SPAN}-{flags}", "x-api-key": key}
        body = {"model": "minilm", "input": "a secret text"}
        assert httpx2.post(f"{url}/v1/embeddings", json=body, headers=headers, timeout=60).status_code == 200

    ask(OTHERS[0], "00", KEY)
    ask(OTHERS[1], "01", OTHER_KEY)
    ask(OTHERS[2], "zz", KEY)
    for trace in TRACES:  # Triton tells nothing of about one request in twenty
        ask(trace, "01", KEY)
        of_trace = told_of(collector, trace)
        assert of_trace.keys() >= GATEWAY_S
        if of_trace.keys() >= TRITON_S:
            break
    parents = {name: of_trace[name].parent_span_id for name in GATEWAY_S | TRITON_S}
    assert parents["POST /v1/embeddings"].hex() == SPAN
    assert parents["feature-extraction minilm"] == of_trace["POST /v1/embeddings"].span_id
    assert parents["InferRequest"] == of_trace["feature-extraction minilm"].span_id
    assert parents["minilm"] == of_trace["InferRequest"].span_id
    assert {parents[f"minilm_{step}"] for step in ("tokenize", "encode", "head")} == {of_trace["minilm"].span_id}
    assert {span.trace_id.hex() for span in collector.spans}.isdisjoint(OTHERS)
    of_triton = {span.trace_id.hex() for span in collector.spans if span.name in TRITON_S}
    asked_at_the_start = NOT_TRACED.split("-")[1]  # Triton's own tracing does not look at the flag
    assert of_triton <= {*TRACES, asked_at_the_start}
    assert b"a secret text" not in collector.bodies
