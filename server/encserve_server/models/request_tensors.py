"""The tensors of one request, which is one item of Triton's batch."""

from __future__ import annotations

from typing import Any

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from .options import InvalidArgument


def tensor_of(request: Any, name: str) -> NDArray[Any]:
    """An input without its leading dimension of 1, in memory that Triton takes back when `execute` returns.

    Raises:
        InvalidArgument: the leading dimension is another.
    """
    tensor: NDArray[Any] = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
    if len(tensor) != 1:
        raise InvalidArgument(f"input {name} has shape {list(tensor.shape)}; [1, n] is expected, all texts in one row")
    return tensor[0]  # type: ignore[no-any-return]
