"""`encserve embed-sparse`: texts as weighted tokens of the vocabulary, as JSON lines."""

from encserve._commands.text_command import TextCommand
from encserve._verbs.embedding.sparse import EMBED_SPARSE

SUMMARY = "embed texts as weighted tokens of the vocabulary, for an inverted index"

_COMMAND = TextCommand(
    EMBED_SPARSE,
    lambda answer, row: {"token_ids": answer.token_ids[row].tolist(), "weights": answer.weights[row].tolist()},
)
add_arguments, run = _COMMAND.add_arguments, _COMMAND.run
