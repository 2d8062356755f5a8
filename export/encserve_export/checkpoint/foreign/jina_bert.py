"""JinaBERT v2, which calls itself BERT: its configuration for the network that encserve wrote down of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encserve_export.errors import Unsupported
from encserve_export.reference.networks import JINA_BERT_V2

_ONLY = {"feed_forward_type": "geglu", "hidden_act": "gelu"}
_LEFT_OUT = ("auto_map", "position_embedding_type", "emb_pooler", "model_max_length", "attn_implementation", *_ONLY)
_NAME, _QK_NORM = "JinaBert", "jina-bert-v2-qk-post-norm"


def is_jina_bert(stated: Mapping[str, Any]) -> bool:
    """Whether a configuration is of JinaBERT: BERT whose scores fall with distance, and whose layers are gated."""
    alibi = stated.get("model_type") == "bert" and stated.get("position_embedding_type") == "alibi"
    return alibi and str(stated.get("feed_forward_type")).endswith("glu")


def in_terms_of_jina_bert(file: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that `file` states, for JinaBertV2Config.

    Raises:
        Unsupported: another feed-forward part, or norms of queries and keys.
    """
    for key, value in _ONLY.items():
        if stated.get(key) != value:
            raise Unsupported(
                f"{file} states {key!r}: {stated.get(key)!r} beside ALiBi, which is not supported; supported is "
                f"{value!r}"
            )
    if any(_QK_NORM in str(stated.get(key)) for key in ("auto_map", "_name_or_path")):
        raise Unsupported(
            f"{file} names {_QK_NORM}, a JinaBERT that norms its queries and keys, which is not supported; "
            "supported is that of jina-bert-implementation"
        )
    from encserve_export.reference.networks import jina_bert  # noqa: F401  makes it known, and takes its time

    native = {key: value for key, value in stated.items() if key not in _LEFT_OUT}
    native["model_type"] = JINA_BERT_V2
    native["architectures"] = [
        f"{_NAME}V2{name.removeprefix(_NAME)}" for name in stated.get("architectures") or () if name.startswith(_NAME)
    ]
    return native
