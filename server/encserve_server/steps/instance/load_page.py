"""The load of a step, shown to others on a page of memory that both map.

An encode step writes, and the tokenize steps of its pipelines read; what waits in those is read by the launcher when it
stops the server. All are children of one server, so its process id in the file's name keeps servers apart. A page is a
hint: without it, or with an old one, requests are late or early, never lost.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .lanes import LANES

FOLDER_VARIABLE = "ENCSERVE_RUNTIME_FOLDER"
"""The environment variable with the folder of the pages, which the launcher removes in the end. Without it they are in
the temporary folder."""

CLOSING = "closing"
"""The name of a file in the folder that tells the tokenize steps to let nobody in any more."""

LOOK_S = 0.2
"""Seconds between two looks for what may have begun or ended: a page, and the processes that write one."""

_SLOTS = 16  # instances of an encode step
_FIELDS = 8  # doubles of a slot: the process id, then tokens, rate and room of each lane
_SIZE = 8 * _SLOTS * _FIELDS


@dataclass(frozen=True)
class Load:
    """The load of a lane as the encode step states it, all its instances together."""

    tokens: float
    """The number of tokens that it has and that are not answered."""
    rate: float
    """The tokens per second that it last computed; 0 where it computed none."""
    room: float
    """The number of tokens that it wants to have: enough to form good batches, and no more."""


def page_file(model: str, version: str) -> Path:
    """Return the path of the page of a step, from within one of the server's processes."""
    return _folder() / f"encserve-{os.getppid()}-{model}-{version}.load"


def is_closing() -> bool:
    """Return whether this server closes. A server that has no folder of its own is never said to: in the temporary
    folder anybody could close it."""
    folder = os.environ.get(FOLDER_VARIABLE, "")
    return folder != "" and Path(folder, CLOSING).exists()


def tokens_in(folder: Path) -> float:
    """Return the tokens that the steps of a server have and have not answered, by all its pages. A process that has
    ended has none."""
    pages = map(open_page, folder.glob("*.load"))
    return sum(page.read(lane).tokens for page in pages if page is not None for lane in LANES)


def _folder() -> Path:
    return Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())


class LoadWriter:
    """The slot of one instance of the encode step."""

    def __init__(self, file: Path, instance: int) -> None:
        # An existing file is kept: processes that have mapped it go on to see what is written.
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(fd, _SIZE)
            os.posix_fallocate(fd, 0, _SIZE)  # on a full disk an error here, and no signal when it is written
            page = memoryview(mmap.mmap(fd, _SIZE)).cast("d")
        finally:
            os.close(fd)
        begin = instance % _SLOTS * _FIELDS
        self._slot = page[begin : begin + _FIELDS]
        for field in range(1, _FIELDS):
            self._slot[field] = 0.0
        self._slot[0] = float(os.getpid())

    def publish(self, lane: str, load: Load) -> None:
        """Replace the load of a lane."""
        field = _first_field(lane)
        self._slot[field], self._slot[field + 1], self._slot[field + 2] = load.tokens, load.rate, load.room


class LoadReader:
    """The page as a tokenize step sees it."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as stream:
            self._page = memoryview(mmap.mmap(stream.fileno(), _SIZE, prot=mmap.PROT_READ)).cast("d")
        self._ended: set[float] = set()
        self._next_look_s = 0.0

    def read(self, lane: str) -> Load:
        """Return the load of a lane as it was last stated. An instance whose process has ended has nothing to do,
        `LOOK_S` later."""
        if time.monotonic() >= self._next_look_s:
            self._next_look_s = time.monotonic() + LOOK_S
            self._ended = {pid for pid in self._pids() if not _runs(int(pid))}
        tokens = rate = room = 0.0
        field = _first_field(lane)
        for begin in range(0, _SLOTS * _FIELDS, _FIELDS):
            if (pid := self._page[begin]) and pid not in self._ended:
                tokens += self._page[begin + field]
                rate += self._page[begin + field + 1]
                room += self._page[begin + field + 2]
        return Load(tokens, rate, room)

    def has_ended(self) -> bool:
        """Return whether no instance runs any more."""
        return not any(_runs(int(pid)) for pid in self._pids())

    def _pids(self) -> list[float]:
        return [pid for pid in self._page[::_FIELDS] if pid]


def open_page(file: Path) -> LoadReader | None:
    """Return the page of a step; None where it has made none, or one that cannot be read, as when it has not given it
    its size yet."""
    try:
        return LoadReader(file)
    except (OSError, ValueError):
        return None


def _first_field(lane: str) -> int:
    return 1 + 3 * LANES.index(lane)


def process_state(pid: int) -> str:
    """Return the kernel's letter for the state of a process; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return ""


def _runs(pid: int) -> bool:
    return process_state(pid) not in ("", "Z")
