"""The options of a request: Triton request parameters, checked against what the pipeline offers.

What is offered is data: the settings of every step name, for each option, the kind of value, its bounds and its
default. Tokenize comes first, so a wrong option is refused before anything is computed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

_MOST_OF_A_VALUE = 100
"""The most characters of a value of the caller that an error repeats."""

Options: TypeAlias = Mapping[str, Any]
"""Option -> the value that a request has chosen, or its default."""


class InvalidArgument(ValueError):
    """The request is wrong; the message names the thing, the limit and the value."""


@dataclass(frozen=True)
class OptionRules:
    """The options that a pipeline offers, from its settings."""

    rules: Mapping[str, Mapping[str, Any]]
    """Option -> {"kind", "default", and what its kind needs}."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> OptionRules:
        """Return the rules in a step's settings."""
        return cls(settings["options"])

    @property
    def defaults(self) -> dict[str, Any]:
        """Return the value of each option in a request that chooses none."""
        return {name: rule["default"] for name, rule in self.rules.items()}

    def parse(self, parameters: str) -> Options:
        """Return the options of a request, from its parameters, a JSON object as Triton hands it over.

        Raises:
            InvalidArgument: an option that does not exist, one that is missing, or a value that is not allowed.
        """
        return self.check(json.loads(parameters) if parameters else {})

    def check(self, given: Mapping[str, Any]) -> Options:
        """Return the options that a request has chosen, with the defaults of the others. Raises as `parse`."""
        chosen = self.defaults
        for name, value in given.items():
            if name not in self.rules:
                known = ", ".join(sorted(self.rules))
                raise InvalidArgument(f"unknown option {_shown(name)}; this pipeline knows {known}")
            rule = self.rules[name]
            chosen[name] = KINDS[rule["kind"]](f"option {name} is {_shown(value)}", value, rule)
        for name, rule in self.rules.items():
            if rule.get("required") and name not in given:
                raise InvalidArgument(f"option {name} is missing; this pipeline cannot answer without it")
        return chosen


def _shown(value: object) -> str:
    """Return a value as an error repeats it, which gRPC sends in a few kilobytes."""
    text = repr(value)
    return text if len(text) <= _MOST_OF_A_VALUE else f"{text[:_MOST_OF_A_VALUE]}..."


def _choice(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    if not isinstance(value, str) or value not in rule["allowed"]:
        raise InvalidArgument(f"{problem}; allowed are {', '.join(map(repr, rule['allowed']))}")
    return value


def _adapters(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    """Return the name of an adapter for all texts, or a list with one for each."""
    allowed = ", ".join(map(repr, rule["allowed"]))
    if isinstance(value, str) and value in rule["allowed"]:
        return value
    if not isinstance(value, str) or not value.startswith("["):
        raise InvalidArgument(f"{problem}; this pipeline has {allowed}")
    names = _json_strings(problem, value)
    if not rule["by_text"]:
        raise InvalidArgument("option adapter is a list; this pipeline takes one name for all texts of a request")
    for index, name in enumerate(names):
        if name not in rule["allowed"]:
            raise InvalidArgument(f"option adapter has {_shown(name)} at {index}; this pipeline has {allowed}")
    return names


def _whole(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    if not isinstance(value, int) or isinstance(value, bool) or not rule["least"] <= value <= rule["most"]:
        raise InvalidArgument(f"{problem}; it must be a whole number from {rule['least']} to {rule['most']}")
    return value


def _trained(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    if not isinstance(value, int) or isinstance(value, bool) or value not in rule["allowed"]:
        raise InvalidArgument(f"{problem}; the model was trained for {', '.join(map(str, rule['allowed']))}")
    return value


def _flag(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{problem}; it must be true or false")
    return value


def _id(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    if not isinstance(value, str) or not value:
        raise InvalidArgument(f"{problem}; it must be the id of a request")
    return value


def _template(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    if not isinstance(value, str) or value.count("{}") != 1:
        raise InvalidArgument(f"{problem}; it must hold {{}} once, where a label goes")
    return value


def _text(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    if not isinstance(value, str):
        raise InvalidArgument(f"{problem}; it must be a text")
    named = problem.partition(" is ")[0]  # and not what the text is, which is the caller's
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"{named} must hold characters, and no half of a surrogate pair") from None
    if size > rule["most"]:
        raise InvalidArgument(f"{named} has {size} bytes; it may have {rule['most']}")
    return value


def _labels(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    labels = _json_strings(problem, value)
    if not 1 <= len(labels) <= rule["most"]:
        raise InvalidArgument(f"option labels has {len(labels)} labels; it must have 1 to {rule['most']}")
    if len(set(labels)) < len(labels):
        raise InvalidArgument(f"{problem}; each label may be there once")
    return labels


def _number(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not rule["above"] < number <= rule["most"]:
        raise InvalidArgument(f"{problem}; it must be a number above {rule['above']}, at most {rule['most']}")
    return number


def _strings(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    strings = _json_strings(problem, value)
    if len(strings) > rule["most"]:
        named = problem.partition(" is ")[0]  # and not what the strings are, which are the caller's
        raise InvalidArgument(f"{named} has {len(strings)} strings; {rule['most']} are the most")
    return strings


def _spans(problem: str, value: object, rule: Mapping[str, Any]) -> object:
    """Return for each text a list of its spans, each a begin and an end."""
    try:
        lists = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):  # of what is nested too deep
        lists = None
    if not isinstance(lists, list) or not all(isinstance(own, list) and all(map(_is_span, own)) for own in lists):
        raise InvalidArgument(
            f"{problem}; it must be a JSON list with a list for each text, of spans [begin, end] in whole numbers"
        )
    if (count := sum(map(len, lists))) > rule["most"]:
        raise InvalidArgument(f"option spans has {count} spans; {rule['most']} are the most")
    return lists


def _is_span(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(each) is int for each in value)


def _json_strings(problem: str, value: object) -> list[str]:
    try:
        strings = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):  # of what is nested too deep
        strings = None
    if not isinstance(strings, list) or not all(isinstance(each, str) and each for each in strings):
        raise InvalidArgument(f"{problem}; it must be a JSON list of strings, none of them empty")
    try:
        "".join(strings).encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{problem}; it must hold characters, and no half of a surrogate pair") from None
    return strings


KINDS: dict[str, Callable[[str, object, Mapping[str, Any]], object]] = {
    "adapters": _adapters,
    "choice": _choice,
    "whole": _whole,
    "trained": _trained,
    "flag": _flag,
    "id": _id,
    "template": _template,
    "text": _text,
    "labels": _labels,
    "number": _number,
    "strings": _strings,
    "spans": _spans,
}
"""Kind of an option -> its check, a function of the beginning of the complaint, the value, and the option's rule."""
