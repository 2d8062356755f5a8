"""The graph of a network with experts: a token's numbers do not depend on others, and no precision rounds a choice."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from encserve_export.network.packed_graph import quiet_exporter, write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_export.precision.half.graph import halve
from encserve_export.precision.layers.linear import linear_layers
from encserve_export.precision.layers.routers import routers
from export.checkpoints.in_process import load
from export.small_checkpoints import make_checkpoint

from .moe_network import write_moe


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moe")
    write_moe(folder / "moe", make_checkpoint(folder / "bert", "distilbert"))
    return load(folder / "moe", task="token-embedding")


@pytest.fixture(scope="module")
def graph(checkpoint, tmp_path_factory):
    file = tmp_path_factory.mktemp("graph") / "model.onnx"
    write_graph(checkpoint, packed_network(checkpoint), file)
    return onnx.load(file)


def test_experts_give_a_token_the_same_bits_in_any_company(checkpoint):
    layer = checkpoint.model.layers[1].mlp
    with quiet_exporter():
        program = torch.onnx.export(
            layer,
            kwargs={"states": torch.zeros(1, 7, 32)},
            dynamo=True,
            dynamic_shapes={"states": {1: torch.export.Dim("tokens")}},
        )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    (name,) = (each.name for each in session.get_inputs())
    states = np.random.default_rng(0).standard_normal((1, 40, 32)).astype(np.float32)
    (together,) = session.run(None, {name: states})
    for begin, end in [(each, each + 1) for each in range(40)] + [(3, 20), (0, 33)]:
        (some,) = session.run(None, {name: states[:, begin:end]})
        np.testing.assert_array_equal(some, together[:, begin:end])
    np.testing.assert_allclose(together, layer(torch.from_numpy(states)).detach(), rtol=0, atol=1e-5)


def test_routers_are_no_layers_that_int8_rounds(graph):
    exact = routers(graph.graph)
    (router,) = (node for node in graph.graph.node if node.output[0] in exact and node.op_type == "MatMul")
    shapes = {each.name: tuple(each.dims) for each in graph.graph.initializer}
    assert shapes[router.input[1]] == (32, 8)
    of_layers = [shapes[layer.weight] for layer in linear_layers(graph.graph)]
    assert (32, 8) not in of_layers
    assert (of_layers.count((32, 48)), of_layers.count((48, 32))) == (9, 9)  # eight experts, and the plain layer


def test_half_precision_chooses_in_fp32(graph):
    packs = [{"input_ids": np.arange(9), "lengths": np.array([4, 5])}]
    halved = halve(graph, packs).model.graph
    types = {each.name: each.type.tensor_type.elem_type for each in halved.value_info}
    types |= {each.name: each.data_type for each in halved.initializer}
    (router,) = (n for n in halved.node if n.op_type == "MatMul" and n.output[0] in routers(halved))
    (choice,) = (n for n in halved.node if n.op_type == "TopK" and n.input[0] in routers(halved))
    assert {types[name] for name in (*router.input, choice.input[0])} == {onnx.TensorProto.FLOAT}
    assert onnx.TensorProto.FLOAT16 in types.values()
