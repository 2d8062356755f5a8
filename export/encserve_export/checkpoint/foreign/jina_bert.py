"""JinaBERT v2, which calls itself BERT: its configuration for the network that encserve wrote down of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encserve_export.errors import Unsupported
from encserve_export.reference.networks import JINA_BERT_V2, make_known

_ONLY = {"feed_forward_type": "geglu", "hidden_act": "gelu"}
_LEFT_OUT = ("auto_map", "position_embedding_type", "emb_pooler", "model_max_length", "attn_implementation", *_ONLY)
_NAME = "JinaBert"
_QK_NORM = "jina-bert-v2-qk-post-norm"
"""The repository of the code of the kind that norms queries and keys: nothing else in a configuration tells the two
apart, and the weights of one do not fit the other."""


def is_jina_bert(stated: Mapping[str, Any]) -> bool:
    """Whether a configuration is of JinaBERT: BERT whose scores fall with distance, and whose layers are gated."""
    alibi = stated.get("model_type") == "bert" and stated.get("position_embedding_type") == "alibi"
    return alibi and str(stated.get("feed_forward_type")).endswith("glu")


def in_terms_of_jina_bert(file: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that `file` states, for JinaBertV2Config.

    Raises:
        Unsupported: another feed-forward part.
    """
    for key, value in _ONLY.items():
        if stated.get(key) != value:
            raise Unsupported(
                f"{file} states {key!r}: {stated.get(key)!r} beside ALiBi, which is not supported; supported is "
                f"{value!r}"
            )
    make_known(JINA_BERT_V2)

    native = {key: value for key, value in stated.items() if key not in _LEFT_OUT}
    native["model_type"] = JINA_BERT_V2
    native["qk_norm"] = any(_QK_NORM in str(stated.get(key)) for key in ("auto_map", "_name_or_path"))
    native["architectures"] = [
        f"{_NAME}V2{name.removeprefix(_NAME)}" for name in stated.get("architectures") or () if name.startswith(_NAME)
    ]
    return native
