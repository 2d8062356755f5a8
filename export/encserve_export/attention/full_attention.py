"""BigBird in full attention, which is how transformers runs it on texts that its sparse pattern would not thin out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedConfig, PreTrainedModel


def longest_in_full(config: PreTrainedConfig) -> int:
    """Tokens up to which BigBird attends in full. Beyond, its sparse pattern draws blocks at random from the length of
    the padded batch, so that a text's answer would depend on its neighbours."""
    reach = int(config.max_position_embeddings)
    if config.attention_type == "original_full":
        return reach
    return min(reach, int((5 + 2 * config.num_random_blocks) * config.block_size))


@contextmanager
def big_bird_in_full(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    """Switch to full attention, as the network does by itself on the first text that is short enough; it never switches
    back."""
    from transformers.models.big_bird.modeling_big_bird import BigBirdModel

    for module in model.modules():
        if isinstance(module, BigBirdModel):
            module.set_attention_type("original_full")
    yield
