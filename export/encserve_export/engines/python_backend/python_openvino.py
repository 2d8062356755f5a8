"""OpenVINO in Triton's Python backend, on the CPU. It chooses a precision when it loads the graph, as it is told."""

from __future__ import annotations

from encserve_export.config import Precision, Runtime
from encserve_export.precision import whole_blocks
from encserve_export.precision.recipe import Recipe
from encserve_server.steps.encode.host.cpu_flags import BF16
from encserve_server.steps.encode.network.micro_batches import Cost

from .python_engine import PythonEngine

OPENVINO = PythonEngine(
    runtime=Runtime.OPENVINO,
    module="openvino",
    block=whole_blocks.BLOCK,
    precisions={
        Precision.FP32: Recipe(
            making=whole_blocks, hints={"INFERENCE_PRECISION_HINT": "f32"}, cost=Cost(overhead=15, pair=0.31)
        ),
        Precision.BF16: Recipe(
            making=whole_blocks,
            hints={"INFERENCE_PRECISION_HINT": "bf16"},
            needs_cpu=BF16,
            cost=Cost(overhead=30, pair=0.37),
        ),
    },
)
