"""Whose texts are kept, and that nothing is where nobody asked for it or where it could not be scrubbed."""

import asyncio
import hashlib
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from unit.gateway.asgi import get, post
from unit.gateway.dialects.test_late_interaction import KEPT, LATE, late
from unit.gateway.pipelines import PIPELINES, Fake, answer
from unit.gateway.test_command import parsed

from encserve import InferenceFailed, InvalidInput
from encserve_gateway.keys import read_keys
from encserve_gateway.sample_config import SampleConfig
from encserve_gateway.samples.folder import SampleFolder

CANARY = "canary-4711"
TEXT = f"{CANARY} of ann@mail.example"
SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
PAST = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
BODIES = {
    "/v1/embeddings": {"input": [TEXT], "model": "embed"},
    "/embed": {"inputs": TEXT, "model": "embed"},
    "/v1/rerank": {"query": TEXT, "documents": ["a document"], "model": "rerank"},
    "/v1/text-classification": {"texts": [TEXT], "model": "classify"},
    "/classify": {"input": [TEXT], "model": "classify"},
    "/v1/completions": {"prompt": TEXT, "model": "generate"},
}


@pytest.fixture
def sampled(tmp_path):
    """Makes a gateway with a key that is its name, of these settings."""

    def made(function=answer, *, scrub_model="", pipelines=PIPELINES, **settings):
        keys = [{"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in ("alice", "bob")]
        keys[0] |= settings
        (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))
        samples = SampleConfig(folder=tmp_path / "samples", scrub_model=scrub_model)
        return Sampled(tmp_path, function=function, pipelines=pipelines, keys=tmp_path / "keys.json", samples=samples)

    return made


class Sampled(Fake):
    def __init__(self, tmp_path, **settings):
        super().__init__(**settings)
        self.folder = tmp_path / "samples"

    async def ask(self, path="/v1/embeddings", body=None, *, key="alice"):
        answered = await post(self.gateway, path, body or BODIES[path], authorization=f"Bearer {key}")
        while under_way := self.gateway.services.samples._under_way:
            await asyncio.gather(*under_way)
        return answered

    @property
    def lines(self):
        files = sorted(self.folder.glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def count(self, outcome, key="alice"):
        return self.number("sampled_requests_total", key=key, outcome=outcome)


async def test_vectors_are_no_texts_to_keep(sampled):
    gateway = sampled(late, pipelines=(LATE,), log_share=1, log_until=SOON)
    for documents, count in ((["a"], 1), (KEPT, 1)):
        assert (await gateway.ask("/v1/rerank", {"query": "q", "documents": documents})).status == 200
        assert len(gateway.lines) == count


@pytest.mark.parametrize("path", BODIES)
async def test_texts_of_a_key_that_asks_for_it_are_kept_scrubbed(sampled, path):
    gateway = sampled(log_share=1, log_until=SOON)
    answered = await gateway.ask(path)
    assert answered.status == 200
    (line,) = gateway.lines
    assert line["texts"][0] == f"{CANARY} of [email]"
    assert (line["key"], line["route"], line["version"]) == ("alice", path, "1")
    assert line["request_id"] == answered.headers["x-request-id"]
    assert gateway.count("written") == 1


@pytest.mark.parametrize(
    ("settings", "key"),
    [({}, "alice"), ({"log_share": 1, "log_until": SOON}, "bob"), ({"log_share": 1, "log_until": PAST}, "alice")],
    ids=["not asked for", "another key", "over"],
)
async def test_the_text_is_nowhere_unless_that_was_asked(sampled, caplog, settings, key, tmp_path):
    caplog.set_level(logging.DEBUG)
    gateway = sampled(**settings)
    for path in BODIES:
        assert (await gateway.ask(path, key=key)).status == 200
    refused = await gateway.ask(body={"input": [TEXT, 7], "model": "embed"}, key=key)
    assert CANARY not in refused.body.decode()
    metrics = await get(gateway.gateway, "/metrics", authorization="Bearer alice")
    assert CANARY not in metrics.body.decode() + caplog.text
    assert not gateway.folder.exists()


async def test_what_is_refused_is_not_kept(sampled):
    gateway = sampled(log_share=1, log_until=SOON)
    assert (await gateway.ask(body={"input": [TEXT], "model": "embed", "dimensions": 10**6})).status == 400
    assert (await gateway.ask(key="nobody")).status == 401
    assert gateway.lines == []


async def test_a_share_is_kept(sampled, monkeypatch):
    gateway = sampled(log_share=0.3, log_until=SOON)
    draws = iter([0.29, 0.3, 0.9, 0.0])
    monkeypatch.setattr(gateway.gateway.services.samples, "_chance", lambda: next(draws))
    for _ in range(4):
        await gateway.ask()
    assert len(gateway.lines) == 2


async def test_a_pipeline_takes_out_what_it_finds(sampled):
    """The fake finds a place in the first word."""
    gateway = sampled(log_share=1, log_until=SOON, scrub_model="tag")
    await gateway.ask()
    assert gateway.lines[0]["texts"] == ["[LOC] of [email]"]
    assert [request.model for request in gateway.requests] == ["embed", "tag"]
    assert gateway.requests[-1].parameters["long_text"] == "chunk"


@pytest.mark.parametrize("error", [InferenceFailed("no"), InvalidInput(f"a text {CANARY}"), RuntimeError(CANARY)])
async def test_where_it_cannot_be_scrubbed_nothing_is_written(sampled, caplog, error):
    def failing(request):
        if request.model == "tag":
            raise error
        return answer(request)

    gateway = sampled(failing, log_share=1, log_until=SOON, scrub_model="tag")
    assert (await gateway.ask()).status == 200
    assert gateway.lines == []
    assert gateway.count("not_scrubbed") == 1
    assert "a sampled request " in caplog.text
    assert CANARY not in caplog.text


async def test_a_full_disk_hurts_no_answer(sampled, caplog, monkeypatch):
    def full(folder, line):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SampleFolder, "append", full)
    gateway = sampled(log_share=1, log_until=SOON)
    for _ in range(2):
        assert (await gateway.ask()).status == 200
    assert gateway.count("not_written") == 2
    assert caplog.text.count("cannot be written: No space left on device") == 1, "told once a minute"


async def test_who_asks_faster_than_is_written_waits_for_nothing(sampled, monkeypatch):
    gateway = sampled(log_share=1, log_until=SOON)
    monkeypatch.setattr("encserve_gateway.samples.samples.MOST_AT_ONCE", 0)
    assert (await gateway.ask()).status == 200
    assert gateway.count("dropped") == 1
    assert gateway.lines == []


async def test_a_text_that_is_long_is_kept_in_part(sampled):
    gateway = sampled(log_share=1, log_until=SOON)
    await gateway.ask(body={"input": ["a " * 3_000] * 40, "model": "embed"})
    (line,) = gateway.lines
    assert {len(text) for text in line["texts"]} == {4_000}
    assert (len(line["texts"]), line["left_out_texts"], line["cut_texts"]) == (32, 8, 32)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"log_share": 0.1}, "only there together"),
        ({"log_until": SOON}, "only there together"),
        ({"log_share": 0, "log_until": SOON}, "no number above 0"),
        ({"log_share": True, "log_until": SOON}, "no number above 0"),
        ({"log_share": 1.5, "log_until": SOON}, "no number above 0"),
        ({"log_share": 0.1, "log_until": "2027-01-01"}, "log_until has no offset"),
    ],
)
def test_a_share_has_an_end(tmp_path, settings, problem):
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [{"name": "alice", "sha256": "0" * 64, **settings}]}))
    with pytest.raises(InvalidInput, match=problem):
        read_keys(file, may_log=True)


def test_a_key_asks_for_it_in_vain_where_nothing_is_kept(tmp_path):
    file = tmp_path / "keys.json"
    key = {"name": "alice", "sha256": "0" * 64, "log_share": 0.1, "log_until": SOON}
    file.write_text(json.dumps({"keys": [key]}))
    with pytest.raises(InvalidInput, match=r"key 0 of .* has log_share, and this gateway has no --sampled-log"):
        read_keys(file)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--sampled-log", "x"], "--keys is not given"),
        (["--scrub-model", "x"], "--sampled-log, which is not given"),
        (["--sampled-log", "x", "--keys", "y", "--sampled-log-days", "0"], "days of the sampled log is 0"),
    ],
)
def test_options_that_say_nothing_are_refused(options, problem):
    with pytest.raises(InvalidInput, match=problem):
        parsed(*options)


def test_the_options_are_the_settings(tmp_path):
    given = parsed("--sampled-log", str(tmp_path), "--keys", "y", "--sampled-log-mib", "2", "--scrub-model", "ner")
    _, gateway = given
    assert gateway.samples == SampleConfig(folder=tmp_path, max_bytes=2 << 20, scrub_model="ner")
