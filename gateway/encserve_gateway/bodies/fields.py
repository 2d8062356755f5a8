"""The fields of a body: read by name and kind, with `null` as if it were not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from encserve_gateway.faults import Fault, Kind, shown
from encserve_gateway.http.body import json_type


class Fields:
    """A JSON object whose fields are checked as they are read.

    All methods raise `Fault` for a value of the wrong kind. The message names the field and what was expected; of texts
    it says only where they stand.
    """

    def __init__(self, values: Mapping[str, Any], *, inside: str = "") -> None:
        self._values = values
        self._inside = inside

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def name_of(self, name: str) -> str:
        """A field as messages call it."""
        return f"{self._inside}.{name}" if self._inside else name

    def get(self, name: str) -> Any:
        """The value as it is; None where it is null or missing."""
        return self._values.get(name)

    def required(self, name: str) -> Any:
        """The value as it is, which must be there."""
        value = self._values.get(name)
        if value is None:
            raise self.wrong(name, "is missing")
        return value

    def wrong(self, name: str, problem: str, *, kind: Kind = Kind.INVALID) -> Fault:
        """The fault of a field, such as `wrong("top_n", "is -1, expected 0 or more")`."""
        return Fault(kind, f"{self.name_of(name)} {problem}", param=self.name_of(name))

    def text(self, name: str) -> str | None:
        """A text; None where there is none."""
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(name, f"is {json_type(value)}, expected a text")

    def required_text(self, name: str) -> str:
        """A text, which must be there."""
        self.required(name)
        return self.text(name) or ""

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise self.wrong(name, f"is {json_type(value)}, expected true or false")

    def whole(self, name: str, *, least: int) -> int | None:
        """A whole number of at least `least`; None where there is none."""
        value = self._values.get(name)
        if value is None:
            return None
        if type(value) is not int:
            raise self.wrong(name, f"is {json_type(value)}, expected a whole number")
        if value < least:
            raise self.wrong(name, f"is {value}, expected {least} or more")
        return value

    def number(self, name: str) -> float | None:
        """A number; None where there is none. Raises Fault."""
        value = self._values.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self.wrong(name, f"is {json_type(value)}, expected a number")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """One of a few words; None where there is none."""
        value = self.text(name)
        if value is None or value in choices:
            return value
        raise self.wrong(name, f"is {shown(value)}, expected one of {', '.join(map(repr, choices))}")

    def nested(self, name: str) -> Fields | None:
        """The fields of an object in a field; None where there is none."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, dict):
            return Fields(value, inside=self.name_of(name))
        raise self.wrong(name, f"is {json_type(value)}, expected an object")

    def texts(self, name: str, *, most: int) -> list[str]:
        """A list of at least one and at most `most` texts, which must be there."""
        value = self.required(name)
        if not isinstance(value, list):
            raise self.wrong(name, f"is {json_type(value)}, expected a list of texts")
        self.check_number(name, value, most=most)
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise self.wrong(name, f"has {json_type(item)} at {index}, expected a text")
        return value

    def text_or_texts(self, name: str, *, most: int) -> list[str]:
        """One text, or a list as `texts` reads it."""
        value = self.required(name)
        return [value] if isinstance(value, str) else self.texts(name, most=most)

    def check_number(self, name: str, items: Sequence[object], *, most: int) -> None:
        """Refuse an empty list, and one of more than `most` items."""
        if not items:
            raise self.wrong(name, "cannot be empty", kind=Kind.EMPTY)
        if len(items) > most:
            raise self.wrong(name, f"has {len(items)} items, at most {most} are allowed")
