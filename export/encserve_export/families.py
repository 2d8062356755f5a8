"""The encoder families that are served, and what each needs to run packed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from transformers import PreTrainedConfig

from .errors import Unsupported


def _from_zero(config: PreTrainedConfig) -> int:
    return 0


def _after_padding(config: PreTrainedConfig) -> int:
    """RoBERTa and its kin give the first token the position after the padding id."""
    return int(config.pad_token_id) + 1


@dataclass(frozen=True)
class Family:
    """How a family takes its inputs. Attention goes through transformers' attention interface in all of these."""

    first_position: Callable[[PreTrainedConfig], int] = _from_zero
    """Position id of a text's first token."""
    token_types: bool = False
    """Whether the model takes `token_type_ids`."""


FAMILIES: dict[str, Family] = {
    "albert": Family(token_types=True),
    "bert": Family(token_types=True),
    "camembert": Family(first_position=_after_padding),
    "distilbert": Family(),
    "electra": Family(token_types=True),
    "roberta": Family(first_position=_after_padding),
    "xlm-roberta": Family(first_position=_after_padding),
}


def family_of(config: PreTrainedConfig) -> Family:
    """The family of a checkpoint. Raises Unsupported with the list of those that are."""
    try:
        return FAMILIES[config.model_type]
    except KeyError:
        raise Unsupported(
            f"model type {config.model_type!r} is not supported; supported are {', '.join(sorted(FAMILIES))}"
        ) from None


def longest_text(config: PreTrainedConfig, family: Family) -> int:
    """Tokens that the model's position embeddings reach."""
    return int(config.max_position_embeddings) - family.first_position(config)
