"""Which script a text is written in, by the names that Unicode gives its letters."""

from __future__ import annotations

import unicodedata
from collections import Counter

_NAMES = {"CJK": "Han", "HIRAGANA": "Kana", "KATAKANA": "Kana", "CANADIAN": "Canadian Aboriginal"}


def script_of(text: str) -> str:
    """The script of most letters of a text, such as `Latin`, `Han` or `Devanagari`; `Common` where it has none."""
    letters = [each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each)[0] == "L"]
    counted = Counter(unicodedata.name(each, "").split(" ")[0] for each in letters)
    scripts: Counter[str] = Counter()
    for name, count in counted.items():
        scripts[_NAMES.get(name, name.title())] += count
    return scripts.most_common(1)[0][0] if scripts else "Common"
