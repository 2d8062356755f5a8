"""Whether ONNX Runtime has a GPU on this host."""

from __future__ import annotations

import onnxruntime
from onnx import TensorProto, helper

PROVIDER = "CUDAExecutionProvider"


def why_no_cuda() -> str:
    """Why ONNX Runtime has no GPU on this host, in words; empty if it has one."""
    if PROVIDER not in onnxruntime.get_available_providers():
        return f"the installed onnxruntime {onnxruntime.__version__} has no CUDA; that of onnxruntime-gpu has"
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    nothing = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph(
        [nothing], "nothing", [value], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    cannot = f"ONNX Runtime {onnxruntime.__version__} cannot use a GPU here"
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[PROVIDER])
    except Exception as error:  # ONNX Runtime's exceptions have no base of their own
        return f"{cannot}: {error}"
    return "" if PROVIDER in session.get_providers() else f"{cannot}; what it wrote above says why"
