"""The traces that these tests share: the same network is traced once, and whatever differs is traced by itself."""

import copy

import pytest
import torch
from traces import name_of, stands_for

from encserve_export.attention.packing import constant_longest
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.network import packed_graph
from encserve_export.publication.steps import packed_network

from .small_checkpoints import make_checkpoint


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


def test_with_another_number_in_our_code_a_network_is_traced_once_more(write, traced, monkeypatch):
    write()
    monkeypatch.setattr(packed_graph, "OPSET", packed_graph.OPSET + 1)
    assert write() == write()
    assert len(traced) == 2


@pytest.fixture
def model(tmp_path):
    return load_checkpoint(ExportConfig(checkpoint=str(make_checkpoint(tmp_path, num_hidden_layers=1)), name="x")).model


def digest_of(model):
    return name_of(model, {"dynamic_shapes": {}}, {})


def moved(model):
    model.config._name_or_path = model.name_or_path = "/elsewhere"


def turned(model):
    """The same values, in another order in memory."""
    weight = model.pooler.dense.weight
    weight.data = weight.data.T.contiguous().T


@pytest.mark.parametrize("change", [moved, turned])
def test_where_a_network_lies_makes_no_other_of_it(model, change):
    before = digest_of(model)
    assert before
    change(model)
    assert digest_of(model) == before


def test_what_a_configuration_says_makes_another_network(model):
    before = digest_of(model)
    model.set_attn_implementation("sdpa")
    assert digest_of(model) != before


def test_a_folder_that_is_called_like_a_setting_hides_none(model):
    digests = set()
    for name in ("gelu", "relu"):
        model.config._name_or_path = model.config.hidden_act = name
        digests.add(digest_of(model))
    assert len(digests) == 2


def test_numbers_of_any_type_are_told_apart():
    half = torch.nn.Linear(2, 2).to(torch.bfloat16)
    other = copy.deepcopy(half)
    other.weight.data += 1
    assert len({digest_of(half), digest_of(other), None}) == 3


@pytest.mark.parametrize(("held", "add"), [([], list.append), ({}, dict.setdefault), (set(), set.add)])
def test_a_table_that_a_test_adds_to_is_other_code(held, add):
    before = stands_for(held)
    add(held, "new")
    assert stands_for(held) != before
