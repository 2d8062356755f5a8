"""`encserve embed-hybrid`: vectors, weighted terms and vectors of tokens of texts, as JSON lines."""

from __future__ import annotations

from encserve._commands.text_command import TextCommand
from encserve._hybrid.embeddings import HybridEmbeddings
from encserve._verbs.embedding.hybrid import EMBED_HYBRID

SUMMARY = "embed texts as vectors, weighted terms and vectors of tokens, all of one pass"

_FIELDS = {
    "vector": "vectors",
    "token_ids": "token_ids",
    "weights": "weights",
    "token_vectors": "token_vectors",
    "offsets": "offsets",
}
"""Field of a line -> that of the answer."""


def _line(answer: HybridEmbeddings, row: int) -> dict[str, object]:
    found = {field: getattr(answer, name) for field, name in _FIELDS.items()}
    return {field: value[row].tolist() for field, value in found.items() if value is not None}


_COMMAND = TextCommand(EMBED_HYBRID, _line)
add_arguments, run = _COMMAND.add_arguments, _COMMAND.run
