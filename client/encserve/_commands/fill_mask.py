"""`encserve fill-mask`: the likeliest tokens for the masks of texts, as JSON lines."""

from dataclasses import asdict

from encserve._commands.text_command import TextCommand
from encserve._verbs.fill_mask import FILL_MASK

SUMMARY = "find the likeliest tokens for masks in texts"

_COMMAND = TextCommand(
    FILL_MASK, lambda answer, row: {"masks": [[asdict(fill) for fill in fills] for fills in answer.masks[row]]}
)
add_arguments, run = _COMMAND.add_arguments, _COMMAND.run
