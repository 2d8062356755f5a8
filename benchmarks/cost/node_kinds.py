"""The time that a runtime's own clock gives each node of a graph, added up by kind of node.

The clock runs on while another program has the core, so each micro-batch is computed `REPEATS` times, and the shortest
time of each node counts. On a busy machine that is not enough.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from encserve_server.steps.encode.host.cpu_flags import read_cpu_flags

LINEAR, ATTENTION, SOFTMAX, NORMS, GELU = "linear layers", "attention products", "softmax", "norms", "GELU"
FUSED, ROUNDING, MOVING = "attention, fused", "rounding and scaling", "rows moved"
ELEMENTWISE, OTHER = "element by element", "other"
KINDS = (LINEAR, ATTENTION, SOFTMAX, FUSED, NORMS, GELU, ROUNDING, MOVING, ELEMENTWISE, OTHER)
"""OpenVINO computes GELU within the linear layer before it, and the products of attention with its softmax."""
REPEATS = 5
_PRODUCTS = {"MatMul", "FusedMatMul", "Gemm", "MatMulIntegerToFloat", "MatMulNBits"}
_KIND_OF = {
    **dict.fromkeys(("Softmax", "SoftMax"), SOFTMAX),
    **dict.fromkeys(("LayerNormalization", "MVN", "RMSNorm"), NORMS),
    **dict.fromkeys(("Gelu", "Erf"), GELU),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "FakeQuantize"), ROUNDING),
    **dict.fromkeys(("Gather", "Transpose", "Concat", "Split", "Slice", "Expand", "Broadcast", "Reorder"), MOVING),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Where", "Multiply", "Divide", "MulAdd"), ELEMENTWISE),
    **dict.fromkeys(("Eltwise", "Select", "Subgraph", "Convert"), ELEMENTWISE),
}
"""Type of a node -> its kind, but for products. OpenVINO's Subgraph is a chain of element-wise nodes, or attention."""
_OF_ROUNDING = (
    "_moved",
    "_balanced",
    "_above",
    "_below",
    "_scale",
    "_uint8",
    "_row_scale",
    "_kept",
    "_integers",
    "_flat",
)
"""How the names end of what `precision/int8_rows.py` adds beside products."""
Feed = Mapping[str, NDArray[Any]]


def kinds_in_onnxruntime(graph: Path, hints: Mapping[str, str], feeds: Sequence[Feed], output: str) -> dict[str, float]:
    """Seconds by kind, of all of `feeds`, with ONNX Runtime's profile of a session like that of a step."""
    import onnxruntime

    from encserve_server.steps.encode.network.onnxruntime_network import SLOW_FUSIONS, exact_integer_sums

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.enable_profiling = True
        exact_integer_sums(options, read_cpu_flags())
        session = onnxruntime.InferenceSession(
            _named(graph),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(SLOW_FUSIONS),
        )
        for feed in feeds:
            for _ in range(REPEATS):
                session.run([output], feed)
        events = [event for event in json.loads(Path(session.end_profiling()).read_text()) if _is_node(event)]
    each_run = len(events) // (len(feeds) * REPEATS)  # a graph computes the same nodes in the same order
    seconds: Counter[str] = Counter()
    for first in range(0, len(events), each_run * REPEATS):
        runs = [events[first + run * each_run :][:each_run] for run in range(REPEATS)]
        for same_node in zip(*runs, strict=True):
            seconds[_kind_in_onnxruntime(same_node[0])] += min(event["dur"] for event in same_node) / 1e6
    return dict(seconds)


def _is_node(event: Mapping[str, Any]) -> bool:
    return event.get("cat") == "Node" and event["name"].endswith("_kernel_time")


def _kind_in_onnxruntime(event: Mapping[str, Any]) -> str:
    operator, name = event["args"]["op_name"], event["name"].removesuffix("_kernel_time")
    if operator in _PRODUCTS:
        shapes = [shape for each in event["args"]["input_type_shape"] for shape in each.values()]
        # The matrix of a linear layer has two dimensions, or is laid out already and not shown.
        return ATTENTION if len(shapes) > 1 and len(shapes[1]) > 2 else LINEAR
    if name.endswith(_OF_ROUNDING) or operator in ("ReduceMax", "ReduceMin"):
        return ROUNDING
    return _KIND_OF.get(operator, OTHER)


def _named(graph: Path) -> bytes:
    """A graph whose nodes have names that begin with their type."""
    model = onnx.load(graph)
    for node in model.graph.node:
        node.name = f"{node.op_type}_{node.output[0]}"
    return bytes(model.SerializeToString())


def kinds_in_openvino(graph: Path, hints: Mapping[str, str], feeds: Sequence[Feed], output: str) -> dict[str, float]:
    """Seconds by kind, of all of `feeds`, by OpenVINO's counters in a network like that of a step."""
    import openvino

    one_thread = {"NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1", "ENABLE_CPU_PINNING": "NO", "PERF_COUNT": "YES"}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(_named(graph)), "CPU", {**hints, **one_thread})
    request = compiled.create_infer_request()
    seconds: Counter[str] = Counter()
    for feed in feeds:
        runs = []
        for _ in range(REPEATS):
            request.infer(dict(feed))
            runs.append(request.get_profiling_info())
        for same_node in zip(*runs, strict=True):
            took_s = min(node.real_time.total_seconds() for node in same_node)
            seconds[_kind_in_openvino(same_node[0].node_type, same_node[0].node_name)] += took_s
    return dict(seconds)


def _kind_in_openvino(type_: str, name: str) -> str:
    if type_ == "Subgraph" and name.startswith("MatMul"):  # named after its last node
        return FUSED
    return {"FullyConnected": LINEAR, "MatMul": ATTENTION}.get(type_) or _KIND_OF.get(type_, OTHER)
