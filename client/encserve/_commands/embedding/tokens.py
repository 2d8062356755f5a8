"""`encserve embed-tokens`: the vectors of the tokens of texts, as JSON lines."""

from encserve._commands.text_command import TextCommand
from encserve._verbs.embedding.tokens import EMBED_TOKENS

SUMMARY = "embed each token of texts, as late interaction needs it"

_COMMAND = TextCommand(
    EMBED_TOKENS,
    lambda answer, row: {"vectors": answer.vectors[row].tolist(), "offsets": answer.offsets[row].tolist()},
)
add_arguments, run = _COMMAND.add_arguments, _COMMAND.run
