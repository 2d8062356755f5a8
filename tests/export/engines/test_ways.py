"""Which engine makes which precision, by what the processor and the installation have."""

from dataclasses import replace

import pytest

from encserve_export.config import Device, Engine, ExportConfig, Precision, Runtime
from encserve_export.engines.onnxruntime_backend import onnxruntime_engine
from encserve_export.engines.python_backend import python_engine
from encserve_export.engines.table import ENGINES
from encserve_export.engines.ways import by_speed, speed_in_words, way_of, ways_for, ways_to_try
from encserve_export.errors import InvalidConfig

NEW = frozenset({"avx512_bf16", "avx512_vnni"})
VNNI_ONLY = frozenset({"avx512_vnni"})
OLD = frozenset({"avx2"})
CONFIG = ExportConfig(checkpoint="x", name="x")
AUTO = replace(CONFIG, precision=None)


@pytest.fixture
def with_openvino(monkeypatch):
    monkeypatch.setattr(python_engine, "find_spec", lambda name: "found")


@pytest.fixture
def without_openvino(monkeypatch):
    monkeypatch.setattr(python_engine, "find_spec", lambda name: None)


def chosen(cpu, **asked):
    ways, reasons = ways_to_try(replace(AUTO, **asked), cpu)
    return [(way.precision.value, way.engine.runtime.value if way.engine.runtime else None) for way in ways], reasons


def test_each_engine_is_there_once():
    asked = [(engine.name, engine.runtime, engine.device) for engine in ENGINES]
    assert len(asked) == len(set(asked))
    for engine in ENGINES:
        assert (engine.runtime is not None) == (engine.name is Engine.PYTHON)
        assert Precision.FP32 in engine.precisions


@pytest.mark.parametrize(
    ("precision", "device", "taken"),
    [
        (Precision.FP32, None, Device.CPU),
        (Precision.FP32, Device.GPU, Device.GPU),
        (Precision.FP16, None, Device.GPU),
        (None, None, Device.CPU),
        (None, Device.GPU, Device.GPU),
    ],
)
def test_engine_onnxruntime_is_made_for_one_device_which_is_certified(precision, device, taken, monkeypatch):
    monkeypatch.setattr(onnxruntime_engine, "why_no_cuda", lambda: "there is none")
    config = replace(CONFIG, engine=Engine.ONNXRUNTIME, precision=precision, device=device)
    said = []
    (way,) = ways_for(config, OLD, said.append)
    assert way.engine.device is taken
    assert any("certified on the CPU" in line for line in said) is (taken is Device.GPU)
    assert way.engine.requirements(way.precision, {}).gpu is (taken is Device.GPU)


def test_int8_is_exact_on_processors_without_vnni_and_says_by_what():
    way = way_of(Precision.INT8, CONFIG, OLD)
    requirements = way.engine.requirements(way.precision, {})
    assert (requirements.x64quantprecision, requirements.cpu_any_of) == (True, ())


def test_bf16_requires_a_processor_that_has_it(with_openvino):
    way = way_of(Precision.BF16, CONFIG, NEW)
    assert way.engine.requirements(way.precision, {}).cpu_any_of == ("avx512_bf16", "amx_bf16")


def test_auto_may_take_whatever_is_open_here_the_most_exact_first(with_openvino):
    ways, reasons = chosen(NEW)
    assert ways == [("fp32", "onnxruntime"), ("fp32", "openvino"), ("bf16", "openvino"), ("int8", "onnxruntime")]
    assert reasons == []


def test_auto_says_what_this_processor_lacks(with_openvino):
    ways, reasons = chosen(OLD)
    assert [precision for precision, _ in ways] == ["fp32", "fp32", "int8"]
    assert reasons == ["bf16 on python with openvino: this processor has no avx512_bf16 or amx_bf16"]


