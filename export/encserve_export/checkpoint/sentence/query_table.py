"""A table that answers queries without a network: a weight for each token of the vocabulary, such as its IDF."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from encserve_export.checkpoint.unread.checking import check_keys
from encserve_export.checkpoint.unread.keys import TABLE_KEYS
from encserve_export.errors import CheckpointError, Unsupported
from encserve_export.json_file import read_needed_object

from .layers import read_weights

_NO_MAX_LENGTH = 10**9  # transformers gives 1e30 where a tokenizer states no length
_DOCUMENTS = ("document", "passage", "corpus")
"""The names of a document's prompt, the first that is there."""
UNROUTED = "idf.json"
"""The table of older checkpoints, which say nowhere that queries are answered by it."""


@dataclass(frozen=True, kw_only=True)
class QueryTable:
    """What answers the queries of a sparse encoder."""

    weights: tuple[float, ...]
    """Of each token of the vocabulary, by id; 0 for those that count nothing. Each is a float32."""
    max_length: int | None
    """Tokens of the longest query, none of them special; None where queries are not cut."""
    tokenizer: str
    """The tokenizer of queries as the text of a `tokenizer.json`, without what puts special tokens around a text."""
    truncation_side: str
    queries_by_default: bool
    """Whether a text is a query where nobody says what it is."""


def read_query_table(folder: Path, *, allow_pickle: bool, queries_by_default: bool) -> QueryTable:
    """The SparseStaticEmbedding in `folder`.

    Raises:
        CheckpointError: no configuration, no weights, no tokenizer, or weights that are no table.
        Unsupported: a key that is not offered, or a tokenizer without a fast form.
    """
    file = folder / "config.json"
    check_keys(file, read_needed_object(file), (), TABLE_KEYS)
    tensors = read_weights(folder, allow_pickle=allow_pickle)
    if {*tensors} != {"weight"} or tensors["weight"].dim() != 1 or not tensors["weight"].isfinite().all():
        raise CheckpointError(f"the weights of {folder} are no finite number for each token of a vocabulary")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
    except (ImportError, KeyError, OSError, ValueError) as error:
        raise CheckpointError(f"the tokenizer of {folder} cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise Unsupported(f"{type(tokenizer).__name__} of {folder} has no fast form, which serving needs")
    longest = int(tokenizer.model_max_length)
    return QueryTable(
        weights=tuple(tensors["weight"].tolist()),
        max_length=longest if longest < _NO_MAX_LENGTH else None,
        tokenizer=_bare(tokenizer),
        truncation_side=tokenizer.truncation_side,
        queries_by_default=queries_by_default,
    )


def check_table(table: QueryTable, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that queries and documents are read alike, and that each token has a weight.

    Raises:
        Unsupported: queries have a tokenizer of their own.
        CheckpointError: there are fewer weights than tokens.
    """
    if table.tokenizer != _bare(tokenizer) or table.truncation_side != tokenizer.truncation_side:
        raise Unsupported(
            "the checkpoint reads queries with another tokenizer than documents, or in another case, which is not "
            "supported"
        )
    if len(table.weights) < len(tokenizer):
        raise CheckpointError(
            f"the table of queries has {len(table.weights)} weights, and the tokenizer knows {len(tokenizer)} tokens"
        )


def side_prompts(prompts: dict[str, str], stated: dict[str, str], default: str | None) -> dict[str, str]:
    """The name of the prompt that a query and a document get where a request names none; empty for none.

    As in `encode_query` and `encode_document` of sentence-transformers a prompt that is stated without a text counts:
    it keeps the default one out. `stated` are all, `prompts` those with a text.
    """
    named = {
        "query": next((name for name in ("query",) if name in stated), default),
        "document": next((name for name in _DOCUMENTS if name in stated), default),
    }
    return {side: name if name is not None and name in prompts else "" for side, name in named.items()}


def _bare(tokenizer: PreTrainedTokenizerBase) -> str:
    fast = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    fast.no_truncation()
    fast.no_padding()
    stated = json.loads(fast.to_str())
    stated.pop("post_processor", None)
    return json.dumps(stated, sort_keys=True)
