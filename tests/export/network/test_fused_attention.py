"""Attention as PackedMultiHeadAttention. Only CUDA has it: here it is written out as its documentation says, and run on
a CPU, and a stand-in for CUDA does the same; what a real one does is marked `gpu`."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

from encserve_export import drafts
from encserve_export.attention.fused_attention import DOMAIN, OPERATOR, fused_layers, fusing, written_out
from encserve_export.attention.packing import packing_of
from encserve_export.config import Device, Engine, Precision
from encserve_export.engines.engine import EncodeStep
from encserve_export.engines.onnxruntime_backend import onnxruntime_engine
from encserve_export.engines.onnxruntime_backend.cuda import PROVIDER, why_no_cuda
from encserve_export.engines.onnxruntime_backend.onnxruntime_engine import ONNXRUNTIME_ON_GPU
from encserve_export.engines.onnxruntime_backend.onnxruntime_session import providers_of
from encserve_export.engines.speed import measure_in_turn
from encserve_export.errors import CertificateFailed
from encserve_export.export import export
from encserve_export.network.graph_file import read_graph_file
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_export.precision.half.gpu_rounding import strictly_rounded
from encserve_export.precision.half.graph import HALF
from encserve_repository.config_text import from_text
from export.families.checkpoints import CASES, load, write_checkpoint
from export.small_checkpoints import make_checkpoint

PACKS = ([5, 17, 9, 33], [1], [64], [64, 1, 64], [1] * 40, [2, 0, 7, 0, 0])
LENIENT = {"cosine_min": 0.9, "cosine_mean": 0.99, "neighbours": 0.5, "max_abs_diff": 0.5}
"""Of int8: random weights are a worse case than trained ones."""
LAYERS = {"bert": 2, "eurobert": 2, "modernbert": 1, "mpnet": 2, "t5": 2}
"""That attend by the operator: plain; fewer heads of keys; windows in every second layer; one bias for all layers;
scores without a scale."""
FEW = ("bert",)
ON_CPU = ["CPUExecutionProvider"]
HAS_CUDA = PROVIDER in onnxruntime.get_available_providers() and torch.cuda.is_available()


def test_places_are_told_as_the_operator_documents_them():
    packing = packing_of(torch.tensor([1, 2, 4]), 7)
    assert packing.token_offset.shape == (3, 4)
    assert packing.token_offset.dtype == packing.cumulative_lengths.dtype == torch.int32
    assert packing.token_offset.flatten().tolist() == [0, 4, 5, 8, 9, 10, 11, 1, 2, 3, 6, 7]
    assert packing.cumulative_lengths.tolist() == [0, 1, 3, 7]


@pytest.mark.parametrize("lengths", PACKS)
def test_every_place_is_told_once(lengths):
    packing = packing_of(torch.tensor(lengths), sum(lengths))
    told = packing.token_offset.flatten()
    assert sorted(told.tolist()) == list(range(len(lengths) * max(lengths)))
    assert told[: sum(lengths)].tolist() == packing.place_of.tolist()


@pytest.fixture(scope="module")
def graphs_of(tmp_path_factory):
    """The ordinary graph of a case, and the one with the operator; tracing takes seconds."""

    @cache
    def trace(case):
        folder = tmp_path_factory.mktemp("graphs")
        checkpoint = load(write_checkpoint(folder / "checkpoint", case))
        network = packed_network(checkpoint)
        write_graph(checkpoint, network, folder / "ordinary.onnx")
        with fusing():
            write_graph(checkpoint, network, folder / "fused.onnx")
        return folder / "ordinary.onnx", folder / "fused.onnx"

    return lambda case: [onnx.load(file) for file in trace(case)]


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[] if case in FEW else [pytest.mark.slow]) for case in sorted(CASES)]
)
def test_written_out_it_gives_the_numbers_of_the_ordinary_graph(case, graphs_of):
    ordinary, fused = graphs_of(case)
    layers = fused_layers(fused)
    assert layers == LAYERS.get(case, layers)
    assert (fused_layers(ordinary), fused_layers(written_out(fused))) == (0, 0)
    if not layers:
        assert len(fused.graph.node) == len(ordinary.graph.node)
    ours, theirs = (
        onnxruntime.InferenceSession(model.SerializeToString(), providers=ON_CPU)
        for model in (written_out(fused), ordinary)
    )
    for lengths in PACKS:
        input_ids = np.random.default_rng(0).integers(5, 300, sum(lengths))
        (a,), (b,) = (
            session.run(None, {"input_ids": input_ids, "lengths": np.array(lengths, np.int64)})
            for session in (ours, theirs)
        )
        real = np.array(lengths) > 0
        assert np.abs(a - b)[real].max() < 1e-5, lengths


def test_a_wrong_scale_would_be_seen(graphs_of):
    ordinary, fused = graphs_of("bert")
    node = next(node for node in fused.graph.node if node.op_type == OPERATOR)
    next(attribute for attribute in node.attribute if attribute.name == "scale").f *= 1.1
    feed = {"input_ids": np.arange(5, 60), "lengths": np.array([20, 35])}
    (a,), (b,) = (
        onnxruntime.InferenceSession(model.SerializeToString(), providers=ON_CPU).run(None, feed)
        for model in (written_out(fused), ordinary)
    )
    assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize("case", ["bert", pytest.param("mpnet", marks=pytest.mark.slow)])
def test_the_graph_is_one_that_onnx_runtime_takes_wherever_the_kernel_is(case, graphs_of):
    _, fused = graphs_of(case)
    (schema,) = [each for each in get_all_operator_schema() if (each.domain, each.name) == (DOMAIN, OPERATOR)]
    inferred = onnx.shape_inference.infer_shapes(fused).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    in_words = {TensorProto.FLOAT: "tensor(float)", TensorProto.INT32: "tensor(int32)"}
    for node in fused.graph.node:
        if node.op_type == OPERATOR:
            assert len(node.input) == (7 if case == "mpnet" else 6)
            for stated, given in zip(schema.inputs, node.input, strict=False):
                assert not given or in_words[types[given]] in allowed[stated.typeStr], stated.name
            assert {attribute.name for attribute in node.attribute} <= set(schema.attributes)
    with pytest.raises(NoKernel, match=f"Could not find an implementation for {OPERATOR}"):
        onnxruntime.InferenceSession(fused.SerializeToString(), providers=ON_CPU)


@pytest.fixture
def on_a_gpu(export_config, monkeypatch):
    """An export on a host with a GPU, whose kernels are the operator written out, every fp16 tensor rounded."""

    def stand_in(graph, config):
        (_, options), _ = providers_of(config)
        assert options["use_tf32"] == "0"
        model = written_out(strictly_rounded(read_graph_file(graph)))
        return onnxruntime.InferenceSession(model.SerializeToString(), providers=ON_CPU)

    def measured(encoders, requests, outputs):
        """A CPU says nothing of the operator's speed, so none is the faster."""
        speed, failures = measure_in_turn(encoders, requests, outputs)
        return replace(speed, ratios=dict.fromkeys(encoders, 1.0)), failures

    monkeypatch.setattr(drafts, "measure_in_turn", measured)

    monkeypatch.setattr(onnxruntime_engine, "open_session", stand_in)
    monkeypatch.setattr(onnxruntime_engine, "why_no_cuda", lambda: "")
    return replace(export_config, engine=Engine.ONNXRUNTIME, device=Device.GPU)


