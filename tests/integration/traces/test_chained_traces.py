"""One trace through a cascade and the pipelines that it asks, and of a pipeline that generates, by a real Triton."""

import shutil

import pytest
import transformers
from cascades import publish_cascade
from collector import collecting
from export.small_checkpoints import make_checkpoint
from published_t5 import published_t5
from serving import export, serve_config
from told_spans import about, calling, spans_of

from encserve import Client
from encserve_server.launcher.server import TritonServer

pytestmark = pytest.mark.slow

LABELS = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
SEQUENCES = transformers.AutoModelForSequenceClassification
STEPS = ("queue", "tokenize", "encode", "head")


@pytest.fixture(scope="module")
def told(exports, tmp_path_factory):
    """A server of a cascade that is never sure, and of a T5; its client; and what it tells."""
    folder = tmp_path_factory.mktemp("chained")
    models = folder / "models"
    shutil.copytree(published_t5(exports)[0], models, ignore=shutil.ignore_patterns(".*"))
    for seed, name in enumerate(("small", "large")):
        export(make_checkpoint(folder / name, network=SEQUENCES, seed=seed, **LABELS), name, models)
    publish_cascade(models, "both", small="small", large="large", threshold=1.0, review_threshold=None, folder=folder)
    with collecting() as collector:
        config = serve_config(models, otlp=collector.url, trace_share=0.0, trace_request_ids=True, exit_timeout_s=5)
        with TritonServer(config) as server, Client(server.grpc_url, timeout_s=300) as client:
            yield collector, client


def test_the_pipelines_of_a_cascade_are_below_its_questions(told):
    collector, client = told
    with calling(0xCA5):
        client.classify(["a text", "another text"], model="both")
    twice = (*STEPS, "small", "large")
    spans = spans_of(
        collector, 0xCA5, until=lambda names: "both" in names and all(names.count(each) >= 2 for each in twice)
    )
    (root,) = [span for span in spans if span.name == "both"]
    assert root.parent_span_id.hex() == "00f067aa0ba902b7"
    assert about(root)["request_id"]
    for role in ("small", "large"):
        asked, answered = sorted((span for span in spans if span.name == role), key=lambda span: span.kind)[::-1]
        assert asked.parent_span_id == root.span_id
        assert answered.parent_span_id == asked.span_id
        assert {span.name for span in spans if span.parent_span_id == answered.span_id} == set(STEPS)
        assert asked.start_time_unix_nano <= answered.start_time_unix_nano
        assert answered.end_time_unix_nano <= asked.end_time_unix_nano
    assert sum(about(span)["own_texts"] for span in spans if span.name == "micro-batch") == 2 * 2
    assert {span.trace_id.hex() for span in collector.spans} == {f"{0xCA5:032x}"}, "supervision is not traced"


def test_a_text_that_is_generated_waits_for_its_turn_and_is_made(told):
    collector, client = told
    with calling(0x6E):
        client.generate(["a text"], model="t5", max_new_tokens=5)
    spans = {span.name: span for span in spans_of(collector, 0x6E, until=lambda names: "t5" in names)}
    assert spans.keys() == {"t5", "tokenize", "queue", "generate"}
    assert spans["t5"].parent_span_id.hex() == "00f067aa0ba902b7"
    assert about(spans["generate"])["output_tokens"] >= 1


def test_a_request_that_is_not_traced_is_traced_nowhere(told):
    collector, client = told
    client.classify(["a text"], model="both")
    with calling(0xF):
        client.classify(["a text"], model="small")
    assert spans_of(collector, 0xF, until=lambda names: "small" in names)
    known = {f"{number:032x}" for number in (0xCA5, 0x6E, 0xF)}
    assert {span.trace_id.hex() for span in collector.spans} <= known
