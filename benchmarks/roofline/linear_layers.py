"""The arithmetic of a network's linear layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LinearLayers:
    """The layers of an encoder that multiply each token by trained weights; embeddings, pooling and heads are left out,
    and so is attention itself, whose products grow with the square of a text's length."""

    layers: int
    hidden: int
    """Width H of a token's vector."""
    intermediate: int
    """Width I inside the feed-forward part."""
    gated: bool = False
    """Whether a second matrix H x I gates the first one, as in ModernBERT."""

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> LinearLayers:
        """From the `config.json` of a checkpoint of BERT's kind."""
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            gated=config.get("model_type") == "modernbert",
        )

    @property
    def flops_per_token(self) -> int:
        """Floating-point operations for each token, a multiplication and an addition for each weight.

        2 * layers * (4 H^2 + 2 H I): four matrices H x H for query, key, value and output, and two of H x I for the
        feed-forward part, three where it is gated.
        """
        feed_forward = 3 if self.gated else 2
        weights = 4 * self.hidden**2 + feed_forward * self.hidden * self.intermediate
        return 2 * self.layers * weights

    def attention_flops(self, length: int) -> int:
        """Floating-point operations of the attention of one text of `length` tokens that sees all of itself.

        4 * layers * H * length^2: scores and their sum of values, each `length` x `length` products of H numbers over
        all heads.
        """
        return 4 * self.layers * self.hidden * length**2

    def tokens_per_s(self, flops_per_s: float) -> float:
        """Tokens in each second if a machine did nothing but these products, at `flops_per_s`."""
        return flops_per_s / self.flops_per_token
