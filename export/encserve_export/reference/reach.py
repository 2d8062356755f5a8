"""How many tokens a network can take, as it shows by itself: by the positions that it looks up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel, PreTrainedTokenizerBase

_SHOWN = 5
"""Tokens of the row that it is shown."""


class _LookedUp(TorchFunctionMode):
    """Notes what is looked up in tables: the places, and how many rows the table has."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[tuple[Tensor, int]] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is embedding:
            self.places.append((args[0].flatten(), len(args[1])))
        return function(*args, **(kwargs or {}))


def reach_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Tokens of the longest text for which `model` has an answer; None where nothing in it ends.

    It is shown a row of one ordinary token, many times: a table in which it then looks up one row after the other is
    that of its positions, and ends with the last one, wherever it has begun.
    """
    config, drawn = model.config, []
    if getattr(config, "attention_type", None) == "block_sparse":  # which the first short row changes for good
        # In longer ones BigBird draws the blocks that it attends to at random, and has several answers.
        drawn.append((5 + 2 * config.num_random_blocks) * config.block_size)
    special = {*tokenizer.all_special_ids, config.pad_token_id}
    token = next(each for each in reversed(range(config.vocab_size)) if each not in special)
    row = torch.full((1, _SHOWN), token)
    with torch.inference_mode(), _LookedUp() as looked_up:
        model.base_model(input_ids=row, attention_mask=torch.ones_like(row))
    ends = [
        rows - int(places[0])
        for places, rows in looked_up.places
        if torch.equal(places, places[0] + torch.arange(_SHOWN))
    ]
    return min([*drawn, *ends], default=None)
