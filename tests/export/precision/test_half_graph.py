"""fp16: what stays FP32, what overflows and is found, and no NaN at any length on any text."""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import Engine, ExportConfig, Precision
from encserve_export.errors import InvalidConfig, Unsupported
from encserve_export.export import export
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_export.precision.fp16 import transform
from encserve_export.precision.half.gpu_rounding import as_gpus_round, strictly_rounded
from encserve_export.precision.half.graph import FULL, HALF, halve
from encserve_export.texts.calibration import Calibration
from encserve_export.texts.trial_texts import trial_packs
from export.small_checkpoints import make_checkpoint


def small_graph(*, scale=1.0, nodes=None, initializers=()):
    """y = (x @ w) * c + x, where c undoes what a large w does."""
    weights = {
        "w": np.eye(4, dtype=np.float32) * scale,
        "c": np.array(1 / scale, np.float32),
        "shift": np.array(0.5, np.float32),
        "row": np.array([0], np.int64),
    }
    made = nodes or [
        helper.make_node("Cast", ["ids"], ["x"], name="read", to=FULL),
        helper.make_node("MatMul", ["x", "w"], ["large"], name="matmul"),
        helper.make_node("Add", ["large", "shift"], ["shifted"], name="shift"),
        helper.make_node("Mul", ["shifted", "c"], ["back"], name="unscale"),
        helper.make_node("Add", ["back", "x"], ["y"], name="residual"),
    ]
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 4])],
        [helper.make_tensor_value_info("y", FULL, [1, 4])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()] + list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


PACK = {"ids": np.full((1, 4), 100, np.int64)}


def run(model, pack=PACK):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, pack)[
        0
    ]


