"""The secret without which a server of `encserve serve` lets nobody load models, list them, or change its settings.

A server keeps it in its runtime folder, in a file that only the user who started it can read:

    <temporary folder>/encserve_<pid>_<random>/admin_secret_<gRPC port>
"""

import ipaddress
import os
import stat
import sys
import tempfile
from pathlib import Path

ADMIN_KEY = "encserve-admin"
"""What Triton is told to call the secret: the header over HTTP, and the end of the header over gRPC."""

ADMIN_METADATA = f"triton-grpc-protocol-{ADMIN_KEY}"
"""The header over gRPC."""


def local_admin_secret(url: str) -> str | None:
    """The secret of the server at `url`, "host:port", where this user runs it on this host; else None.

    Only a loopback address is looked up, so that the secret is never sent to another host. In a temporary folder that
    all users share anybody can make folders and links: only a file that is no link, in a folder that is none, both of
    this user and closed to others, is read.
    """
    host, _, port = url.rpartition(":")
    if sys.platform == "win32" or not (port.isdecimal() and is_loopback(host)):
        return None
    found = [
        secret
        for folder in Path(tempfile.gettempdir()).glob("encserve_*")
        if (secret := _read_own(folder, f"admin_secret_{port}")) is not None
    ]
    return max(found)[1] if found else None  # a server that was killed may have left an older one


def _read_own(folder: Path, name: str) -> tuple[int, str] | None:
    """When a file of this user was written, in nanoseconds, and what it says; None where it is not to be trusted."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if not _is_own(os.fstat(opened)):
                return None
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened)
        finally:
            os.close(opened)
        with os.fdopen(file, encoding="ascii") as stream:
            status = os.fstat(file)
            if not _is_own(status) or not stat.S_ISREG(status.st_mode):
                return None
            return status.st_mtime_ns, stream.read().strip()
    except (OSError, UnicodeDecodeError):  # of another user, a link, or removed meanwhile
        return None


def _is_own(status: os.stat_result) -> bool:
    """Whether it belongs to this user, and no other can write to it."""
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def is_loopback(host: str) -> bool:
    """Whether a host of "host:port" is this one, by its name alone: nothing is resolved."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
