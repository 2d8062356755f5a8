"""Which lane a call takes."""

import numpy as np
import pytest

from encserve import Client, InvalidInput
from encserve._transport.wire import request_to_proto
from encserve.testing import FakeTransport, InferRequest, fake_pipeline

TWO_LANES = fake_pipeline(option_defaults={"lane": "interactive"})


def lanes_asked(pipeline=TWO_LANES):
    """A client, and the lanes that its requests name."""
    asked = set()

    def answer(request):
        asked.add(request.parameters.get("lane"))
        count = len(request.inputs["text"])
        return {
            "embedding": np.zeros((1, count, 3), np.float32),
            "token_count": np.ones((1, count), np.int32),
            "dropped_count": np.zeros((1, count), np.int32),
        }

    return Client(transport=FakeTransport(answer, pipelines=[pipeline])), asked


@pytest.mark.parametrize(
    ("texts", "priority", "lane"),
    [
        (["x"] * 1024, None, None),  # the server's default
        (["x"] * 1025, None, "bulk"),
        (["x"], "bulk", "bulk"),
        (["x"] * 1025, "interactive", None),
    ],
)
def test_long_lists_go_in_bulk_unless_they_say_otherwise(texts, priority, lane):
    client, asked = lanes_asked()
    client.embed(texts, model="fake", priority=priority)
    assert asked == {lane}


def test_what_comes_from_an_iterator_goes_in_bulk():
    client, asked = lanes_asked()
    list(client.embed_iter(iter(["x"]), model="fake"))
    assert asked == {"bulk"}


def test_a_pipeline_of_one_lane_is_asked_for_none():
    client, asked = lanes_asked(fake_pipeline())
    client.embed(["x"], model="fake", priority="bulk")
    assert asked == {None}


def test_other_priorities_are_refused():
    client, _ = lanes_asked()
    with pytest.raises(InvalidInput, match="priority is 'high', expected one of 'interactive', 'bulk'"):
        client.embed(["x"], model="fake", priority="high")


def test_the_server_is_told_how_long_its_answer_is_waited_for():
    request = InferRequest(model="m", inputs={}, outputs=())
    assert request_to_proto(request, timeout_s=1.5).parameters["timeout"].int64_param == 1_500_000
    assert "timeout" not in request_to_proto(request).parameters