def types_of(model):
    """Element types of the inputs and outputs of each node, by node."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    known = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
    known |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    return {
        node.name: (node.op_type, [known.get(name) for name in node.input], [known.get(name) for name in node.output])
        for node in inferred.node
    }


def test_what_does_not_overflow_is_fp16_and_types_agree():
    half = halve(small_graph(), [PACK])
    assert half.kept == {}
    onnx.checker.check_model(half.model, full_check=True)
    types = types_of(half.model)
    for name in ("matmul", "shift", "unscale"):
        assert set(types[name][1]) == {HALF}
        assert types[name][2] == [HALF]
    assert np.array_equal(run(half.model), run(small_graph()))


def test_a_cpu_hides_an_overflow_until_it_must_round():
    """If ONNX Runtime stops dropping Casts, or drops this pair too, `strictly_rounded` needs another look."""
    model = halve(small_graph(scale=1000.0), []).model
    assert np.isfinite(run(model)).all()
    assert not np.isfinite(run(strictly_rounded(model))).all()


def test_nodes_that_overflow_are_found_and_kept_in_fp32():
    """100 * 1000 is beyond fp16, and so is everything up to where the scale is undone; the rest stays fp16."""
    half = halve(small_graph(scale=1000.0), [{"ids": np.ones((1, 4), np.int64)}, PACK])
    assert set(half.kept) == {"matmul", "shift", "unscale"}
    assert set(half.kept.values()) == {"overflows on the texts that are tried"}
    types = types_of(half.model)
    assert types["matmul"][2] == [FULL]
    assert types["residual"][1] == [HALF, HALF]
    assert np.allclose(run(strictly_rounded(half.model)), run(small_graph(scale=1000.0)), rtol=1e-3)


def test_texts_that_do_not_overflow_keep_nothing():
    assert halve(small_graph(scale=1000.0), [{"ids": np.ones((1, 4), np.int64)}]).kept == {}


def test_a_constant_that_fp16_cannot_hold_stays():
    model = small_graph(initializers=[numpy_helper.from_array(np.array(-3e38, np.float32), "least")])
    model.graph.node[2].input[1] = "least"
    half = halve(model, [])
    assert half.kept == {"shift": "its constant least is beyond the largest number of fp16"}
    assert types_of(half.model)["shift"][1] == [FULL, FULL]


def test_zeros_that_a_graph_makes_without_saying_of_which_type_are_fp16_where_they_are_used():
    """ConstantOfShape gives FP32 where it says nothing: the graph did not load."""
    nodes = [
        helper.make_node("Cast", ["ids"], ["x"], name="read", to=FULL),
        helper.make_node("MatMul", ["x", "w"], ["product"], name="matmul"),
        helper.make_node("Shape", ["ids"], ["shape"], name="size"),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"], name="zeros"),
        helper.make_node("Add", ["product", "zeros"], ["y"], name="add"),
    ]
    half = halve(small_graph(nodes=nodes), [PACK]).model
    assert types_of(half)["zeros"][2] == [HALF]
    np.testing.assert_array_equal(run(half), PACK["ids"])


def test_norms_and_the_epsilon_inside_them_stay_fp32():
    nodes = [
        helper.make_node("Cast", ["ids"], ["x"], name="read", to=FULL),
        helper.make_node("MatMul", ["x", "w"], ["z"], name="matmul"),
        helper.make_node("Mul", ["z", "z"], ["square"], name="square"),
        helper.make_node("ReduceMean", ["z"], ["mean"], name="mean", keepdims=1),
        helper.make_node("Add", ["mean", "shift"], ["safe"], name="epsilon"),
        helper.make_node("Sqrt", ["safe"], ["root"], name="root"),
        helper.make_node("Div", ["square", "root"], ["y"], name="divide"),
    ]
    types = types_of(halve(small_graph(nodes=nodes), [PACK]).model)
    for name in ("mean", "epsilon", "root", "divide"):
        assert set(types[name][1]) == {FULL}, name
    assert types["matmul"][2] == types["square"][2] == [HALF]


def test_a_graph_that_is_not_finite_in_fp32_is_refused():
    model = small_graph(initializers=[numpy_helper.from_array(np.array(np.nan, np.float32), "bad")])
    model.graph.node[2].input[1] = "bad"
    with pytest.raises(Unsupported, match="the FP32 graph itself gives NaN"):
        halve(model, [PACK])


@pytest.mark.parametrize(
    "family", ["bert", *(pytest.param(family, marks=pytest.mark.slow) for family in ("distilbert", "roberta"))]
)
def test_no_length_and_no_text_gives_nan(family, tmp_path):
    """Every length from 1 token to the maximum; tokens at random, one token over and over, and the special ones."""
    folder = make_checkpoint(tmp_path / "checkpoint", family)
    checkpoint = load_checkpoint(ExportConfig(checkpoint=str(folder), name="tiny", repository=tmp_path))
    graph = tmp_path / "model.onnx"
    write_graph(checkpoint, packed_network(checkpoint), graph)
    full = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    transform(graph, checkpoint, Calibration(packs=[], record={}))
    types = types_of(onnx.load(graph)).values()
    assert {kind for op, inputs, _ in types for kind in inputs if op == "LayerNormalization"} == {FULL}
    assert any(op == "MatMul" and set(inputs) == {HALF} for op, inputs, _ in types)
    with as_gpus_round(graph) as strict:
        session = onnxruntime.InferenceSession(strict / "model.onnx", providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(0)
        rows = [rng.integers(checkpoint.config.vocab_size, size=length) for length in range(1, 65)]
        rows += [np.full(length, token) for length in (1, 2, 63, 64) for token in range(8)]
        packs = [{"input_ids": row, "lengths": np.array([len(row)])} for row in rows] + trial_packs(checkpoint)
        for pack in packs:
            (vectors,), (reference,) = session.run(None, pack), full.run(None, pack)
            assert np.isfinite(vectors).all()
            cosine = (vectors * reference).sum() / np.linalg.norm(vectors) / np.linalg.norm(reference)
            assert cosine > 0.999, len(pack["input_ids"])


def test_an_export_in_fp16_is_certified_and_half_as_large(export_config):
    full = export(replace(export_config, engine=Engine.ONNXRUNTIME, name="full"))
    manifest = export(replace(export_config, engine=Engine.ONNXRUNTIME, precision=Precision.FP16))
    stated = json.loads((export_config.repository / "tiny/1/manifest.json").read_text())
    assert stated["precision"] == "fp16"
    assert stated["made"] == manifest.made
    assert manifest.made["kept_fp32"] == {}
    figures = manifest.parity["figures"]
    assert full.parity["figures"]["max_abs_diff"]["measured"] < figures["max_abs_diff"]["measured"] < 1e-2
    assert figures["nonfinite_lengths"]["measured"] == 0
    sizes = [(export_config.repository / f"{name}_encode/1/model.onnx").stat().st_size for name in ("full", "tiny")]
    assert sizes[1] < 0.75 * sizes[0]


def test_fp16_in_the_python_backend_is_refused_with_the_reason(export_config):
    with pytest.raises(InvalidConfig, match="a CPU has no arithmetic in fp16, and runs such a graph slower"):
        export(replace(export_config, precision=Precision.FP16))
    assert not export_config.repository.exists()
