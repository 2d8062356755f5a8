"""The encoder families that are served, and what each needs to run on a pack.

The code of a family's network in transformers is imported when one is packed, so that an export waits for its own
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import transformers
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.utils.hub import TRANSFORMERS_DYNAMIC_MODULE_NAME

from encserve_export.errors import Unsupported

from .added_places import places_packed
from .alibi import alibi_packed
from .direction import Direction, both_ways, of_decoder, of_gemma
from .disentangled_attention import deberta_v2_packed
from .full_attention import big_bird_in_full, longest_in_full
from .relative_bias import mpnet_packed, t5_packed


def _from_zero(config: PreTrainedConfig) -> int:
    return 0


def _after_padding(config: PreTrainedConfig) -> int:
    """RoBERTa and its kin give the first token the position after the padding id."""
    return int(config.pad_token_id) + 1


def _from_two(config: PreTrainedConfig) -> int:
    """MPNet takes 1 for the padding id, whatever its configuration says."""
    return 2


def _to_the_last_position(config: PreTrainedConfig) -> int:
    return int(config.max_position_embeddings)


def _to_the_last_position_after_padding(config: PreTrainedConfig) -> int:
    return int(config.max_position_embeddings) - int(config.pad_token_id) - 1


def _to_the_last_position_from_two(config: PreTrainedConfig) -> int:
    return int(config.max_position_embeddings) - 2


def _as_stated(config: PreTrainedConfig) -> int | None:
    return getattr(config, "max_position_embeddings", None)


def _without_end(config: PreTrainedConfig) -> None:
    return None


def _deberta_longest(config: PreTrainedConfig) -> int | None:
    return _to_the_last_position(config) if config.position_biased_input else None


def _esm_longest(config: PreTrainedConfig) -> int | None:
    return None if config.position_embedding_type == "rotary" else _to_the_last_position_after_padding(config)


def _hidden_size(config: PreTrainedConfig) -> int:
    return int(config.hidden_size)


def _embedding_dim(config: PreTrainedConfig) -> int:
    return int(config.embedding_dim)


def _as_it_is(model: PreTrainedModel, implementation: str) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def _without_cache(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    """A decoder keeps keys and values for tokens to come, of which there are none; where it has windows, those of the
    last tokens alone."""
    configs = [network.config for network in model.modules() if isinstance(network, PreTrainedModel)]
    stated = [config.use_cache for config in configs]
    try:
        for config in configs:
            config.use_cache = False
        yield
    finally:
        for config, use_cache in zip(configs, stated, strict=True):
            config.use_cache = use_cache


@dataclass(frozen=True)
class Family:
    """How a family takes its inputs, and how it attends."""

    first_position: Callable[[PreTrainedConfig], int] | None = _from_zero
    """Position id of a text's first token; None for a network that takes no position ids."""
    skips_padding: bool = False
    """Whether a padding token within a text is not counted, and has the position before the first."""
    longest: Callable[[PreTrainedConfig], int | None] = _to_the_last_position
    """Tokens of the longest text that the network can take; None where only distances count, which have no end."""
    direction: Callable[[PreTrainedConfig], Direction] = both_ways
    """Where its tokens look within their text."""
    token_types: bool = False
    """Whether the model takes `token_type_ids`."""
    answers_by_types: bool = False
    """Whether its head for question-answering makes token types by itself where the tokenizer gives none."""
    padded: bool = False
    """Whether the network pads inside the graph, because its attention cannot be told of packs."""
    own_attention: bool = False
    """Whether the network asks no attention interface; `while_packed` then makes it."""
    while_packed: Callable[[PreTrainedModel, str], AbstractContextManager[None]] = _as_it_is
    """What is changed in the network while it runs on packs, with the attention registered under the given name."""
    width: Callable[[PreTrainedConfig], int] = _hidden_size
    """Numbers of the vector that the network gives for a token."""
    network: Any = transformers.AutoModel
    """The class that loads the encoder."""


_BERT = Family(token_types=True)
_ROBERTA = Family(first_position=_after_padding, skips_padding=True, longest=_to_the_last_position_after_padding)
_ROTARY = Family(longest=_without_end)
_DECODER = replace(_ROTARY, direction=of_decoder, while_packed=_without_cache)
_T5 = Family(
    first_position=None,
    longest=_without_end,
    while_packed=t5_packed,
    network=transformers.AutoModelForTextEncoding,
)

