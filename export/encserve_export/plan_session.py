"""A TensorRT plan on the GPU of this host, asked as `PackedSession` is: for the certificate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .errors import UnsupportedHost
from .tensorrt_plan import Target
from .tensorrt_profile import PlanBounds

_DEVICE = "cuda"
Columns = Mapping[str, Sequence[NDArray[np.int64]]]


class PlanSession:
    """One plan, whose batches run one after the other."""

    def __init__(self, target: Target, plan: Path, *, follows: Mapping[str, str], bounds: PlanBounds) -> None:
        """Load `plan`. `follows` has, by output, the input of which the output has a row for each element.

        Raises:
            UnsupportedHost: TensorRT cannot load the plan.
        """
        trt = target.tensorrt
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))  # lives as long as its engine
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise UnsupportedHost(f"TensorRT {target.version} cannot load the plan that it built on {target.gpu}")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        self._inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._outputs = [name for name in names if name not in self._inputs]
        self._follows = follows
        self._bounds = bounds

    def rows_of(self, columns: Columns, output: str) -> NDArray[np.int64]:
        """How many rows of an output belong to each text: (n,)."""
        if self._follows[output] == "lengths":
            return np.ones(len(columns["input_ids"]), np.int64)
        return _sizes(columns[self._follows[output]])

    def run(self, columns: Columns, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Compute all texts, in batches as large as the plan takes: (rows, W) of each of `outputs`, in their order."""
        parts = [
            self.run_pack({name: column[begin:end] for name, column in columns.items()}, outputs)
            for begin, end in self._batches(_sizes(columns["input_ids"]))
        ]
        return {output: np.concatenate([part[output] for part in parts]) for output in outputs}

    def run_pack(self, columns: Columns, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Compute all texts in one batch."""
        feed = {name: np.concatenate(column) for name, column in columns.items()}
        feed["lengths"] = _sizes(columns["input_ids"])
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

    def _batches(self, sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Begin and end of batches of texts within the bounds."""
        begin, tokens = 0, 0
        for index, size in enumerate(sizes.tolist()):
            if index > begin and (index - begin == self._bounds.rows or tokens + size > self._bounds.tokens):
                yield begin, index
                begin, tokens = index, 0
            tokens += size
        yield begin, len(sizes)


def _sizes(column: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.array([len(values) for values in column], np.int64)


def _shapes(feed: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {list(values.shape)}" for name, values in feed.items())
