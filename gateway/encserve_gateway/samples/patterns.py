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
    account = "".join(filter(str.isalnum, found)).upper()
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


def _whole_if(is_one: Callable[[str], bool]) -> Callable[[str], int]:
    return lambda found: len(found) if is_one(found) else 0


def _length_of_iban(found: str) -> int:
    """Of an IBAN that words may follow: groups are left out from the end until the checksum is right."""
    while sum(map(str.isalnum, found)) >= SHORTEST_IBAN:
        if is_iban(found):
            return len(found)
        found = _LAST_GROUP.sub("", found)
    return 0


SHORTEST_IBAN = 15
"""Letters and digits; Norway has it."""
_LAST_GROUP = re.compile(r"(?:^|[^A-Za-z0-9]+)[A-Za-z0-9]*$")

_PLAIN = str.maketrans(
    {
        **dict.fromkeys(map(chr, (0x200B, 0x2060, 0xFEFF)), " "),  # of no width; \s has the others
        **dict.fromkeys(map(chr, (0xAD, *range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63)), "-"),  # that are dashes
        **{chr(0xFF01 + each): chr(0x21 + each) for each in range(94)},  # ASCII of full width
    }
)
"""Characters that people and programs write for others of ASCII, one for one, so that places stay what they are."""

_APART = r"[\s./_-]{0,3}"
"""What stands between digits of one number: "0171 - 1234567", "4111.1111", or the end of a line, CR LF too."""
_NO_FRACTION = r"(?<![\w+])(?<!\d[.,-])"
"""Before a number: the end of no word, and of no other number. After a word a comma or a dot may stand, as in CSV."""

_FORMS: tuple[tuple[str, re.Pattern[str], Callable[[str], int]], ...] = (
    # Names and passwords before a host, which connection strings have in logs and questions for help.
    ("credentials", re.compile(r"(?<=://)[^\s/@]{1,128}:[^\s/@]{1,128}(?=@)"), len),
    # Addresses as RFC 5321 has them without quotes, in the lengths that it allows.
    ("email", re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"), len),
    # Two letters, two check digits, and up to 30 of either, in groups of whatever size.
    (
        "iban",
        re.compile(rf"(?<![A-Za-z0-9])[A-Za-z]{{2}}[0-9]{{2}}(?:{_APART}[A-Za-z0-9]){{11,30}}(?![A-Za-z0-9])"),
        _length_of_iban,
    ),
    # 13 to 19 digits (ISO/IEC 7812), in groups or not.
    ("card", re.compile(rf"(?<!\d)\d(?:{_APART}\d){{12,18}}(?!\d)"), _whole_if(is_card)),
    ("ip", re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w]|\.\d)"), _whole_if(is_ip)),
    # Version 6, with version 4 at the end or not. A colon may stand before it and after it that is not of it.
    (
        "ip",
        re.compile(
            r"(?<!\w)[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.[0-9]{1,3}){3})?(?:(?<=::)|(?<!:))(?!\w|:[\w:])"
        ),
        _whole_if(is_ip),
    ),
    # Days of birth and others: the year last or first, of four digits or, last, of two. Not a part of an address.
    (
        "date",
        re.compile(
            r"(?<![\d])(?<!\d[./-])(?:\d{1,2}([./-])\s?\d{1,2}\1\s?(?:\d{4}|\d{2})|\d{4}([./-])\d{1,2}\2\d{1,2})"
            r"(?!\d|[./-]\d)"
        ),
        len,
    ),
    # Of social security in the USA, before what would take it for a telephone.
    ("number", re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)"), len),
    # With the code of a country, after which any digits may follow (E.164: 15 at most).
    ("phone", re.compile(r"(?<![\w+])\+\d(?:[\s()./_-]{0,3}\d){6,14}(?!\d)"), len),
    # With the code of an area in brackets or after a zero, as in most of Europe.
    ("phone", re.compile(rf"{_NO_FRACTION}(?:\(0?\d{{1,5}}\)|0\d{{1,5}})(?:{_APART}\d){{5,12}}(?!\d)"), len),
    # Three, three and four digits, as in North America.
    ("phone", re.compile(rf"{_NO_FRACTION}\(?\d{{3}}\)?[\s./_-]{{1,3}}\d{{3}}[\s./_-]{{1,3}}\d{{4}}(?!\d)"), len),
    # Eight digits or more, whatever they are: accounts, customers, cards with a typo.
    ("number", re.compile(rf"(?<!\d)\d(?:{_APART}\d){{7,}}(?!\d)"), len),
)
"""What it is, its form, and how much of what has that form it is, 0 for nothing, where a checksum or another rule says.
Each takes a time that grows with the length of a text, and not faster."""


def found_by_form(text: str) -> Iterator[Span]:
    """What is found in a text; spans may overlap."""
    plain = text.translate(_PLAIN)
    for label, form, length_of in _FORMS:
        at = 0
        while found := form.search(plain, at):
            length = length_of(found[0])
            at = found.start() + (length or 1)  # what has the form and is none may hold one, and one may follow
            if length:
                yield Span(found.start(), at, label)


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
