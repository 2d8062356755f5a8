"""The colours of series: readable on their background, and apart for those who see fewer colours."""

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest

CSS = files("encserve_pages").joinpath("page.css").read_text(encoding="utf-8")
LIGHT, DARK = CSS.split("@media (prefers-color-scheme: dark)")

SEEN = {
    "all colours": np.eye(3),
    "without red": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "without green": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "without blue": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""What becomes of linear RGB: Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color
vision deficiency", 2009, at full severity."""
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def colour(scheme, name):
    """Linear RGB of a colour of the style, (3,)."""
    code = re.search(rf"--{name}: #(\w{{6}})", scheme)[1]
    value = np.array([int(code[at : at + 2], 16) for at in (0, 2, 4)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(linear):
    """CIE L*a*b* under D65, (3,), in which distances are about as large as they look."""
    share = XYZ @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("seen", SEEN)
def test_series_are_told_apart(scheme, seen):
    colours = [lab(np.array(SEEN[seen]) @ colour(scheme, f"series-{number}")) for number in range(6)]
    nearest = min(np.linalg.norm(one - other) for one, other in itertools.combinations(colours, 2))
    assert nearest > 12


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_marks_and_words_have_contrast_on_a_card(scheme):
    """As WCAG 2.2 asks: 3 to 1 for drawings (1.4.11), 4.5 to 1 for text (1.4.3)."""
    least = {**{f"series-{number}": 3.0 for number in range(6)}, "ink": 4.5, "soft": 4.5, "bad": 4.5, "good": 4.5}
    for background in ("card", "paper"):
        behind = XYZ[1] @ colour(scheme, background) + 0.05
        for name, ratio in least.items():
            own = XYZ[1] @ colour(scheme, name) + 0.05
            assert max(own, behind) / min(own, behind) >= ratio, (name, background)
