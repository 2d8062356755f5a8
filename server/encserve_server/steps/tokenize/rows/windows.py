"""Long texts in overlapping windows."""

from __future__ import annotations


def count_windows(size: int, room: int, overlap: int) -> int:
    """Return the number of windows that `windows_of` gives. Together they have as many tokens as the text, and
    `overlap` more for each but the first."""
    return 1 if size <= room else 1 - (room - size) // (room - overlap)


def windows_of(size: int, room: int, overlap: int) -> list[tuple[int, int]]:
    """Return windows of at most `room` tokens over a text of `size`: each repeats the last `overlap` tokens of the one
    before."""
    windows, begin = [], 0
    while begin + room < size:
        windows.append((begin, begin + room))
        begin += room - overlap
    return [*windows, (begin, size)]
