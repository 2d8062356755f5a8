"""Signs of life of a server, seen from outside: its metrics, and what the kernel says of its processes."""

import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path


def metrics_of(url: str) -> Sequence[str]:
    """Return the lines of a page of metrics; none where the server does not give a whole one."""
    with suppress(OSError, HTTPException, UnicodeDecodeError), urllib.request.urlopen(url, timeout=1) as page:
        lines: list[str] = page.read().decode().splitlines()
        return lines
    return ()


def total(lines: Iterable[str], metric: str, model: str) -> float:
    """Return the sum of all series of a `metric` of a `model`, over its versions; lines that cannot be read count
    nothing."""
    begin, label = f"{metric}{{", f'model="{model}"'
    found = 0.0
    for line in lines:
        if line.startswith(begin) and label in line:
            with suppress(ValueError):
                found += float(line.rpartition(" ")[2])
    return found


def wanted_cpu_s(pids: Iterable[int]) -> float:
    """Return the seconds for which threads of processes have computed, or have waited for a core: a starved process is
    not stuck."""
    nanoseconds = 0
    for pid in pids:
        for thread in _threads(pid):
            with suppress(OSError, ValueError):  # it ended meanwhile
                computed, waited, _ = (thread / "schedstat").read_text().split()
                nanoseconds += int(computed) + int(waited)
    return nanoseconds / 1e9


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
