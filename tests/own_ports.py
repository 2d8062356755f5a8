"""Ports for the servers of tests, each given to one process of a run, and once.

A server opens its ports seconds after they were chosen. A port that the kernel calls free may be given to another
process meanwhile, which asks for one as well, or to a connection.
"""

import os
import random
import socket

FIRST, EACH, SHARES = 12_000, 2_500, 8
"""Where they begin, and how many a process has: all below 32,768, from where on Linux gives ports to connections."""


def share_of(worker, processes=1):
    """The ports of a process of pytest-xdist, such as "gw0", or of a run without it. One that replaces another has a
    number of its own, beyond those of all before it, and the ports of one of the first.

    Raises:
        ValueError: there are more processes than shares.
    """
    if processes >= SHARES:
        raise ValueError(f"{processes} processes would have the ports of each other: at most {SHARES - 1} may share")
    number = int(worker.removeprefix("gw")) % (SHARES - 1) + 1 if worker else 0
    begin = FIRST + number * EACH
    return range(begin, begin + EACH)


_share = share_of(
    os.environ.get("PYTEST_XDIST_WORKER", ""), processes=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
)
_place = random.randrange(EACH)  # another run on this host is elsewhere


def own_ports(count):
    """So many ports of this process that nobody listens at."""
    global _place
    found = []
    while len(found) < count:
        _place = (_place + 1) % EACH
        if _is_free(_share[_place]):
            found.append(_share[_place])
    return tuple(found)


def _is_free(port):
    with socket.socket() as listening:
        try:
            listening.bind(("", port))
        except OSError:
            return False
    return True
