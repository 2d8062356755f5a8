"""A TensorRT plan on the GPU of this host, asked as `PackedSession` is: for the certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encserve_server.models.packed_session import Columns

from .batched_session import BatchedSession, packed
from .errors import UnsupportedHost
from .tensorrt_plan import Target
from .tensorrt_profile import PlanBounds

_DEVICE = "cuda"


class PlanSession(BatchedSession):
    """One plan."""

    def __init__(self, target: Target, plan: Path, *, follows: Mapping[str, str], bounds: PlanBounds) -> None:
        """Load `plan`, which takes batches within `bounds`.

        Raises:
            UnsupportedHost: TensorRT cannot load the plan.
        """
        super().__init__(follows, max_texts=bounds.rows, max_tokens=bounds.tokens)
        trt = target.tensorrt
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))  # lives as long as its engine
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise UnsupportedHost(f"TensorRT {target.version} cannot load the plan that it built on {target.gpu}")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        self._inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._outputs = [name for name in names if name not in self._inputs]

    def run_pack(self, columns: Columns, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Compute all texts in one batch: (rows, W) of each of `outputs`."""
        feed = packed(columns)
        tensors = {name: torch.from_numpy(feed[name]).to(_DEVICE) for name in self._inputs}
        for name, tensor in tensors.items():
            self._context.set_input_shape(name, tuple(tensor.shape))
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            tensors[name] = torch.empty(shape, dtype=torch.float32, device=_DEVICE)
        for name, tensor in tensors.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream()
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise UnsupportedHost(f"the plan does not run with inputs of {_shapes(feed)}")
        stream.synchronize()
        return {name: tensors[name].cpu().numpy() for name in outputs}


def _shapes(feed: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {list(values.shape)}" for name, values in feed.items())
