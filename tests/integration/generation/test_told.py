"""What a live server tells of a pipeline that generates: all that is asked for, in the right amounts."""

import asyncio
import re
import time
import urllib.request

from deploy_files import METRIC, queries
from passages import PASSAGES
from told_metrics import metric, metric_in, metrics_page

from encserve import AsyncClient

TEXTS = PASSAGES[:3]
NEW = 20
EXACTLY = {"min_new_tokens": NEW, "max_new_tokens": NEW}
ENDLESS = {"min_new_tokens": 1_000, "max_new_tokens": 1_000}


def test_everything_is_told_that_dashboards_and_alerts_ask_for(generating):
    with urllib.request.urlopen(generating.metrics_url) as page:
        shown = set(re.findall(r"^[a-z]\w+", page.read().decode(), re.MULTILINE))
    wanted = {name for query in queries() for name in METRIC.findall(query) if name.startswith("encserve_generate_")}
    assert len(wanted) >= 12
    assert wanted <= shown


def told(server):
    """What the counters say, by the name behind `encserve_generate_`."""
    return {
        "tokens": metric(server, "encserve_generate_tokens", kind="output"),
        "whole": metric(server, "encserve_generate_requests", outcome="answered", streamed="false"),
        "streamed": metric(server, "encserve_generate_requests", outcome="answered", streamed="true"),
        "requests": metric(server, "encserve_generate_request_seconds_count", lane="bulk"),
        "first tokens": metric(server, "encserve_generate_first_token_seconds_count", lane="bulk"),
        "gaps": metric(server, "encserve_generate_token_gap_seconds_count"),
        "rows": metric(server, "encserve_generate_rows_per_step_sum"),
    }


def settled(server):
    """The same, once all that was done before is told, as counts are once a second."""
    before = None
    while (now := told(server)) != before:
        before = now
        time.sleep(1.5)
    return now


def test_amounts_are_those_of_what_was_asked(generating, connected):
    before = settled(generating)
    connected.generate(TEXTS, model="t5", priority="bulk", **EXACTLY)
    with connected.generate_stream(TEXTS[0], model="t5", priority="bulk", **EXACTLY) as stream:
        list(stream)
    texts = len(TEXTS) + 1
    expected = {
        "tokens": texts * NEW,
        "whole": 1,
        "streamed": 1,
        "requests": 2,
        "first tokens": texts,
        "gaps": texts * (NEW - 1),
        "rows": texts * NEW,
    }
    until_s = time.monotonic() + 30  # counts are told once a second
    while (grown := {name: value - before[name] for name, value in told(generating).items()}) != expected:
        assert time.monotonic() < until_s, grown
        time.sleep(0.1)
    took_s = metric(generating, "encserve_generate_request_seconds_sum", lane="bulk")
    assert 0 < metric(generating, "encserve_generate_first_token_seconds_sum", lane="bulk") < 4 * took_s


def test_what_is_under_way_is_seen_and_then_gone(generating):
    def now():
        page = metrics_page(generating)
        return [
            metric_in(page, f"encserve_generate_{name}")
            for name in ("active_rows", "waiting_texts", "cache_bytes", "cancelled_tokens")
        ]

    async def ask():
        async with AsyncClient(generating.grpc_url, timeout_s=60) as client:
            call = asyncio.create_task(client.generate(PASSAGES, model="t5", **ENDLESS))
            while not (seen := now())[0] and not call.done():
                await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.wait([call])
            return seen

    for _ in range(5):  # a fast machine may have made all before counts are told
        unwanted = now()[3]
        rows, _, size, _ = asyncio.run(ask())
        until_s = time.monotonic() + 30
        while now()[:3] != [0, 0, 0]:
            assert time.monotonic() < until_s, now()
            time.sleep(0.1)
        if now()[3] > unwanted:
            assert 0 < rows <= len(PASSAGES)
            assert size > 0
            return
    raise AssertionError("no tokens of texts that were given up were counted")
