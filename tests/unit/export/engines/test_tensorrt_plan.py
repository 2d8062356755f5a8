"""What TensorRT is asked for, and what is said where it refuses."""

import hashlib
from types import SimpleNamespace

import pytest
from fake_tensorrt import fake_target

from encserve_export.engines.tensorrt_backend.plan import build_plan
from encserve_export.errors import UnsupportedHost

PROFILE = {"input_ids": ((1,), (80,), (512,)), "lengths": ((1,), (4,), (64,))}


@pytest.fixture
def graph(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"a graph")
    return file


def test_a_plan_is_strongly_typed_without_tf32_for_the_profile(graph, tmp_path):
    target = fake_target()
    record = build_plan(target, graph, tmp_path / "model.plan", PROFILE, tmp_path)
    assert target.tensorrt.calls == [
        ("create_network", 1 << 1),
        ("clear_flag", "TF32"),
        ("set_memory_pool_limit", "workspace", 20 * 2**30),
    ]
    plan = (tmp_path / "model.plan").read_bytes()
    assert plan.endswith(b"a graph")
    assert record == {
        "tensorrt_version": "10.13.3.9",
        "gpu_architecture": "sm_90",
        "gpu": "NVIDIA Fake",
        "sha256": hashlib.sha256(plan).hexdigest(),
        "graph_sha256": {"model.onnx": hashlib.sha256(b"a graph").hexdigest()},
        "profile": {
            "input_ids": {"min": (1,), "opt": (80,), "max": (512,)},
            "lengths": {"min": (1,), "opt": (4,), "max": (64,)},
        },
        "builder_optimization_level": 3,
        "workspace_bytes": 20 * 2**30,
        "device_memory_bytes": 123_456_789,
        "timing_cache": {
            "file": ".tensorrt-10.13.3.9-sm_90.timing",
            "sha256": hashlib.sha256(b"timings").hexdigest(),
        },
    }


def test_a_plan_names_the_tables_beside_the_graph_that_it_was_built_of(graph, tmp_path):
    graph.with_name("model.onnx.data").write_bytes(b"tables")
    record = build_plan(fake_target(), graph, tmp_path / "model.plan", PROFILE, tmp_path)
    assert record["graph_sha256"] == {
        "model.onnx": hashlib.sha256(b"a graph").hexdigest(),
        "model.onnx.data": hashlib.sha256(b"tables").hexdigest(),
    }


def test_the_next_plan_starts_from_the_timings_of_the_one_before(graph, tmp_path):
    target = fake_target()
    for _ in range(2):
        build_plan(target, graph, tmp_path / "model.plan", PROFILE, tmp_path)
    assert target.tensorrt.timing_caches == [b"", b"timings"]


def test_timings_of_another_gpu_are_left_aside(graph, tmp_path):
    (tmp_path / ".tensorrt-10.13.3.9-sm_90.timing").write_bytes(b"another GPU")
    target = fake_target()
    build_plan(target, graph, tmp_path / "model.plan", PROFILE, tmp_path)
    assert target.tensorrt.timing_caches == [b"another GPU", b""]


def test_a_tensorrt_that_keeps_no_timings_builds_without(graph, tmp_path):
    record = build_plan(fake_target(keeps_timings=False), graph, tmp_path / "model.plan", PROFILE, tmp_path)
    assert record["timing_cache"] == {}
    assert not list(tmp_path.glob(".tensorrt-*"))


def test_a_plan_that_does_not_load_is_not_kept(graph, tmp_path):
    target = fake_target()
    target.tensorrt.Runtime = lambda log: SimpleNamespace(deserialize_cuda_engine=lambda plan: None)
    with pytest.raises(UnsupportedHost, match="cannot load its plan on NVIDIA Fake"):
        build_plan(target, graph, tmp_path / "model.plan", PROFILE, tmp_path)
    assert not (tmp_path / "model.plan").exists()


def test_a_profile_that_is_not_taken_is_no_plan(graph, tmp_path):
    with pytest.raises(UnsupportedHost, match="does not take the optimization profile"):
        build_plan(fake_target(takes_profile=False), graph, tmp_path / "model.plan", PROFILE, tmp_path)
    assert not (tmp_path / "model.plan").exists()


def test_what_the_parser_refuses_is_named_with_its_node(graph, tmp_path):
    target = fake_target(refuses=[("NonZero", "node_7", "unsupported type"), ("If", "node_9", "no")])
    message = "cannot take the graph: NonZero node_7: unsupported type; If node_9: no"
    with pytest.raises(UnsupportedHost, match=message):
        build_plan(target, graph, tmp_path / "model.plan", PROFILE, tmp_path)


def test_a_builder_that_fails_is_quoted(graph, tmp_path):
    with pytest.raises(UnsupportedHost, match="cannot build a plan on NVIDIA Fake: out of memory"):
        build_plan(fake_target(fails="out of memory"), graph, tmp_path / "model.plan", PROFILE, tmp_path)
    assert not (tmp_path / "model.plan").exists()
