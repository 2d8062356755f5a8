"""The network of static embeddings: it looks up a vector for each token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from encserve_export.attention.families import STATIC


class StaticConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """The sizes of a table of vectors. transformers has no such network; what reads configurations asks for these."""

    model_type = STATIC

    vocab_size: int = 0
    """Rows of the table."""
    hidden_size: int = 0
    """Numbers of a vector."""
    intermediate_size: int = 0
    num_hidden_layers: int = 0
    num_attention_heads: int = 1
    max_position_embeddings: int = 0
    """Tokens of a text that are read where nobody says how many. The table itself has no end."""


class StaticModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """The vectors of tokens: input ids int64 (n, t) to float32 (n, t, H)."""

    config_class = StaticConfig
    config: StaticConfig
    base_model_prefix = ""

    def __init__(self, config: StaticConfig, table: Tensor | None = None) -> None:
        """`table` is float32 (V, H); without one the rows have no numbers."""
        super().__init__(config)
        if table is None:
            table = torch.empty(config.vocab_size, config.hidden_size, device="meta")
        self.embedding = nn.Embedding(len(table), table.shape[1], _weight=table)

    def get_input_embeddings(self) -> nn.Embedding:
        """The table."""
        table: nn.Embedding = self.embedding
        return table

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> BaseModelOutput:
        """The vector of each token, which no other token changes."""
        return BaseModelOutput(last_hidden_state=self.embedding(input_ids))
