"""Which requests are traced, and that all steps of a pipeline decide alike."""

import os
import subprocess
import sys

import pytest

from encserve_server.steps.request.traceparent import NOT_TRACED, parent_in, traceparent_of
from encserve_server.steps.trace.context import Sampler, server_salt

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_sampled_trace_of_the_caller_goes_on_whatever_the_share():
    context = Sampler(0.0, b"salt").context(PARENT, "an id")
    assert (context.trace_id, context.parent_id) == (TRACE, SPAN)
    assert len(context.span_id) == 16
    assert context.span_id != SPAN


def test_requests_of_one_call_share_a_trace_and_have_spans_of_their_own():
    sampler = Sampler(0.0, b"salt")
    first, second = (sampler.context(PARENT, f"call-{number}") for number in (1, 2))
    assert first.trace_id == second.trace_id
    assert first.span_id != second.span_id


@pytest.mark.parametrize("parent", [f"00-{TRACE}-{SPAN}-00", NOT_TRACED])
def test_a_caller_who_records_nothing_is_not_traced(parent):
    assert Sampler(1.0, b"salt").context(parent, "an id") is None


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "x",
        7,
        None,
        PARENT.upper(),
        f"01-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
    ],
)
def test_what_is_no_trace_is_as_if_there_were_none(malformed):
    assert parent_in(malformed) is None
    assert Sampler(0.0, b"salt").context(malformed, "an id") is None
    assert Sampler(1.0, b"salt").context(malformed, "an id").parent_id == ""


def test_a_share_of_the_others_is_traced_and_every_step_takes_the_same():
    ids = [f"5f3a-{number}" for number in range(20_000)]
    door, head = Sampler(0.01, b"salt"), Sampler(0.01, b"salt")
    taken = [door.context(None, each) for each in ids]
    assert taken == [head.context(None, each) for each in ids]
    traced = [context for context in taken if context]
    assert 140 <= len(traced) <= 260  # 200 are expected, of a standard deviation of 14
    assert len({context.trace_id for context in traced}) == len(traced)


def test_a_request_without_an_id_has_no_trace_of_its_own():
    assert Sampler(1.0, b"salt").context(None, "") is None


def test_another_server_takes_other_requests_and_tells_other_ids():
    one, other = (Sampler(1.0, salt).context(None, "an id") for salt in (b"one", b"other"))
    assert one.trace_id != other.trace_id


def test_the_salt_is_that_of_the_parent_process():
    say = "from encserve_server.steps.trace.context import server_salt; print(server_salt().hex())"
    command = [sys.executable, "-c", say]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = [subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout for _ in "ab"]
    assert said[0] == said[1] != f"{server_salt().hex()}\n"


def test_what_a_pipeline_is_told_is_what_it_reads():
    assert parent_in(traceparent_of(TRACE, SPAN)).sampled