FAMILIES: dict[str, Family] = {
    "albert": _BERT,
    "bert": _BERT,
    "big_bird": replace(
        _BERT, answers_by_types=True, padded=True, longest=longest_in_full, while_packed=big_bird_in_full
    ),
    "camembert": _ROBERTA,
    "data2vec-text": _ROBERTA,
    "deberta": replace(_BERT, padded=True, longest=_deberta_longest),
    "deberta-v2": replace(_BERT, longest=_deberta_longest, own_attention=True, while_packed=deberta_v2_packed),
    "distilbert": Family(),
    "electra": _BERT,
    "embedding_gemma2_text": replace(_ROTARY, width=_embedding_dim),
    "ernie": _BERT,
    "esm": Family(padded=True, first_position=None, longest=_esm_longest),
    "eurobert": _ROTARY,
    "gemma3_text": replace(_DECODER, direction=of_gemma),
    "gte": _ROTARY,
    "jina_embeddings_v3": _ROTARY,
    "llama": _DECODER,
    "luke": replace(_ROBERTA, padded=True),
    "megatron-bert": replace(_BERT, padded=True),
    "mistral": _DECODER,
    "modernbert": _ROTARY,
    "mpnet": Family(
        first_position=_from_two,
        skips_padding=True,
        longest=_to_the_last_position_from_two,
        own_attention=True,
        while_packed=mpnet_packed,
    ),
    "mt5": _T5,
    "nomic_bert": replace(_ROTARY, token_types=True),
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "rembert": replace(_BERT, padded=True),
    "roberta": _ROBERTA,
    "roberta-prelayernorm": _ROBERTA,
    "roformer": replace(_BERT, padded=True, first_position=None),
    "t5": _T5,
    "ultrabert": _ROTARY,
    "umt5": _T5,
    "xlm-roberta": _ROBERTA,
    "xlm-roberta-xl": _ROBERTA,
}

DECODERS = tuple(name for name, family in FAMILIES.items() if family.direction is not both_ways)
"""Families whose tokens look back only, unless a configuration says otherwise."""
ENCODERS = tuple(name for name in FAMILIES if name not in DECODERS)

_BART = Family(first_position=None, while_packed=places_packed)
GENERATORS: dict[str, Family] = dict.fromkeys(("bart", "m2m_100", "marian", "mbart", "pegasus"), _BART)
"""Families of which nothing is served but a whole network that generates."""

STATIC = "static_embedding"
_TABLE = Family(first_position=None, longest=_without_end, own_attention=True)
"""Vectors that are looked up, a token at a time: nothing attends, and no place counts."""

_WRITTEN_DOWN = {
    STATIC: _TABLE,
    "jina_bert_v2": replace(_BERT, first_position=None, longest=_without_end, while_packed=alibi_packed),
    "nomic_bert_moe": replace(_ROTARY, token_types=True),
}
"""Networks that transformers does not have, and encserve has itself."""

_IN_OTHER_TERMS = ("JinaBERT v2 (bert with alibi)", "Nomic BERT with experts", "new", "static embeddings")
"""What configurations are called that are read in the terms of a network that is there: of another, or of our own."""

_BROUGHT = Family(first_position=None, longest=_as_stated, padded=True)
"""A network whose code its checkpoint brings: all that is known of it is that it takes padded rows and a mask."""

_REFUSED = {
    "convbert": "its convolutions read the padding",
    "fnet": "its Fourier transform runs over the padding",
    "nystromformer": "it averages its landmarks over the padding",
}
"""Encoders whose answer for a text depends on the texts beside it in transformers already, and why."""
_ROTARY_THAT_DEPENDS_ON_COMPANY = ("dynamic", "longrope")


def family_of(config: PreTrainedConfig) -> Family:
    """The family of a checkpoint, be it one that only generates. Raises Unsupported with the list of those that are."""
    if type(config).__module__.startswith(f"{TRANSFORMERS_DYNAMIC_MODULE_NAME}."):
        return _BROUGHT
    if config.model_type in _WRITTEN_DOWN:
        return _WRITTEN_DOWN[config.model_type]
    check_model_type(config.model_type)
    return FAMILIES.get(config.model_type) or GENERATORS[config.model_type]


def check_model_type(model_type: str | None) -> None:
    """Raise Unsupported unless `model_type`, as config.json states it, is a family that is served."""
    if model_type in FAMILIES or model_type in GENERATORS or model_type in _WRITTEN_DOWN:
        return
    if model_type in _REFUSED:
        reason = (
            f"is not supported: {_REFUSED[model_type]}, so that its answer for a text depends on the texts beside it"
        )
    elif model_type in CONFIG_MAPPING:
        reason = "is not supported"
    else:
        reason = f"is not part of transformers {transformers.__version__}, and the checkpoint brings no code for it"
    raise Unsupported(
        f"model type {model_type!r} {reason}; supported are {', '.join(sorted(FAMILIES))}, to generate texts "
        f"{', '.join(GENERATORS)}, and by networks that encserve has itself, or in terms of another, "
        f"{', '.join(_IN_OTHER_TERMS)}"
    )


def check_rotary_embedding(config: PreTrainedConfig) -> None:
    """Raise Unsupported if the rotary embedding depends on the longest text of a batch."""
    stated = getattr(config, "rope_parameters", None) or {}
    layers = stated.values() if all(isinstance(value, dict) for value in stated.values()) else [stated]
    for parameters in layers:
        if parameters.get("rope_type") in _ROTARY_THAT_DEPENDS_ON_COMPANY:
            raise Unsupported(
                f"rotary embedding {parameters['rope_type']!r} is not supported: it depends on the longest text of a "
                "batch, so that a text's answer would depend on the texts beside it"
            )
