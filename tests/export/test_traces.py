"""The traces that these tests share: the same network is traced once, and whatever differs is traced by itself."""

import pytest

from encserve_export.attention.packing import constant_longest
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.network import packed_graph
from encserve_export.publication.steps import packed_network

from .conftest import make_checkpoint


@pytest.fixture
def traced(traces, tmp_path, monkeypatch):
    """How often a network was traced, and not taken from before."""
    genuine, counted = traces.trace, []

    def trace(module, **options):
        counted.append(module)
        return genuine(module, **options)

    monkeypatch.setattr(traces, "trace", trace)
    monkeypatch.setattr(traces, "folder", tmp_path)
    return counted


@pytest.fixture
def write(tmp_path):
    """Writes the graph of a checkpoint of one layer, read from a folder of its own; returns the graph."""

    def write(seed=0):
        folder = tmp_path / f"checkpoint-{len(list(tmp_path.iterdir()))}"
        make_checkpoint(folder, num_hidden_layers=1, seed=seed)
        checkpoint = load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny"))
        packed_graph.write_graph(checkpoint, packed_network(checkpoint), folder / "model.onnx")
        return (folder / "model.onnx").read_bytes()

    return write


def test_the_same_network_is_traced_once(write, traced):
    assert write() == write()
    assert len(traced) == 1


def test_what_differs_is_traced_by_itself(write, traced, tmp_path, monkeypatch):
    plain, other_weights = write(), write(seed=1)
    with constant_longest(64):
        other_way = write()
    with monkeypatch.context() as patch:
        patch.setitem(packed_graph.POOLINGS, "mean", packed_graph.POOLINGS["cls"])
        other_code = write()
    assert len({plain, other_weights, other_way, other_code}) == len(traced) == 4
    assert len(list(tmp_path.glob("*.onnx"))) == 3  # what changed code gave is not kept
    assert write() == plain