def test_auto_without_openvino_says_how_to_install_it(without_openvino):
    ways, reasons = chosen(NEW)
    assert "openvino" not in [runtime for _, runtime in ways]
    assert any("pip install '.[openvino]'" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("fp32", "openvino", "bf16", "int8", "order"),
    [
        (1.0, 1.1, 1.8, 2.0, ["int8", "bf16", "openvino", "fp32"]),
        (1.0, 0.9, 1.97, 2.0, ["bf16", "int8", "fp32", "openvino"]),  # 2 % are not worth the rounding
        (1.0, 1.02, 0.7, 1.04, ["fp32", "openvino", "int8", "bf16"]),
    ],
)
def test_the_fastest_is_tried_first_and_a_more_exact_one_where_it_is_as_fast(
    with_openvino, fp32, openvino, bf16, int8, order
):
    ways, _ = ways_to_try(AUTO, NEW)
    names = dict(zip(map(str, ways), ("fp32", "openvino", "bf16", "int8"), strict=True))
    ratios = dict(zip(map(str, ways), (fp32, openvino, bf16, int8), strict=True))
    ordered = by_speed(ways, ratios)
    assert [names[str(way)] for way in ordered] == order
    (line,) = speed_in_words(ordered, ratios, chosen_here=True)
    assert line.startswith(f"auto takes {ordered[0]}: {ratios[str(ordered[0])]:.2f} times as fast as fp32 on")


def test_a_runtime_is_chosen_among_those_that_have_the_precision(with_openvino):
    config = replace(CONFIG, precision=Precision.FP32, compare_runtimes=True)
    ways = ways_for(config, NEW, lambda line: None)
    assert [way.engine.runtime for way in ways] == [Runtime.ONNXRUNTIME, Runtime.OPENVINO]
    (only,) = ways_for(replace(config, precision=Precision.BF16), NEW, lambda line: None)
    assert only.engine.runtime is Runtime.OPENVINO
    with pytest.raises(InvalidConfig, match="this processor has no avx512_bf16"):
        ways_for(replace(config, precision=Precision.BF16), OLD, lambda line: None)


def test_what_was_not_measured_keeps_its_order(with_openvino):
    ways, _ = ways_to_try(AUTO, NEW)
    assert by_speed(ways, {str(ways[0]): 1.0}) == ways


def test_a_precision_that_is_slower_than_fp32_here_is_warned_of():
    way = way_of(Precision.INT8, CONFIG, OLD)
    ratios = {"fp32 on python with onnxruntime": 1.0, str(way): 0.87}
    assert speed_in_words([way], ratios, chosen_here=False) == [
        "warning: int8 on python with onnxruntime is 0.87 times as fast as fp32 on python with onnxruntime on this host"
    ]
    assert speed_in_words([way], ratios | {str(way): 1.5}, chosen_here=False) == []


def test_auto_keeps_to_the_runtime_and_the_engine_that_were_asked_for(with_openvino):
    assert {runtime for _, runtime in chosen(NEW, runtime=Runtime.ONNXRUNTIME)[0]} == {"onnxruntime"}
    assert chosen(NEW, engine=Engine.ONNXRUNTIME)[0] == [("fp32", None)]


def test_bf16_is_refused_by_name_where_the_processor_lacks_it(with_openvino):
    with pytest.raises(InvalidConfig, match="this processor has no avx512_bf16 or amx_bf16"):
        way_of(Precision.BF16, CONFIG, VNNI_ONLY)
    assert way_of(Precision.BF16, CONFIG, NEW).engine.runtime is Runtime.OPENVINO


def test_openvino_is_asked_for_where_it_is_missing(without_openvino):
    with pytest.raises(InvalidConfig, match=r"needs openvino; install with: pip install '\.\[openvino\]' in a clone"):
        way_of(Precision.FP32, replace(CONFIG, runtime=Runtime.OPENVINO), NEW)


def test_a_pair_that_is_not_offered_is_refused_with_those_that_are(with_openvino):
    with pytest.raises(
        InvalidConfig,
        match=r"--precision bf16 --engine python --runtime onnxruntime is not offered. Offered is fp32 on python with",
    ):
        way_of(Precision.BF16, replace(CONFIG, runtime=Runtime.ONNXRUNTIME), NEW)


def test_only_the_python_engine_has_runtimes():
    with pytest.raises(InvalidConfig, match="--runtime openvino: only --engine python has runtimes, not onnxruntime"):
        ways_for(replace(CONFIG, engine=Engine.ONNXRUNTIME, runtime=Runtime.OPENVINO), NEW, print)


def test_a_calibration_file_that_nothing_is_made_with_is_certified_on_all_the_same(tmp_path):
    said = []
    ways_for(replace(CONFIG, calibration=tmp_path / "own.txt"), OLD, said.append)
    assert said == [
        f"warning: --calibration {tmp_path}/own.txt: fp32 on python with onnxruntime looks at no texts when it is "
        "made; the third that is held out is asked for the certificate"
    ]
    ways_for(replace(CONFIG, calibration=tmp_path / "own.txt", precision=Precision.INT8), OLD, said.append)
    assert len(said) == 1
