"""ONNX Runtime in Triton's Python backend, on the CPU."""

from __future__ import annotations

from encserve_export.config import Precision, Runtime
from encserve_export.precision import int8_rows
from encserve_export.precision.recipe import Recipe
from encserve_server.steps.encode.host.cpu_flags import VNNI
from encserve_server.steps.encode.network.micro_batches import Cost

from .python_engine import PythonEngine

ONNXRUNTIME = PythonEngine(
    runtime=Runtime.ONNXRUNTIME,
    has_loops=True,
    precisions={
        Precision.FP32: Recipe(),
        Precision.INT8: Recipe(
            making=int8_rows,
            calibrated=True,
            fast_on_cpu=VNNI,
            x64quantprecision=True,
            cost=Cost(overhead=18, pair=1.03),
        ),
    },
)
