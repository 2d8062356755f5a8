"""The secret without which a server of `encserve serve` lets nobody load models, list them, or change its settings.

A server keeps it in its runtime folder, in a file that only the user who started it can read:

    <temporary folder>/encserve_<pid>_<random>/admin_secret_<gRPC port>
"""

import ipaddress
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

ADMIN_KEY = "encserve-admin"
"""What Triton is told to call the secret: the header over HTTP, and the end of the header over gRPC."""

ADMIN_METADATA = f"triton-grpc-protocol-{ADMIN_KEY}"
"""The header over gRPC."""


def local_admin_secret(url: str) -> str | None:
    """The secret of the server at `url`, "host:port", where this user runs it on this host; else None.

    Only a loopback address is looked up, so that the secret is never sent to another host.
    """
    host, _, port = url.rpartition(":")
    if sys.platform == "win32" or not (port.isdecimal() and is_loopback(host)):
        return None
    found = []
    for path in Path(tempfile.gettempdir()).glob(f"encserve_*/admin_secret_{port}"):
        with suppress(OSError, UnicodeDecodeError):  # of another user, or removed meanwhile
            status = path.stat()
            if status.st_uid == os.getuid():  # what another user has put there is no secret of ours
                found.append((status.st_mtime_ns, path.read_text(encoding="ascii").strip()))
    return max(found)[1] if found else None  # a server that was killed may have left an older one


def is_loopback(host: str) -> bool:
    """Whether a host of "host:port" is this one, by its name alone: nothing is resolved."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
