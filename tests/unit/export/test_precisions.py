from importlib.util import find_spec

import pytest

from encserve_export import precisions
from encserve_export.config import Engine, ExportConfig, Precision, Runtime
from encserve_export.errors import InvalidConfig
from encserve_export.precisions import PRECISIONS, slow_here, way_of, ways_to_try

NEW = frozenset({"avx512_bf16", "avx512_vnni"})
VNNI_ONLY = frozenset({"avx512_vnni"})
OLD = frozenset({"avx2"})


@pytest.fixture
def with_openvino(monkeypatch):
    monkeypatch.setattr(precisions, "find_spec", lambda name: "found")


@pytest.fixture
def without_openvino(monkeypatch):
    monkeypatch.setattr(precisions, "find_spec", lambda name: None)


def chosen(cpu, engine=Engine.PYTHON, runtime=None):
    ways, reasons = ways_to_try(engine, runtime, cpu)
    return [(way.precision.value, way.runtime.value if way.runtime else None) for way in ways], reasons


def test_each_row_is_there_once_and_its_transformation_exists():
    rows = [(way.precision, way.engine, way.runtime) for way in PRECISIONS]
    assert len(rows) == len(set(rows))
    for way in PRECISIONS:
        assert (way.runtime is not None) == (way.engine is Engine.PYTHON)
        assert not way.transform or find_spec(f"encserve_export.{way.transform}")


def test_auto_takes_the_most_exact_of_the_fast_ones(with_openvino):
    (first, *others), reasons = chosen(NEW)
    assert first == ("bf16", "openvino")
    assert [precision for precision, _ in others][-1] == "fp32"
    assert "int8" in [precision for precision, _ in others]
    assert reasons == []


def test_auto_without_bf16_takes_int8_and_says_why(with_openvino):
    (first, *_), reasons = chosen(VNNI_ONLY)
    assert first[0] == "int8"
    assert reasons == ["bf16 on python with openvino: this processor has no avx512_bf16 or amx_bf16"]


def test_auto_on_an_old_processor_takes_fp32(with_openvino):
    ways, reasons = chosen(OLD)
    assert ways == [("fp32", "onnxruntime")]
    assert any("int8" in reason and "no avx512_vnni or avx_vnni or amx_int8" in reason for reason in reasons)


def test_auto_without_openvino_says_how_to_install_it(without_openvino):
    ways, reasons = chosen(NEW)
    assert "openvino" not in [runtime for _, runtime in ways]
    assert ways[-1] == ("fp32", "onnxruntime")
    assert any("pip install 'encserve[openvino]'" in reason for reason in reasons)


def test_auto_keeps_to_the_runtime_and_the_engine_that_were_asked_for(with_openvino):
    assert {runtime for _, runtime in chosen(NEW, runtime=Runtime.ONNXRUNTIME)[0]} == {"onnxruntime"}
    assert chosen(NEW, engine=Engine.ONNXRUNTIME)[0] == [("fp32", None)]


def test_bf16_is_refused_by_name_where_the_processor_lacks_it(with_openvino):
    with pytest.raises(InvalidConfig, match="this processor has no avx512_bf16 or amx_bf16"):
        way_of(Precision.BF16, Engine.PYTHON, None, VNNI_ONLY)
    assert way_of(Precision.BF16, Engine.PYTHON, None, NEW).runtime is Runtime.OPENVINO


def test_int8_without_vnni_works_and_is_called_slow(with_openvino):
    way = way_of(Precision.INT8, Engine.PYTHON, None, OLD)
    assert "may be slower than fp32" in slow_here(way, OLD)
    assert slow_here(way, VNNI_ONLY) == ""


def test_openvino_is_asked_for_where_it_is_missing(without_openvino):
    with pytest.raises(InvalidConfig, match=r"needs OpenVINO; install with: pip install 'encserve\[openvino\]'"):
        way_of(Precision.FP32, Engine.PYTHON, Runtime.OPENVINO, NEW)


def test_a_pair_that_is_not_offered_is_refused_with_those_that_are(with_openvino):
    with pytest.raises(
        InvalidConfig,
        match=r"--precision bf16 --engine python --runtime onnxruntime is not offered. Offered is fp32 on python with",
    ):
        way_of(Precision.BF16, Engine.PYTHON, Runtime.ONNXRUNTIME, NEW)


def test_only_the_python_engine_has_runtimes():
    with pytest.raises(InvalidConfig, match="--runtime openvino: only --engine python has runtimes, not onnxruntime"):
        ExportConfig(checkpoint="x", name="x", engine=Engine.ONNXRUNTIME, runtime=Runtime.OPENVINO)
