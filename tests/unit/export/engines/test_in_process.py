"""The encode step of engine `python` without Triton: what a certificate is taken of."""

import hashlib
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


def opened(folder, monkeypatch, networks, settings):
    def load(*_, side_by_side, threads=1):
        return networks.setdefault(threads, Network())

    (folder / "settings.json").write_text(json.dumps(settings))
    monkeypatch.setattr(encoder, "load_network", load)
    monkeypatch.setattr(encoder, "usable_cores", lambda: 2)
    return InProcessStep(folder)


@pytest.fixture
def step(tmp_path, monkeypatch, networks):
    with opened(tmp_path, monkeypatch, networks, SETTINGS) as step:
        yield step


@pytest.mark.parametrize(("mapped", "threads"), [(80, {1, 2}), (0, {1})])
def test_a_graph_is_as_large_as_what_each_session_copies_of_it(tmp_path, monkeypatch, networks, mapped, threads):
    monkeypatch.setattr("encserve_server.steps.encode.network.intra_op_threads.LARGEST_GRAPH_BY_DEFAULT", 50)
    (tmp_path / "model.onnx.data").write_bytes(bytes(100))
    digest = {"model.onnx.data": hashlib.sha256(bytes(100)).hexdigest()}
    settings = {**SETTINGS, "graph_sha256": digest, "mapped_bytes": mapped}
    with opened(tmp_path, monkeypatch, networks, settings):
        assert set(networks) == threads


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
