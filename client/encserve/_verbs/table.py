"""All verbs, by name. The clients, the commands and the page of the contract are made from this table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from encserve._verbs.answer import ANSWER
from encserve._verbs.classify import CLASSIFY
from encserve._verbs.classify_tokens import CLASSIFY_TOKENS
from encserve._verbs.classify_zero_shot import CLASSIFY_ZERO_SHOT
from encserve._verbs.embedding.embed import EMBED
from encserve._verbs.embedding.hybrid import EMBED_HYBRID
from encserve._verbs.embedding.spans import EMBED_SPANS
from encserve._verbs.embedding.sparse import EMBED_SPARSE
from encserve._verbs.embedding.tokens import EMBED_TOKENS
from encserve._verbs.entities.extract import EXTRACT_ENTITIES
from encserve._verbs.fill_mask import FILL_MASK
from encserve._verbs.generate import GENERATE
from encserve._verbs.rerank import RERANK
from encserve._verbs.score import SCORE
from encserve._verbs.verb import Verb

VERBS: Mapping[str, Verb[Any]] = {
    verb.name: verb
    for verb in (
        ANSWER,
        CLASSIFY,
        CLASSIFY_TOKENS,
        CLASSIFY_ZERO_SHOT,
        EMBED,
        EMBED_HYBRID,
        EMBED_SPARSE,
        EMBED_TOKENS,
        EMBED_SPANS,
        EXTRACT_ENTITIES,
        FILL_MASK,
        GENERATE,
        RERANK,
        SCORE,
    )
}
