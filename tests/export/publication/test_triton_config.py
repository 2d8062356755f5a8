"""The configurations that Triton reads, against reviewed texts and against what the contract promises."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.checkpoint.tasks.table import TASKS
from encserve_export.config import Device, Engine, Precision
from encserve_export.engines.onnxruntime_backend.onnxruntime_session import providers_of, session_options
from encserve_export.engines.warmup import warmup_files
from encserve_export.publication.triton_config import shared_configs
from encserve_repository.config_text import from_text, to_text

from .manifests import make_manifest

GOLDEN = Path(__file__).parents[2] / "golden" / "config"
CERTIFICATE = "c" * 64


def configs_of(manifest):
    return shared_configs([(manifest, CERTIFICATE)])


@pytest.mark.parametrize("engine", list(Engine))
def test_configurations_are_the_reviewed_ones(engine, update_golden):
    for model, config in configs_of(make_manifest(engine=engine)).items():
        golden = GOLDEN / engine.value / f"{model}.pbtxt"
        if update_golden:
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(to_text(config))
        assert to_text(config) == golden.read_text(), f"{golden} differs; review, then run pytest --update-golden"
        assert from_text(golden.read_text()) == config


def test_the_cpp_backend_gets_the_packed_ragged_configuration():
    encode = configs_of(make_manifest(engine=Engine.ONNXRUNTIME))["minilm_encode"]
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
    assert [group.kind for group in encode.instance_group] == [pb.ModelInstanceGroup.KIND_CPU], "it was certified there"


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
    encode = configs_of(manifest)["minilm_encode"]
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
    assert_is_a_linear_chain(replace(make_manifest(), task=task, pairs=pairs, graph_inputs=graph_inputs))


def test_the_ensemble_in_which_a_table_answers_queries_is_a_linear_chain():
    manifest = replace(make_manifest(), task="sparse-embedding", option_defaults={"input_type": "document"})
    assert_is_a_linear_chain(manifest)
    assert "query_term_id" in [tensor.name for tensor in configs_of(manifest)["minilm_head"].input]


def assert_is_a_linear_chain(manifest):
    *steps, ensemble = configs_of(manifest).values()
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
    *steps, ensemble = configs_of(make_manifest(version=7, engine=engine)).values()
    assert ensemble.max_batch_size <= min(step.max_batch_size for step in steps)
    assert [step.model_version for step in ensemble.ensemble_scheduling.step] == [7, 7, 7]
    for config in (*steps, ensemble):
        assert list(config.version_policy.specific.versions) == [7]


def onnxruntime_encode(**changes):
    manifest = replace(make_manifest(engine=Engine.ONNXRUNTIME), **changes)
    return configs_of(manifest)["minilm_encode"]


@pytest.mark.parametrize(
    ("device", "kind"),
    [
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
    # The backend reads the strategy from the model's parameters alone, by number, and resets what stands elsewhere.
    assert gpu.parameters["arena_extend_strategy"].string_value == "1"
    (cuda,) = gpu.optimization.execution_accelerators.gpu_execution_accelerator
    assert cuda.name == "cuda"
    assert "arena_extend_strategy" not in cuda.parameters
    assert not gpu.parameters["memory.enable_memory_arena_shrinkage"].string_value
    assert cpu.parameters["memory.enable_memory_arena_shrinkage"].string_value == "cpu:0"
    assert not cpu.HasField("optimization")


def test_a_certificate_is_taken_with_the_options_that_the_backend_will_set():
    cpu, gpu = onnxruntime_encode(device=Device.CPU), onnxruntime_encode(device=Device.GPU)
    assert providers_of(cpu) == ["CPUExecutionProvider"]
    (provider, options), fallback = providers_of(gpu)
    assert (provider, fallback) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert (options["arena_extend_strategy"], options["use_tf32"]) == ("kSameAsRequested", "0")
    for config in (cpu, gpu):
        assert not session_options(config).enable_mem_pattern
        assert session_options(config).intra_op_num_threads == 0, "ONNX Runtime takes a thread for each core"


def test_a_gpu_computes_what_was_certified():
    """TF32 is the default of ONNX Runtime on a GPU, and no FP32."""
    for precision, strict_norms in ((Precision.FP32, ""), (Precision.FP16, "1")):
        config = onnxruntime_encode(device=Device.GPU, precision=precision)
        (cuda,) = config.optimization.execution_accelerators.gpu_execution_accelerator
        assert cuda.parameters["use_tf32"] == "0"
        assert cuda.parameters.get("enable_skip_layer_norm_strict_mode", "") == strict_norms


@pytest.mark.parametrize("engine", list(Engine))
def test_no_step_has_a_queue_policy_of_triton(engine):
    """With one, and be it a bound or a priority, Triton's batcher sleeps through the end of a batch for half a second.
    `test_cpp_engine.py` sees that the network never waits for requests."""
    for config in configs_of(make_manifest(engine=engine)).values():
        assert config.dynamic_batching == pb.ModelDynamicBatching()


def test_warmup_has_the_masks_that_it_says():
    base = make_manifest(engine=Engine.ONNXRUNTIME)
    graph_inputs = ("input_ids", "lengths", "mask_at")
    manifest = replace(base, task="fill-mask", mask_id=103, graph_inputs=graph_inputs)
    encode = configs_of(manifest)["minilm_encode"]
    files = warmup_files(manifest)
    for sample in encode.model_warmup:
        tokens = np.frombuffer(files[sample.inputs["input_ids"].input_data_file], np.int64)
        lengths = np.frombuffer(files[sample.inputs["lengths"].input_data_file], np.int64)
        assert list(sample.inputs["input_ids"].dims) == [len(tokens)] == [lengths.sum()]
        assert list(sample.inputs["mask_at"].dims) == [np.sum(tokens == 103)] == [len(lengths)]


@pytest.mark.parametrize("graph_inputs", [("input_ids", "lengths"), ("input_ids", "lengths", "token_type_ids")])
@pytest.mark.parametrize("max_length", [8, 256, 8192])
def test_warmup_has_several_lengths_and_fits_the_model(max_length, graph_inputs):
    base = make_manifest(engine=Engine.ONNXRUNTIME)
    manifest = replace(base, limits=base.limits | {"max_length": max_length}, graph_inputs=graph_inputs)
    encode = configs_of(manifest)["minilm_encode"]
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
