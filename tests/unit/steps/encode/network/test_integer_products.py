"""Sums of 8-bit products as the encode step computes them are exact, so that they are the same on every processor.

Processors without VNNI add two products up in 16 bits, which are too few for 255 * 127 * 2: without the option
`session.x64quantprecision` the sums are wrong there. Where there is VNNI they are right anyway, and with the option
ONNX Runtime would take kernels for bytes without a sign, for which it does not use AMX.
"""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from onnxruntime import SessionOptions

from encserve_server.steps.encode.network import onnxruntime_network
from encserve_server.steps.encode.network.onnxruntime_network import OnnxRuntimeNetwork, exact_integer_sums

SHAPES = [(rows, inner, columns) for rows in (1, 2, 7, 64) for inner, columns in ((1, 7), (5, 3), (383, 33), (384, 96))]


def product_graph(file, operator, weights):
    """A graph with one product of uint8 rows and constant int8 `weights` (K, N)."""
    inner, columns = weights.shape
    constants = {"weights": weights, "zero": np.array(0, np.uint8)}
    if operator == "MatMulInteger":
        node, type_ = helper.make_node(operator, ["rows", "weights", "zero"], ["sums"]), TensorProto.INT32
    else:
        constants |= {"one": np.array(1, np.float32), "ones": np.ones(columns, np.float32)}
        inputs, type_ = ["rows", "weights", "one", "ones", "zero"], TensorProto.FLOAT
        node = helper.make_node(operator, inputs, ["sums"], domain="com.microsoft")
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, ["T", inner])],
        [helper.make_tensor_value_info("sums", type_, ["T", columns])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=10), file)
    return file


@pytest.mark.parametrize("operator", ["MatMulInteger", "MatMulIntegerToFloat"])
@pytest.mark.parametrize(("rows", "inner", "columns"), SHAPES)
def test_sums_of_products_are_exact(tmp_path, operator, rows, inner, columns):
    rng = np.random.default_rng(0)
    largest = rng.choice([-127, 127], (inner, columns)).astype(np.int8), np.full((rows, inner), 255, np.uint8)
    ordinary = rng.integers(-127, 128, (inner, columns), np.int8), rng.integers(0, 256, (rows, inner), np.uint8)
    for weights, values in (largest, ordinary):
        network = OnnxRuntimeNetwork(product_graph(tmp_path / "product.onnx", operator, weights), {}, side_by_side=1)
        (sums,) = network.run({"rows": values}, ["sums"])
        assert np.array_equal(sums, values.astype(np.int64) @ weights)


@pytest.mark.parametrize(
    ("flags", "value"),
    [({"avx2", "avx512f"}, "1"), ({"avx2", "avx_vnni"}, None), ({"avx512_vnni"}, None), ({"amx_int8"}, None)],
)
def test_the_option_that_makes_them_exact_is_set_where_it_is_needed_and_nowhere_else(flags, value):
    options = SessionOptions()
    exact_integer_sums(options, frozenset(flags))
    if value is None:
        with pytest.raises(RuntimeError, match="x64quantprecision"):
            options.get_session_config_entry("session.x64quantprecision")
    else:
        assert options.get_session_config_entry("session.x64quantprecision") == value


def test_sessions_go_by_the_flags_of_the_processor(tmp_path, monkeypatch):
    weights = np.ones((2, 3), np.int8)
    file = product_graph(tmp_path / "product.onnx", "MatMulInteger", weights)
    monkeypatch.setattr(onnxruntime_network, "read_cpu_flags", lambda: frozenset({"avx2"}))
    options = OnnxRuntimeNetwork(file, {}, side_by_side=1)._session.get_session_options()
    assert options.get_session_config_entry("session.x64quantprecision") == "1"
