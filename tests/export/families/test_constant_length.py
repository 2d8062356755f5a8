"""The graph with a constant L, as TensorRT takes it: the numbers of the ordinary one, and no shape out of data."""

import numpy as np
import onnx
import onnxruntime
import pytest

from encserve_export.attention.packing import constant_longest
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.engines.tensorrt_backend.operators import check_operators, rewrite_integers
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from export.small_checkpoints import make_checkpoint

from .checkpoints import CASES, load, write_checkpoint

PACKS = ([5, 17, 9, 33], [1], [64], [64, 1, 64], [1] * 40, [2, 0, 7, 0, 0])


def graphs(tmp_path, family):
    folder = make_checkpoint(tmp_path / "checkpoint", family)
    checkpoint = load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny", repository=tmp_path))
    write_graph(checkpoint, packed_network(checkpoint), tmp_path / "dynamic.onnx")
    with constant_longest(checkpoint.max_length):
        write_graph(checkpoint, packed_network(checkpoint), tmp_path / "constant.onnx")
    constant = onnx.load(tmp_path / "constant.onnx")
    rewrite_integers(constant)
    onnx.save(constant, tmp_path / "constant.onnx")
    return tmp_path / "dynamic.onnx", tmp_path / "constant.onnx"


@pytest.mark.parametrize(
    "family",
    ["bert", *(pytest.param(family, marks=pytest.mark.slow) for family in ("albert", "distilbert", "roberta"))],
)
def test_it_gives_the_numbers_of_the_ordinary_graph(family, tmp_path):
    dynamic, constant = graphs(tmp_path, family)
    ours, theirs = (
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]) for file in (constant, dynamic)
    )
    for lengths in PACKS:
        input_ids = np.random.default_rng(0).integers(5, 300, sum(lengths))
        feed = {"input_ids": input_ids, "lengths": np.array(lengths, np.int64)}
        (a,), (b,) = ours.run(None, feed), theirs.run(None, feed)
        real = np.array(lengths) > 0
        assert np.abs(a - b)[real].max() < 1e-5, lengths

    check_operators(onnx.load(constant))
    assert "ScatterElements" in {node.op_type for node in onnx.load(dynamic).graph.node}, "it could not run"


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(CASES))
def test_tensorrt_states_every_operator(case, tmp_path):
    checkpoint = load(write_checkpoint(tmp_path / "checkpoint", case))
    with constant_longest(checkpoint.max_length):
        write_graph(checkpoint, packed_network(checkpoint), tmp_path / "constant.onnx")
    constant = onnx.load(tmp_path / "constant.onnx")
    rewrite_integers(constant)
    check_operators(constant)


def test_no_shape_comes_out_of_data(tmp_path):
    """What a tensor's shape depends on: the shapes of the inputs, never their values."""
    _, constant = graphs(tmp_path, "bert")
    graph = onnx.load(constant).graph
    from_data = {"input_ids", "lengths"}
    sizes = {"Reshape": (1,), "Expand": (1,), "ConstantOfShape": (0,), "Range": (0, 1, 2), "Tile": (1,)}
    sizes |= {"Slice": (1, 2, 3, 4), "Unsqueeze": (1,), "Squeeze": (1,), "Split": (1,)}
    for node in graph.node:
        for index in sizes.get(node.op_type, ()):
            if index < len(node.input):
                assert node.input[index] not in from_data, f"{node.op_type} {node.name}"
        if node.op_type != "Shape" and from_data & set(node.input):
            from_data |= set(node.output)
