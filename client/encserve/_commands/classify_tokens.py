"""`encserve classify-tokens`: the entities of texts, as JSON lines."""

from dataclasses import asdict

from encserve._commands.text_command import TextCommand
from encserve._verbs.classify_tokens import CLASSIFY_TOKENS

SUMMARY = "find the entities of texts"

_COMMAND = TextCommand(
    CLASSIFY_TOKENS, lambda answer, row: {"entities": [asdict(entity) for entity in answer.entities[row]]}
)
add_arguments, run = _COMMAND.add_arguments, _COMMAND.run
