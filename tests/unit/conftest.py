"""What unit tests of all packages share."""

import pytest


class Clock:
    """A clock that a test turns by hand."""

    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()
