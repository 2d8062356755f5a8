"""Durations and numbers, as people write and read them."""

import numpy as np
import pytest

from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.quantities import milliseconds, parse_duration_s, percent, rounded


@pytest.mark.parametrize(("text", "seconds"), [("100ms", 0.1), ("2 s", 2), ("1.5min", 90), ("250us", 250e-6)])
def test_durations_are_read(text, seconds):
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["100", "ms", "-1s", "0s", "1 week", ""])
def test_other_durations_are_refused(text):
    with pytest.raises(InvalidPlan, match="is no duration"):
        parse_duration_s(text)


def test_numbers_are_written_to_three_digits():
    assert [rounded(value) for value in (0.01234, 4.564, 78.94, 1234, 0, np.inf)] == [
        *("0.0123", "4.56", "78.9", "1,230", "0", "∞")
    ]
    assert [milliseconds(value) for value in (0.0831, 1.234, np.inf)] == ["83.1 ms", "1.23 s", "never"]
    assert percent(0.042) == "4.2 %"
