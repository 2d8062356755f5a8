"""`encserve baseline`: from texts to a baseline, and what is none."""

import json

import numpy as np
import pytest
from frozen_baselines import TEXTS, client, frozen, vector_of

from encserve import InvalidInput
from encserve.testing import fake_pipeline
from encserve_repository.baseline import read_baseline
from encserve_repository.errors import Damaged
from encserve_server import baseline
from encserve_server.steps.head.projection import DIRECTIONS, projected


def test_a_baseline_has_the_mean_and_the_covariance_of_the_vectors_and_no_text(tmp_path):
    file = frozen(tmp_path, [*TEXTS, TEXTS[0]])
    made = read_baseline(file)
    along = projected(np.array([vector_of(text) for text in [*TEXTS, TEXTS[0]]]))
    np.testing.assert_allclose(made.mean, along.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(made.covariance, np.cov(along.T), atol=1e-6)
    assert (made.texts, made.version, made.certificate) == (401, 1, "c" * 64)
    assert made.source == "texts of texts.txt"
    assert "text 7" not in file.read_text()


def test_a_baseline_of_few_texts_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"has 99 texts; 100 are the least"):
        frozen(tmp_path, TEXTS[:99])


def test_a_baseline_of_labels_is_refused(tmp_path, monkeypatch):
    labels = fake_pipeline(name="minilm", task="text-classification", labels=("a", "b"))
    monkeypatch.setattr(baseline, "open_client", lambda arguments: client(pipeline=labels))
    with pytest.raises(InvalidInput, match="'minilm' does text-classification; a baseline is of vectors"):
        frozen(tmp_path, TEXTS)


def test_a_baseline_that_cannot_be_written_is_refused_before_anything_is_asked(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be written"):
        frozen(tmp_path, TEXTS, f"--output={tmp_path}")


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"texts": 99}, "it is of 99 texts, and 100 are the least"),
        ({"texts": True}, "texts is no whole number"),
        ({"mean": [0.0, "x"]}, "mean is no list of numbers"),
        ({"mean": []}, "mean is no list of numbers"),
        ({"mean": [float("nan")]}, "mean is no list of numbers"),
        ({"covariance": [[1.0]]}, f"covariance has not {DIRECTIONS} times {DIRECTIONS} numbers"),
        ({"source": 7}, "source is no text"),
        (None, "no JSON object"),
    ],
)
def test_a_damaged_baseline_is_refused(tmp_path, changes, wrong):
    file = frozen(tmp_path, TEXTS)
    stated = json.loads(file.read_text())
    file.write_text("[]" if changes is None else json.dumps({**stated, **changes}))
    with pytest.raises(Damaged, match=wrong):
        read_baseline(file)


def test_a_baseline_that_lacks_something_is_refused(tmp_path):
    (tmp_path / "baseline.json").write_text('{"pipeline": "minilm"}')
    with pytest.raises(Damaged, match="it has no 'version'"):
        read_baseline(tmp_path / "baseline.json")
