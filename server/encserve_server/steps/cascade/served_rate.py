"""How fast the threads of a lane answer what waits, which says how long that will take."""

from __future__ import annotations

_KEPT = 0.95
"""What the requests before weigh beside each next one: about the last twenty decide."""


class ServedRate:
    """The rate of a lane while all its threads have work, by how long each had its requests.

    Args:
        threads: How many they are.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._tokens = self._seconds = 0.0

    def served(self, tokens: int, seconds: float) -> None:
        """Learn that a thread had a request of so many tokens for so many seconds."""
        self._tokens = _KEPT * self._tokens + tokens
        self._seconds = _KEPT * self._seconds + seconds

    @property
    def tokens_per_second(self) -> float:
        """Return the tokens a second of all threads together; 0 where none had a request yet."""
        return self._threads * self._tokens / self._seconds if self._seconds else 0.0
