"""Exports to plans. TensorRT is a stand-in that runs the graph on a CPU; what a real one does is marked `gpu`."""

import json
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from fake_tensorrt import FakeTensorRt
from onnx import TensorProto, helper

from encserve_export import export as pipeline
from encserve_export.certificate.certify import certify
from encserve_export.config import Engine, Precision
from encserve_export.engines.tensorrt_backend import plan as tensorrt_plan
from encserve_export.engines.tensorrt_backend.operators import check_operators, rewrite_integers
from encserve_export.engines.tensorrt_backend.plan import find_target
from encserve_export.errors import CertificateFailed, InvalidConfig, PublishError, Unsupported, UnsupportedHost
from encserve_export.export import export, export_heads
from encserve_repository.config_text import from_text
from encserve_repository.versions import published_versions
from encserve_server.launcher.repository import read_pipelines
from export.shared_bodies import make_heads
from export.small_checkpoints import make_checkpoint

HAS_TENSORRT = torch.cuda.is_available()
LENIENT = {"cosine_min": 0.9, "cosine_mean": 0.99, "neighbours": 0.5, "max_abs_diff": 0.5}
"""Of int8: random weights are a worse case than trained ones."""


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.INT8])
def test_a_plan_is_built_certified_and_published(precision, export_config, target):
    limits = LENIENT if precision is Precision.INT8 else {}
    manifest = export(replace(export_config, engine=Engine.TENSORRT, precision=precision, limits=limits))
    repository = export_config.repository
    encode = repository / "tiny_encode_tensorrt"
    assert {file.name for file in (encode / "1").iterdir()} == {"model.plan", "config.pbtxt"}
    written = json.loads((repository / "tiny/1/manifest.json").read_text())
    assert written["requirements"]["gpu_architecture"] == "sm_90"
    assert written["requirements"]["tensorrt_version"] == "10.13.3.9"
    assert written["plan"]["sha256"] == written["files"]["tiny_encode_tensorrt/1/model.plan"]
    assert (written["plan"]["tensorrt_version"], written["plan"]["gpu_architecture"]) == ("10.13.3.9", "sm_90")
    assert written["plan"]["profile"]["input_ids"]["max"] == [16 * 16 * 64]
    assert written["plan"]["device_memory_bytes"] == 123_456_789
    assert set(written["memory"]) == {"requests_per_batch", "batch_bytes"}
    assert written["calibration"]["texts"] > 0
    assert len(target.tensorrt.batches) > 32, "the plan itself was asked"
    assert manifest.parity["figures"]["nonfinite_lengths"]["measured"] == 0
    assert manifest.limits["max_texts_per_request"] == 16
    assert manifest.limits["max_tokens_per_request"] == 16 * 64
    settings = json.loads((repository / "tiny_tokenize/1/settings.json").read_text())
    assert settings["limits"]["max_texts_per_request"] == 16
    assert settings["encode_model"] == "tiny_encode_tensorrt"
    config = from_text((encode / "config.pbtxt").read_text())
    assert (config.backend, config.max_batch_size) == ("tensorrt", 16)
    assert {file.name for file in (encode / "warmup").iterdir()} == {"lengths_1x16", "lengths_1x64", "lengths_16x64"}
    (found,) = read_pipelines(repository)
    assert found.engine == "tensorrt"


@pytest.mark.slow
def test_heads_share_a_plan(tmp_path, target):
    folders = make_heads(tmp_path, ["labels", "tags"])
    config = pipeline.ExportConfig(
        checkpoint=str(folders["labels"]),
        name="tiny",
        heads={"tags": str(folders["tags"])},
        repository=tmp_path / "repository",
        engine=Engine.TENSORRT,
    )
    pipelines = export_heads(config)
    assert [each.name for each in pipelines] == ["tiny", "tiny-tags"]
    assert pipelines[0].plan == pipelines[1].plan
    assert {each.engine for each in read_pipelines(config.repository)} == {"tensorrt"}
    assert not (config.repository / "tiny-tags_encode_tensorrt").exists()


def test_a_plan_follows_a_version_of_another_engine(export_config, target):
    repository = export_config.repository
    export(export_config)
    export(replace(export_config, engine=Engine.TENSORRT))
    export(export_config)
    assert published_versions(repository, "tiny") == [1, 2, 3]
    steps = [
        [
            (step.model_name, step.model_version)
            for step in from_text((repository / f"tiny/{version}/config.pbtxt").read_text()).ensemble_scheduling.step
        ]
        for version in (1, 2, 3)
    ]
    assert [step[1] for step in steps] == [("tiny_encode", 1), ("tiny_encode_tensorrt", 2), ("tiny_encode", 3)]
    for version in (1, 2, 3):  # any of them can be promoted beside what the others left of the shared steps
        ensemble = from_text((repository / f"tiny/{version}/config.pbtxt").read_text())
        for step in ensemble.ensemble_scheduling.step:
            config = from_text((repository / step.model_name / "config.pbtxt").read_text())
            assert ensemble.max_batch_size <= config.max_batch_size


def test_other_engines_do_not_mix(export_config):
    export(export_config)
    with pytest.raises(PublishError, match="published with another backend"):
        export(replace(export_config, engine=Engine.ONNXRUNTIME))


def test_a_graph_that_fails_is_not_built(export_config, target):
    limits = {"max_abs_diff": 0.0}
    with pytest.raises(CertificateFailed, match="max_abs_diff"):
        export(replace(export_config, engine=Engine.TENSORRT, limits=limits))
    assert target.tensorrt.calls == []


