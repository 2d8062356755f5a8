"""The encode step of engine `python` without Triton: what a certificate is taken of."""

import json
import time
from dataclasses import asdict

import numpy as np
import pytest

from encserve_export.engines.python_backend.in_process import InProcessStep
from encserve_server.steps.encode import encoder
from encserve_server.steps.encode.batch import MicroBatch
from encserve_server.steps.encode.host.requirements import HostRequirements

SETTINGS = {
    "bounds": {"max_length": 4, "max_tokens": 8, "vocabularies": {"input_ids": 10}},
    "follows": {"sentence_embedding": "lengths"},
    "graph_sha256": {},
    "hints": {},
    "requirements": asdict(HostRequirements(backend="python")),
    "micro_batch_cost": {"overhead": 10, "pair": 0},
    "runtime": "none",
    "tensors": ["input_ids", "lengths"],
    "token_budget": 512,
}


class Network:
    """Gives for each text its first token id, and NaN for token 9."""

    def __init__(self):
        self.calls = 0

    def run(self, feed, outputs):
        self.calls += 1
        first = feed["input_ids"][np.cumsum(feed["lengths"]) - feed["lengths"]]
        return [np.where(first == 9, np.nan, first).astype(np.float32)[:, None] for _ in outputs]


@pytest.fixture
def networks():
    """Those that were loaded, by the threads that their operators share."""
    return {}


@pytest.fixture
def step(tmp_path, monkeypatch, networks):
    def load(*_, side_by_side, threads=1):
        return networks.setdefault(threads, Network())

    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    monkeypatch.setattr(encoder, "load_network", load)
    monkeypatch.setattr(encoder, "usable_cores", lambda: 2)
    with InProcessStep(tmp_path) as step:
        yield step


def request(*texts):
    return {"input_ids": np.concatenate(texts), "lengths": np.array([len(text) for text in texts])}


def test_each_request_gets_its_rows_or_what_went_wrong_with_it(step):
    wrong = {"input_ids": np.array([3]), "lengths": np.array([5])}
    rows, nonfinite, refused = step.encode([request([1, 1], [2]), request([9]), wrong], ["sentence_embedding"])
    assert rows["sentence_embedding"].tolist() == [[1.0], [2.0]]
    assert str(nonfinite) == "what the network gave for texts [0] of this request holds NaN or infinity"
    assert "5 tokens; 1 to 4 are expected" in str(refused)
    assert step.encode([], ["sentence_embedding"]) == []


def test_each_of_many_single_texts_in_turn_has_the_machine_to_itself(step, networks, monkeypatch):
    """Also right after others, whose thread is busy for a moment after it has answered."""
    genuine = MicroBatch.run

    def run(batch):
        genuine(batch)
        time.sleep(0.002)

    monkeypatch.setattr(MicroBatch, "run", run)
    for text in range(1, 9):
        before = networks[2].calls
        step.encode([request([text], [text, 1], [text, 2]), request([text, 3])], ["sentence_embedding"])
        assert networks[2].calls == before
        step.encode([request([text, 4])], ["sentence_embedding"])
        assert networks[2].calls == before + 1
