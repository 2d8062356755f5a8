"""Which tokens of its own text a token attends to, by where they stand."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedConfig


@dataclass(frozen=True, kw_only=True)
class Direction:
    """Where the tokens of a network look."""

    causal: bool = False
    """Whether a token attends to itself and to those before it alone."""
    edge_included: bool = False
    """Whether a window of w reaches the tokens w places away; without, those less than w away."""

    def reach(self, window: int | None) -> int | None:
        """A window in places less than which tokens are away that attend to each other."""
        return window + 1 if window is not None and self.edge_included else window


BOTH_WAYS = Direction()


def both_ways(config: PreTrainedConfig) -> Direction:
    """An encoder's: all of the text."""
    return BOTH_WAYS


def of_decoder(config: PreTrainedConfig) -> Direction:
    """A decoder's, which transformers lets look both ways where its configuration says `is_causal` false; the edge of a
    window then belongs to it (`create_sliding_window_causal_mask` in its `masking_utils`)."""
    causal = bool(getattr(config, "is_causal", True))
    return Direction(causal=causal, edge_included=not causal)


def of_gemma(config: PreTrainedConfig) -> Direction:
    """Gemma 3's, which has a setting of its own for looking both ways; the edge of its window stays outside then."""
    stated = of_decoder(config)
    return BOTH_WAYS if stated.causal and config.use_bidirectional_attention else stated
