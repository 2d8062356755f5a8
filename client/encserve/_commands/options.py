"""The options of a verb as flags of a command, made from the table of verbs."""

from __future__ import annotations

import argparse
import json
from typing import Any

from encserve._verbs.options import Option
from encserve._verbs.verb import Verb


def add_options(parser: argparse._ActionsContainer, *verbs: Verb[Any], without: tuple[str, ...] = ()) -> None:
    """Declare a flag for each option that a verb of `verbs` has, `--top-k` for `top_k`, each once."""
    options = {name: option for verb in verbs for name, option in verb.options.items() if name not in without}
    for option in options.values():
        parser.add_argument(f"--{option.name.replace('_', '-')}", **_flag(option))


def given_options(arguments: argparse.Namespace, verb: Verb[Any]) -> dict[str, Any]:
    """The options of `verb` that the arguments give."""
    given = {name: value for name in verb.options if (value := getattr(arguments, name, None)) is not None}
    single = {name: value[0] for name, value in given.items() if _is_one_for_all(verb.options[name], value)}
    return given | single


def _is_one_for_all(option: Option, value: object) -> bool:
    """Whether a flag that may be given for each text was given once. Another verb of the command may have declared it,
    whose texts may each have a value of their own."""
    return option.kind is str and isinstance(value, list) and len(value) == 1


def _flag(option: Option) -> dict[str, Any]:
    about = option.about[:1].lower() + option.about[1:].rstrip(".").replace("%", "%%")
    if option.choices:
        return {"choices": option.choices, "help": about}
    if option.name.startswith("no_"):  # its negation would be --no-no-answer
        return {"action": "store_true", "default": None, "help": about}
    if option.kind is bool:
        return {"action": argparse.BooleanOptionalAction, "default": None, "help": about}
    if option.kind is int:
        return {"type": int, "metavar": "N", "help": about}
    if option.kind is float:
        return {"type": float, "metavar": "NUMBER", "help": about}
    if option.kind is tuple:
        return {"type": json.loads, "metavar": "JSON", "help": f"{about}; as JSON, such as [[[0, 20], [20, 35]]]"}
    if option.by_text:
        return {"metavar": "NAME", "action": "append", "help": f"{about}; given again for a name for each text"}
    if option.kind is list:
        return {"metavar": "TEXT", "action": "append", "help": f"{about}; may be given again"}
    return {"metavar": "TEXT", "help": about}
