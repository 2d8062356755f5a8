"""A small network in each precision, exported, certified and run."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from encserve_export import drafts
from encserve_export.config import Engine, Precision, Runtime
from encserve_export.engines.python_backend.in_process import InProcessStep
from encserve_export.engines.speed import measure_in_turn
from encserve_export.errors import CertificateFailed, InvalidConfig
from encserve_export.export import export
from encserve_export.network.graph_file import read_graph_file, write_graph_file
from encserve_export.precision import int8_rows
from encserve_repository.manifest import sha256_of
from encserve_server.steps.encode.host.cpu_flags import BF16, lacks, read_cpu_flags

WITHOUT_BF16 = lacks(read_cpu_flags(), BF16)
LENIENT = {"cosine_min": 0.9, "cosine_mean": 0.99, "neighbours": 0.5, "max_abs_diff": 0.5}
"""Random weights are a worse case than trained ones; what must hold for them is the rest."""
PRECISIONS = [
    (Precision.FP32, Runtime.OPENVINO),
    pytest.param(
        Precision.BF16,
        Runtime.OPENVINO,
        marks=pytest.mark.skipif(bool(WITHOUT_BF16), reason=f"this processor has no {WITHOUT_BF16}"),
    ),
    (Precision.INT8, Runtime.ONNXRUNTIME),
]


def needs(runtime):
    if runtime is Runtime.OPENVINO:
        pytest.importorskip("openvino")


def stated(config, version=1):
    return json.loads((config.repository / f"tiny/{version}/manifest.json").read_text())


@pytest.mark.parametrize(("precision", "runtime"), PRECISIONS)
def test_a_precision_is_exported_and_certified(export_config, precision, runtime):
    needs(runtime)
    limits = {} if precision is Precision.FP32 else LENIENT
    manifest = export(replace(export_config, precision=precision, runtime=runtime, limits=limits))
    assert (manifest.precision, manifest.runtime["name"]) == (precision, runtime.value)
    figures = manifest.parity["figures"]
    assert figures["company_max_abs_diff"]["measured"] <= 1e-5, "a text moves with its neighbours"
    if precision is not Precision.FP32:
        assert figures["cosine_mean"]["measured"] < 1, "nothing was rounded"
        assert set(manifest.parity["limits_overridden"]) == {*LENIENT}
    if precision is Precision.INT8:
        assert manifest.calibration["texts"] > 100
        assert manifest.made["int8_layers"] == 6
        layers = manifest.made.get("layers", [])  # OpenVINO does not show what is inside a network
        assert [layer["precision"] for layer in layers] == ["int8"] * (6 if runtime is Runtime.ONNXRUNTIME else 0)
        assert all(0 < layer["error"] < 0.5 for layer in layers)
    else:
        assert manifest.calibration == {}

    settings = json.loads((export_config.repository / "tiny_encode/1/settings.json").read_text())
    assert (settings["runtime"], settings["hints"]) == (runtime.value, manifest.runtime["hints"])
    assert ("openvino" in manifest.tools) == (runtime is Runtime.OPENVINO)


def test_a_wrong_scale_is_found_by_the_certificate(export_config, monkeypatch):
    """One column of one matrix dequantized to half of what it was: a slip that no type or shape shows."""
    genuine = int8_rows.transform

    def spoiled(graph, checkpoint, calibration):
        made = genuine(graph, checkpoint, calibration)
        model = read_graph_file(graph)
        scale = next(each for each in model.graph.initializer if each.name.endswith("_scale"))
        values = numpy_helper.to_array(scale).copy()
        values[: len(values) // 2] *= 2
        scale.CopyFrom(numpy_helper.from_array(values, scale.name))
        write_graph_file(model, graph)
        return made

    monkeypatch.setattr(int8_rows, "transform", spoiled)
    with pytest.raises(CertificateFailed, match=r"cosine_\w+ is 0\.\d+, must be at least 0\.9+; worst is text \d+ of "):
        export(replace(export_config, precision=Precision.INT8, limits={"cosine_min": 0.99}))
    assert not list(export_config.repository.iterdir())


def test_auto_falls_back_when_a_certificate_fails_and_says_so(export_config, monkeypatch):
    """Ways are really measured, but that of int8 is then said to be the fastest."""

    def measured(encoders, requests, outputs):
        speed, failures = measure_in_turn(encoders, requests, outputs)
        assert all(value > 0 for value in speed.tokens_per_s.values())
        return replace(speed, ratios={way: 2.0 if way.startswith("int8") else 1.0 for way in speed.ratios}), failures

    monkeypatch.setattr(drafts, "measure_in_turn", measured)
    said = []
    config = replace(export_config, precision=None, limits={"cosine_mean": 0.999999})
    manifest = export(config, say=said.append)
    assert manifest.precision == Precision.FP32
    assert stated(config)["parity"]["limits_overridden"] == {"cosine_mean": {"table": 0.99999, "used": 0.999999}}
    assert any(
        line.startswith("auto takes int8 on python with onnxruntime: 2.00 times as fast as fp32") for line in said
    )
    assert any("int8 on python with onnxruntime fails its certificate (cosine_m" in line for line in said)
    speed = stated(config)["speed"]
    assert speed["way"] == "fp32 on python with onnxruntime"
    assert {"fp32 on python with onnxruntime", "int8 on python with onnxruntime"} <= set(speed["ways"])


def test_every_export_keeps_its_speed_beside_that_of_fp32(export_config):
    speed = export(replace(export_config, precision=Precision.INT8, limits=LENIENT)).speed
    assert speed["way"] == "int8 on python with onnxruntime"
    assert list(speed["ways"]) == ["fp32 on python with onnxruntime", "int8 on python with onnxruntime"]
    assert speed["ways"]["fp32 on python with onnxruntime"]["ratio"] == 1.0
    assert "cores of" in speed["hardware"]


def test_the_manifest_says_what_the_calibration_was(export_config, tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text(
        "".join(json.dumps({"body": f"the storm came in from the west {n % 90} times"}) + "\n" for n in range(100))
    )
    config = replace(
        export_config,
        precision=Precision.INT8,
        runtime=Runtime.ONNXRUNTIME,
        calibration=file,
        calibration_field="body",
        limits={**LENIENT, "cosine_min": 0.0, "cosine_mean": 0.5, "neighbours": 0.0, "max_abs_diff": 2.0},
    )
    calibration = export(config).calibration
    assert (calibration["source"], calibration["texts"], calibration["repeated"]) == ("own.jsonl", 60, 10)
    assert calibration["tokens"] > 512
    assert calibration["held_out"]["texts"] == 30
    assert len({calibration["sha256"], calibration["held_out"]["sha256"]}) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["one text"] * 99, "1 distinct texts; 24 are the least"),
        ([str(number) for number in range(10, 40)], r"20 texts of \d+ tokens together, .*; 512 tokens are the least"),
    ],
)
def test_too_little_calibration_text_is_refused(export_config, tmp_path, lines, message):
    file = tmp_path / "short.txt"
    file.write_text("\n".join(lines))
    with pytest.raises(InvalidConfig, match=message):
        export(replace(export_config, precision=Precision.INT8, runtime=Runtime.ONNXRUNTIME, calibration=file))


@pytest.mark.parametrize(
    ("precision", "engine", "runtime"),
    [
        pytest.param(Precision.FP32, Engine.PYTHON, Runtime.OPENVINO, marks=pytest.mark.slow),
        (Precision.INT8, Engine.PYTHON, Runtime.ONNXRUNTIME),
        (Precision.FP16, Engine.ONNXRUNTIME, None),
        (Precision.FP32, Engine.ONNXRUNTIME, None),
    ],
)
def test_a_graph_above_two_gigabytes_keeps_its_weights_beside_it(
    export_config, monkeypatch, precision, engine, runtime
):
    """Another file is begun where one would end; here after 1,000 bytes. It is among what is certified and digested."""
    needs(runtime)
    monkeypatch.setattr("encserve_export.network.graph_file.EXTERNAL_ABOVE_BYTES", 1_000)
    manifest = export(replace(export_config, precision=precision, engine=engine, runtime=runtime, limits=LENIENT))
    folder = export_config.repository / f"tiny_encode/{manifest.version}"
    graph, weights = folder / "model.onnx", folder / "model.onnx.data"
    assert weights.stat().st_size > 30_000
    apart = {each.name for each in onnx.load(graph, load_external_data=False).graph.initializer if each.external_data}
    assert len(apart) > 5
    for file in (graph, weights):
        assert manifest.files[file.relative_to(export_config.repository).as_posix()] == sha256_of(file)
    if runtime is not None:
        settings = json.loads((folder / "settings.json").read_text())
        assert settings["graph_sha256"] == {file.name: sha256_of(file) for file in (graph, weights)}


def test_openvino_runs_any_number_of_texts_on_any_number_of_threads(export_config):
    needs(Runtime.OPENVINO)
    encoders = []
    for runtime in (Runtime.OPENVINO, Runtime.ONNXRUNTIME):
        export(replace(export_config, runtime=runtime, name=runtime.value))
        encoders.append(InProcessStep(export_config.repository / f"{runtime.value}_encode/1"))
    rng = np.random.default_rng(0)
    with encoders[0], encoders[1]:
        for count in (1, 2, 17, 60):
            lengths = rng.integers(1, 40, count)
            request = {"input_ids": rng.integers(5, 300, lengths.sum()), "lengths": lengths}
            (a,), (b,) = (encoder.encode([request], ["sentence_embedding"]) for encoder in encoders)
            assert a["sentence_embedding"].shape == (count, 32)
            assert np.abs(a["sentence_embedding"] - b["sentence_embedding"]).max() < 1e-4
