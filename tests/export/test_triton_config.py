"""The configurations that Triton reads, against reviewed texts and against what the contract promises."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.config import Device, Engine, Precision
from encserve_export.onnxruntime_backend import warmup_files
from encserve_export.tasks import TASKS
from encserve_export.triton_config import from_text, pipeline_configs, to_text

from .manifests import make_manifest

GOLDEN = Path(__file__).parent.parent / "golden" / "config"
CERTIFICATE = "c" * 64


@pytest.mark.parametrize("engine", list(Engine))
def test_configurations_are_the_reviewed_ones(engine, update_golden):
    for model, config in pipeline_configs(make_manifest(engine=engine), CERTIFICATE).items():
        golden = GOLDEN / engine.value / f"{model}.pbtxt"
        if update_golden:
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(to_text(config))
        assert to_text(config) == golden.read_text(), f"{golden} differs; review, then run pytest --update-golden"
        assert from_text(golden.read_text()) == config


def test_the_cpp_backend_gets_the_packed_ragged_configuration():
    encode = pipeline_configs(make_manifest(engine=Engine.ONNXRUNTIME), CERTIFICATE)["minilm_encode"]
    assert (encode.backend, encode.max_batch_size) == ("onnxruntime", 16)
    assert [(i.name, i.data_type, list(i.dims), i.allow_ragged_batch) for i in encode.input] == [
        ("input_ids", pb.TYPE_INT64, [-1], True),
        ("lengths", pb.TYPE_INT64, [-1], True),
    ]
    assert [(o.name, o.data_type, list(o.dims)) for o in encode.output] == [
        ("sentence_embedding", pb.TYPE_FP32, [-1, 384])
    ]
    (scatter,) = encode.batch_output
    assert (list(scatter.target_name), list(scatter.source_input)) == (["sentence_embedding"], ["lengths"])
    assert scatter.kind == pb.BatchOutput.BATCH_SCATTER_WITH_INPUT_SHAPE
    assert encode.HasField("dynamic_batching")
    assert [group.kind for group in encode.instance_group] == [pb.ModelInstanceGroup.KIND_AUTO]  # a GPU if there is one


@pytest.mark.parametrize(
    ("task", "changes", "follows"),
    [
        ("token-classification", {}, "input_ids"),
        ("question-answering", {"pairs": True}, "input_ids"),
        ("fill-mask", {"graph_inputs": ("input_ids", "lengths", "mask_at")}, "mask_at"),
        ("zero-shot-classification", {"graph_inputs": ("input_ids", "lengths", "token_type_ids")}, "lengths"),
    ],
)
def test_the_cpp_backend_gives_each_request_its_own_rows(task, changes, follows):
    manifest = replace(make_manifest(engine=Engine.ONNXRUNTIME, dimensions=9), task=task, **changes)
    encode = pipeline_configs(manifest, CERTIFICATE)["minilm_encode"]
    assert [(o.name, list(o.dims)) for o in encode.output] == [("logits", [-1, 9])]
    assert list(encode.batch_output[0].source_input) == [follows]
    assert follows in [tensor.name for tensor in encode.input]


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_ensemble_is_a_linear_chain(task, pairs):
    """A step may take what the request or an earlier step gave; parallel branches would hang when a queue is full."""
    if pairs and not (TASKS[task].pairs or task == "text-classification"):
        return
    graph_inputs = ("input_ids", "lengths", *TASKS[task].graph_extra)
    manifest = replace(make_manifest(), task=task, pairs=pairs, graph_inputs=graph_inputs)
    *steps, ensemble = pipeline_configs(manifest, CERTIFICATE).values()
    known, last = [tensor.name for tensor in ensemble.input], set()
    for step, config in zip(ensemble.ensemble_scheduling.step, steps, strict=True):
        assert set(step.input_map) == {tensor.name for tensor in config.input}
        assert set(step.output_map) == {tensor.name for tensor in config.output}
        assert set(step.input_map) <= set(known)
        assert not last or last & set(step.input_map)
        assert not set(step.output_map) & set(known), "two steps give one tensor"
        last = set(step.output_map)
        known += step.output_map
    assert {tensor.name for tensor in ensemble.output} <= set(known)


@pytest.mark.parametrize("engine", list(Engine))
def test_an_ensemble_takes_no_larger_batches_than_its_steps_and_pins_them(engine):
    *steps, ensemble = pipeline_configs(make_manifest(version=7, engine=engine), CERTIFICATE).values()
    assert ensemble.max_batch_size <= min(step.max_batch_size for step in steps)
    assert [step.model_version for step in ensemble.ensemble_scheduling.step] == [7, 7, 7]
    for config in (*steps, ensemble):
        assert list(config.version_policy.specific.versions) == [7]


def onnxruntime_encode(**changes):
    manifest = replace(make_manifest(engine=Engine.ONNXRUNTIME), **changes)
    return pipeline_configs(manifest, CERTIFICATE)["minilm_encode"]


@pytest.mark.parametrize(
    ("device", "kind"),
    [
        (None, pb.ModelInstanceGroup.KIND_AUTO),
        (Device.GPU, pb.ModelInstanceGroup.KIND_GPU),
        (Device.CPU, pb.ModelInstanceGroup.KIND_CPU),
    ],
)
def test_an_instance_is_where_it_was_asked_for(device, kind):
    (group,) = onnxruntime_encode(device=device).instance_group
    assert (group.kind, group.count) == (kind, 1)


def test_memory_stays_bounded():
    gpu, cpu = onnxruntime_encode(device=Device.GPU), onnxruntime_encode(device=Device.CPU)
    for config in (gpu, cpu):
        assert config.parameters["enable_mem_pattern"].string_value == "0"
    (cuda,) = gpu.optimization.execution_accelerators.gpu_execution_accelerator
    assert cuda.name == "cuda"
    assert cuda.parameters["arena_extend_strategy"] == "kSameAsRequested"
    assert not gpu.parameters["memory.enable_memory_arena_shrinkage"].string_value
    assert cpu.parameters["memory.enable_memory_arena_shrinkage"].string_value == "cpu:0"
    assert not cpu.HasField("optimization")


def test_a_gpu_computes_what_was_certified():
    """TF32 is the default of ONNX Runtime on a GPU, and no FP32."""
    for precision, strict_norms in ((Precision.FP32, ""), (Precision.FP16, "1")):
        config = onnxruntime_encode(device=Device.GPU, precision=precision)
        (cuda,) = config.optimization.execution_accelerators.gpu_execution_accelerator
        assert cuda.parameters["use_tf32"] == "0"
        assert cuda.parameters.get("enable_skip_layer_norm_strict_mode", "") == strict_norms


def test_the_queue_of_a_cpp_backend_is_bounded_has_priorities_and_needs_no_delay():
    """Before 26.08 a queue policy with a delay let the throughput collapse. `test_backend_queue.py` asks a Triton."""
    batching = onnxruntime_encode().dynamic_batching
    assert (batching.priority_levels, batching.default_priority_level) == (2, 2)
    assert batching.max_queue_delay_microseconds == 0
    policy = batching.default_queue_policy
    assert policy.max_queue_size == 256
    assert policy.allow_timeout_override
    assert policy.default_timeout_microseconds > 0  # without it timeouts of requests are not heeded
    assert policy.timeout_action == pb.ModelQueuePolicy.REJECT


@pytest.mark.parametrize("graph_inputs", [("input_ids", "lengths"), ("input_ids", "lengths", "token_type_ids")])
@pytest.mark.parametrize("max_length", [8, 256, 8192])
def test_warmup_has_several_lengths_and_fits_the_model(max_length, graph_inputs):
    base = make_manifest(engine=Engine.ONNXRUNTIME)
    manifest = replace(base, limits=base.limits | {"max_length": max_length}, graph_inputs=graph_inputs)
    encode = pipeline_configs(manifest, CERTIFICATE)["minilm_encode"]
    files = warmup_files(manifest)
    assert len({sample.name for sample in encode.model_warmup}) == len(encode.model_warmup) >= 2
    for sample in encode.model_warmup:
        assert set(sample.inputs) == {tensor.name for tensor in encode.input}
        lengths = np.frombuffer(files[sample.inputs["lengths"].input_data_file], np.int64)
        assert list(sample.inputs["lengths"].dims) == [len(lengths)]
        for name in graph_inputs:
            if name != "lengths":
                assert list(sample.inputs[name].dims) == [lengths.sum()]
                assert sample.inputs[name].zero_data
        assert lengths.max() <= max_length
        assert lengths.sum() <= max(8192, max_length)
    assert set(files) == {sample.inputs["lengths"].input_data_file for sample in encode.model_warmup}
