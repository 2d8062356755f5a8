"""The configuration of a checkpoint's network, of which no key is passed over in silence."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig, GenerationConfig, PreTrainedConfig
from transformers.modeling_rope_utils import RotaryEmbeddingConfigMixin

from encserve_export.attention.families import check_model_type, check_rotary_embedding
from encserve_export.config import ExportConfig
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_needed_object

from .remote_code import check_trusted_code, hint, refuse_needed_code
from .unread.checking import check_keys
from .unread.keys import CONFIG_KEYS, DECLARED_KEYS, SPELLINGS, Unread

_BY_CONFIG = re.compile(r'kwargs\.(?:get|pop)\(\s*"(\w+)"|\bself\.(\w+)')
_BY_NETWORK = re.compile(r'\bconfig\.(\w+)|\bgetattr\((?:self\.)?config, "(\w+)"')
"""How the source of a configuration and of a network of transformers shows the keys that it reads."""


def load_config(folder: Path, asked: ExportConfig) -> PreTrainedConfig:
    """The configuration of the network in `folder`, in its class of transformers or of the code that is trusted.

    Raises:
        CheckpointError: `config.json` is no JSON, or its class refuses it.
        Unsupported: a family, a kind of network or a key that is not offered.
        InvalidConfig: the code that is trusted is not what is there.
    """
    file = folder / "config.json"
    stated = read_needed_object(file)
    check_trusted_code(folder, asked)
    code, model_type = asked.trust_remote_code, stated.get("model_type")
    if code is None:  # first, because transformers would offer to run the checkpoint's code
        if model_type not in CONFIG_MAPPING:
            refuse_needed_code(model_type, folder, asked)
        check_model_type(model_type)
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            folder, trust_remote_code=code is not None, code_revision=code
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"transformers does not take {file}: {error}") from error
    check_rotary_embedding(config)
    if code is None:  # code that a checkpoint brings reads what it likes
        try:
            _check_keys(file, stated, config)
        except Unsupported as error:
            if not stated.get("auto_map"):
                raise
            raise Unsupported(
                f"{error}. It is for Python code that the checkpoint names: {hint(folder, asked)}"
            ) from error
    return config


def _check_keys(file: Path, stated: dict[str, Any], config: PreTrainedConfig) -> None:
    family = config.model_type
    declared = {key: value for key, value in stated.items() if any(key in entry.keys for entry in DECLARED_KEYS)}
    check_keys(file, declared, (), (*DECLARED_KEYS, *CONFIG_KEYS), family)
    listed = (*CONFIG_KEYS, *_other_spellings(config), *_said_twice(stated))
    check_keys(file, stated, set(_keys_read_by(type(config))), listed, family)


def _keys_read_by(kind: type[PreTrainedConfig]) -> Iterator[str]:
    """The keys of a file that a configuration class of transformers and the network of that class read.

    The class declares most as fields. Older spellings it takes out of its keyword arguments, and some keys only the
    network asks for; both their sources show.
    """
    yield "model_type"
    yield from (field.name for field in fields(kind))
    yield from kind.attribute_map
    yield from GenerationConfig._get_default_generation_params()
    yield from (name for name, member in inspect.getmembers(PreTrainedConfig) if isinstance(member, property))
    own = kind.__mro__[: kind.__mro__.index(PreTrainedConfig)]
    rotary = (RotaryEmbeddingConfigMixin,) if hasattr(kind, "rope_parameters") else ()
    for each in (*own, *rotary):
        yield from _named(_BY_CONFIG, inspect.getsource(each))
    network = inspect.getmodule(MODEL_MAPPING[kind])
    assert network is not None
    yield from _named(_BY_NETWORK, inspect.getsource(network))


def _named(pattern: re.Pattern[str], source: str) -> Iterator[str]:
    return (name for groups in pattern.findall(source) for name in groups if name)


def _said_twice(stated: dict[str, Any]) -> Iterator[Unread]:
    """Keys that say what another key of the file says."""
    if stated.get("forced_bos_token_id") is not None:
        yield Unread("is said by forced_bos_token_id too", ("force_bos_token_to_be_generated",), (True,))


def _other_spellings(config: PreTrainedConfig) -> Iterator[Unread]:
    """Keys that must have the value that `config` took from elsewhere, or from its defaults."""
    for key, name in SPELLINGS.get(config.model_type, {}).items():
        yield Unread(f"is another spelling of {name}", (key,), (getattr(config, name),))
    if config.model_type == "nomic_bert":
        yield Unread(
            "is the base of the rotary embedding", ("rotary_emb_base",), (config.rope_parameters["rope_theta"],)
        )
