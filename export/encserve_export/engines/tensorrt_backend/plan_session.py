"""A TensorRT plan on the GPU of this host, asked as Triton's backend asks it: for the certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encserve_export.engines.served_encoder import Tensors
from encserve_export.errors import UnsupportedHost

from .plan import Target

_DEVICE = "cuda"


class PlanSession:
    """One plan."""

    def __init__(self, target: Target, plan: Path) -> None:
        """Load `plan`. Raises UnsupportedHost: TensorRT cannot load it."""
        trt = target.tensorrt
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))  # lives as long as its engine
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise UnsupportedHost(f"TensorRT {target.version} cannot load the plan that it built on {target.gpu}")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        self._inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._outputs = [name for name in names if name not in self._inputs]

    def __call__(self, pack: Tensors, outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Compute a batch: (rows, W) of each of `outputs`."""
        tensors = {name: torch.from_numpy(pack[name]).to(_DEVICE) for name in self._inputs}
        for name, tensor in tensors.items():
            self._context.set_input_shape(name, tuple(tensor.shape))
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            tensors[name] = torch.empty(shape, dtype=torch.float32, device=_DEVICE)
        nothing = torch.empty(1, dtype=torch.int64, device=_DEVICE)  # an empty tensor has no address, and needs one
        for name, tensor in tensors.items():
            self._context.set_tensor_address(name, (tensor if tensor.numel() else nothing).data_ptr())
        stream = torch.cuda.current_stream()
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise UnsupportedHost(f"the plan does not run with inputs of {_shapes(pack)}")
        stream.synchronize()
        return [tensors[name].cpu().numpy() for name in outputs]


def _shapes(feed: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {list(values.shape)}" for name, values in feed.items())
