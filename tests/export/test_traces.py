"""The traces that these tests share: the same network is traced once, whatever its weights are, and whatever else
differs is traced by itself."""

import copy

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper
from traces import describe, places_of, stands_for, traces_in

from encserve_export.attention.packing import constant_longest
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.checkpoint.static.network import StaticConfig, StaticModel
from encserve_export.config import ExportConfig
from encserve_export.network import packed_graph
from encserve_export.publication.steps import packed_network

from .families.checkpoints import CASES, load, write_checkpoint
from .small_checkpoints import make_checkpoint

FOUND_OUT = "_can_set_experts_implementation_cached_value"
"""What transformers keeps on the class of a network that was made."""


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
        make_checkpoint(folder, seed=seed)
        checkpoint = load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny"))
        packed_graph.write_graph(checkpoint, packed_network(checkpoint), folder / "model.onnx")
        return (folder / "model.onnx").read_bytes()

    return write


def test_the_same_network_is_traced_once_and_with_other_weights_its_graph_is_what_that_one_gives(write, traced, traces):
    plain, again, other_weights = write(), write(), write(seed=1)
    assert len(traced) == 1
    assert plain == again
    assert plain != other_weights
    with traces.anew():
        assert write(seed=1) == other_weights


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_graph_of_any_family_with_other_weights_is_what_the_network_with_those_gives(case, traced, traces, tmp_path):
    def write(seed, name):
        checkpoint = load(write_checkpoint(tmp_path / f"checkpoint-{name}", case, seed=seed))
        packed_graph.write_graph(checkpoint, packed_network(checkpoint), tmp_path / "model.onnx")
        return (tmp_path / "model.onnx").read_bytes()

    plain, other_weights = write(0, "plain"), write(1, "other")
    assert plain != other_weights
    with traces.anew():
        assert write(1, "anew") == other_weights


@pytest.mark.slow
def test_what_differs_is_traced_by_itself(write, traced, tmp_path, monkeypatch):
    plain = write()
    with constant_longest(64):
        other_way = write()
    with monkeypatch.context() as patch:
        patch.setitem(packed_graph.POOLINGS, "mean", packed_graph.POOLINGS["cls"])
        other_code = write()
    assert len({plain, other_way, other_code}) == len(traced) == 3
    assert len(list(tmp_path.glob("*.onnx"))) == 2  # what changed code gave is not kept
    assert write() == plain


@pytest.mark.slow
def test_with_another_number_in_our_code_a_network_is_traced_once_more(write, traced, monkeypatch):
    write()
    monkeypatch.setattr(packed_graph, "OPSET", packed_graph.OPSET + 1)
    assert write() == write()
    assert len(traced) == 2


@pytest.fixture
def model(tmp_path):
    return load_checkpoint(ExportConfig(checkpoint=str(make_checkpoint(tmp_path)), name="x")).model


def digest_of(model):
    return describe(model, {"dynamic_shapes": {}}, {}).name


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


@pytest.mark.parametrize("change", [lambda weight: weight.fill_(0.5), lambda weight: weight.copy_(torch.eye(8))])
def test_weights_that_are_equal_or_all_the_same_make_another_network(change):
    """Of equal tensors a graph holds one, and what adds nothing is left out of it."""
    layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8))
    before = digest_of(layers)
    with torch.no_grad():
        layers[0].weight.copy_(torch.eye(8))
        between = digest_of(layers)
        change(layers[1].weight)
    assert before == between != digest_of(layers)


def graph_of(**tensors):
    """A graph that holds these tensors."""
    held = [numpy_helper.from_array(np.asarray(each), name) for name, each in tensors.items()]
    return helper.make_model(helper.make_graph([], "graph", [], [], held))


def test_a_graph_that_holds_numbers_computed_from_its_weights_is_for_those_alone():
    weight = torch.nn.Linear(8, 8).weight
    own = weight.detach().numpy()
    known = graph_of(own=own, turned=own.T, few=own[0], same=np.ones((9, 9), np.float32), places=np.arange(99))
    assert places_of(known, [weight]) == {"own": (0, False), "turned": (0, True)}
    assert places_of(graph_of(own=own, computed=own * 2), [weight]) is None
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(own, "own"))
    known.graph.node.append(constant)
    assert places_of(known, [weight]) is None


@pytest.mark.parametrize(("held", "add"), [([], list.append), ({}, dict.setdefault), (set(), set.add)])
def test_a_table_that_a_test_adds_to_is_other_code(held, add):
    before = stands_for(held)
    add(held, "new")
    assert stands_for(held) != before


def test_a_network_of_ours_that_was_made_once_is_no_other_code():
    """transformers keeps on its class what it has found out: all that came after was traced anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(StaticModel, FOUND_OUT, raising=False)  # as in a process that has made none yet
        before = stands_for(StaticModel)
        StaticModel._from_config(StaticConfig(vocab_size=2, hidden_size=2))
        assert vars(StaticModel)[FOUND_OUT] is False
        assert stands_for(StaticModel) == before
        patch.setattr(StaticModel, "forward", None)
        assert stands_for(StaticModel) != before


def test_two_folders_of_tests_in_one_process_share_their_traces(traces, tmp_path):
    """Of two, `anew` of the one would be for networks that the other traces."""
    with traces_in(tmp_path) as others:
        assert others is traces is torch.onnx.export
