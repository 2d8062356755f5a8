"""`encserve score`: how likely texts are to a masked language model, as JSON lines."""

from encserve._commands.text_command import TextCommand
from encserve._verbs.score import SCORE

SUMMARY = "tell how likely texts are to a masked language model"

_COMMAND = TextCommand(
    SCORE,
    lambda answer, row: {
        "log_likelihood": float(answer.log_likelihoods[row]),
        "scored_count": int(answer.scored_counts[row]),
    },
)
add_arguments, run = _COMMAND.add_arguments, _COMMAND.run
