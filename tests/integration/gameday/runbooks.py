"""The sections of docs/runbooks.md and the commands in them, as an operator reads them."""

import re
import shlex
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "runbooks.md"
_HEADING = re.compile(r"^## (\w+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST = "first"
"""The name of what stands before the first alert: what is asked whatever the alert is."""


def sections():
    """Alert -> the text of its section; `FIRST` -> what stands before."""
    texts = _HEADING.split(PAGE.read_text(encoding="utf-8"))
    return dict(zip([FIRST, *texts[1::2]], texts[::2], strict=True))


def commands(text):
    """The commands in the code blocks of a text, a line each, without comments."""
    lines = (line.partition("#")[0].strip() for block in _BLOCK.findall(text) for line in block.splitlines())
    return [line for line in lines if line]


def filled(command, **words):
    """The words of a command, with what an operator writes for those in capitals."""
    found = [words.pop(word, word) for word in shlex.split(command)]
    assert not words, f"{command!r} has none of {sorted(words)}"
    capitals = [word for word in found if word.isupper()]
    assert not capitals, f"nothing was said for {capitals} of {command!r}"
    return found


def says(text, sentence):
    """Whether a sentence stands in a text, wherever its lines break."""
    return " ".join(sentence.split()) in " ".join(text.split())
