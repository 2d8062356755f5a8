"""What was cut from texts that were too long, said once at the end."""

import sys

import numpy as np

from encserve._results import Answer


class Cut:
    """Counts what was cut from texts that were too long."""

    def __init__(self) -> None:
        self._all = self._texts = self._tokens = 0

    def add(self, part: Answer) -> None:
        """Count the rows of a part."""
        self._all += len(part)
        self._texts += int(np.count_nonzero(part.dropped_counts))
        self._tokens += int(part.dropped_counts.sum(dtype=np.int64))

    def report(self) -> None:
        """Say it on stderr, if there was any."""
        if self._texts:
            count = f"{self._texts} of {self._all} texts were too long"
            print(f"encserve: {count}: {self._tokens} tokens were cut", file=sys.stderr)
