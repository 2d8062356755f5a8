"""Engine onnxruntime in this process: the options and the batches of Triton's backend, on a graph of two layers."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from encserve_export.config import Precision
from encserve_export.engines.engine import EncodeStep
from encserve_export.engines.onnxruntime_backend import onnxruntime_engine
from encserve_export.engines.onnxruntime_backend.onnxruntime_engine import ONNXRUNTIME_ON_CPU, on_cpu
from encserve_export.engines.onnxruntime_backend.onnxruntime_session import network_of, open_session
from encserve_export.engines.served_encoder import BatchedPacks

WIDE = 4_096
MIB = 2**20


@pytest.fixture
def graph(tmp_path):
    """input_ids (T,), lengths (n,) -> numbers (T, 1), through a layer of 4,096 columns; and lengths again (n, 1)."""
    constants = {
        "last": np.array([-1], np.int64),
        "first": np.full((1, WIDE), 0.5, np.float32),
        "second": np.full((WIDE, 1), 1 / WIDE, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["floats", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "first"], ["wide"]),
        helper.make_node("MatMul", ["wide", "second"], ["numbers"]),
        helper.make_node("Cast", ["lengths"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["counts", "last"], ["sizes"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, [dim])
        for name, dim in (("input_ids", "T"), ("lengths", "n"))
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [dim, 1])
        for name, dim in (("numbers", "T"), ("sizes", "n"))
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "wide", inputs, outputs, weights)
    onnx.save(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "model.onnx"
    )
    return tmp_path / "model.onnx"


def request(*texts):
    return {"input_ids": np.concatenate(texts).astype(np.int64), "lengths": np.array([len(text) for text in texts])}


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_each_request_of_a_batch_gets_its_own_rows(graph):
    step = EncodeStep(
        folder=graph.parent,
        precision=Precision.FP32,
        follows={"numbers": "input_ids", "sizes": "lengths"},
        max_length=64,
    )
    requests = [request([2, 4], [6]), *([request([8])] * 20), request([1] * 3, [3] * 2)]
    with ONNXRUNTIME_ON_CPU.open(step) as encoder:
        first, *_, last = encoder.encode(requests, ["sizes", "numbers"])
    assert [first[name][:, 0].tolist() for name in ("numbers", "sizes")] == [[1, 2, 3], [2, 1]]
    assert [last[name][:, 0].tolist() for name in ("numbers", "sizes")] == [[0.5] * 3 + [1.5] * 2, [3, 2]]


def test_a_batch_is_one_pack_of_as_many_requests_as_the_configuration_says_and_fails_as_one():
    packs = []

    def network(pack, outputs):
        packs.append(pack["lengths"].tolist())
        if 13 in pack["input_ids"]:
            raise RuntimeError("out of memory")
        return [pack["input_ids"][:, None].astype(np.float32)]

    with BatchedPacks(network, follows={"numbers": "input_ids"}, max_requests=2) as encoder:
        answers = encoder.encode(
            [request([1]), request([2, 3], [4]), request([13]), request([5]), request([6])], ["numbers"]
        )
    assert packs == [[1, 2, 1], [1, 1], [1]]
    assert [str(answer) for answer in answers[2:4]] == ["out of memory"] * 2
    assert [answers[index]["numbers"][:, 0].tolist() for index in (0, 1, 4)] == [[1], [2, 3, 4], [6]]


@pytest.mark.parametrize("memory", [{}, {"requests_per_batch": 2}])
def test_the_certificate_is_taken_with_batches_of_the_size_that_is_served(memory, graph, monkeypatch):
    sizes = []
    monkeypatch.setattr(onnxruntime_engine, "BatchedPacks", lambda *_, max_requests, **__: sizes.append(max_requests))
    step = EncodeStep(folder=graph.parent, precision=Precision.FP32, follows={}, max_length=64, memory=memory)
    with pytest.raises(TypeError), ONNXRUNTIME_ON_CPU.open(step):
        pass  # what stands for it is none
    manifest = SimpleNamespace(memory=memory, limits={"max_length": 64})
    assert sizes == [ONNXRUNTIME_ON_CPU.requests_per_batch(manifest)] == [memory.get("requests_per_batch", 16)]


def test_a_large_batch_leaves_no_memory_behind(graph):
    """With the options that Triton's backend reads. Without shrinkage the arena kept all of a batch's 188 MiB."""
    config = on_cpu()
    network = network_of(open_session(graph, config), config)
    network(request([1]), ["numbers"])
    before = resident_bytes()
    network(request(range(12_000)), ["numbers"])
    assert resident_bytes() - before < 40 * MIB
    assert 12_000 * WIDE * 4 > 180 * MIB
