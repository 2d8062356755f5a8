"""An address by which other hosts reach this one."""

import socket

import pytest

ELSEWHERE = "198.51.100.7"
"""Of a network for documentation (RFC 5737), which no host has."""


def own_address() -> str:
    """An address of this host that is no loopback, as the kernel picks it for a way out; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ELSEWHERE, 9))
        except OSError:
            pytest.skip("this host has no way to another")
        return str(probe.getsockname()[0])
