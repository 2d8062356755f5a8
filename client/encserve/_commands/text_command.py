"""A command that asks one verb about texts and prints a JSON line for each: all that a module of a command needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from encserve._commands.json_lines import print_texts
from encserve._commands.options import add_options, given_options
from encserve._commands.server_arguments import open_client
from encserve._commands.text_arguments import add_pipeline_arguments, add_texts, texts_of
from encserve._verbs.verb import Verb


@dataclass(frozen=True)
class TextCommand:
    """The command of one verb."""

    verb: Verb[Any]
    fields: Callable[[Any, int], dict[str, object]]
    """What the line of a text says of it beside its counts, from the answer and the number of the text."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        add_texts(parser)
        add_pipeline_arguments(parser)
        add_options(parser, self.verb)

    def run(self, arguments: argparse.Namespace) -> int:
        """Ask, and print."""
        with open_client(arguments) as client:
            ask = getattr(client, self.verb.name)
            answer = ask(texts_of(arguments), model=arguments.model, **given_options(arguments, self.verb))
        print_texts([answer], self.fields)
        return 0
