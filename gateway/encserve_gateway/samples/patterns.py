"""What is found in texts by its form, and where there is one by its checksum: addresses, accounts, cards, numbers.

This takes out less than there is: a name, an address of a street, or a number that is spelled out has no such form.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LONGEST = 320
"""Characters of the longest thing that a pattern finds: an address of e-mail has 64 before its @, and 254 in all."""


@dataclass(frozen=True)
class Span:
    """A part of a text that is taken out."""

    start: int
    """Where it begins, as Python counts characters."""
    end: int
    """Where it ends, exclusive."""
    label: str
    """What stands in its place, such as "email"."""


def is_iban(found: str) -> bool:
    """Whether the two check digits of an IBAN are right (ISO 13616: 1 modulo 97)."""
    account = found.replace(" ", "").upper()
    return int("".join(str(int(each, 36)) for each in account[4:] + account[:4])) % 97 == 1


def is_card(found: str) -> bool:
    """Whether the last digit of the number of a card is right (Luhn)."""
    digits = [int(each) for each in found if each.isdigit()]
    doubled = (sum(divmod(2 * each, 10)) for each in digits[-2::-2])
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_ip(found: str) -> bool:
    """Whether it is an address of version 4 or 6."""
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return False
    return True


def anything(found: str) -> bool:
    """What has a form alone."""
    return True


_PATTERNS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("credentials", re.compile(r"(?<=://)[^\s/@]{1,128}:[^\s/@]{1,128}(?=@)"), anything),
    ("email", re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"), anything),
    ("iban", re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])"), is_iban),
    ("card", re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"), is_card),
    ("ip", re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w]|\.\d)"), is_ip),
    ("ip", re.compile(r"(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.[0-9]{1,3}){3})?(?![\w:])"), is_ip),
    ("number", re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)"), anything),  # of social security in the USA
    ("phone", re.compile(r"(?<![\w+])\+\d(?:[ ()./-]{0,2}\d){6,14}(?!\d)"), anything),
    ("phone", re.compile(r"(?<![\w.,+-])(?:\(0?\d{1,5}\)|0\d{1,5})[ /.-]{0,2}\d(?:[ .-]?\d){4,11}(?!\d)"), anything),
    ("phone", re.compile(r"(?<![\w.,+-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)"), anything),
    ("number", re.compile(r"(?<!\d)\d(?:[ -]?\d){7,}(?!\d)"), anything),  # of eight digits or more, whatever it is
)
"""What it is, its form, and the checksum. Each takes a time that grows with the length of a text, and not faster."""


def found_by_form(text: str) -> Iterator[Span]:
    """What is found in a text; spans may overlap."""
    for label, pattern, is_one in _PATTERNS:
        if is_one is is_iban:
            yield from _ibans(text, pattern)
            continue
        for found in pattern.finditer(text):
            if is_one(found[0]):
                yield Span(*found.span(), label)


def _ibans(text: str, pattern: re.Pattern[str]) -> Iterator[Span]:
    at = 0
    while found := pattern.search(text, at):
        end = _end_of_iban(found[0])
        at = found.start() + (end or 1)  # what followed may be the next one
        if end is not None:
            yield Span(found.start(), at, "iban")


def _end_of_iban(found: str) -> int | None:
    """Where an IBAN ends that words may follow: groups are left out from the end until the checksum is right."""
    while len(found.replace(" ", "")) >= 15:
        if is_iban(found):
            return len(found)
        found = found.rpartition(" ")[0]
    return None


def scrubbed(text: str, spans: list[Span], *, most: int) -> str:
    """The first `most` characters of a text, with what stands in spans taken out as "[label]"."""
    pieces, at = [], 0
    for span in sorted(spans, key=lambda each: (each.start, -each.end)):
        if span.start >= most:
            break
        if span.end <= at:
            continue
        if span.start >= at:
            pieces += [text[at : span.start], f"[{span.label}]"]
        at = span.end
    pieces.append(text[at:most])
    return "".join(pieces)
