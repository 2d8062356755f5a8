"""Entities of texts, against transformers."""

import hashlib
import json
import time

import httpx2
import numpy as np
import pytest
from gateways import running_gateway
from references import TEXTS

from encserve_gateway.samples.patterns import Span, found_by_form, scrubbed
from encserve_gateway.samples.words import whole_words

from .pipelines import SCORES


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("name", ["tokens-bert", pytest.param("tokens-roberta", marks=pytest.mark.slow), "shared-tags"])
def test_classify_tokens(client, reference, name, aggregation):
    pipeline = reference(name, "token-classification", aggregation_strategy=aggregation)
    answer = client.classify_tokens(TEXTS, model=name, aggregation=aggregation)
    key = "entity" if aggregation == "none" else "entity_group"
    found = 0
    for text, entities in zip(TEXTS, answer.entities, strict=True):
        expected = pipeline(text)
        assert [(e.label, e.start, e.end) for e in entities] == [(e[key], e["start"], e["end"]) for e in expected]
        assert [e.text for e in entities] == [text[e["start"] : e["end"]] for e in expected]
        np.testing.assert_allclose([e.score for e in entities], [e["score"] for e in expected], **SCORES)
        found += len(entities)
    assert found > len(TEXTS)


def test_texts_without_any_entity(client):
    answer = client.classify_tokens(["", ""], model="tokens-bert")
    assert answer.entities == [[], []]
    assert answer.token_counts.tolist() == [2, 2]


def test_entities_are_taken_out_of_the_texts_that_a_gateway_keeps(server, client, tmp_path):
    """Of the key that asks for it, and of no other; the pipeline of entities is served beside."""
    keys = [{"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in ("alice", "bob")]
    keys[0] |= {"log_share": 1, "log_until": "2099-01-01T00:00:00+00:00"}
    file, folder = tmp_path / "keys.json", tmp_path / "samples"
    file.write_text(json.dumps({"keys": keys}))
    text = "Wolfgang lives in Berlin and writes from ann@mail.example"
    (found,) = client.classify_tokens([text], model="tokens-bert", long_text="chunk").entities
    assert found
    options = [f"--keys={file}", f"--sampled-log={folder}", "--scrub-model=tokens-bert"]
    with running_gateway(server.grpc_url, *options) as address:
        for key in ("bob", "alice"):
            asked = {"headers": {"authorization": f"Bearer {key}"}, "timeout": 60}
            answered = httpx2.post(f"{address}/v1/embeddings", json={"input": [text], "model": "embed-bert"}, **asked)
            assert answered.status_code == 200
        deadline_s = time.monotonic() + 60
        while not (lines := [line for each in folder.glob("*") for line in each.read_text().splitlines()]):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    (line,) = map(json.loads, lines)
    assert (line["key"], line["model"], line["version"]) == ("alice", "embed-bert", "1")
    spans = whole_words(text, [Span(each.start, each.end, each.label) for each in found])
    assert line["texts"] == [scrubbed(text, [*spans, *found_by_form(text)], most=4_000)]
    assert "ann@mail.example" not in line["texts"][0]
    assert f"[{found[0].label}]" in line["texts"][0]