def test_a_plan_that_fails_is_not_published(export_config, target, monkeypatch):
    def of_another_network(subject, encoder, limits, texts, kept):
        if target.tensorrt.calls:  # there is a plan
            limits = replace(limits, max_abs_diff=-1.0)
        return certify(subject, encoder, limits, texts, kept)

    monkeypatch.setattr(pipeline, "certify", of_another_network)
    with pytest.raises(CertificateFailed, match="max_abs_diff"):
        export(replace(export_config, engine=Engine.TENSORRT))
    assert target.tensorrt.calls
    assert published_versions(export_config.repository, "tiny") == []
    assert not list(export_config.repository.glob("tiny*"))


def test_bf16_is_for_other_engines(export_config, target):
    with pytest.raises(InvalidConfig, match=r"--precision bf16 --engine tensorrt is not offered.*fp16 on tensorrt"):
        export(replace(export_config, engine=Engine.TENSORRT, precision=Precision.BF16))


def host(monkeypatch, *, tensorrt, architecture=(9, 0), image=""):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: architecture is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: architecture)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "NVIDIA Fake")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=80 * 2**30))
    monkeypatch.setenv("TRT_VERSION", image)

    def import_module(name):
        if tensorrt is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return tensorrt

    monkeypatch.setattr(tensorrt_plan, "import_module", import_module)


@pytest.mark.parametrize("image", ["", "10.13.3.9+cuda13.0", "10.13.3"])
@pytest.mark.parametrize("version", ["10.13.3.9"])
def test_the_target_is_this_host(version, image, monkeypatch):
    host(monkeypatch, tensorrt=FakeTensorRt(version), image=image)
    found = find_target()
    assert (found.version, found.architecture, found.gpu) == (version, "sm_90", "NVIDIA Fake")


@pytest.mark.parametrize(
    ("here", "message"),
    [
        ({"tensorrt": FakeTensorRt(), "architecture": None}, "there is none that PyTorch .* can use: run it inside"),
        ({"tensorrt": None}, r"needs TensorRT's Python module \(No module named 'tensorrt'\): run it inside NVIDIA's"),
        ({"tensorrt": FakeTensorRt("10.9.0.34")}, "TensorRT 10.9.0.34 is too old: 10.12 is the first"),
        (
            {"tensorrt": FakeTensorRt("10.14.1"), "image": "10.13.3.9+cuda13.0"},
            "is 10.14.1 and this image's Triton has 10.13.3.9, .* pip install tensorrt==10.13.3.9",
        ),
    ],
)
def test_a_host_that_cannot_build_plans_is_refused_in_words(here, message, monkeypatch, export_config):
    host(monkeypatch, **here)
    with pytest.raises(UnsupportedHost, match=message):
        export(replace(export_config, engine=Engine.TENSORRT))
    assert not export_config.repository.exists()


def graph_of(*nodes, inputs, outputs, constants=()):
    return helper.make_model(
        helper.make_graph(
            list(nodes),
            "graph",
            [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in inputs.items()],
            [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in outputs.items()],
            [helper.make_tensor(name, TensorProto.INT64, [], [value]) for name, value in constants],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )


def test_integers_are_clipped_and_summed_by_what_tensorrt_has():
    graph = graph_of(
        helper.make_node("Clip", ["x", "low", "high"], ["a"], name="both"),
        helper.make_node("Clip", ["x", "", "high"], ["b"], name="above"),
        helper.make_node("Clip", ["x", "low"], ["c"], name="below"),
        helper.make_node("CumSum", ["x", "axis"], ["d"], name="sum"),
        inputs={"x": TensorProto.INT64},
        outputs=dict.fromkeys("abcd", TensorProto.INT64),
        constants=[("low", -2), ("high", 5), ("axis", 0)],
    )
    values = np.array([-(2**23), 2**23, 7, -3, 4], np.int64)
    expected = run(graph, values)
    with pytest.raises(Unsupported, match=r"its Clip takes no INT64 \(node both\).*its CumSum takes no INT64"):
        check_operators(graph)
    rewrite_integers(graph)
    onnx.checker.check_model(graph, full_check=True)
    check_operators(graph)
    for a, b in zip(run(graph, values), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def run(graph, values):
    serialized = graph.SerializeToString()
    session = onnxruntime.InferenceSession(serialized, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})


def test_what_tensorrt_has_not_is_named():
    graph = graph_of(
        helper.make_node("Hardmax", ["x"], ["y"], name="hard"),
        inputs={"x": TensorProto.FLOAT},
        outputs={"y": TensorProto.FLOAT},
    )
    with pytest.raises(Unsupported, match=r"it has no operator Hardmax \(node hard\)"):
        check_operators(graph)
    moving = graph_of(
        helper.make_node("ReduceSum", ["x", "axes"], ["y"], name="sum", keepdims=0),
        inputs={"x": TensorProto.FLOAT, "axes": TensorProto.INT64},
        outputs={"y": TensorProto.FLOAT},
    )
    with pytest.raises(Unsupported, match=r"its ReduceSum wants input 1 to be a constant \(node sum\)"):
        check_operators(moving)


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_TENSORRT, reason="needs a GPU")
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.INT8])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_real_plan_holds_its_certificate(family, precision, tmp_path):
    pytest.importorskip("tensorrt")
    folder = make_checkpoint(tmp_path / "checkpoint", family)
    config = pipeline.ExportConfig(
        checkpoint=str(folder),
        name="tiny",
        repository=tmp_path / "repository",
        engine=Engine.TENSORRT,
        precision=precision,
        limits=LENIENT if precision is Precision.INT8 else {},
    )
    manifest = export(config)
    asked = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    architecture = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0]
    assert manifest.plan["gpu_architecture"] == f"sm_{architecture.replace('.', '')}"