def encode_graph(config):
    return onnx.load(config.repository / "tiny_encode/1/model.onnx")


def assert_it_attends_by_the_operator(config, manifest):
    assert fused_layers(encode_graph(config)) == 1
    assert manifest.made["attention"] == "com.microsoft.PackedMultiHeadAttention"
    stated = json.loads((config.repository / "tiny/1/manifest.json").read_text())
    assert stated["parity"]["measured_on"] == "gpu"
    (group,) = from_text((config.repository / "tiny_encode/config.pbtxt").read_text()).instance_group
    assert group.kind == group.KIND_GPU, "no CPU can load it"


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_every_precision_for_gpus_attends_by_it_where_it_can_be_certified(precision, on_a_gpu):
    config = replace(on_a_gpu, precision=precision)
    said = []
    manifest = export(config, say=said.append)
    assert_it_attends_by_the_operator(config, manifest)
    assert said == []
    model = encode_graph(config)
    (loop,) = [node for node in model.graph.node if node.op_type == "Loop"]
    (body,) = [attribute.g for attribute in loop.attribute if attribute.name == "body"]
    types = {value.name: value.type.tensor_type.elem_type for value in body.value_info}
    made = [types[node.output[0]] for node in body.node if node.op_type == OPERATOR]
    assert manifest.memory["requests_per_batch"] >= 1, "its kernels in FP32 keep scores of what is padded"
    assert made == [TensorProto.FLOAT if precision is Precision.FP32 else HALF]


