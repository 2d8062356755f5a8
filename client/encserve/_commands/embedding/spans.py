"""`encserve embed-spans`: the vectors of parts of texts that are read whole, as JSON lines."""

from encserve._commands.text_command import TextCommand
from encserve._verbs.embedding.spans import EMBED_SPANS

SUMMARY = "embed sentences, or other parts, of texts that are read whole (late chunking)"

_COMMAND = TextCommand(
    EMBED_SPANS,
    lambda answer, row: {"vectors": answer.vectors[row].tolist(), "spans": answer.spans[row].tolist()},
)
add_arguments, run = _COMMAND.add_arguments, _COMMAND.run
