"""Whether a server runs on a repository.

It holds a shared flock on the repository's folder itself: that needs no file and no right to write, and holds across
containers that mount the same folder. The kernel releases it when the server ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_LOOKS = 20
_LONGEST_PAUSE_S = 0.005


@contextmanager
def marked_as_served(repository: Path) -> Iterator[None]:
    """Let others know, as long as the block lasts, that what is active in the repository is being served."""
    with ExitStack() as held:
        with suppress(OSError):  # a file system that knows no locks; or no folder, which its reader reports
            descriptor = os.open(repository, os.O_RDONLY | os.O_DIRECTORY)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


def is_served(repository: Path) -> bool:
    """Return whether a server runs on the repository. Where the file system cannot tell, as some over networks, it
    may."""
    descriptor = os.open(repository, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(_LOOKS):  # another may look now, and holds the lock as long as that takes
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(random.uniform(0, _LONGEST_PAUSE_S))
            except OSError:
                return True
            else:
                return False
        return True
    finally:
        os.close(descriptor)
