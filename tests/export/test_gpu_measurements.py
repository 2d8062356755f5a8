"""What `make gpu` measures, with tiny networks on a CPU: that the ways it compares compute the same thing."""

import json
import sys

import numpy as np
import pytest
import torch
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.measure import CERTIFIED, SDPA, VARLEN, make_texts
from benchmarks.gpu.networks import SHAPES, find_or_write
from benchmarks.gpu.systems import packed_varlen, padded_sdpa


@pytest.mark.parametrize("name", ["bert-base", "modernbert-base"])
def test_pytorch_gives_the_same_vectors_padded_and_packed(name, tmp_path):
    checkpoint, weights = find_or_write(name, tmp_path / name, at_hand=None, tiny=True)
    assert weights == "random"
    ids = make_texts(24, 200)
    assert max(map(len, ids)) > 65, "longer than half the window of ModernBERT's second layer"
    with padded_sdpa(checkpoint, "cpu", torch.float32) as encode:
        padded = encode(ids)
    with packed_varlen(checkpoint, "cpu", torch.float32) as encode:
        packed = encode(ids)
    assert np.abs(padded - packed).max() < 1e-5
    assert np.abs(padded[0] - padded[1]).max() > 1e-2, "texts differ"


def test_weights_that_are_at_hand_are_taken(tmp_path):
    (tmp_path / "bert-base").mkdir()
    (tmp_path / "bert-base" / "config.json").write_text("{}")
    found = find_or_write("bert-base", tmp_path / "new", at_hand=tmp_path, tiny=False)
    assert found == (tmp_path / "bert-base", "trained")
    folder, weights = find_or_write("minilm", tmp_path / "new", at_hand=tmp_path, tiny=False)
    assert weights == "trained", "of the package"
    assert (folder / "config.json").is_file()
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_rehearsal_does_everything_that_a_card_is_asked_for(tmp_path, monkeypatch):
    file = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu", "--rehearse", "--limit-s", "1800", "--json", str(file)])
    gpu.main()
    results = json.loads(file.read_text())
    assert {each["name"]: each["state"] for each in results["steps"]} == dict.fromkeys(
        ["card", "tests", *(f"{doing} {name}" for name in SHAPES for doing in ("export", "measure"))], "done"
    )
    for name in SHAPES:
        model = results["models"][name]
        assert model["certificate"]["measured_on"] == "cpu"
        systems = model["measured"]["systems"]
        assert list(systems) == [CERTIFIED, SDPA, VARLEN]
        for figures in systems.values():
            assert figures["tokens_per_s"] > 0
            assert figures["cosine_min_to_fp32"] > 0.99
