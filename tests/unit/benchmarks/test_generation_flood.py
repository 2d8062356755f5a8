"""What the flood of texts to text notes of each text."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from benchmarks.generation import flood as flooding
from benchmarks.generation.checkpoint import Request
from benchmarks.generation.flood import figures_of, measure, since, told
from benchmarks.generation.open_loop import Asked, one

from encserve import DeadlineExceeded, InferenceFailed, Overloaded


class Client:
    """Its streams have so many pieces, and then end, or fail."""

    def __init__(self, pieces, end):
        self.pieces, self.end = pieces, end

    @asynccontextmanager
    async def generate_stream(self, text, **options):
        yield self
        if isinstance(self.end, Exception):
            raise self.end

    @property
    def finish(self):
        return self.end

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece


def noted(*clients, timeout_s=60.0):
    flood = Asked()
    for client in clients:
        asyncio.run(one(client, "t5", Request("a", [1], 5), timeout_s, flood))
    return flood


def test_each_text_is_whole_late_refused_or_broken():
    whole, late = Client(["a", "b"], "length"), Client(["a"], "deadline")
    refused, broken = Client([], Overloaded("try again later")), Client(["a"], InferenceFailed("NaN"))
    flood = noted(whole, late, refused, broken)
    assert [len(each) for each in (flood.whole_s, flood.refused_s, flood.broken, flood.first_s)] == [1, 1, 1, 3]
    assert flood.late == 1
    assert flood.broken == ["InferenceFailed: NaN"]


def test_who_is_told_that_the_time_is_up_is_late_and_who_is_told_so_before_is_broken():
    ended = Client([], DeadlineExceeded("the time is up"))
    assert noted(ended, timeout_s=0.0).late == 1
    assert noted(ended).late == 0
    assert noted(ended).broken


def test_who_was_let_in_and_is_told_shortly_before_the_time_is_up_was_not_refused():
    told = Overloaded("the request was cancelled, or its timeout passed, before all its texts had ended")
    flood = noted(Client([], told))
    assert (flood.late, flood.refused_s, flood.broken) == (1, [], [])


def test_a_server_goes_on_where_its_closed_set_fails(monkeypatch):
    resumed = []

    class Served:
        def __init__(self, url, pid, *rest, **options):
            self.resume = lambda: resumed.append(pid)

        def make(self, asked):
            raise Overloaded("no room")

    monkeypatch.setattr(flooding, "Served", Served)
    monkeypatch.setattr(flooding, "requests", lambda *rest, **options: [])
    with pytest.raises(Overloaded):
        measure(SimpleNamespace(grpc_url="", pid=7), None, None)
    assert resumed == [7]


def test_figures_name_what_went_beyond():
    refused = [(0.5, 0.01), (0.7, 0.03)]
    figures = figures_of(Asked(refused=refused, first_s=[0.1], whole_s=[1.0, 5.0], late=2, lags_s=[0.002]), 4.0)
    assert figures["of these beyond their timeout"] == 1
    assert figures["refusal, p50 / p99 / longest, ms"] == "20 / 30 / 30"
    assert figures["late to what was due, p50 / p99 / longest, ms"] == "2 / 2 / 2"
    assert figures_of(Asked(), 4.0)["first piece of those let in, p50 / p95 / longest, ms"] == "none"
    assert figures["let in and late"] == 2


def test_it_is_told_where_a_request_waited(tmp_path):
    page = tmp_path / "metrics"

    def tell(requests, refusals):
        about = f'{{model="{flooding.STEP}",version="1"'
        page.write_text(
            f"nv_inference_queue_duration_us{about}}} {3_000 * requests}\n"
            f"nv_inference_request_success{about}}} {requests}\n"
            f'nv_inference_request_success{{model="other",version="1"}} 9\n'
            f'encserve_generate_refusal_seconds_sum{about},lane="bulk"}} {0.004 * refusals}\n'
            f'encserve_generate_refusal_seconds_count{about},lane="bulk"}} {refusals}\n'
            f'encserve_generate_refusal_seconds_count{about},lane="interactive"}} 0\n'
        )
        return told(page.as_uri())

    before = tell(10, 2)
    assert list(since(before, tell(30, 6)).values()) == [3.0, 4.0]
    assert list(since(before, before).values()) == ["none", "none"]
