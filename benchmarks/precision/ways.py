"""The ways to run a graph on a processor that were considered: a runtime, its hints, and what is done to the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.precision.openvino_int8 import compress_weights
from encserve_export.network.graph_file import read_graph_file, write_graph_file
from encserve_export.precision.int8_rows import integer_rows, with_integer_rows
from encserve_export.precision.whole_blocks import attend_in_whole_blocks
from encserve_export.texts.calibration import Calibration
from encserve_server.steps.encode.host.cpu_flags import BF16

BASELINE = "onnxruntime fp32"
Make = Callable[[Path, Calibration], object]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to run the graph."""

    runtime: str
    make: Make = lambda graph, calibration: None
    hints: dict[str, str] = field(default_factory=dict)
    needs_cpu: tuple[str, ...] = ()


def rows(graph: Path, calibration: Calibration) -> None:
    """Every linear layer in integers, whatever that does to the network."""
    full = read_graph_file(graph)
    write_graph_file(with_integer_rows(full, integer_rows(full, graph, calibration.packs)), graph)


def whole_blocks(graph: Path, calibration: Calibration) -> None:
    """As encserve makes graphs for OpenVINO."""
    model = read_graph_file(graph)
    attend_in_whole_blocks(model)
    write_graph_file(model, graph)


def nbits(graph: Path, calibration: Calibration) -> None:
    """ONNX Runtime's own weight-only quantizer, with 8-bit activations."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    config = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, accuracy_level=4, bits=8)
    quantizer = MatMulNBitsQuantizer(onnx.load(graph), algo_config=config)
    quantizer.process()
    quantizer.model.save_model_to_file(str(graph))


F32 = {"INFERENCE_PRECISION_HINT": "f32"}
CANDIDATES = {
    BASELINE: Candidate(runtime="onnxruntime"),
    "openvino f32": Candidate(runtime="openvino", make=whole_blocks, hints=F32),
    "openvino bf16": Candidate(
        runtime="openvino", make=whole_blocks, hints={"INFERENCE_PRECISION_HINT": "bf16"}, needs_cpu=BF16
    ),
    "openvino bf16, blocks not whole": Candidate(
        runtime="openvino", hints={"INFERENCE_PRECISION_HINT": "bf16"}, needs_cpu=BF16
    ),
    **{
        f"openvino int8 weights, groups of {group}": Candidate(
            runtime="openvino", make=compress_weights, hints={**F32, "DYNAMIC_QUANTIZATION_GROUP_SIZE": group}
        )
        for group in ("0", "32", "64", "128")
    },
    **{
        f"openvino int8 weights, groups of {group}, the rest bf16": Candidate(
            runtime="openvino",
            make=compress_weights,
            hints={"INFERENCE_PRECISION_HINT": "bf16", "DYNAMIC_QUANTIZATION_GROUP_SIZE": group},
            needs_cpu=BF16,
        )
        for group in ("32", "64", "128")
    },
    "onnxruntime MatMulNBits 8 bit, blocks of 32": Candidate(runtime="onnxruntime", make=nbits),
    "onnxruntime int8 rows": Candidate(runtime="onnxruntime", make=rows),
}
