"""Linear layers in 8 bits, on a graph of two of them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from encserve_export.network.graph_session import session_of
from encserve_export.precision.int8_rows import integer_rows, with_integer_rows
from encserve_export.precision.rounding import rows as row_rounding
from encserve_export.precision.rounding.rows import zero_point_of

from .looked_at import statistics_of

WIDTH, HIDDEN = 64, 96
EVERYTHING = np.arange(50)


@pytest.fixture
def graph(tmp_path):
    """input_ids -> embedding -> linear -> Gelu -> linear, with a column that is far larger than the others, and others
    that stand far from zero."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(50, WIDTH)).astype(np.float32)
    table[:, 3] *= 40
    table[:, 10:20] += 6
    constants = {
        "table": table,
        "first": rng.normal(size=(WIDTH, HIDDEN)).astype(np.float32) / 5,
        "second": rng.normal(size=(HIDDEN, 8)).astype(np.float32) / 5,
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["states"]),
        helper.make_node("MatMul", ["states", "first"], ["hidden"]),
        helper.make_node("Gelu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "second"], ["answer"]),
    ]
    made = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["T"])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["T", 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    file = tmp_path / "model.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
    return file


def integers_of(graph):
    full = onnx.load(graph)
    sources = integer_rows(full, graph, [{"input_ids": EVERYTHING}])
    return with_integer_rows(full, sources), {source.name: source.rounding for source in sources}


def run(model, input_ids=EVERYTHING):
    return session_of(model).run(["answer"], {"input_ids": np.asarray(input_ids, np.int64)})[0]


def error(graph):
    """Relative error over all tokens."""
    exact = run(onnx.load(graph))
    return np.sqrt(np.square(run(integers_of(graph)[0]) - exact).mean() / np.square(exact).mean())


def test_integers_stand_for_the_products(graph):
    model, _ = integers_of(graph)
    assert 1e-6 < error(graph) < 0.01
    products = {node.output[0]: node.op_type for node in model.graph.node if node.op_type.startswith("MatMul")}
    integers = "MatMulIntegerToFloat"
    assert products.pop("hidden_columns") == products.pop("answer_columns") == integers
    assert set(products) == {"hidden_beside", "answer_beside"}  # of the columns that stay in FP32


def test_columns_are_moved_where_it_is_worth_a_pass_over_rows_and_products():
    """Not those behind a norm without a mean, however little the mean of some rows may lower the error."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(WIDTH, 8)).astype(np.float32)
    rows = rng.normal(size=(400, WIDTH)).astype(np.float32)
    assert not row_rounding.row_rounding(statistics_of(rows), weight).moves
    rows[:, 10:20] += 6
    assert row_rounding.row_rounding(statistics_of(rows), weight).moves


@pytest.mark.parametrize(
    ("name", "value"),
    [("_BALANCE", 0.0), ("_KEPT", 1_000), ("_ZERO_POINTS", (128,))],
    ids=["balance", "kept", "zero"],
)
def test_each_means_lowers_the_error(graph, monkeypatch, name, value):
    """Without any one of them the same graph is further from FP32."""
    best = error(graph)
    monkeypatch.setattr(row_rounding, name, value)
    assert error(graph) > 1.05 * best


def test_columns_far_from_zero_are_moved_and_the_largest_stays_in_fp32(graph):
    _, roundings = integers_of(graph)
    states = roundings["states"]
    assert 3 in states.kept
    assert (np.abs(states.shift[10:20] - 6) < 1).all()


def test_rows_that_are_hardly_ever_negative_get_their_steps_above_zero():
    """As out of GELU: few large values, and the rest just below zero, where a mean says little."""
    rng = np.random.default_rng(0)
    rows = np.where(rng.random((200, WIDTH)) < 0.03, np.abs(rng.normal(size=(200, WIDTH))) * 10, -0.1)
    rows = rows.astype(np.float32)
    chosen = row_rounding.row_rounding(statistics_of(rows), rng.normal(size=(WIDTH, 8)).astype(np.float32))
    assert chosen.zero_point < 60
    assert not chosen.shift.any()


def test_what_a_token_becomes_depends_on_no_other(graph):
    model, _ = integers_of(graph)
    together = run(model)
    for token in (0, 7, 49):
        assert np.array_equal(run(model, [token])[0], together[token])


def test_sums_are_exact_integers_where_the_graph_is_served(graph, tmp_path):
    """The option that makes them so is set by `session_of` as by the encode step: without it, on a processor that has
    no VNNI, the same graph gives something else."""
    model, _ = integers_of(graph)
    matrix = next(each for each in model.graph.initializer if each.name == "hidden_int8")
    integers = np.where(numpy_helper.to_array(matrix) < 0, -127, 127).astype(np.int8)
    matrix.CopyFrom(numpy_helper.from_array(integers, "hidden_int8"))
    shown = ["states_uint8", "hidden_columns"]
    model.graph.output.extend(helper.make_tensor_value_info(name, 0, None) for name in shown)
    for name, type_ in zip(shown, (TensorProto.UINT8, TensorProto.FLOAT), strict=True):
        next(each for each in model.graph.output if each.name == name).type.tensor_type.elem_type = type_
    rows, products = session_of(model).run(shown, {"input_ids": EVERYTHING})
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    sums = (rows.astype(np.int64) - int(constants["states_zero_point"])) @ integers.astype(np.int64)
    assert np.allclose(products, sums * constants["hidden_scale"], rtol=1e-6)


def test_zero_goes_where_the_steps_are_smallest():
    rng = np.random.default_rng(0)
    even = rng.normal(size=(100, 30)).astype(np.float32)
    assert 100 <= zero_point_of(even) <= 128
    assert zero_point_of(np.maximum(even, -0.05)) < 20
    assert zero_point_of(np.zeros((5, 30), np.float32)) in range(1, 129)
