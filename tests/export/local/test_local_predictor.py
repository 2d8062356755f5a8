"""The class for Ray Data that computes in its worker, called as a worker calls it, without Ray."""

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from encserve import InvalidInput, ModelNotFound
from encserve.local import Encoder
from encserve.ray import LocalPredictor
from encserve_ray.local_predictor import assigned_cores


def test_rows_are_those_of_the_encoder_and_what_is_wrong_is_a_row(exported):
    texts = ["one", None, "two", "x" * (2**24 + 1), "one"]
    predictor = LocalPredictor(exported, "tiny", text="body", options={"dimensions": 8}, cores=1)
    table = predictor(pa.table({"id": range(5), "body": texts}))
    assert table.column_names == ["id", "body", "vector", "token_count", "dropped_count", "error", "version"]
    with Encoder(exported, "tiny") as encoder:
        expected = encoder.embed(["one", "two"], dimensions=8).vectors
    rows = table.to_pylist()
    np.testing.assert_allclose([rows[0]["vector"], rows[2]["vector"]], expected, rtol=0, atol=1e-6)
    assert rows[4]["vector"] == rows[0]["vector"]
    assert [row["error"] for row in rows[::2]] == [None, None, None]
    assert rows[1]["error"] == "the text is missing, or no string"
    assert rows[3]["error"].startswith("the text has 16,777,217 bytes in UTF-8, the limit is 16,777,216")
    assert {row["version"] for row in rows} == {"1"}
    assert predictor(pa.table({})) == pa.table({})


def test_a_refused_text_harms_no_other(exported):
    predictor = LocalPredictor(exported, "tiny", options={"truncate": "error"}, cores=1)
    rows = predictor(pa.table({"text": ["short", "word " * 500, "also short"]})).to_pylist()
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert "max_length is" in rows[1]["error"]


def test_what_cannot_be_is_refused(exported):
    with pytest.raises(InvalidInput, match="'tiny' does feature-extraction, and classify wants text-classification"):
        LocalPredictor(exported, "tiny", verb="classify")
    with pytest.raises(ModelNotFound, match="has no version 2"):
        LocalPredictor(exported, "tiny", version=2)
    before = {*threading.enumerate()}
    with pytest.raises(InvalidInput, match="dimensions"):
        LocalPredictor(exported, "tiny", options={"dimensions": 100_000})
    with pytest.raises(InvalidInput, match="prompt"):
        LocalPredictor(exported, "tiny", options={"prompt_name": "unknown"})
    assert {*threading.enumerate()} <= before


@pytest.mark.parametrize(("given", "cores"), [({"CPU": 2.0}, 2), ({"CPU": 0.5}, 1), ({}, None)])
def test_a_worker_has_the_cores_that_ray_gives_it(monkeypatch, given, cores):
    context = SimpleNamespace(get_assigned_resources=lambda: given)
    ray = SimpleNamespace(is_initialized=lambda: True, get_runtime_context=lambda: context)
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert assigned_cores() == cores


def test_without_ray_there_are_no_assigned_cores(monkeypatch):
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    assert assigned_cores() is None
