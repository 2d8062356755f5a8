"""What a library feeds to its network and what the network gives, while the library's own code runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from .loading import network_in
from .messages import Row

Keep: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.float32]], NDArray[np.float32] | None]
"""From the tokens (t,) of a row and its logits (r, W) to those that are needed."""


class Watched:
    """A network whose calls are recorded. Each call must be of one row."""

    def __init__(self, network: torch.nn.Module, keep: Keep = lambda input_ids, logits: logits) -> None:
        """`network` is a model of transformers, or holds one."""
        model = network_in(network)
        self.parameters = model.num_parameters()
        self._keep = keep
        self._rows: list[Row] = []
        forward = model.forward

        @wraps(forward)  # sentence-transformers calls it by itself, where no hook of torch is asked
        def recorded(**kwargs: Any) -> Any:
            output = forward(**kwargs)
            self._record(kwargs, output)
            return output

        model.forward = recorded

    def rows(self) -> list[Row]:
        """The calls since this was last asked."""
        rows, self._rows = self._rows, []
        return rows

    def _record(self, inputs: dict[str, Any], output: Any) -> None:
        (input_ids,) = inputs["input_ids"].numpy()  # of one row
        types = inputs.get("token_type_ids")
        logits = output.get("logits")
        if "start_logits" in output:
            logits = torch.stack([output["start_logits"], output["end_logits"]], -1)
        kept = None if logits is None else self._keep(input_ids, np.atleast_2d(logits[0].float().numpy()))
        self._rows.append(Row(input_ids, None if types is None else types[0].numpy(), kept))
