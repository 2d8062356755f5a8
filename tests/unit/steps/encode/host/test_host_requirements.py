"""What a version asks of a host, held against what there is."""

import json
from dataclasses import asdict, replace

import pytest

from encserve_server.steps.encode.host import requirements as host_requirements
from encserve_server.steps.encode.host.cpu_flags import BF16, VNNI
from encserve_server.steps.encode.host.requirements import Host, HostRequirements, check_host, this_process

IMAGE = Host(
    cpu_flags=frozenset({"avx2", "avx512_bf16"}),
    backends=frozenset({"python", "onnxruntime", "tensorrt"}),
    modules=frozenset({"openvino"}),
    has_gpu=True,
    gpu_architecture="sm_90",
    tensorrt_version="10.13.3.9",
)
UNKNOWN = Host()
BF16_ON_A_CPU = HostRequirements(backend="python", module="openvino", cpu_any_of=BF16)
INT8_ON_A_CPU = HostRequirements(backend="python", fast_with=VNNI, x64quantprecision=True)
ON_A_GPU = HostRequirements(backend="onnxruntime", gpu=True)
PLAN = HostRequirements(backend="tensorrt", gpu=True, gpu_architecture="sm_90", tensorrt_version="10.13.3.9")


@pytest.mark.parametrize("host", [IMAGE, UNKNOWN])
@pytest.mark.parametrize("requirements", [BF16_ON_A_CPU, INT8_ON_A_CPU, ON_A_GPU, PLAN])
def test_nothing_is_lacking_where_all_is_there_or_nothing_is_known(requirements, host):
    assert requirements.lacking(host) == []
    check_host(requirements, host)


def test_versions_are_compared_as_far_as_both_are_given():
    assert replace(PLAN, tensorrt_version="10.13.3").lacking(IMAGE) == []


@pytest.mark.parametrize(
    ("requirements", "lost", "message"),
    [
        (BF16_ON_A_CPU, {"cpu_flags": frozenset({"avx2"})}, "this processor has no avx512_bf16 or amx_bf16, and would"),
        (BF16_ON_A_CPU, {"modules": frozenset()}, "certified with openvino, which is not installed here: pip install"),
        (ON_A_GPU, {"has_gpu": False}, "exported for a GPU, and this host has no NVIDIA driver"),
        (ON_A_GPU, {"backends": frozenset({"python"})}, "Triton's backend 'onnxruntime', and this Triton has python"),
        (PLAN, {"has_gpu": False, "gpu_architecture": None}, "exported for a GPU"),
        (PLAN, {"gpu_architecture": "sm_86"}, "built for GPU architecture sm_90, and here it is sm_86"),
        (PLAN, {"tensorrt_version": "11.4.0"}, r"built for TensorRT 10\.13\.3\.9, and here it is 11"),
        (PLAN, {"tensorrt_version": "10.13.4.1"}, "a plan runs nowhere else: export"),
    ],
)
def test_what_is_lacking_is_said_with_what_helps(requirements, lost, message):
    with pytest.raises(RuntimeError, match=message):
        check_host(requirements, replace(IMAGE, **lost))


def test_what_only_makes_a_version_slow_refuses_nothing_and_is_said():
    old = frozenset({"avx2"})
    assert INT8_ON_A_CPU.lacking(replace(IMAGE, cpu_flags=old)) == []
    assert INT8_ON_A_CPU.slow_on(old) == "this processor has no avx512_vnni or avx_vnni or amx_int8"
    assert INT8_ON_A_CPU.slow_on(old | {"avx_vnni"}) == ""


@pytest.mark.parametrize("requirements", [BF16_ON_A_CPU, INT8_ON_A_CPU, ON_A_GPU, PLAN])
def test_they_come_back_from_a_manifest_as_they_were(requirements):
    assert HostRequirements.of(json.loads(json.dumps({"requirements": asdict(requirements)}))) == requirements


@pytest.mark.parametrize("stated", [{}, {"requirements": None}, {"requirements": {"backend": "python"}}])
def test_what_another_release_wrote_is_to_be_exported_again(stated):
    with pytest.raises(ValueError, match="exported with another release of encserve; export it again"):
        HostRequirements.of(stated)


def test_people_read_them_in_few_words():
    assert BF16_ON_A_CPU.in_words() == ("openvino", "avx512_bf16 or amx_bf16")
    assert INT8_ON_A_CPU.in_words() == ()
    assert ON_A_GPU.in_words() == ("GPU",)
    assert PLAN.in_words() == ("GPU sm_90", "TensorRT 10.13.3.9")


def test_a_step_looks_at_its_own_processor(monkeypatch):
    """The flags of the processor are masked for this mechanism alone: ONNX Runtime and OpenVINO ask the processor
    itself, which nothing can mask for them. `test_integer_products.py` asks the kernels that are really there."""
    monkeypatch.setattr(host_requirements, "read_cpu_flags", lambda: frozenset({"avx2"}))
    with pytest.raises(RuntimeError, match="this processor has no avx512_bf16 or amx_bf16"):
        check_host(needed := replace(BF16_ON_A_CPU, module=""), this_process(needed))


@pytest.mark.parametrize("module", ["openvino", "another_runtime"])
def test_a_step_looks_for_the_very_module_that_it_needs(module, monkeypatch):
    needed = HostRequirements(backend="python", module=module)
    monkeypatch.setattr(host_requirements, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=f"{module}, which is not installed here"):
        check_host(needed, this_process(needed))
    monkeypatch.setattr(host_requirements, "find_spec", {module: "found"}.get)
    check_host(needed, this_process(needed))
