"""A caller of its own beside a flood: how long the server takes to refuse it, apart from what delays the flooder.

    python -m benchmarks.resilience.refusal_probe localhost:8001 [--seconds 20] [--pause-s 0.05]

Asks about one text at a time, one request after the other, each with 2 s to live. Prints JSON: for each refusal its
milliseconds, and how many of them the threads of this process were ready to run and had no core.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.exported import MODEL
from benchmarks.resilience.flood import TIMEOUT_S, TOO_LATE
from encserve import Client, DeadlineExceeded, Retry, Unavailable


def main() -> None:
    """Ask until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--pause-s", type=float, default=0.05)
    arguments = parser.parse_args()
    refusals_ms: list[float] = []
    without_core_ms: list[float] = []
    with Client(arguments.url, timeout_s=TIMEOUT_S, retry=Retry(attempts=1)) as client:
        end_s = time.perf_counter() + arguments.seconds
        while time.perf_counter() < end_s:
            began_s, began_without_core_s = time.perf_counter(), without_core_s()
            try:
                client.embed([f"a probe, {time.time_ns()}"], model=MODEL)
            except Unavailable as error:
                if TOO_LATE not in str(error):
                    refusals_ms.append(1e3 * (time.perf_counter() - began_s))
                    without_core_ms.append(1e3 * (without_core_s() - began_without_core_s))
            except DeadlineExceeded:
                pass
            time.sleep(arguments.pause_s)
    print(json.dumps({"refusals_ms": refusals_ms, "without_core_ms": without_core_ms}))


def without_core_s() -> float:
    """Seconds that the threads of this process have waited for a core, as the kernel counts them."""
    waits_ns = [int(file.read_text().split()[1]) for file in Path("/proc/self/task").glob("*/schedstat")]
    return sum(waits_ns) / 1e9


if __name__ == "__main__":
    main()