@pytest.mark.parametrize(
    "how",
    ["wrong numbers", *(pytest.param(how, marks=pytest.mark.slow) for how in ("not loaded", "fails when it runs"))],
)
def test_what_does_not_certify_is_written_out_and_said(how, on_a_gpu, monkeypatch):
    good = onnxruntime_engine.open_session

    class Wrong:
        def __init__(self, session):
            self._session = session

        def get_outputs(self):
            return self._session.get_outputs()

        def run(self, outputs, feed, options):
            if how == "fails when it runs":
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            return [rows[:, ::-1] for rows in self._session.run(outputs, feed)]

    def stand_in(graph, config):
        session = good(graph, config)
        if not fused_layers(read_graph_file(graph)):
            return session
        if how == "not loaded":
            raise RuntimeError("no kernel image is available for execution on the device")
        return Wrong(session)

    monkeypatch.setattr(onnxruntime_engine, "open_session", stand_in)
    said = []
    manifest = export(on_a_gpu, say=said.append)
    assert fused_layers(encode_graph(on_a_gpu)) == 0
    assert "attention" not in manifest.made
    assert manifest.parity["measured_on"] == "gpu"
    assert manifest.parity["hardware"].startswith(("NVIDIA", "a GPU"))
    (line,) = said
    assert line.startswith("fp32 on onnxruntime on a GPU, attention as PackedMultiHeadAttention ")
    told = {
        "wrong numbers": "fails its certificate (",
        "not loaded": "is passed over: ONNX Runtime does not load the graph on CUDA: no kernel image",
        "fails when it runs": "is passed over: the encode step fails where its speed is measured: CUDA error",
    }
    assert told[how] in line


def test_a_gpu_on_which_nothing_certifies_publishes_nothing(on_a_gpu, monkeypatch):
    def broken(graph, config):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(onnxruntime_engine, "open_session", broken)
    with pytest.raises(CertificateFailed, match="does not load the graph on CUDA: out of memory"):
        export(on_a_gpu)
    assert not (on_a_gpu.repository / "tiny").exists()


@pytest.mark.slow
def test_a_network_that_the_operator_cannot_compute_is_written_out_and_said(on_a_gpu, tmp_path):
    folder = write_checkpoint(tmp_path / "deberta", "deberta-v2")
    said = []
    manifest = export(replace(on_a_gpu, checkpoint=str(folder)), say=said.append)
    assert said == [
        "attention is written out: no layer of the network is one that PackedMultiHeadAttention can compute"
    ]
    assert "attention" not in manifest.made
    assert manifest.parity["measured_on"] == "gpu"


@pytest.mark.skipif(HAS_CUDA, reason="ONNX Runtime has CUDA here")
def test_without_a_gpu_it_is_said_and_certified_on_the_cpu(export_config):
    said = []
    config = replace(export_config, engine=Engine.ONNXRUNTIME, device=Device.GPU)
    manifest = export(config, say=said.append)
    (line,) = said
    assert line.startswith(
        "warning: certified on the CPU, with attention written out and not as PackedMultiHeadAttention: the installed "
        "onnxruntime "
    )
    assert fused_layers(encode_graph(config)) == 0
    assert manifest.parity["measured_on"] == "cpu"


@pytest.mark.skipif(HAS_CUDA, reason="ONNX Runtime has CUDA here")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_no_gpu(monkeypatch):
    """onnxruntime-gpu lists CUDA on every host, and falls back to the CPU where it does not start."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDER, *ON_CPU])
    assert why_no_cuda() == (
        f"ONNX Runtime {onnxruntime.__version__} cannot use a GPU here; what it wrote above says why"
    )


@pytest.mark.skipif(HAS_CUDA, reason="ONNX Runtime has CUDA here")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_that_falls_back_to_the_cpu_certifies_nothing(graphs_of, tmp_path):
    ordinary, _ = graphs_of("bert")
    onnx.save(ordinary, tmp_path / "model.onnx")
    step = EncodeStep(folder=tmp_path, precision=Precision.FP32, follows={}, max_length=64)
    with (
        pytest.raises(CertificateFailed, match="does not load the graph on CUDA: it fell back to the CPU"),
        replace(ONNXRUNTIME_ON_GPU, on_cuda=True).open(step),
    ):
        pass


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_CUDA, reason="needs an NVIDIA GPU and onnxruntime-gpu")
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_real_gpu_attends_by_it(precision, family, export_config, tmp_path):
    assert why_no_cuda() == ""
    folder = make_checkpoint(tmp_path / "own", family)
    config = replace(
        export_config, checkpoint=str(folder), engine=Engine.ONNXRUNTIME, device=Device.GPU, precision=precision
    )
    assert_it_attends_by_the_operator(config, export(config))
