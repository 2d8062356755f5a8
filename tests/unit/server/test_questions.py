"""What supervision asks a pipeline, to see whether it works."""

from contextlib import closing

import pytest

from encserve import Client, InvalidInput
from encserve._messages import InferRequest
from encserve.testing import FakeTransport, fake_pipeline
from encserve_server.host.own_address import OwnHostTransport
from encserve_server.questions import HealthTransport, ask
from encserve_server.steps.request.traceparent import NOT_TRACED, parent_in


def test_a_pipeline_whose_texts_have_a_least_length_is_asked_for_one_token_all_the_same():
    asked = []

    def answer(request):
        asked.append(dict(request.parameters))
        raise InvalidInput("that is all")

    pipeline = fake_pipeline(task="text2text-generation", option_defaults={"min_new_tokens": 30})
    with Client(transport=FakeTransport(answer, pipelines=[pipeline])) as client, pytest.raises(InvalidInput):
        ask(client, pipeline)
    assert asked == [{"max_new_tokens": 1, "min_new_tokens": 0}]


def test_a_question_has_a_trace_that_nobody_records_as_callers_may_send_one(monkeypatch):
    """A version that knows of none refuses it, where the server hands it to the steps: before it is promoted."""
    asked = []
    monkeypatch.setattr(OwnHostTransport, "infer", lambda self, request, *, timeout_s: asked.append(request))
    with closing(HealthTransport("localhost:1", tls=None, admin_secret="s" * 16)) as transport:
        transport.infer(InferRequest(model="minilm", inputs={}, outputs=()), timeout_s=1)
    (request,) = asked
    assert set(request.parameters) == {"health"}
    assert dict(request.metadata) == {"traceparent": NOT_TRACED}
    assert not parent_in(NOT_TRACED).sampled
