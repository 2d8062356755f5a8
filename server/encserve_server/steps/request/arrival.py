"""When a request entered its pipeline, which the tokenize step tells the head step beside the network.

No step sees a request from its arrival to its answer, and what runs the network may be none of ours. The steps are
processes of one host, which has one monotonic clock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .options import InvalidArgument

ARRIVED_NS = "arrived_ns"
"""The tensor: INT64 (1, 1), nanoseconds on the clock of `time.monotonic`. Settings of steps that have it name it."""


def arrival_tensor(arrived_s: float) -> NDArray[np.int64]:
    """Return the tensor of a request that came at `arrived_s`, in seconds on that clock."""
    return np.array([[round(arrived_s * 1e9)]], np.int64)


def arrived_s(tensor: NDArray[Any]) -> float:
    """Return the seconds on that clock of a `tensor` without its leading dimension, INT64 (1,).

    Raises:
        InvalidArgument: it does not hold one number.
    """
    if tensor.shape != (1,):
        raise InvalidArgument(f"input {ARRIVED_NS} has shape {[1, *tensor.shape]}; [1, 1] is expected")
    return int(tensor[0]) / 1e9
