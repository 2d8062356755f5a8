"""Products of two matrices by each library that an engine could stand on, as a function that computes one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Shape(NamedTuple):
    """(m, k) times (k, n)."""

    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        """Multiplications and additions of one product."""
        return 2 * self.m * self.k * self.n


SHAPES = (Shape(2048, 2048, 2048), Shape(1024, 384, 1536), Shape(1024, 1536, 384))
"""A large square product, and those of a feed-forward part of MiniLM's width on 1,024 tokens. No library is fastest
with all; the best counts."""

Product = Callable[[], object]


def _torch_fp32(shape: Shape) -> Product:
    import torch

    torch.set_num_threads(_cores())
    a, b, out = torch.rand(shape.m, shape.k), torch.rand(shape.k, shape.n), torch.empty(shape.m, shape.n)
    return lambda: torch.mm(a, b, out=out)


def _torch_bf16(shape: Shape) -> Product:
    import torch

    torch.set_num_threads(_cores())
    a, b = torch.rand(shape.m, shape.k).bfloat16(), torch.rand(shape.k, shape.n).bfloat16()
    return lambda: torch.mm(a, b)


def _torch_int8(shape: Shape) -> Product:
    import torch

    torch.set_num_threads(_cores())
    a = torch.randint(-128, 128, (shape.m, shape.k), dtype=torch.int8)
    b = torch.randint(-128, 128, (shape.k, shape.n), dtype=torch.int8)
    multiply: Any = torch._int_mm
    return lambda: multiply(a, b)


def _numpy_fp32(shape: Shape) -> Product:
    rng = np.random.default_rng(0)
    a, b = rng.random((shape.m, shape.k), np.float32), rng.random((shape.k, shape.n), np.float32)
    out = np.empty((shape.m, shape.n), np.float32)
    return lambda: np.matmul(a, b, out=out)


def _onnxruntime_fp32(shape: Shape) -> Product:
    rng = np.random.default_rng(0)
    a, b = rng.random((shape.m, shape.k), np.float32), rng.random((shape.k, shape.n), np.float32)
    return _session_run("MatMul", a, b)


def _onnxruntime_int8(shape: Shape) -> Product:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (shape.m, shape.k), np.uint8)  # as activations and weights of int8 graphs for CPUs are
    b = rng.integers(-128, 128, (shape.k, shape.n), np.int8)
    return _session_run("MatMulInteger", a, b)


def _session_run(operator: str, a: Any, b: Any) -> Product:
    """A graph of one product, whose second factor is a weight, so that the runtime may lay it out as it likes."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    types = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
    result = TensorProto.FLOAT if operator == "MatMul" else TensorProto.INT32
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", types[str(a.dtype)], a.shape)],
        [helper.make_tensor_value_info("c", result, (a.shape[0], b.shape[1]))],
        [numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _cores()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a})


def _cores() -> int:
    return len(os.sched_getaffinity(0))


PRODUCTS: dict[tuple[str, str], Callable[[Shape], Product]] = {
    ("fp32", "torch"): _torch_fp32,
    ("fp32", "numpy"): _numpy_fp32,
    ("fp32", "onnxruntime"): _onnxruntime_fp32,
    ("int8", "onnxruntime"): _onnxruntime_int8,
    ("int8", "torch"): _torch_int8,
    ("bf16", "torch"): _torch_bf16,
}
"""(precision, library) -> what makes a product of a shape, on all cores of this process."""
