"""What a checkpoint says of how it wants to generate, as the defaults of a pipeline's options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from encserve_export.errors import CheckpointError, Unsupported

MOST_NEW_TOKENS = 1_024
"""The greatest `max_new_tokens` of a request."""
MOST_LENGTH_PENALTY = 10.0
"""Above this, or below its negative, the score of a long hypothesis would be no number of float32."""
PLACES_END = ("bart", "marian", "mbart", "pegasus")
"""Families whose decoders have a table of places with an end."""
_NEUTRAL = {
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "typical_p": 1.0,
    "min_p": 0.0,
    "top_h": 0.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "encoder_repetition_penalty": 1.0,
    "diversity_penalty": 0.0,
    "guidance_scale": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "penalty_alpha": 0.0,
}
"""Settings of transformers that change what is generated and are not offered, with the value at which they do not."""
_NEVER = (
    "constraints",
    "dola_layers",
    "exponential_decay_length_penalty",
    "force_words_ids",
    "max_time",
    "sequence_bias",
    "stop_strings",
    "suppress_tokens",
    "begin_suppress_tokens",
    "watermarking_config",
)
"""Such settings that change it with any value."""


@dataclass(frozen=True, kw_only=True)
class GenerationDefaults:
    """How a checkpoint generates where a request does not say otherwise."""

    start_token: int
    """The token before the first one."""
    end_tokens: tuple[int, ...]
    """The tokens of which each ends a text."""
    max_new_tokens: int
    min_new_tokens: int
    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: str = "false"
    """One of the values of the option."""
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    first_token: int | None = None
    """The first token of each text, where there is no choice."""
    last_tokens: tuple[int, ...] = ()
    """Those of which one is the last of a text that has as many as it may."""
    never_tokens: tuple[int, ...] = ()
    """Those that never come."""
    renormalizes: bool = False
    """Whether with beams the scores that the rules have changed become logarithms of probabilities again."""
    prompts: dict[str, str]
    """What may be put before a text, by the name of what the checkpoint then does."""


def defaults_of(model: PreTrainedModel, source: str) -> GenerationDefaults:
    """The defaults in generation_config.json, or in config.json where that is older, and the prefixes of its tasks.

    Raises:
        CheckpointError: it does not say with which token a text begins, or ends, or wants more than it allows.
        Unsupported: it wants what is not offered, such as groups of beams.
    """
    stated = model.generation_config
    assert isinstance(stated, GenerationConfig)
    for name, neutral in _NEUTRAL.items():
        if getattr(stated, name, None) not in (None, neutral):
            raise _unsupported(source, name, getattr(stated, name))
    for name in _NEVER:
        if getattr(stated, name, None):
            raise _unsupported(source, name, getattr(stated, name))
    start, ends = stated.decoder_start_token_id, stated.eos_token_id
    if not isinstance(start, int) or ends is None:
        raise CheckpointError(
            f"{source} does not say with which token a text begins (decoder_start_token_id is {start}) or ends "
            f"(eos_token_id is {ends})"
        )
    if stated.do_sample and (stated.num_beams or 1) > 1:
        raise _unsupported(source, "do_sample True with num_beams", stated.num_beams)
    if abs(_stated(stated, "length_penalty")) > MOST_LENGTH_PENALTY:
        raise _unsupported(source, "length_penalty", stated.length_penalty)
    most, least = _new_tokens(stated, model.config), _least_new_tokens(stated)
    if least > most:
        raise CheckpointError(
            f"the generation_config.json of {source} asks for {least} new tokens at least, but texts have {most} at "
            "most: every request that does not say otherwise would be refused"
        )
    return GenerationDefaults(
        start_token=start,
        end_tokens=_several(ends),
        max_new_tokens=most,
        min_new_tokens=least,
        do_sample=bool(stated.do_sample),
        temperature=_stated(stated, "temperature"),
        top_k=_stated(stated, "top_k"),
        top_p=_stated(stated, "top_p"),
        num_beams=stated.num_beams or 1,
        length_penalty=float(_stated(stated, "length_penalty")),
        early_stopping=str(stated.early_stopping or False).lower(),
        repetition_penalty=float(_stated(stated, "repetition_penalty")),
        no_repeat_ngram_size=stated.no_repeat_ngram_size or 0,
        first_token=stated.forced_bos_token_id,
        last_tokens=_several(stated.forced_eos_token_id),
        never_tokens=_never_tokens(stated, source),
        renormalizes=bool(stated.renormalize_logits),
        prompts=_prompts(getattr(model.config, "task_specific_params", None) or {}),
    )


def _new_tokens(stated: GenerationConfig, config: PreTrainedConfig) -> int:
    """`max_length` counts the token before the first one, and has a default that does not."""
    if stated.max_new_tokens is not None:
        most = stated.max_new_tokens
    elif stated.max_length is not None:
        most = max(1, stated.max_length - 1)
    else:
        most = GenerationConfig._get_default_generation_params()["max_length"]
    return min(int(most), most_new_tokens(config))


def most_new_tokens(config: PreTrainedConfig) -> int:
    """The greatest `max_new_tokens` of a request: a decoder may have places for fewer tokens than any may have."""
    places = getattr(config, "max_position_embeddings", None) if config.model_type in PLACES_END else None
    return min(MOST_NEW_TOKENS, places or MOST_NEW_TOKENS)


def _least_new_tokens(stated: GenerationConfig) -> int:
    """`min_length` counts the token before the first one."""
    return stated.min_new_tokens if stated.min_new_tokens is not None else max((stated.min_length or 0) - 1, 0)


def _never_tokens(stated: GenerationConfig, source: str) -> tuple[int, ...]:
    """The single tokens among the words that never come, but for what ends a text."""
    words = [list(word) for word in stated.bad_words_ids or []]
    if any(len(word) != 1 for word in words):
        raise _unsupported(source, "bad_words_ids", stated.bad_words_ids)
    return tuple(word[0] for word in words if word[0] not in _several(stated.eos_token_id))


def _several(tokens: int | list[int] | None) -> tuple[int, ...]:
    return () if tokens is None else tuple(tokens) if isinstance(tokens, list) else (tokens,)


def _stated(stated: GenerationConfig, name: str) -> Any:
    value = getattr(stated, name)
    return GenerationConfig._get_default_generation_params()[name] if value is None else value


def _prompts(tasks: dict[str, Any]) -> dict[str, str]:
    return {name: str(task["prefix"]) for name, task in tasks.items() if isinstance(task, dict) and task.get("prefix")}


def _unsupported(source: str, name: str, value: object) -> Unsupported:
    return Unsupported(
        f"the generation_config.json of {source} says {name} {value!r}, which is not offered: texts would be others. "
        f"If you want them without, take {name} out of the file in a local copy of the checkpoint"
    )
